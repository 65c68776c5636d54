/**
 * Files of the state folder: private (0600), written whole or not at all. Not a database: each
 * has one writer, the start that holds the folder's lock.
 */
import { randomBytes } from "node:crypto";
import { mkdir, open, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { KILL_AFTER_MS } from "./guard-grace.ts";
import { StartError } from "./start-error.ts";

const PRIVATE_FILE_MODE = 0o600;
const PRIVATE_FOLDER_MODE = 0o700;
/** Bytes of entropy of every secret made here. */
const SECRET_BYTES = 32;

/** Creates a folder (and its parents) that only its owner may enter. */
export async function privateFolder(path: string): Promise<string> {
  await mkdir(path, { recursive: true, mode: PRIVATE_FOLDER_MODE });
  return path;
}

/** Writes a private file so that a reader sees the old content or the new, never half. */
export async function writePrivate(path: string, text: string): Promise<void> {
  const next = `${path}.next`;
  await writeFile(next, text, { mode: PRIVATE_FILE_MODE });
  await rename(next, path);
}

export const writePrivateJson = (path: string, value: unknown): Promise<void> => writePrivate(path, `${JSON.stringify(value)}\n`);

/** The parsed file, or undefined when it is absent or not JSON. */
export async function readPrivateJson(path: string): Promise<unknown> {
  try {
    return JSON.parse(await readFile(path, "utf8")) as unknown;
  } catch {
    return undefined;
  }
}

/** The text of a file as it is; undefined when absent. */
export async function readWhole(path: string): Promise<string | undefined> {
  return readFile(path, "utf8").catch(() => undefined);
}

/** The text of a file without its final newline; undefined when absent. */
export async function readText(path: string): Promise<string | undefined> {
  return readFile(path, "utf8").then((text) => text.trimEnd(), () => undefined);
}

/** A secret kept in a file: read, or made on first use. base64url of 32 random bytes. */
export async function keptSecret(path: string): Promise<string> {
  const known = await readText(path);
  if (known !== undefined && known !== "") return known;
  const made = randomBytes(SECRET_BYTES).toString("base64url");
  await writePrivate(path, `${made}\n`);
  return made;
}

const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return true;
  } catch (cause) {
    return cause instanceof Error && "code" in cause && cause.code === "EPERM";
  }
};

/** Folders this very process holds: a lock file with our own id may also be an old one of a recycled id. */
const held = new Set<string>();
/** After a start that was killed, its guard may still be ending processes that write to the folder. */
const AFTER_KILLED_START_MS = KILL_AFTER_MS + 500;

/** Claims a state folder for this process; two workerds on one storage would corrupt it. Resolves with the release. */
export async function lockFolder(folder: string): Promise<() => Promise<void>> {
  const path = join(folder, "lock");
  for (;;) {
    const file = await open(path, "wx", PRIVATE_FILE_MODE).catch((cause: unknown) => {
      if (cause instanceof Error && "code" in cause && cause.code === "EEXIST") return undefined;
      throw cause;
    });
    if (file !== undefined) {
      await file.writeFile(String(process.pid));
      await file.close();
      held.add(path);
      return async () => {
        held.delete(path);
        await rm(path, { force: true });
      };
    }
    const holder = Number(await readText(path));
    const isHeld = holder === process.pid ? held.has(path) : Number.isSafeInteger(holder) && holder > 0 && isAlive(holder);
    if (isHeld) {
      throw new StartError(`the state folder ${folder} is in use by process ${holder}`, "end that process, or give another folder with --state");
    }
    await rm(path, { force: true });
    await new Promise((wake) => setTimeout(wake, AFTER_KILLED_START_MS));
  }
}
