/**
 * What all resumable streams of one process hold together: to send again, and received but not
 * handed over. A running sum with a cap; the windows of single streams add up to far more.
 */
import { MAX_RESUME_HELD_BYTES } from "../protocol/limits.ts";

/** Above 7/8 of the cap acks are asked for, and a local socket is read only if nothing of it waits for one: who acknowledges goes on, who does not stands still. */
const TIGHT_SHARE = 7 / 8;
/** All are read again below this share: not at the mark itself, or each byte would wake all. */
const EASY_SHARE = 3 / 4;

export interface Holder {
  /** Whose it is: who holds most in all of his streams loses the largest of them. */
  readonly owner: string;
  /** The sum went above or below the mark. */
  onMark(): void;
  /** Ends the stream; it then holds nothing. */
  shed(): void;
}

export class HeldBytes {
  readonly #cap: number;
  readonly #members = new Set<Holder>();
  /** Those that hold anything. */
  readonly #held = new Map<Holder, number>();
  #sum = 0;
  #tight = false;

  constructor(cap: number = MAX_RESUME_HELD_BYTES) {
    this.#cap = cap;
  }

  get sum(): number {
    return this.#sum;
  }
  get isTight(): boolean {
    return this.#tight;
  }

  /** Says what a stream holds now; 0 when it is over. Ends streams, this one perhaps, while all hold too much. */
  set(holder: Holder, bytes: number): void {
    const before = this.#held.get(holder) ?? 0;
    if (bytes === before) return;
    this.#sum += bytes - before;
    if (bytes === 0) this.#held.delete(holder);
    else this.#held.set(holder, bytes);
    while (this.#sum > this.#cap) {
      const largest = this.#largest();
      if (largest === undefined) break;
      // Taken off here: what it says itself when it ends finds nothing left.
      this.#sum -= this.#held.get(largest) ?? 0;
      this.#held.delete(largest);
      largest.shed();
    }
    if (this.#tight ? this.#sum >= this.#cap * EASY_SHARE : this.#sum <= this.#cap * TIGHT_SHARE) return;
    this.#tight = !this.#tight;
    for (const one of this.#members) one.onMark();
  }

  /** To be told of the mark. */
  join(holder: Holder): void {
    this.#members.add(holder);
  }

  /** Holds nothing any more. */
  leave(holder: Holder): void {
    this.#members.delete(holder);
    this.set(holder, 0);
  }

  #largest(): Holder | undefined {
    const owners = new Map<string, number>();
    for (const [{ owner }, bytes] of this.#held) owners.set(owner, (owners.get(owner) ?? 0) + bytes);
    let heaviest = "";
    for (const [owner, bytes] of owners) if (bytes > (owners.get(heaviest) ?? -1)) heaviest = owner;
    let largest: Holder | undefined;
    for (const [holder, bytes] of this.#held) {
      if (holder.owner === heaviest && (largest === undefined || bytes > (this.#held.get(largest) ?? 0))) largest = holder;
    }
    return largest;
  }
}
