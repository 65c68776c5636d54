/**
 * Bytes in order, held until they are dropped from the front: large pieces as they came, small
 * ones gathered, so that what is held costs what it weighs (a flood of tiny pieces pins no more).
 */

/** Pieces below this are copied together. */
const SMALL_BYTES = 2 * 1024;
const SLAB_BYTES = 16 * 1024;

export class ByteQueue {
  #pieces: Uint8Array[] = [];
  /** Index of the first piece that is still held, and how much of it is gone. */
  #first = 0;
  #gone = 0;
  #length = 0;
  /** Where small pieces are gathered: the last piece is its [#slabStart, #slabAt), if it is open. */
  #slab = new Uint8Array(0);
  #slabStart = 0;
  #slabAt = 0;
  #slabOpen = false;

  get length(): number {
    return this.#length;
  }

  /** Takes the bytes; those of a large piece must not change any more. */
  push(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    this.#length += bytes.length;
    if (bytes.length >= SMALL_BYTES) {
      this.#slabOpen = false;
      this.#pieces.push(bytes);
      return;
    }
    if (this.#slabAt + bytes.length > this.#slab.length) {
      this.#slab = new Uint8Array(SLAB_BYTES);
      this.#slabAt = 0;
      this.#slabOpen = false;
    }
    if (!this.#slabOpen) this.#slabStart = this.#slabAt;
    this.#slab.set(bytes, this.#slabAt);
    this.#slabAt += bytes.length;
    const gathered = this.#slab.subarray(this.#slabStart, this.#slabAt);
    if (this.#slabOpen) this.#pieces[this.#pieces.length - 1] = gathered;
    else this.#pieces.push(gathered);
    this.#slabOpen = true;
  }

  /** Forgets the first `bytes`. */
  drop(bytes: number): void {
    let left = Math.min(bytes, this.#length);
    this.#length -= left;
    while (left > 0) {
      const size = (this.#pieces[this.#first]?.length ?? 0) - this.#gone;
      if (left < size) {
        this.#gone += left;
        break;
      }
      left -= size;
      this.#gone = 0;
      this.#pieces[this.#first] = EMPTY;
      this.#first += 1;
    }
    if (this.#first === this.#pieces.length) {
      this.#pieces = [];
      this.#first = 0;
      this.#slabOpen = false;
    } else if (this.#first > 64 && this.#first * 2 > this.#pieces.length) {
      this.#pieces = this.#pieces.slice(this.#first);
      this.#first = 0;
    }
  }

  /** Views of at most `max` bytes from `from` on, counted from the front; nothing is dropped. */
  peek(from: number, max: number): Uint8Array[] {
    const found: Uint8Array[] = [];
    let skip = from + this.#gone;
    let left = Math.min(max, this.#length - from);
    for (let index = this.#first; left > 0 && index < this.#pieces.length; index += 1) {
      const piece = this.#pieces[index] ?? EMPTY;
      if (skip >= piece.length) {
        skip -= piece.length;
        continue;
      }
      const part = skip === 0 && left >= piece.length ? piece : piece.subarray(skip, skip + left);
      skip = 0;
      left -= part.length;
      found.push(part);
    }
    return found;
  }

  /** Everything, and forgets it. */
  takeAll(): Uint8Array[] {
    const all = this.peek(0, this.#length);
    this.drop(this.#length);
    return all;
  }
}

const EMPTY = new Uint8Array(0);
