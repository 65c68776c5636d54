/** A small document to hang policies on, and facts to ask with. */
import type { AppId } from "../../core/ids.ts";
import type { Json } from "../../core/json.ts";
import { at, type Millis } from "../../core/time.ts";
import { compile, type CompiledPolicy } from "../../policy/compile.ts";
import { decide } from "../../policy/decide.ts";
import type { Decision } from "../../policy/decision.ts";
import type { PolicyDocument } from "../../policy/document.ts";
import { parseDocument } from "../../policy/parse-document.ts";
import type { Ask, Fact, Facts } from "../../policy/facts.ts";
import { formatProblem } from "../../policy/problems.ts";
import { readFriendlyFacts } from "../../policy/tests-facts.ts";

/** A Friday, 11:00 in Berlin. */
export const NOW: Millis = at(Date.parse("2026-11-20T10:00:00Z"));

export const HEAD = `version: 1
domain: access.example.com
identity:
  providers:
    - { id: corp, issuer: "https://login.example.com", client_id: postern, groups_claim: groups, email_domains: [example.com] }
sites:
  - { id: berlin }
`;

export const APPS = `apps:
  - { id: wiki, site: berlin, upstream: "http://10.0.0.5:8080", tags: [internal] }
  - { id: crm, site: berlin, upstream: "http://10.0.0.6:8080", tags: [internal, money] }
  - { id: shop, site: berlin, upstream: "http://10.0.0.7:8080", path_case: insensitive }
  - { id: pg, site: berlin, upstream: "tcp://10.0.0.9:5432", tags: [data] }
`;

/** The document, or an Error that lists its problems. */
export function documentOf(text: string): PolicyDocument {
  const parsed = parseDocument(text);
  if (!parsed.ok) throw new Error(parsed.error.map(formatProblem).join("\n"));
  return parsed.value.document;
}

/** HEAD, APPS and the policies given as a YAML (or JSON) list, with other sections behind. */
export function textOf(policies: string, more = "", apps = APPS): string {
  return `${HEAD}${apps}policies: ${policies}\n${more}`;
}

export function policyOf(policies: string, more = "", apps = APPS): CompiledPolicy {
  return compile(documentOf(textOf(policies, more, apps)), 7);
}

/** One policy about every app with this `when`. */
export function policyWhen(when: string, rest = ""): CompiledPolicy {
  return policyOf(`[{ id: p, effect: allow, apps: "*", when: ${when}${rest} }]`);
}

export const askFor = (app: string, more: Partial<Ask> = {}): Ask => ({ app: app as AppId, protocol: "http", method: "GET", path: "/", ...more });

export const WIKI = askFor("wiki");
export const PG = askFor("pg", { protocol: "tcp", method: "", path: "" });

const PROVIDERS = [{ id: "corp", groupsClaim: "groups" }] as unknown as PolicyDocument["providers"];

/** Facts from the friendly form (P26). */
export function factsOf(form: Readonly<Record<string, unknown>>, now: Millis = NOW): Facts {
  const facts = readFriendlyFacts(form, PROVIDERS, now);
  if (!facts.ok) throw new Error(facts.error.map((finding) => finding.message).join("\n"));
  return facts.value;
}

export const STAFF = factsOf({ user: "ann", email: "ann@example.com", groups: ["staff"], session_age: "1h" });

export const factOf = (value: Json, ageMs = 0, more: Partial<Fact> = {}): Fact => ({ value, source: "corp", observedAt: at(NOW - ageMs), ...more });

/** The same facts with some of them other or, undefined, gone. */
export function withFacts(facts: Facts, changes: Readonly<Record<string, Fact | undefined>>): Facts {
  const known = Object.entries({ ...facts.known, ...changes }).filter((pair): pair is [string, Fact] => pair[1] !== undefined);
  return { ...facts, known: Object.fromEntries(known) };
}

export const ask = (policy: CompiledPolicy, what: Ask, facts: Facts, now: Millis = NOW): Decision => decide(policy, what, facts, now);
export const effectOf = (policy: CompiledPolicy, what: Ask, facts: Facts, now: Millis = NOW): string => decide(policy, what, facts, now).effect;
