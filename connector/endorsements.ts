/**
 * The endorsements that this connector shows to agents: lines of the file `endorsements` in its
 * state directory, read anew when the file changes. Not verified here: agents do, with their pins.
 */
import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { ENDORSEMENT_MAX_CHARS } from "../identity/endorsement.ts";
import { MAX_ENDORSEMENTS_COUNT } from "../protocol/limits.ts";

export const ENDORSEMENTS_FILE = "endorsements";
const JWS = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$/;

export class Endorsements {
  readonly #path: string;
  #readAt: number | undefined;
  #lines: readonly string[] = [];

  constructor(directory: string) {
    this.#path = join(directory, ENDORSEMENTS_FILE);
  }

  /** At most as many as an agent looks at; none without a file, or with one that cannot be read. */
  current(): readonly string[] {
    try {
      const changedAt = statSync(this.#path, { throwIfNoEntry: false })?.mtimeMs;
      if (changedAt === this.#readAt) return this.#lines;
      this.#readAt = changedAt;
      const text = changedAt === undefined ? "" : readFileSync(this.#path, "utf8");
      this.#lines = text.split(/\s+/).filter((line) => line.length <= ENDORSEMENT_MAX_CHARS && JWS.test(line)).slice(-MAX_ENDORSEMENTS_COUNT);
    } catch {
      this.#readAt = undefined;
      this.#lines = [];
    }
    return this.#lines;
  }
}
