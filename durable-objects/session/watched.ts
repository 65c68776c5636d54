/**
 * When a decision on a quiet stream must be made again, as its lane told: at an instant, or when a
 * fact that nobody renewed runs out (POLICY P18). A lane sets no alarm of its own; the session's
 * tells it only once what it waited for came to pass (M5). Pure.
 */
import { dueAt } from "../../policy/deadlines.ts";
import type { Fact } from "../../policy/facts.ts";
import { laneName } from "../bindings.ts";
import type { FrozenSince, Watched } from "./rpc.ts";

/** Bounds what lanes make a session store: its lanes times the apps it is at. The oldest go: a quiet stream there waits for its next byte. */
const MAX_WATCHED_COUNT = 256;

/** The first of all; Infinity when nothing is watched. */
export function nextDue(watched: readonly Watched[], facts: { readonly [name: string]: Fact }): number {
  return Math.min(Number.POSITIVE_INFINITY, ...watched.flatMap(({ deadlines }) => deadlines.map((one) => dueAt(one, facts))));
}

const isFrozen = ({ frozenAt }: Watched): boolean => frozenAt !== undefined;

/** One lane's word on one app's open streams, or on its frozen ones, replaces its word before. */
export function watch(watched: readonly Watched[], one: Watched): readonly Watched[] {
  const others = watched.filter((known) => known.site !== one.site || known.lane !== one.lane || known.app !== one.app || isFrozen(known) !== isFrozen(one));
  return (one.deadlines.length === 0 ? others : [...others, one]).slice(-MAX_WATCHED_COUNT);
}

/** A lane that decided again said anew what it waits for: what it had said `before` goes. */
export function heard(watched: readonly Watched[], before: readonly Watched[] | undefined, name: string): readonly Watched[] {
  return watched.filter((one) => laneName(one.site, one.lane) !== name || before?.includes(one) !== true);
}

/** What a lane is to know of streams that it froze. */
export function frozenOf(watched: readonly Watched[] = [], name: string): FrozenSince {
  return Object.fromEntries(watched.flatMap((one) => (one.frozenAt === undefined || laneName(one.site, one.lane) !== name ? [] : [[one.app, one.frozenAt]])));
}

/** What is to be told at once: there is something newer, and somebody waits for it. */
export const waitingOf = (watched: readonly Watched[] = []): readonly Watched[] => watched.filter(isFrozen);

export function dueOf(watched: readonly Watched[], facts: { readonly [name: string]: Fact }, now: number): readonly Watched[] {
  return watched.filter(({ deadlines }) => deadlines.some((one) => dueAt(one, facts) <= now));
}
