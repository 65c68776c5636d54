/** Stamped lines by the one clock of a run: whoever reads notes of each chunk when it was written and when it came. */
import { stampedLine as lineAt, StampedLines } from "../../protocol/stamped-lines.ts";
import { monotonicMs } from "./clock.ts";

/** One chunk, written now. */
export const stampedLine = (): string => lineAt(monotonicMs());

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
  readonly #lines = new StampedLines(({ at, bytes }) => {
    this.count++;
    this.lastAt = monotonicMs();
    this.#chunks.push({ stamp: at, at: this.lastAt, bytes });
  });
  count = 0;
  /** When the newest chunk came; 0 before the first. */
  lastAt = 0;

  /** Forgets what came so far. */
  mark(): void {
    this.#chunks = [];
  }

  feed(text: string): void {
    this.#lines.feed(text);
  }

  /** The connection is over: a chunk that came in part counts as far as it came. */
  over(): void {
    this.#lines.over();
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
