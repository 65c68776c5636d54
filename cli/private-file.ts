/**
 * Secrets in files: read with a warning when others may read them too, and written for the owner
 * only. A secret never comes by argv.
 */
import { closeSync, existsSync, fstatSync, ftruncateSync, openSync, readFileSync, rmSync, writeSync } from "node:fs";
import { errorCode, Failure, usageFailure } from "./failure.ts";
import type { Io } from "./io.ts";
import type { Secrets } from "./printable.ts";

/** Bounds what is read as a token or key. */
const MAX_SECRET_CHARS = 512;
const OWNER_ONLY = 0o600;
/** Read or write by group or others. */
const OTHERS = 0o066;

/** The one secret in a file ("-": standard input), noted in `secrets`. Throws Failure. */
export async function readSecret(file: string, what: string, io: Io, secrets: Secrets): Promise<string> {
  const text = file === "-" ? await io.stdin() : readFile(file, what, io);
  const secret = text.trim();
  if (secret === "" || secret.length > MAX_SECRET_CHARS || /[^\x21-\x7e]/.test(secret)) {
    throw usageFailure(`the file for the ${what} does not hold one ${what}`, "it must hold the secret and nothing else");
  }
  secrets.add(secret);
  return secret;
}

function readFile(file: string, what: string, io: Io): string {
  let handle: number | undefined;
  try {
    handle = openSync(file, "r");
    const { mode } = fstatSync(handle);
    if (process.platform !== "win32" && (mode & OTHERS) !== 0) {
      io.err(`warning: other users of this machine may read ${file}\nfix: chmod 600 ${file}\n`);
    }
    return readFileSync(handle, "utf8");
  } catch (error) {
    throw new Failure("file_unreadable", `the ${what} cannot be read from ${file}`, `the system says ${errorCode(error) ?? "no reason"}`, ["check the path and its permissions"]);
  } finally {
    if (handle !== undefined) closeSync(handle);
  }
}

export interface ReservedFile {
  readonly write: (text: string) => void;
  /** Removes the empty file again: what it was for did not happen. */
  readonly discard: () => void;
}

/**
 * Claims a new file for a secret before the secret is made, so that one that is shown once is not
 * lost to a bad path. An existing file is never overwritten. Throws Failure.
 */
export function reserveSecretFile(file: string, what: string): ReservedFile {
  if (existsSync(file)) throw usageFailure(`${file} exists already`, `the new ${what} would overwrite it`, "give another path, or move the old file away");
  let handle: number;
  try {
    handle = openSync(file, "wx", OWNER_ONLY);
  } catch (error) {
    throw new Failure("file_unwritable", `${file} cannot be written`, `the system says ${errorCode(error) ?? "no reason"}`, ["give another path"]);
  }
  return {
    write: (text) => {
      ftruncateSync(handle);
      writeSync(handle, `${text}\n`);
      closeSync(handle);
    },
    discard: () => {
      closeSync(handle);
      rmSync(file, { force: true });
    },
  };
}
