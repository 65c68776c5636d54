/** Whether signing in again now would help, and what it must achieve (P3, P4). Off the warm path: only for refusals. */
import type { DurationMs, Millis } from "../core/time.ts";
import { lasting } from "../core/time.ts";
import { candidatesOf } from "./candidates.ts";
import type { Plan } from "./compile.ts";
import type { Demand, Entry } from "./entry.ts";
import type { Ask, Facts } from "./facts.ts";
import type { Input } from "./kleene.ts";
import type { PathForms } from "./paths.ts";
import type { Outcome } from "./weigh.ts";
import { weigh } from "./weigh.ts";

/** Different sets of methods that are tried: bounds the work of one refusal. */
const MAX_TRIES = 16;

export interface StepUp {
  readonly maxAge: DurationMs;
  readonly methods: readonly string[];
  readonly mfa: boolean;
}

export interface Remedy {
  /** Absent: signing in again does not help. */
  readonly stepUp?: StepUp;
  readonly by?: Entry;
  /** The instant at which this may be different. */
  readonly changesAt: number;
}

/** The facts as a sign-in at this moment would leave them, with the factor that was asked for. */
export function afterSigningIn(facts: Facts, demand: Pick<Demand, "mfa" | "methods">, now: Millis): Facts {
  const auth = { value: true, source: "postern", observedAt: now };
  const mfa = { value: { methods: demand.methods }, source: "postern", observedAt: now };
  return {
    ...facts,
    known: demand.mfa ? { ...facts.known, auth, mfa } : { ...facts.known, auth },
    ...(facts.session === undefined ? {} : { session: { startedAt: now, lastActiveAt: now } }),
  };
}

interface Candidate {
  readonly entry: Entry;
  readonly demand: Demand;
}

/** Fewest methods first, then the longest max_age, then the id. */
function byDemand(a: Candidate, b: Candidate): number {
  return (
    Number(a.demand.mfa) - Number(b.demand.mfa) ||
    a.demand.methods.length - b.demand.methods.length ||
    compareAges(b.demand.maxAge, a.demand.maxAge) ||
    (a.entry.id < b.entry.id ? -1 : 1)
  );
}

const compareAges = (a: number, b: number): number => (a === b ? 0 : a < b ? -1 : 1);

/** Only users can sign in again. A session that is over counts as begun anew. */
export function remedy(plan: Plan, ask: Ask, forms: PathForms, facts: Facts, now: Millis): Remedy {
  if (facts.subject.kind !== "user") return { changesAt: Infinity };
  const input: Input = { facts, app: plan.app, now, changesAt: Infinity };
  const allows = candidatesOf(plan.allows, input, false);
  let changesAt = input.changesAt;
  const possible: Candidate[] = [];
  for (const entry of allows) {
    if (!entry.covers.user || !entry.applies(ask, forms, plan)) continue;
    for (const demand of entry.demands) {
      const hoped: Input = { facts: afterSigningIn(facts, demand, now), app: plan.app, now, changesAt: Infinity };
      const holds = entry.test(hoped) === true;
      if (hoped.changesAt < changesAt) changesAt = hoped.changesAt;
      if (holds) possible.push({ entry, demand });
    }
  }
  const tried = new Map<string, Outcome>();
  for (const { entry, demand } of possible.sort(byDemand)) {
    const key = demand.mfa ? demand.methods.join(" ") : "-";
    let outcome = tried.get(key);
    if (outcome === undefined) {
      if (tried.size === MAX_TRIES) break;
      outcome = weigh(plan, ask, forms, afterSigningIn(facts, demand, now), now);
      tried.set(key, outcome);
      if (outcome.changesAt < changesAt) changesAt = outcome.changesAt;
    }
    if (outcome.reason !== "allowed" || !outcome.by.includes(entry)) continue;
    const maxAge = lasting(Math.min(demand.maxAge, plan.sessionMax));
    return { stepUp: { maxAge, methods: demand.methods, mfa: demand.mfa }, by: entry, changesAt };
  }
  return { changesAt };
}
