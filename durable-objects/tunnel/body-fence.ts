/**
 * Tells a newer instance of this lane whether an older one may still pipe bodies (M6). While a
 * body is open, an instance writes storage every FENCE_MS: one that was replaced dies at its next
 * write, so that after two intervals it pipes nothing. Sockets need no fence: they move with the object.
 */
export const FENCE_MS = 2_000;
/** After this long without a write of an older instance, it is gone. */
export const FENCED_AFTER_MS = 2 * FENCE_MS;

const STORED = "fence";

interface SyncStore {
  get(key: string): unknown;
  put(key: string, value: unknown): void;
  delete(key: string): unknown;
}

interface Stored {
  readonly nonce: string;
  readonly at: number;
}

export class BodyFence {
  readonly #store: SyncStore;
  readonly #nonce: string;
  /** Until then an older instance may pipe. */
  readonly #othersUntil: number;
  #open = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  readonly #beat: () => void;

  /** `beat` is called with each write: while the lane is kept awake anyway. */
  constructor(store: SyncStore, nonce: string, beat: () => void = () => undefined) {
    this.#store = store;
    this.#nonce = nonce;
    this.#beat = beat;
    const stored = store.get(STORED) as Stored | undefined;
    this.#othersUntil = stored === undefined || stored.nonce === nonce ? 0 : stored.at + FENCED_AFTER_MS;
  }

  opened(): void {
    this.#open++;
    if (this.#timer === undefined) this.#write();
  }

  closed(): void {
    this.#open = Math.max(0, this.#open - 1);
  }

  /** Resolves once no older instance can pipe a body any more; at once in the ordinary case. */
  async othersGone(now: number): Promise<void> {
    if (now < this.#othersUntil) await new Promise((resolve) => setTimeout(resolve, this.#othersUntil - now));
  }

  #write(): void {
    this.#store.put(STORED, { nonce: this.#nonce, at: Date.now() } satisfies Stored);
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      if (this.#open > 0) {
        this.#beat();
        this.#write();
      } else this.#store.delete(STORED);
    }, FENCE_MS);
  }
}
