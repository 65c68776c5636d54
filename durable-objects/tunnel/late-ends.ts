/**
 * Ends of clients' connections, of which the engine makes work: it carries an error through every part
 * that the answer passes. Of many at once the first go at once and the others a moment later, some at a
 * time: whoever waits for the receipt waits for the last byte (M2), not for that. Nothing passes meanwhile.
 */
import { TokenBucket } from "../../protocol/token-bucket.ts";

/** So many end at once, and as many in a second later on. */
const AT_ONCE_COUNT = 16;
/** The others begin to end after this long: a receipt is answered by then, and must be seen at the client 250 ms later. */
export const LATE_MS = 30;

/** Why: what the runtime itself calls a lost connection, which is no fault to be logged in each of those parts. One for all: it goes through them without a stack. */
export const BROKEN_OFF = Object.assign(new Error("broken off"), { retryable: true, stack: "" });

function attempt(end: () => void): void {
  try {
    end();
  } catch {
    // Closed already, or the client left.
  }
}

export class LateEnds {
  readonly #bucket = new TokenBucket(AT_ONCE_COUNT, AT_ONCE_COUNT);
  readonly #waiting: (() => void)[] = [];

  do(end: () => void): void {
    if (this.#waiting.length === 0 && this.#bucket.take(Date.now())) return attempt(end);
    if (this.#waiting.push(end) === 1) this.#later(LATE_MS);
  }

  #later(ms: number): void {
    setTimeout(() => {
      // Larger turns where they are very many: they have as long as a few.
      this.#waiting.splice(0, AT_ONCE_COUNT + (this.#waiting.length >> 4)).forEach(attempt);
      if (this.#waiting.length > 0) this.#later(0);
    }, ms);
  }
}
