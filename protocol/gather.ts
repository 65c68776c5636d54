/**
 * Gathers an exact number of bytes out of chunks. Memory follows what has arrived, not what was
 * announced: a peer that announces much and sends little costs little. Not a stream.
 */
const FIRST_BYTES = 256;
const NOTHING = new Uint8Array(0);

export class Gather {
  readonly #wanted: number;
  #held: Uint8Array = NOTHING;
  #length = 0;

  constructor(wanted: number) {
    this.#wanted = wanted;
  }

  /** Nothing was taken yet. */
  get isEmpty(): boolean {
    return this.#length === 0;
  }

  /**
   * Takes what is missing from the start of `chunk`. `taken` is how many bytes that was; `bytes`
   * is present once all are there: a view of the chunk if it held them all, else a copy.
   */
  feed(chunk: Uint8Array): { readonly taken: number; readonly bytes?: Uint8Array } {
    const taken = Math.min(chunk.length, this.#wanted - this.#length);
    if (this.#length === 0 && taken === this.#wanted) return { taken, bytes: chunk.subarray(0, taken) };
    this.#reserve(this.#length + taken);
    this.#held.set(chunk.subarray(0, taken), this.#length);
    this.#length += taken;
    return this.#length === this.#wanted ? { taken, bytes: this.#held.subarray(0, this.#length) } : { taken };
  }

  #reserve(size: number): void {
    if (size <= this.#held.length) return;
    const grown = new Uint8Array(Math.min(this.#wanted, Math.max(size * 2, FIRST_BYTES)));
    grown.set(this.#held.subarray(0, this.#length));
    this.#held = grown;
  }
}
