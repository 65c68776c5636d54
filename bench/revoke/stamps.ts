/** Stamped lines by the one clock of a run: whoever reads notes of each chunk when it was written and when it came. */
import { Turns } from "../../core/turns.ts";
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

/** Writes a chunk on each of its members in turn, so many in a second all together. */
export class Pulse {
  readonly #turns: Turns<() => void>;

  constructor(perSecond: number) {
    this.#turns = new Turns(perSecond, monotonicMs());
    setInterval(() => {
      for (const write of this.#turns.due(monotonicMs())) write();
    }, TICK_MS).unref();
  }

  /** `write` gets its turn until the answer is called. */
  join(write: () => void): () => void {
    return this.#turns.join(write);
  }
}
