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

export class Losses {
  readonly #kept: Kept;
  readonly #log: DecisionLog;
  readonly #changed: () => void;
  #facts: Record<string, Fact> = {};

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

  #tell(part: "audit" | "control", since: number | undefined): void {
    const { [lossName(part, "")]: _before, ...others } = this.#facts;
    this.#facts = since === undefined ? others : { ...others, [lossName(part, "")]: { value: true, source: "postern", observedAt: at(since) } };
  }
}
