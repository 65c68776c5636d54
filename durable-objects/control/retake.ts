/**
 * Control's one alarm, by which it takes up again what was not carried out. Whoever begins
 * something asks for it in the same step; the first moment that was asked for stands, so that a
 * stream of changes does not push it ahead of itself.
 */
interface ObjectContext {
  readonly storage: { getAlarm(): Promise<number | null>; setAlarm(at: number): Promise<void> };
  blockConcurrencyWhile(work: () => Promise<void>): Promise<unknown>;
}

/** What was begun is taken up again after this, should it fail or this object be replaced. */
const RETAKE_MS = 5_000;

export class Retake {
  readonly #ctx: ObjectContext;
  /** When the alarm comes. */
  #comesAt = Number.POSITIVE_INFINITY;

  constructor(ctx: ObjectContext) {
    this.#ctx = ctx;
    // What an instance before asked for stands. One that is overdue comes, or failed too often and does not: it is asked for anew.
    const now = Date.now();
    void ctx.blockConcurrencyWhile(async () => {
      const comesAt = (await ctx.storage.getAlarm()) ?? 0;
      if (comesAt > now) this.#comesAt = comesAt;
    });
  }

  soon(): void {
    this.by(Date.now() + RETAKE_MS);
  }

  /** At that moment, or before. */
  by(at: number): void {
    if (this.#comesAt <= at) return;
    this.#comesAt = at;
    void this.#ctx.storage.setAlarm(at);
  }

  /** The alarm is here: what fails from now on asks for the next. */
  came(): void {
    this.#comesAt = Number.POSITIVE_INFINITY;
  }
}
