/**
 * For `apply`: how many of the subjects at hand a deny would stop only because a fact about them
 * is unknown (P2). That is what the rule wants and rarely what its author meant.
 */
import type { PolicyId } from "../core/ids.ts";
import type { Millis } from "../core/time.ts";
import type { CompiledPolicy } from "./compile.ts";
import type { Ask, Facts } from "./facts.ts";
import type { Input } from "./kleene.ts";

export interface UnknownDenies {
  /** Cases in which denies count and every one of them only because of an unknown fact. */
  readonly cases: number;
  /** How often each policy did so, most often first. */
  readonly policies: readonly { readonly id: PolicyId; readonly count: number }[];
}

/** Counts them over the cases given. Apps that do not exist have no denies. */
export function unknownDenies(
  policy: CompiledPolicy,
  cases: readonly { readonly facts: Facts; readonly ask: Ask }[],
  now: Millis,
): UnknownDenies {
  const counts = new Map<PolicyId, number>();
  let stopped = 0;
  for (const { facts, ask } of cases) {
    const plan = policy.plan(ask.app);
    if (plan === undefined) continue;
    const input: Input = { facts, app: plan.app, now, changesAt: Infinity };
    const forms = { path: ask.path };
    const about = plan.denies.all.filter((entry) => entry.covers[facts.subject.kind] && entry.applies(ask, forms, plan));
    const answers = about.map((entry) => ({ id: entry.id, answer: entry.test(input) }));
    const unknown = answers.filter(({ answer }) => answer === "unknown");
    if (unknown.length === 0 || answers.some(({ answer }) => answer === true)) continue;
    stopped++;
    for (const { id } of unknown) counts.set(id, (counts.get(id) ?? 0) + 1);
  }
  const policies = [...counts].map(([id, count]) => ({ id, count })).sort((a, b) => b.count - a.count || (a.id < b.id ? -1 : 1));
  return { cases: stopped, policies };
}
