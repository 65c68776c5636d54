/**
 * What a peer may still send for streams that are gone: it had credit when we reset the stream,
 * and it may give credit itself. Exactly that much is normal and free; anything
 * beyond is garbage (ST8). Bounded: the oldest half is forgotten first.
 */
import { MAX_LATE_STREAMS_COUNT } from "./limits.ts";

interface Allowance {
  /** Payload bytes that were still within the window we had granted. */
  data: number;
  /** Credit that it may give, not knowing that the stream is gone: it may hold out more than was sent, up to FC9. */
  credit: number;
}

export class LateFrames {
  /** Two generations: when the newer is full it becomes the older, and the older is forgotten. */
  #newer = new Map<number, Allowance>();
  #older = new Map<number, Allowance>();

  get size(): number {
    return this.#newer.size + this.#older.size;
  }

  /** Remembers a stream that has just gone. Nothing is kept if the peer has nothing left to send. */
  expect(id: number, data: number, credit: number): void {
    if (data <= 0 && credit <= 0) return;
    if (this.#newer.size >= MAX_LATE_STREAMS_COUNT / 2) {
      this.#older = this.#newer;
      this.#newer = new Map();
    }
    this.#newer.set(id, { data, credit });
  }

  /** True if `bytes` of payload for a gone stream were still due, which then no longer are. */
  takeData(id: number, bytes: number): boolean {
    const allowance = this.#find(id);
    if (allowance === undefined || bytes > allowance.data) return false;
    allowance.data -= bytes;
    return true;
  }

  /** True if credit for a gone stream was still due; the last of it may be more than that. */
  takeCredit(id: number, bytes: number): boolean {
    const allowance = this.#find(id);
    if (allowance === undefined || allowance.credit <= 0) return false;
    allowance.credit -= bytes;
    return true;
  }

  /** Half-close: no more data is due. True if the stream was known, once. */
  takeEnd(id: number): boolean {
    const allowance = this.#find(id);
    if (allowance === undefined || allowance.data < 0) return false;
    allowance.data = -1;
    return true;
  }

  /** The peer reset it too: nothing more is due. True if the stream was known. */
  takeReset(id: number): boolean {
    return this.#newer.delete(id) || this.#older.delete(id);
  }

  #find(id: number): Allowance | undefined {
    return this.#newer.get(id) ?? this.#older.get(id);
  }
}
