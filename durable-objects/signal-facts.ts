/**
 * What signals said of a person or a session beside what the sign-in proved: facts that replace
 * its older facts of the same name, and names whose older facts no longer count. Pure. Survives a
 * newer sign-in, which says anew only what it proved itself (POLICY P17).
 */
import type { Fact } from "../policy/facts.ts";

export interface SignalFacts {
  readonly facts: { readonly [name: string]: Fact };
  /** A fact of this name that was observed before this moment counts no more (ms since 1970). */
  readonly voided: { readonly [name: string]: number };
}

/** What one signal says: a fact, or null for "no longer known". */
export type News = { readonly [name: string]: Fact | null };

export const NO_SIGNALS: SignalFacts = { facts: {}, voided: {} };

/** Bounds what a person's or a session's object stores of signals. */
const MAX_NAMES_COUNT = 128;

/**
 * Takes in what a signal said at `at`. One that comes late says nothing of what was observed after
 * it. Facts that ran out go, so that what is stored stays small.
 */
export function takeNews(before: SignalFacts, news: News, at: number, now: number): SignalFacts {
  const facts: Record<string, Fact> = {};
  const device = news["device.id"]?.value;
  // Another device speaks: what one said never stands beside what the other says. What a device's object says has an end.
  const isMoot = (name: string): boolean => device !== undefined && device !== before.facts["device.id"]?.value && name.startsWith("device.");
  for (const [name, fact] of Object.entries(before.facts)) {
    const isOthers = isMoot(name) && (fact.expiresAt !== undefined || name === "device.registered");
    if (!isOthers && (fact.expiresAt === undefined || now < fact.expiresAt)) facts[name] = fact;
  }
  const voided = Object.fromEntries(Object.entries(before.voided).filter(([name]) => !isMoot(name)));
  for (const [name, fact] of Object.entries(news)) {
    const known = facts[name];
    if (fact === null) {
      if (known !== undefined && known.observedAt <= at) delete facts[name];
      voided[name] = Math.max(voided[name] ?? 0, at);
    } else if (fact.observedAt >= Math.max(known?.observedAt ?? 0, voided[name] ?? 0)) facts[name] = fact;
  }
  if (Object.keys(facts).length + Object.keys(voided).length > MAX_NAMES_COUNT) throw new Error("too many facts by signals");
  return { facts, voided };
}

/** What was said twice over, in whatever order it came: of two facts the later observed counts, of two moments the later. */
export function joined(one: SignalFacts, other: SignalFacts): SignalFacts {
  const names = new Set([...Object.keys(one.voided), ...Object.keys(other.voided)]);
  const voided = Object.fromEntries([...names].map((name) => [name, Math.max(one.voided[name] ?? 0, other.voided[name] ?? 0)]));
  const facts = { ...one.facts };
  for (const [name, fact] of Object.entries(other.facts)) if (fact.observedAt >= (facts[name]?.observedAt ?? 0)) facts[name] = fact;
  return { facts: Object.fromEntries(Object.entries(facts).filter(([name, fact]) => fact.observedAt >= (voided[name] ?? 0))), voided };
}

/** The facts of a sign-in as signals left them: of two that say the same thing the one that was observed later counts. */
export function withSignals(said: { readonly [name: string]: Fact }, { facts, voided }: SignalFacts): { readonly [name: string]: Fact } {
  const kept = Object.entries(said).filter(([name, fact]) => fact.observedAt > Math.max(voided[name] ?? -1, facts[name]?.observedAt ?? -1));
  return { ...facts, ...Object.fromEntries(kept) };
}
