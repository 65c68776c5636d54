/**
 * A rate with a burst: what may happen `burst` times at once and `perSecond` times in the long
 * run. Not a scheduler: nothing waits, the answer is yes or no. Time is an argument.
 */
export class TokenBucket {
  readonly #burst: number;
  readonly #perSecond: number;
  #left: number;
  #at: number | undefined;

  constructor(burst: number, perSecond: number) {
    this.#burst = burst;
    this.#perSecond = perSecond;
    this.#left = burst;
  }

  /** Takes tokens at `now` (milliseconds); false if so many are not left. A clock that steps back refills nothing. */
  take(now: number, count = 1): boolean {
    const since = this.#at === undefined ? 0 : now - this.#at;
    if (since > 0) this.#left = Math.min(this.#burst, this.#left + (since / 1000) * this.#perSecond);
    if (this.#at === undefined || since > 0) this.#at = now;
    if (this.#left < count) return false;
    this.#left -= count;
    return true;
  }
}
