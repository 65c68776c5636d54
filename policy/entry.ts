/** One policy made ready to decide: whom it covers, which requests it is about, its tests. */
import type { PolicyId } from "../core/ids.ts";
import type { HttpNarrowing, Policy, PolicyDocument, PolicyLimits } from "./document.ts";
import type { Ask, SubjectKind } from "./facts.ts";
import type { Test } from "./kleene.ts";
import type { PathForms, Pattern } from "./paths.ts";
import { matches, matchesStripped, parsePattern } from "./paths.ts";
import { demands as hasDemand } from "./read-when.ts";
import type { ConditionNodes, Node } from "./tree.ts";
import { buildTree, leavesOf, whoTest } from "./tree.ts";
import type { When } from "./when.ts";

/** What a re-authentication could achieve for an allow (P4). */
export interface Demand {
  readonly mfa: boolean;
  readonly methods: readonly string[];
  /** ms; Infinity: none demanded. */
  readonly maxAge: number;
}

/** What an entry needs to know of the app that is asked for. */
export interface Target {
  readonly tcp: boolean;
  readonly insensitive: boolean;
}

export interface Entry {
  readonly id: PolicyId;
  readonly effect: Policy["effect"];
  readonly when: When;
  readonly node: Node;
  readonly test: Test;
  /** Absent: the policy names nobody. */
  readonly who: Test | undefined;
  readonly covers: { readonly [K in SubjectKind]: boolean };
  readonly http: HttpNarrowing | undefined;
  /** Whether the http narrowing lets the request through (P8, P9, P10). */
  readonly applies: (ask: Ask, forms: PathForms, target: Target) => boolean;
  readonly limits: PolicyLimits;
  readonly demands: readonly Demand[];
}

/** Makes an entry of a policy. Throws on a document that parseDocument would have refused. */
export function makeEntry(policy: Policy, document: PolicyDocument, conditions: ConditionNodes): Entry {
  const node = buildTree(policy.when, "when", conditions);
  return {
    id: policy.id,
    effect: policy.effect,
    when: policy.when,
    node,
    test: node.test,
    who: whoTest(node),
    covers: coverage(policy, document),
    http: policy.http,
    applies: narrowing(policy),
    limits: policy.limits ?? {},
    demands: policy.effect === "allow" ? demandsOf(node, policy.when, document) : [],
  };
}

/** P13, P20: an allow covers services and the anonymous only if it says so; deny and limit cover all. */
function coverage(policy: Policy, document: PolicyDocument): Entry["covers"] {
  const { subject, effect, when } = policy;
  const named = (kind: "user" | "service" | "device"): boolean => subject === undefined || subject.includes(kind);
  if (effect !== "allow") {
    return { user: named("user"), service: named("service"), device: named("device"), anonymous: subject === undefined };
  }
  return {
    user: named("user"),
    device: named("device"),
    service: named("service") && hasDemand(when, "service", document.conditions),
    anonymous: subject === undefined && hasDemand(when, "anyone", document.conditions),
  };
}

function narrowing(policy: Policy): Entry["applies"] {
  const { http } = policy;
  if (http === undefined) return () => true;
  const methods = http.methods === undefined ? undefined : new Set(http.methods);
  const patterns = http.paths?.map((written): Pattern => {
    const pattern = parsePattern(written);
    if (typeof pattern === "string") throw new Error("a path pattern that is none");
    return pattern;
  });
  const restricts = policy.effect !== "allow";
  return (ask, forms, target) => {
    if (target.tcp || ask.protocol === "tcp") return false;
    if (methods !== undefined && !methods.has(ask.method)) return false;
    if (patterns === undefined) return true;
    return patterns.some(
      (pattern) => matches(pattern, forms, target.insensitive) || (restricts && matchesStripped(pattern, forms, target.insensitive)),
    );
  };
}

/** One demand for each mfa criterion of an allow and one for all of them together; all bound by its session_age. */
function demandsOf(node: Node, when: When, document: PolicyDocument): readonly Demand[] {
  const leaves = leavesOf(node);
  const wanted = mfaAndAge(when, document);
  const maxAge = Math.min(Infinity, ...wanted.ages);
  if (!leaves.some(({ criterion }) => criterion === "mfa")) return [{ mfa: false, methods: [], maxAge }];
  const each = wanted.mfa.map((one): Demand => ({ mfa: true, methods: one.methods, maxAge: Math.min(maxAge, one.maxAge ?? Infinity) }));
  const union = [...new Set(each.flatMap((one) => one.methods))].sort();
  // An mfa criterion in an `any` may not be needed at all.
  const none: Demand = { mfa: false, methods: [], maxAge };
  return [none, ...each, { mfa: true, methods: union, maxAge: Math.min(maxAge, ...each.map((one) => one.maxAge)) }];
}

/** The mfa and session_age values of a block, with its conditions in place. */
function mfaAndAge(when: When, document: PolicyDocument): { mfa: NonNullable<When["mfa"]>[]; ages: number[] } {
  const found = { mfa: when.mfa === undefined ? [] : [when.mfa], ages: when.session_age === undefined ? [] : [when.session_age.max] };
  const used = (when.use ?? []).map((name) => document.conditions[name]).filter((block): block is When => block !== undefined);
  for (const block of [...(when.any ?? []), ...(when.all ?? []), ...(when.not === undefined ? [] : [when.not]), ...used]) {
    const inner = mfaAndAge(block, document);
    found.mfa.push(...inner.mfa);
    found.ages.push(...inner.ages);
  }
  return found;
}
