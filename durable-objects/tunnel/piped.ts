/** Moves bodies without JavaScript per chunk (M15), one at a time, until they end or are ended. Whether they may pass is looked after by a guard (freshness.ts). */
import { SEGMENT_MS } from "../../protocol/deadlines.ts";
import type { Deadlines } from "./deadlines.ts";

export class Piped {
  readonly #deadlines: Deadlines;
  #abort: AbortController | undefined;

  constructor(deadlines: Deadlines) {
    this.#deadlines = deadlines;
  }

  /** Rejects when either end breaks, or `end` is called, with no byte after it. `late`: it takes too long. */
  async run(from: ReadableStream<Uint8Array>, to: WritableStream<Uint8Array>, options: StreamPipeOptions, late: () => void): Promise<void> {
    const { signal } = (this.#abort = new AbortController());
    this.#deadlines.set(this, SEGMENT_MS, late);
    try {
      await from.pipeTo(to, { ...options, signal });
    } finally {
      this.#deadlines.clear(this);
      this.#abort = undefined;
    }
  }

  /** False when nothing is being moved. */
  end(why: Error): boolean {
    this.#abort?.abort(why);
    return this.#abort !== undefined;
  }
}
