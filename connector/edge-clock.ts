/**
 * The edge's time, reckoned from what it said in the challenge and this machine's monotonic
 * clock, so that a wall clock that jumps changes nothing. Its error only shortens validity (M9).
 */
import { at } from "../core/time.ts";
import type { Millis } from "../core/time.ts";

export class EdgeClock {
  readonly #said: number;
  readonly #heard: number;
  readonly #monotonic: () => number;
  /** How wrong it may be: what the challenge can have been under way, at most a round trip. */
  uncertaintyMs = 0;

  /** `edgeTime` in milliseconds since 1970, just received. */
  constructor(edgeTime: number, monotonic: () => number = () => performance.now()) {
    this.#said = edgeTime;
    this.#monotonic = monotonic;
    this.#heard = monotonic();
  }

  /** The edge answered what was sent after the challenge: a round trip is over. */
  answered(): void {
    this.uncertaintyMs = Math.ceil(this.#monotonic() - this.#heard);
  }

  now(): Millis {
    return at(this.#said + (this.#monotonic() - this.#heard));
  }
}
