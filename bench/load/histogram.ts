/** Latencies in microseconds, in buckets that are at most 3 % wide. Fixed memory, no sorting while the clock runs. */

const SUB_BITS = 5;
const SUB_COUNT = 1 << SUB_BITS;

export class Histogram {
  readonly #buckets = new Uint32Array(32 * SUB_COUNT);
  count = 0;

  add(us: number): void {
    const value = Math.max(1, Math.round(us));
    const exponent = Math.max(0, 31 - Math.clz32(value) - SUB_BITS);
    const index = exponent * SUB_COUNT + (value >>> exponent);
    this.#buckets[index] = (this.#buckets[index] ?? 0) + 1;
    this.count++;
  }

  /** The value below which this share of all lies: the middle of its bucket. */
  quantile(share: number): number {
    let left = Math.ceil(share * this.count);
    for (const [index, count] of this.#buckets.entries()) {
      left -= count;
      if (left > 0 || count === 0) continue;
      const exponent = Math.max(0, Math.floor(index / SUB_COUNT) - 1);
      return (index - exponent * SUB_COUNT + 0.5) * 2 ** exponent - (exponent === 0 ? 0.5 : 0);
    }
    return Number.NaN;
  }
}
