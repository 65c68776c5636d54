/**
 * The agent's folder: files for their owner only, replaced whole, and changed by one process at a
 * time. What the files mean is their own modules' matter.
 */
import { closeSync, fsyncSync, mkdirSync, openSync, readFileSync, renameSync, rmSync, statSync, writeSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { AgentFailure } from "./agent-failure.ts";

const OWNER_ONLY = 0o600;
/** A lock is held for milliseconds; an older one belongs to a process that died. */
const STALE_LOCK_MS = 10_000;
const LOCK_RETRY_MS = 15;

export class StateFolder {
  readonly path: string;

  constructor(path: string) {
    this.path = path;
  }

  file(name: string): string {
    return join(this.path, name);
  }

  /** The text of a file; undefined if there is none. Throws AgentFailure. */
  read(name: string): string | undefined {
    try {
      return readFileSync(this.file(name), "utf8");
    } catch (error) {
      if (codeOf(error) === "ENOENT") return undefined;
      throw this.#unusable(name, "read", error);
    }
  }

  /** Throws AgentFailure if others may read the file. */
  requirePrivate(name: string): void {
    const mode = statSync(this.file(name), { throwIfNoEntry: false })?.mode ?? 0;
    if (process.platform === "win32" || (mode & 0o077) === 0) return;
    throw new AgentFailure("key_exposed", `${this.file(name)} can be read by other users`, "a private key must be readable by its owner only", [`remove it: a new one is made; streams that are open now end`, `chmod 600 ${this.file(name)}, if nobody has read it`]);
  }

  /** Replaces a file whole: a reader finds the old or the new one. Throws AgentFailure. */
  write(name: string, text: string): void {
    const fresh = `${this.file(name)}.${process.pid}.new`;
    try {
      const handle = openSync(fresh, "w", OWNER_ONLY);
      try {
        writeSync(handle, text);
        fsyncSync(handle);
      } finally {
        closeSync(handle);
      }
      renameSync(fresh, this.file(name));
    } catch (error) {
      rmSync(fresh, { force: true });
      throw this.#unusable(name, "written", error);
    }
  }

  /** Does `work` while no other process does work on this folder. Throws AgentFailure. */
  async alone<T>(work: () => T | Promise<T>): Promise<T> {
    const lock = this.file("known_connectors.lock");
    const deadline = performance.now() + 2 * STALE_LOCK_MS;
    mkdirSync(this.path, { recursive: true, mode: 0o700 });
    for (;;) {
      try {
        closeSync(openSync(lock, "wx", OWNER_ONLY));
        break;
      } catch (error) {
        if (codeOf(error) !== "EEXIST" || performance.now() > deadline) throw this.#unusable("known_connectors.lock", "written", error);
      }
      const heldSince = statSync(lock, { throwIfNoEntry: false })?.mtimeMs;
      if (heldSince !== undefined && Date.now() - heldSince > STALE_LOCK_MS) rmSync(lock, { force: true });
      else await sleep(LOCK_RETRY_MS);
    }
    try {
      return await work();
    } finally {
      rmSync(lock, { force: true });
    }
  }

  #unusable(name: string, done: string, error: unknown): AgentFailure {
    return new AgentFailure("state_unusable", `${this.file(name)} cannot be ${done}`, `the system says ${codeOf(error) ?? "no reason"}`, ["give the agent a folder of its own: --state DIR"]);
  }
}

function codeOf(error: unknown): string | undefined {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : undefined;
}
