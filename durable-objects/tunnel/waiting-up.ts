/**
 * What browsers sent on WebSockets and no app has taken, over a whole lane: each relay has a bound of
 * its own (M12), and a person whose streams are frozen may have many. Above this one's, the relay on
 * which most waits ends (M11).
 */

/** An isolate has 128 MB for all its lanes. */
export const MAX_WAITING_UP_BYTES = 16 * 1024 * 1024;

interface Relay {
  /** Ends, because it holds most when there is no more room. */
  overflow(): void;
}

export class WaitingUp {
  readonly #waiting = new Map<Relay, number>();
  #bytes = 0;

  /** So much waits on this relay now. */
  set(relay: Relay, bytes: number): void {
    this.#bytes += bytes - (this.#waiting.get(relay) ?? 0);
    if (bytes === 0) this.#waiting.delete(relay);
    else this.#waiting.set(relay, bytes);
    while (this.#bytes > MAX_WAITING_UP_BYTES) {
      const [most] = [...this.#waiting].reduce((a, b) => (b[1] > a[1] ? b : a));
      this.set(most, 0);
      most.overflow();
    }
  }
}
