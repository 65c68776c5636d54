/**
 * The files of `--target`: each is read at the start and when it changed, and what it says of its
 * app is reported. One that cannot be used takes back what it said before. Not what is in one:
 * target-facts.ts.
 */
import { open } from "node:fs/promises";
import { constants } from "node:fs";
import type { AppId } from "../core/ids.ts";
import type { Log } from "./log.ts";
import { readTargetFacts, type TargetFacts } from "./target-facts.ts";

export interface TargetReport extends Omit<TargetFacts, "at"> {
  readonly app: AppId;
  readonly at: number;
}

/** How often files are looked at. */
const POLL_MS = 10_000;
/** A bill of materials is some hundred KiB. Bounds memory and the time that parsing holds everything up. */
export const MAX_TARGET_FILE_BYTES = 8 * 1024 * 1024;

interface Read {
  /** Of what was read: another one is another file. */
  readonly stamp: string;
  readonly report: TargetReport;
}

export class TargetFiles {
  readonly #files: ReadonlyMap<AppId, string>;
  readonly #log: Log;
  readonly #report: (report: TargetReport) => void;
  readonly #read = new Map<AppId, Read>();
  readonly #pollMs: number;
  #timer: NodeJS.Timeout | undefined;

  constructor(files: ReadonlyMap<AppId, string>, log: Log, report: (report: TargetReport) => void, pollMs = POLL_MS) {
    this.#files = files;
    this.#log = log;
    this.#report = report;
    this.#pollMs = pollMs;
  }

  /** Resolves once every file was read. */
  async start(): Promise<void> {
    await this.#look();
    if (this.#files.size > 0) this.#next();
  }

  /** What a newly welcomed tunnel must be told. */
  now(): readonly TargetReport[] {
    return [...this.#read.values()].map(({ report }) => report);
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  /** One look at a time, however slow the disk is. */
  #next(): void {
    this.#timer = setTimeout(() => {
      void this.#look().then(() => this.#timer !== undefined && this.#next());
    }, this.#pollMs).unref();
  }

  async #look(): Promise<void> {
    await Promise.all([...this.#files].map(([app, file]) => this.#lookAt(app, file)));
  }

  async #lookAt(app: AppId, file: string): Promise<void> {
    const before = this.#read.get(app);
    const found = await readFile(file, before?.stamp);
    if (found === undefined || found.stamp === before?.stamp) return;
    const read = "text" in found ? readTargetFacts(found.text) : { ok: false as const, problem: found.problem };
    const report: TargetReport = read.ok ? { app, ...read.facts, at: read.facts.at ?? found.at } : { app, at: found.at };
    this.#read.set(app, { stamp: found.stamp, report });
    if (read.ok) this.#log.info("target_read", { app, known: Object.keys(read.facts).filter((name) => name !== "at").join(" ") });
    else this.#log.error("target_unusable", { app, file, problem: read.problem });
    this.#report(report);
  }
}

type Found = { readonly stamp: string; readonly at: number } & ({ readonly text: string } | { readonly problem: string });

/** Undefined: the file is the one of `stamp`, which is known. */
async function readFile(path: string, stamp: string | undefined): Promise<Found | undefined> {
  try {
    // A pipe with nobody at its other end must not hold anything up.
    const handle = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
    try {
      const stat = await handle.stat();
      const at = Math.max(0, Math.floor(stat.mtimeMs));
      const found = `${stat.dev} ${stat.ino} ${stat.size} ${stat.mtimeMs} ${stat.ctimeMs}`;
      if (found === stamp) return undefined;
      if (!stat.isFile()) return { stamp: found, at, problem: "it is no file" };
      const buffer = Buffer.alloc(Math.min(stat.size, MAX_TARGET_FILE_BYTES) + 1);
      let length = 0;
      for (let read = -1; read !== 0 && length < buffer.length; length += read) ({ bytesRead: read } = await handle.read(buffer, length));
      if (length > MAX_TARGET_FILE_BYTES) return { stamp: found, at, problem: `it has more than ${MAX_TARGET_FILE_BYTES} bytes` };
      return { stamp: found, at, text: buffer.toString("utf8", 0, length) };
    } finally {
      await handle.close();
    }
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    return { stamp: `error ${code ?? "unknown"}`, at: 0, problem: `it cannot be read (${code ?? "unknown"})` };
  }
}
