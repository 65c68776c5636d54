/**
 * Stamped chunks: lines that carry the clock's time of their write, so that no boundary of a
 * transport can hide when a byte was written. Whoever reads notes when each came.
 */
import { monotonicMs } from "./clock.ts";

const LINE_BYTES = 256;
const STAMP = /stamp ([0-9.]+)/;
/** A line that never ends is no stamp; so much of it is kept. */
const MAX_LINE_CHARS = 4 * LINE_BYTES;

/** One chunk, written now. */
export const stampedLine = (): string => `${`stamp ${monotonicMs().toFixed(3)} `.padEnd(LINE_BYTES - 1, ".")}\n`;

/** What one reader knows of what came after a moment. */
export interface Late {
  /** Bytes of chunks that were written after it. */
  readonly afterBytes: number;
  /** Bytes that came after it and were written before. */
  readonly inFlightBytes: number;
}

/** The chunks of one connection since it was last marked. */
export class Heard {
  #chunks: { readonly stamp: number; readonly at: number; readonly bytes: number }[] = [];
  #rest = "";
  count = 0;
  /** When the newest chunk came; 0 before the first. */
  lastAt = 0;

  /** Forgets what came so far. */
  mark(): void {
    this.#chunks = [];
  }

  feed(text: string): void {
    const lines = (this.#rest + text).split("\n");
    this.#rest = (lines.pop() ?? "").slice(0, MAX_LINE_CHARS);
    for (const line of lines) this.#note(line, 1);
  }

  /** The connection is over: a chunk that came in part counts as far as it came. */
  over(): void {
    this.#note(this.#rest, 0);
    this.#rest = "";
  }

  #note(line: string, end: number): void {
    const stamp = Number(STAMP.exec(line)?.[1]);
    if (!Number.isFinite(stamp)) return;
    this.count++;
    this.lastAt = monotonicMs();
    this.#chunks.push({ stamp, at: this.lastAt, bytes: line.length + end });
  }

  since(moment: number): Late {
    const sum = (which: (chunk: { readonly stamp: number; readonly at: number }) => boolean): number => this.#chunks.filter(which).reduce((bytes, chunk) => bytes + chunk.bytes, 0);
    return { afterBytes: sum(({ stamp }) => stamp > moment), inFlightBytes: sum(({ stamp, at }) => stamp <= moment && at > moment) };
  }
}

const TICK_MS = 2;
const MAX_BATCH_COUNT = 64;

/** Writes a chunk on each of its members in turn, so many in a second all together. */
export class Pulse {
  readonly #members = new Set<() => void>();
  #order: IterableIterator<() => void> = this.#members.values();
  #perSecond: number;
  #owed = 0;
  #last = monotonicMs();

  constructor(perSecond: number) {
    this.#perSecond = perSecond;
    setInterval(() => this.#tick(), TICK_MS).unref();
  }

  set perSecond(value: number) {
    this.#perSecond = value;
  }

  /** `write` gets its turn until the answer is called. */
  join(write: () => void): () => void {
    this.#members.add(write);
    return () => void this.#members.delete(write);
  }

  #tick(): void {
    const now = monotonicMs();
    // What a busy machine made it miss is not made up for in one burst.
    this.#owed = Math.min(MAX_BATCH_COUNT, this.#owed + ((now - this.#last) * this.#perSecond) / 1_000);
    this.#last = now;
    for (; this.#owed >= 1 && this.#members.size > 0; this.#owed--) {
      let next = this.#order.next();
      if (next.done === true) {
        this.#order = this.#members.values();
        next = this.#order.next();
      }
      if (next.done !== true) next.value();
    }
  }
}
