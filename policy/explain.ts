/**
 * explain(): the whole trace of one decision, for operators (CONTRACT, `postern explain`). Walks
 * the trees that decide() runs, and takes effect, limits and time from decide() itself. Not for
 * users: it names every policy and value (advice.ts is for them).
 */
import type { PolicyId } from "../core/ids.ts";
import type { Json } from "../core/json.ts";
import type { Millis } from "../core/time.ts";
import { advise } from "./advice.ts";
import type { CompiledPolicy, Plan } from "./compile.ts";
import { nameFor } from "./criterion.ts";
import { decide } from "./decide.ts";
import type { DecisionReason, Effect, Limits, Role } from "./decision.ts";
import type { Entry } from "./entry.ts";
import type { Ask, Facts } from "./facts.ts";
import type { Input, Tri } from "./kleene.ts";
import { lossesIn } from "./losses.ts";
import type { Leaf } from "./tree.ts";
import { leavesOf } from "./tree.ts";

export type ExplainedResult = "true" | "false" | "unknown";

export interface ExplainedCriterion {
  /** `when.any[0].ip_range`, `conditions.strong.mfa`. */
  readonly path: string;
  readonly result: ExplainedResult;
  /** `mfa-ok`, `mfa-denied`, `mfa-unknown`. */
  readonly reason: string;
  /** The fact's name; null when the criterion reads none. */
  readonly fact: string | null;
  /** Null when the fact is missing. */
  readonly value: Json;
  readonly source: string | null;
  readonly age_ms: number | null;
}

export interface ExplainedPolicy {
  readonly id: PolicyId;
  readonly effect: "allow" | "deny" | "limit";
  /** "skipped": not about this subject or request, see `why`. */
  readonly result: ExplainedResult | "skipped";
  readonly why?: "subject" | "http";
  readonly criteria: readonly ExplainedCriterion[];
}

export interface ExplainedLimits {
  readonly session_ends_at?: string;
  readonly idle_ms?: number;
  readonly max_bytes?: number;
  readonly read_only: boolean;
  readonly role?: Role;
}

export interface Explanation {
  readonly effect: Effect;
  readonly reason: DecisionReason;
  readonly policy_version: number;
  readonly decided_by: readonly PolicyId[];
  /** Every policy about this app, by id. */
  readonly policies: readonly ExplainedPolicy[];
  readonly limits: ExplainedLimits;
  /** Parts that were down; absent when none was. */
  readonly lost?: readonly { readonly part: string; readonly age_ms: number }[];
  readonly step_up?: { readonly max_age_ms: number; readonly methods: readonly string[]; readonly mfa: boolean };
  /** ISO 8601; null: only a new fact or policy changes it. */
  readonly redecide_at: string | null;
  /** What the subject can do, as its own page would say it; empty when that page is blank. */
  readonly fix: readonly string[];
}

/** Explains what decide() answers for the same arguments. */
export function explain(policy: CompiledPolicy, ask: Ask, facts: Facts, now: Millis): Explanation {
  const decision = decide(policy, ask, facts, now);
  const plan = policy.plan(ask.app);
  const { stepUp } = decision;
  const lost = lossesIn(facts).map(([part, { observedAt }]) => ({ part, age_ms: now - observedAt }));
  return {
    effect: decision.effect,
    reason: decision.reason,
    policy_version: decision.policyVersion,
    decided_by: decision.decidedBy,
    policies: plan === undefined ? [] : explainPolicies(plan, ask, facts, now),
    limits: explainLimits(decision.limits),
    ...(lost.length === 0 ? {} : { lost }),
    ...(stepUp === undefined ? {} : { step_up: { max_age_ms: stepUp.maxAge, methods: stepUp.methods, mfa: stepUp.mfa } }),
    redecide_at: decision.redecideAt === undefined ? null : isoOf(decision.redecideAt),
    fix: advise(policy, ask, facts, now).map((advice) => advice.text),
  };
}

function explainPolicies(plan: Plan, ask: Ask, facts: Facts, now: Millis): ExplainedPolicy[] {
  const input: Input = { facts, app: plan.app, now, changesAt: Infinity };
  const forms = { path: ask.path };
  const explainOne = (entry: Entry): ExplainedPolicy => {
    const { id, effect } = entry;
    if (!entry.covers[facts.subject.kind]) return { id, effect, result: "skipped", why: "subject", criteria: [] };
    if (!entry.applies(ask, forms, plan)) return { id, effect, result: "skipped", why: "http", criteria: [] };
    return { id, effect, result: wordOf(entry.test(input)), criteria: leavesOf(entry.node).flatMap((leaf) => explainLeaf(leaf, input)) };
  };
  return [...plan.denies.all, ...plan.allows.all, ...plan.limits.all].map(explainOne).sort((a, b) => (a.id < b.id ? -1 : 1));
}

/** One line for each fact that the criterion reads, or one without a fact. */
function explainLeaf(leaf: Leaf, input: Input): ExplainedCriterion[] {
  const result = wordOf(leaf.test(input));
  const ending = { true: "ok", false: "denied", unknown: "unknown" }[result];
  const own = { path: leaf.path, result, reason: `${leaf.criterion}-${ending}` };
  if (leaf.reads.length === 0) return [{ ...own, fact: null, value: null, source: null, age_ms: null }];
  return leaf.reads.map((read) => {
    const name = nameFor(read, input.app);
    const fact = Object.hasOwn(input.facts.known, name) ? input.facts.known[name] : undefined;
    if (fact === undefined) return { ...own, fact: name, value: null, source: null, age_ms: null };
    return { ...own, fact: name, value: fact.value, source: fact.source, age_ms: input.now - fact.observedAt };
  });
}

const wordOf = (answer: Tri): ExplainedResult => (answer === "unknown" ? "unknown" : answer ? "true" : "false");

/** A date beyond what Date can write is as good as none. */
const isoOf = (instant: number): string | null => (Math.abs(instant) <= 8.64e15 ? new Date(instant).toISOString() : null);

function explainLimits(limits: Limits): ExplainedLimits {
  const ends = limits.sessionEndsAt === undefined ? null : isoOf(limits.sessionEndsAt);
  return {
    ...(ends === null ? {} : { session_ends_at: ends }),
    ...(limits.idle === undefined ? {} : { idle_ms: limits.idle }),
    ...(limits.maxBytes === undefined ? {} : { max_bytes: limits.maxBytes }),
    read_only: limits.readOnly,
    ...(limits.role === undefined ? {} : { role: limits.role }),
  };
}
