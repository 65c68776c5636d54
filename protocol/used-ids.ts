/**
 * Which stream ids of a peer were used, in constant memory: a sliding bitmap over the newest
 * ids (the shape of RFC 6479's replay window). Ids may arrive out of order within it; whatever
 * is older counts as used. Not for our own ids, which only count up.
 */
import { ID_REORDER_COUNT } from "./limits.ts";

const WORD_BITS = 32;

export class UsedIds {
  readonly #words = new Uint32Array(ID_REORDER_COUNT / WORD_BITS);
  #newestWord = 0;

  /** Marks an id as used; false if it was used before or is too old to tell (ST6). */
  claim(id: number): boolean {
    const index = id >>> 1;
    const word = Math.floor(index / WORD_BITS);
    const size = this.#words.length;
    if (word + size <= this.#newestWord) return false;
    if (word > this.#newestWord) {
      const fresh = Math.min(word - this.#newestWord, size);
      for (let i = 0; i < fresh; i++) this.#words[(word - i) % size] = 0;
      this.#newestWord = word;
    }
    const at = word % size;
    const held = this.#words[at] ?? 0;
    const bit = 2 ** (index % WORD_BITS);
    if ((held & bit) !== 0) return false;
    this.#words[at] = (held | bit) >>> 0;
    return true;
  }
}
