/** All policies about one request, weighed (P2, P3 without step-up, P5 to P8). decide.ts asks it once or, for step-up, again. */
import type { Millis } from "../core/time.ts";
import { candidatesOf } from "./candidates.ts";
import type { Plan } from "./compile.ts";
import type { DecisionReason, Limits, LostReason } from "./decision.ts";
import type { Entry } from "./entry.ts";
import type { Ask, Facts } from "./facts.ts";
import type { Input } from "./kleene.ts";
import { lossOf } from "./losses.ts";
import { isOver, isReading, joinLimits } from "./obligations.ts";
import type { PathForms } from "./paths.ts";

export interface Outcome {
  readonly reason: Extract<DecisionReason, "allowed" | "denied" | "no_allow" | "read_only" | "session_over" | LostReason>;
  /** The entries that made it so. */
  readonly by: readonly Entry[];
  readonly limits: Limits;
  /** The instant at which it may change; Infinity: only with a new fact or policy. */
  readonly changesAt: number;
}

export const NO_LIMITS: Limits = { readOnly: false };
const NOBODY: readonly Entry[] = [];

/** The entries of one effect that count, with the earliest instant at which that may change in `input.changesAt`. */
function counting(index: Plan["allows"], plan: Plan, ask: Ask, forms: PathForms, input: Input): readonly Entry[] {
  let found: Entry[] | undefined;
  const { kind } = input.facts.subject;
  const entries = candidatesOf(index, input, index !== plan.allows);
  let until = input.changesAt;
  for (const entry of entries) {
    if (!entry.covers[kind] || !entry.applies(ask, forms, plan)) continue;
    const answer = entry.test(input);
    if (input.changesAt < until) until = input.changesAt;
    if (answer === true || (answer === "unknown" && entry.effect !== "allow")) (found ??= []).push(entry);
  }
  input.changesAt = until;
  return found ?? NOBODY;
}

/** Weighs; step-up is not its business. */
export function weigh(plan: Plan, ask: Ask, forms: PathForms, facts: Facts, now: Millis): Outcome {
  const input: Input = { facts, app: plan.app, now, changesAt: Infinity };
  const denying = counting(plan.denies, plan, ask, forms, input);
  let changesAt = input.changesAt;
  if (denying.length > 0) return { reason: "denied", by: denying, limits: NO_LIMITS, changesAt };
  const allowing = counting(plan.allows, plan, ask, forms, input);
  changesAt = Math.min(changesAt, input.changesAt);
  if (allowing.length === 0) return { reason: "no_allow", by: NOBODY, limits: NO_LIMITS, changesAt };
  const limiting = counting(plan.limits, plan, ask, forms, input);
  changesAt = Math.min(changesAt, input.changesAt);
  const joined = joinLimits(plan, allowing, limiting, facts);
  const { sessionEnd } = joined;
  let { limits } = joined;
  if (isOver(sessionEnd, now)) return { reason: "session_over", by: [...allowing, ...limiting], limits, changesAt };
  changesAt = Math.min(changesAt, sessionEnd);
  if (limits.readOnly && !isReading(ask)) {
    const by = [...allowing, ...limiting].filter((entry) => entry.limits.readOnly === true);
    return { reason: "read_only", by, limits, changesAt };
  }
  const loss = lossOf(plan, facts, now);
  const lost = loss.over ?? (isReading(ask) ? undefined : loss.readOnly);
  if (lost !== undefined) return { reason: `${lost}_lost`, by: NOBODY, limits, changesAt };
  if (loss.readOnly !== undefined) limits = { ...limits, readOnly: true };
  changesAt = Math.min(changesAt, loss.until);
  return { reason: "allowed", by: limiting.length === 0 ? allowing : [...allowing, ...limiting], limits, changesAt };
}
