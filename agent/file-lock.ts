/**
 * One process at a time, by a file that is there while somebody works. What a process that died left
 * is removed by who comes next: by one at a time, which looks again before it does, so that nobody
 * removes the lock of somebody who took it a moment ago.
 */
import { closeSync, openSync, rmSync, statSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";

const OWNER_ONLY = 0o600;
/** A lock is held for milliseconds; an older one belongs to a process that died. */
const STALE_LOCK_MS = 10_000;
/** Whoever held it for longer leaves it: others may take it for stale, and then it is theirs to remove. */
const OWN_LOCK_MS = STALE_LOCK_MS / 2;
const LOCK_RETRY_MS = 15;

/** Does `work` while no other process does under this lock. Throws the system's error, also when the lock is not to be had. */
export async function underLock<T>(lock: string, work: () => T | Promise<T>): Promise<T> {
  const deadline = performance.now() + 2 * STALE_LOCK_MS;
  let since = Date.now();
  for (let taken = taking(lock); taken !== undefined; taken = taking(lock)) {
    if (performance.now() > deadline) throw taken;
    if (!isStale(lock) || !removeStale(lock)) await sleep(LOCK_RETRY_MS);
    since = Date.now();
  }
  try {
    return await work();
  } finally {
    if (Date.now() - since < OWN_LOCK_MS) rmSync(lock, { force: true });
  }
}

/** Makes the file; the system's error if somebody else has. Throws any other. */
function taking(file: string): Error | undefined {
  try {
    closeSync(openSync(file, "wx", OWNER_ONLY));
    return undefined;
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "EEXIST") return error;
    throw error;
  }
}

function isStale(file: string): boolean {
  const madeAt = statSync(file, { throwIfNoEntry: false })?.mtimeMs;
  return madeAt !== undefined && Date.now() - madeAt > STALE_LOCK_MS;
}

/** False: somebody else is at it. */
function removeStale(lock: string): boolean {
  const removing = `${lock}.stale`;
  if (taking(removing) !== undefined) {
    // Between two lines of this function; or it died there.
    if (isStale(removing)) rmSync(removing, { force: true });
    return false;
  }
  try {
    if (isStale(lock)) rmSync(lock, { force: true });
    return true;
  } finally {
    rmSync(removing, { force: true });
  }
}
