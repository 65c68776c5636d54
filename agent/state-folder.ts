/**
 * The agent's folder: files for their owner only, replaced whole, and changed by one process at a
 * time. What the files mean is their own modules' matter.
 */
import { mkdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { foreignHand, replacePrivately } from "../channel/private-file.ts";
import { AgentFailure } from "./agent-failure.ts";
import { underLock } from "./file-lock.ts";

export { replacePrivately } from "../channel/private-file.ts";

const LOCK = "known_connectors.lock";

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
      for (const path of [this.path, this.file(name)]) this.#requireOwn(path);
      return readFileSync(this.file(name), "utf8");
    } catch (error) {
      if (error instanceof AgentFailure) throw error;
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
    try {
      replacePrivately(this.file(name), text);
    } catch (error) {
      throw this.#unusable(name, "written", error);
    }
  }

  /** Throws AgentFailure if others may put files of theirs here: keys to trust, or a place for this agent's own. */
  #requireOwn(path: string): void {
    const why = foreignHand(path);
    if (why === undefined) return;
    throw new AgentFailure("state_unsafe", `${path} is not this user's alone`, `${why}: whose keys are trusted would be theirs to say`, [`chmod go-w ${path}, if nobody has used that`, "or give the agent a folder of its own: --state DIR"]);
  }

  /** Does `work` while no other process does work on this folder. Throws AgentFailure. */
  async alone<T>(work: () => T | Promise<T>): Promise<T> {
    let isWorking = false;
    try {
      mkdirSync(this.path, { recursive: true, mode: 0o700 });
      this.#requireOwn(this.path);
      return await underLock(this.file(LOCK), () => {
        isWorking = true;
        return work();
      });
    } catch (error) {
      if (isWorking || error instanceof AgentFailure) throw error;
      throw this.#unusable(LOCK, "written", error);
    }
  }

  #unusable(name: string, done: string, error: unknown): AgentFailure {
    return new AgentFailure("state_unusable", `${this.file(name)} cannot be ${done}`, `the system says ${codeOf(error) ?? "no reason"}`, ["give the agent a folder of its own: --state DIR"]);
  }
}

function codeOf(error: unknown): string | undefined {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : undefined;
}
