/**
 * What a denied person can do about it, in plain words. Says which kind of condition failed, never
 * a value of it: no country, address, group, method or time of an allow-list (promise 9). Blank
 * denials get none.
 */
import type { Millis } from "../core/time.ts";
import { candidatesOf } from "./candidates.ts";
import type { CompiledPolicy, Plan } from "./compile.ts";
import { decide, mightBeMeant } from "./decide.ts";
import type { Entry } from "./entry.ts";
import type { Ask, Facts } from "./facts.ts";
import { mayAsk } from "./grants.ts";
import type { Input } from "./kleene.ts";
import { CRITERIA } from "./registry.ts";
import type { Leaf, Node } from "./tree.ts";
import { leavesOf } from "./tree.ts";
import type { CriterionName } from "./when.ts";

const TEXTS = {
  sign_in: "Sign in again.",
  mfa: "Sign in again with a second factor.",
  device: "Use a device that is registered and up to date, and let its agent report.",
  network: "Connect from a network that your organisation allows.",
  country: "Connect from a country that your organisation allows.",
  time: "Try again at a time that your organisation allows.",
  grant: "Ask for access for a while (`postern request`).",
  target: "This app is not in order at the moment. Ask your administrator.",
  risk: "Your session looks unusual. Ask your administrator to look at it.",
  request: "You may use this app, but not this page or action.",
  read_only: "You may read here, but not change anything.",
  lost: "Something that this app needs does not answer. Try again later.",
  denied: "A rule of your organisation forbids this. Ask your administrator.",
} as const;

export type AdviceCode = keyof typeof TEXTS;

export interface Advice {
  readonly code: AdviceCode;
  readonly text: string;
}

const CODES: Readonly<Partial<Record<CriterionName, AdviceCode>>> = {
  mfa: "mfa",
  session_age: "sign_in",
  device: "device",
  ip_range: "network",
  country: "country",
  time_window: "time",
  risk: "risk",
  risk_reason: "risk",
  target: "target",
};

const ORDER = Object.keys(TEXTS) as readonly AdviceCode[];

/** Advice for a denial or step-up that may explain itself, most useful first; empty otherwise. */
export function advise(policy: CompiledPolicy, ask: Ask, facts: Facts, now: Millis): readonly Advice[] {
  const decision = decide(policy, ask, facts, now);
  const plan = policy.plan(ask.app);
  if (decision.effect === "allow" || !decision.explained || plan === undefined) return [];
  const codes = new Set<AdviceCode>();
  if (decision.effect === "step_up") codes.add(decision.stepUp?.mfa === true ? "mfa" : "sign_in");
  else if (decision.reason === "session_over") codes.add("sign_in");
  else if (decision.reason === "read_only") codes.add("read_only");
  else if (decision.reason.endsWith("_lost")) codes.add("lost");
  else if (decision.reason === "denied") for (const code of ofDenies(plan, ask, facts, now)) codes.add(code);
  else for (const code of ofAllows(plan, ask, facts, now)) codes.add(code);
  if (mayAsk(policy, ask, facts, now)) codes.add("grant");
  if (codes.size === 0) codes.add("denied");
  return ORDER.filter((code) => codes.has(code)).map((code) => ({ code, text: TEXTS[code] }));
}

function ofDenies(plan: Plan, ask: Ask, facts: Facts, now: Millis): AdviceCode[] {
  const input: Input = { facts, app: plan.app, now, changesAt: Infinity };
  const forms = { path: ask.path };
  const counts = (entry: Entry): boolean =>
    entry.covers[facts.subject.kind] && entry.applies(ask, forms, plan) && entry.test(input) !== false;
  const leaves = plan.denies.all.filter(counts).flatMap((entry) => leavesOf(entry.node));
  return ["denied", ...codesOf(leaves)];
}

function ofAllows(plan: Plan, ask: Ask, facts: Facts, now: Millis): AdviceCode[] {
  const input: Input = { facts, app: plan.app, now, changesAt: Infinity };
  const forms = { path: ask.path };
  const meant = candidatesOf(plan.allows, input, false).filter((entry) => mightBeMeant(entry, plan, input));
  const applying = meant.filter((entry) => entry.applies(ask, forms, plan));
  if (applying.length === 0) return meant.length === 0 ? [] : ["request"];
  return codesOf(applying.flatMap((entry) => failing(entry.node, input)));
}

/** The criteria that keep a tree from being true. */
function failing(node: Node, input: Input): Leaf[] {
  if (node.test(input) === true) return [];
  if (node.kind === "criterion") return [node];
  return node.kind === "not" ? leavesOf(node) : node.children.flatMap((child) => failing(child, input));
}

function codesOf(leaves: readonly Leaf[]): AdviceCode[] {
  return leaves.flatMap(({ criterion }) => {
    const code = CRITERIA[criterion].kind === "context" ? CODES[criterion] : undefined;
    return code === undefined ? [] : [code];
  });
}
