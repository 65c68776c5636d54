/**
 * What this lane has to do without, as facts that its decisions look at (POLICY P19): the record
 * and control, which it notices itself, and identity providers, of which control tells it. Not
 * what follows for an app: policy/losses.ts.
 */
import { at } from "../../core/time.ts";
import type { Fact, Facts } from "../../policy/facts.ts";
import { lossName } from "../../policy/losses.ts";
import type { DecisionLog } from "./decision-log.ts";

type Known = Facts["known"];

interface Kept {
  get(key: string): unknown;
  put(key: string, value: unknown): void;
  delete(key: string): unknown;
}
/** Since when the record is down, and whose numbers go on in memory alone: should this instance die, the next one knows both. */
const LOST = "loss";

const lostSince = (since: number): Fact => ({ value: true, source: "postern", observedAt: at(since) });
const PROVIDER = lossName("identity", "");
/** What is told twice differs by what the telling took. */
const SAME_MS = 15_000;

export class Losses {
  readonly #kept: Kept;
  readonly #log: DecisionLog;
  readonly #changed: () => void;
  readonly #facts: Record<string, Fact> = {};

  /** `changed`: everything that lives here must be decided again. */
  constructor(kept: Kept, log: DecisionLog, changed: () => void) {
    this.#kept = kept;
    this.#log = log;
    this.#changed = changed;
    const before = kept.get(LOST) as { readonly since: number; readonly writer: string } | undefined;
    if (before === undefined) return;
    this.#tell("audit", before.since);
    log.resume(before.since, before.writer);
  }

  /** Also what is down; while nothing is, that costs nothing. */
  beside(known: Known): Known {
    for (const _name in this.#facts) return { ...known, ...this.#facts };
    return known;
  }

  has(part: "audit"): boolean {
    return lossName(part, "") in this.#facts;
  }

  /** Down since then, or no more. */
  note(part: "audit" | "control", since: number | undefined): void {
    const before = this.#facts[lossName(part, "")]?.observedAt;
    if (before === since) return;
    if (part === "audit") {
      if (since === undefined) this.#kept.delete(LOST);
      else this.#kept.put(LOST, { since, writer: this.#log.writer });
    }
    this.#tell(part, since);
    this.#log.lost(part, since ?? before, since === undefined ? Date.now() : undefined);
    this.#changed();
  }

  /** Who is away, and for how long: all of them. False: that was known. */
  providers(away: Readonly<Record<string, number>>): boolean {
    let isNews = false;
    for (const name in this.#facts) {
      if (!name.startsWith(PROVIDER) || Object.hasOwn(away, name.slice(PROVIDER.length))) continue;
      delete this.#facts[name];
      isNews = true;
    }
    for (const [id, ms] of Object.entries(away)) {
      const fact = lostSince(Date.now() - ms);
      // The same loss, told once more.
      if (Math.abs(fact.observedAt - (this.#facts[PROVIDER + id]?.observedAt ?? 0)) < SAME_MS) continue;
      this.#facts[PROVIDER + id] = fact;
      isNews = true;
    }
    return isNews;
  }

  #tell(part: "audit" | "control", since: number | undefined): void {
    if (since === undefined) delete this.#facts[lossName(part, "")];
    else this.#facts[lossName(part, "")] = lostSince(since);
  }
}
