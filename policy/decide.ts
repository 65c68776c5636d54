/**
 * decide(): may this subject do this, now? The one decision function (DESIGN §3, promise 2): pure,
 * the same at the edge, in the objects, in the CLI and in replay. Rules P1 to P22. What it does
 * not do: gather facts, enforce, explain (explain.ts).
 */
import type { PolicyId } from "../core/ids.ts";
import type { Millis } from "../core/time.ts";
import { at } from "../core/time.ts";
import { candidatesOf } from "./candidates.ts";
import type { CompiledPolicy, Plan } from "./compile.ts";
import type { Decision, DecisionReason, Effect } from "./decision.ts";
import type { Entry } from "./entry.ts";
import type { Ask, Facts } from "./facts.ts";
import type { Input } from "./kleene.ts";
import { newWhileLost } from "./losses.ts";
import type { PathForms } from "./paths.ts";
import type { Outcome } from "./weigh.ts";
import { NO_LIMITS, weigh } from "./weigh.ts";
import { remedy } from "./step-up.ts";

const refusal = (reason: DecisionReason, policyVersion: number): Decision => ({
  effect: "deny",
  reason,
  policyVersion,
  decidedBy: [],
  limits: NO_LIMITS,
  explained: false,
});

/** Decides. Never throws: whatever goes wrong inside is a blank denial. */
export function decide(policy: CompiledPolicy, ask: Ask, facts: Facts, now: Millis): Decision {
  try {
    const plan = policy.plan(ask.app);
    return plan === undefined ? refusal("unknown_app", policy.version) : decideFor(plan, policy.version, ask, facts, now);
  } catch {
    return refusal("no_allow", versionOf(policy));
  }
}

function versionOf(policy: CompiledPolicy): number {
  try {
    return policy.version;
  } catch {
    return 0;
  }
}

function decideFor(plan: Plan, version: number, ask: Ask, facts: Facts, now: Millis): Decision {
  if (!Number.isFinite(now)) return refusal("no_allow", version);
  // A stream of another protocol than the app's is asked for by mistake or malice.
  if ((ask.protocol === "tcp") !== plan.tcp) return refusal("no_allow", version);
  const forms: PathForms = { path: ask.path };
  const outcome = weigh(plan, ask, forms, facts, now);
  switch (outcome.reason) {
    case "allowed": {
      const part = newWhileLost(facts);
      if (part !== undefined) return answer("deny", `${part}_lost`, version, { by: [], limits: outcome.limits }, outcome.changesAt, true);
      return answer("allow", "allowed", version, outcome, outcome.changesAt, true);
    }
    case "read_only":
    case "identity_lost":
    case "audit_lost":
    case "control_lost":
      return answer("deny", outcome.reason, version, outcome, outcome.changesAt, true);
    case "denied":
      return answer("deny", "denied", version, outcome, outcome.changesAt, isExplained(plan, facts, now));
    case "session_over":
    case "no_allow": {
      const { stepUp, by, changesAt } = remedy(plan, ask, forms, facts, now);
      const until = Math.min(outcome.changesAt, changesAt);
      const over = outcome.reason === "session_over";
      if (stepUp === undefined || by === undefined) {
        return answer("deny", outcome.reason, version, outcome, until, over || isExplained(plan, facts, now));
      }
      const decision = answer("step_up", over ? "session_over" : "step_up", version, { ...outcome, by: [by] }, until, true);
      return { ...decision, stepUp };
    }
    default:
      return outcome.reason satisfies never;
  }
}

function answer(
  effect: Effect,
  reason: DecisionReason,
  policyVersion: number,
  outcome: Pick<Outcome, "by" | "limits">,
  changesAt: number,
  explained: boolean,
): Decision {
  const decision = { effect, reason, policyVersion, decidedBy: idsOf(outcome.by), limits: outcome.limits, explained };
  return changesAt === Infinity ? decision : { ...decision, redecideAt: at(changesAt) };
}

function idsOf(entries: readonly Entry[]): readonly PolicyId[] {
  const ids = entries.map((entry) => entry.id);
  return ids.length < 2 ? ids : ids.sort();
}

/**
 * "Explained or blank": some allow for this app has all its who-criteria true. To the anonymous
 * everything is blank; to a signed-in user a `visible` app never is.
 */
export function isExplained(plan: Plan, facts: Facts, now: Millis): boolean {
  const { kind } = facts.subject;
  if (kind === "anonymous") return false;
  if (kind === "user" && plan.visible) return true;
  const input: Input = { facts, app: plan.app, now, changesAt: Infinity };
  return candidatesOf(plan.allows, input, false).some((entry) => mightBeMeant(entry, plan, input));
}

/** Whether some allow names this subject, or holds without naming anybody, as far as the facts go that are there: more of them could make an allow. */
export function mightAllow(plan: Plan, facts: Facts, now: Millis): boolean {
  const input: Input = { facts, app: plan.app, now, changesAt: Infinity };
  return isExplained(plan, facts, now) || candidatesOf(plan.allows, input, false).some((entry) => entry.covers[facts.subject.kind] && entry.test(input) !== false);
}

/** Whether an allow names this subject, whatever else it demands. */
export function mightBeMeant(entry: Entry, plan: Plan, input: Input): boolean {
  if (!entry.covers[input.facts.subject.kind] || (plan.tcp && entry.http !== undefined)) return false;
  return entry.who === undefined || entry.who(input) === true;
}
