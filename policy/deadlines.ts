/**
 * When what was decided must be decided again (P18), told apart by what could put it off: the age
 * of a fact that somebody may renew, or an instant that nobody moves. decide() knows only the
 * first of them all. For whoever watches over quiet streams.
 */
import { candidatesOf } from "./candidates.ts";
import type { Plan } from "./compile.ts";
import { nameFor } from "./criterion.ts";
import type { Fact, Facts } from "./facts.ts";
import type { Input } from "./kleene.ts";
import { lossOf } from "./losses.ts";
import { leavesOf } from "./tree.ts";

export interface Deadline {
  /** Milliseconds since 1970. */
  readonly at: number;
  /** The fact that runs out then, as it was; absent: no fact moves it. */
  readonly by?: { readonly name: string; readonly observedAt: number; readonly expiresAt?: number };
}

/** Of every criterion that may count for this subject at this app, whether or not it decides now: the first of each fact, and of all that no fact moves. */
export function deadlinesOf(plan: Plan, facts: Facts, sessionEndsAt: number, now: number): readonly Deadline[] {
  const byFact = new Map<string, Deadline>();
  let fixed = Math.min(sessionEndsAt, lossOf(plan, facts, now).until);
  for (const index of [plan.denies, plan.allows, plan.limits]) {
    const input: Input = { facts, app: plan.app, now, changesAt: Infinity };
    for (const entry of candidatesOf(index, input, index !== plan.allows)) {
      for (const { reads, test } of leavesOf(entry.node)) {
        test(input);
        const until = input.changesAt;
        const known = reads.map((read) => nameFor(read, plan.app)).map((name) => [name, facts.known[name]] as const).filter((one): one is readonly [string, Fact] => one[1] !== undefined);
        if (until === Infinity) continue;
        if (known.length === 0) fixed = Math.min(fixed, until);
        // The oldest of a criterion's facts runs out first, each of the others as much later as it is younger.
        const oldest = Math.min(...known.map(([, { observedAt }]) => observedAt));
        for (const [name, { observedAt, expiresAt }] of known) {
          const aged = until === expiresAt ? until : until + observedAt - oldest;
          const due = Math.min(aged, expiresAt ?? Infinity);
          // What ran out already is waited for by nobody: only a newer one changes anything, and that is told.
          if (now < due && due < (byFact.get(name)?.at ?? Infinity)) byFact.set(name, { at: due, by: { name, observedAt, ...(expiresAt === undefined ? {} : { expiresAt }) } });
        }
      }
    }
  }
  return [...byFact.values(), ...(fixed === Infinity ? [] : [{ at: fixed }])];
}

/** When a deadline is with the facts as they are now: of a renewed one as much later. */
export function dueAt({ at, by }: Deadline, facts: { readonly [name: string]: Fact }): number {
  const fact = by === undefined ? undefined : facts[by.name];
  if (by === undefined || fact === undefined || fact.observedAt <= by.observedAt) return at;
  const end = fact.expiresAt ?? Infinity;
  return at === by.expiresAt ? end : Math.min(at + fact.observedAt - by.observedAt, end);
}
