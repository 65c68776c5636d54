/** Takes its members in turn, so many in a second all together, however many they are. Not a timer: whoever has one asks who is due. */

/** What a busy machine made it miss is not made up for in one burst. */
const MAX_OWED_COUNT = 64;

export class Turns<Member> {
  readonly #perSecond: number;
  readonly #members = new Set<Member>();
  #order: Iterator<Member> = this.#members.values();
  #owed = 0;
  #last: number;

  constructor(perSecond: number, now: number) {
    this.#perSecond = perSecond;
    this.#last = now;
  }

  get size(): number {
    return this.#members.size;
  }

  /** Has its turns until the answer is called. */
  join(member: Member): () => void {
    this.#members.add(member);
    return () => void this.#members.delete(member);
  }

  /** Those whose turn came since it was asked before; `now` in ms, by a clock that never goes back. */
  *due(now: number): Generator<Member, void, undefined> {
    this.#owed = Math.min(MAX_OWED_COUNT, this.#owed + ((now - this.#last) * this.#perSecond) / 1_000);
    this.#last = now;
    if (this.#members.size === 0) this.#owed = 0;
    for (; this.#owed >= 1 && this.#members.size > 0; this.#owed--) {
      let next = this.#order.next();
      if (next.done === true) {
        this.#order = this.#members.values();
        next = this.#order.next();
      }
      if (next.done !== true) yield next.value;
    }
  }
}
