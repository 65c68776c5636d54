/**
 * When a decision on a quiet stream must be made again, as its lane told: at an instant, or when a
 * fact that nobody renewed runs out (POLICY P18). A lane sets no alarm of its own; the session's
 * tells it only once what it waited for came to pass (M5). Pure.
 */
import { dueAt } from "../../policy/deadlines.ts";
import type { Fact } from "../../policy/facts.ts";
import type { Watched } from "./rpc.ts";

/** Bounds what lanes make a session store: its lanes times the apps it is at. The oldest go: a quiet stream there waits for its next byte. */
const MAX_WATCHED_COUNT = 256;

/** The first of all; Infinity when nothing is watched. */
export function nextDue(watched: readonly Watched[], facts: { readonly [name: string]: Fact }): number {
  return Math.min(Number.POSITIVE_INFINITY, ...watched.flatMap(({ deadlines }) => deadlines.map((one) => dueAt(one, facts))));
}

/** One lane's word on one app replaces its word before. */
export function watch(watched: readonly Watched[], one: Watched): readonly Watched[] {
  const others = watched.filter(({ site, lane, app }) => site !== one.site || lane !== one.lane || app !== one.app);
  return [...others, one].slice(-MAX_WATCHED_COUNT);
}

/** What is to be told at once: there is something newer, and somebody waits for it. */
export const waitingOf = (watched: readonly Watched[] = []): readonly Watched[] => watched.filter(({ frozen }) => frozen);

export function dueOf(watched: readonly Watched[], facts: { readonly [name: string]: Fact }, now: number): readonly Watched[] {
  return watched.filter(({ deadlines }) => deadlines.some((one) => dueAt(one, facts) <= now));
}
