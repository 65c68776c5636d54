/**
 * Many deadlines on one timer: the runtime's own costs as much as everything else that a small
 * answer needs. They come late by at most DEADLINE_TICK_MS, never early. Runs only while one is set,
 * so that a quiet lane sleeps (M14).
 */
export const DEADLINE_TICK_MS = 500;

interface Due {
  readonly at: number;
  readonly late: () => void;
}

export class Deadlines {
  readonly #due = new Map<object, Due>();
  #ticking = false;

  /** Calls `late` once `ms` have gone by, unless it is set anew or cleared before. One deadline per owner. */
  set(owner: object, ms: number, late: () => void): void {
    this.#due.set(owner, { at: Date.now() + ms, late });
    if (!this.#ticking) this.#tick();
  }

  clear(owner: object): void {
    this.#due.delete(owner);
  }

  #tick(): void {
    this.#ticking = true;
    setTimeout(() => {
      this.#ticking = false;
      const now = Date.now();
      for (const [owner, { at, late }] of this.#due) {
        if (now < at) continue;
        this.#due.delete(owner);
        late();
      }
      if (this.#due.size > 0 && !this.#ticking) this.#tick();
    }, DEADLINE_TICK_MS);
  }
}
