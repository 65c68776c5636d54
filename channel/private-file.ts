/** Writes files that are for their owner only, also in a folder where others may put something in the way. */
import { closeSync, fchmodSync, fsyncSync, openSync, renameSync, rmSync, statSync, writeSync } from "node:fs";
import { randomBytes } from "node:crypto";

const OWNER_ONLY = 0o600;
/** Write by group or others. */
const OTHERS_WRITE = 0o022;

/**
 * Replaces a file whole: a reader finds the old or the new one. What is written is a new file under
 * a name that nobody can guess, so no link is followed and nobody else holds it open. `mode` gives
 * it to more than its owner. Throws the system's error.
 */
export function replacePrivately(file: string, text: string, mode = OWNER_ONLY): void {
  const fresh = `${file}.${randomBytes(12).toString("hex")}.new`;
  const handle = openSync(fresh, "wx", OWNER_ONLY);
  try {
    try {
      writeSync(handle, text);
      if (mode !== OWNER_ONLY) fchmodSync(handle, mode);
      fsyncSync(handle);
    } finally {
      closeSync(handle);
    }
    renameSync(fresh, file);
  } catch (error) {
    rmSync(fresh, { force: true });
    throw error;
  }
}

/** Why somebody else may have written this file or folder; undefined if nobody may, or there is none. Throws the system's error. */
export function foreignHand(path: string): string | undefined {
  const found = statSync(path, { throwIfNoEntry: false });
  if (found === undefined || process.getuid === undefined) return undefined;
  if (found.uid !== process.getuid() && found.uid !== 0) return "it belongs to another user";
  return (found.mode & OTHERS_WRITE) !== 0 ? "other users may write it" : undefined;
}
