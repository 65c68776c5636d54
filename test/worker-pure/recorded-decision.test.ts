import { describe, expect, it } from "vitest";
import { canonicalJson } from "../../core/json.ts";
import type { Json } from "../../core/json.ts";
import type { AppId, PolicyId, RequestId } from "../../core/ids.ts";
import { at } from "../../core/time.ts";
import { decisionEvent } from "../../durable-objects/audit/decision-event.ts";
import type { Decision } from "../../policy/decision.ts";
import type { Ask, Facts } from "../../policy/facts.ts";
import { readDecision, readSharedFacts } from "../../worker/recorded-decision.ts";

const T0 = at(1_800_000_000_000);
const ask: Ask = { app: "wiki" as AppId, protocol: "http", method: "GET", path: "/a" };
const facts: Facts = {
  subject: { kind: "user", id: "u_1" },
  known: {
    groups: { value: ["corp:staff"], source: "corp", observedAt: T0 },
    mfa: { value: { methods: ["otp"] }, source: "corp", observedAt: T0, expiresAt: at(T0 + 1) },
  },
  session: { startedAt: T0, lastActiveAt: at(T0 + 5) },
};
const decision = { effect: "deny", reason: "no_allow", policyVersion: 7, decidedBy: ["staff" as PolicyId] } as unknown as Decision;

/** As it comes out of the store. */
const stored = (of: Facts, what = ask): { [key: string]: Json | undefined } =>
  JSON.parse(canonicalJson(decisionEvent("r_1" as RequestId, what, of, decision, T0).data as unknown as Json)) as { [key: string]: Json };

describe("a recorded decision", () => {
  it("is read back as it was made (promise 8)", () => {
    expect(readDecision(stored(facts))).toEqual({ ask, subject: facts.subject, own: facts.known, session: facts.session, policyVersion: 7, effect: "deny" });
  });

  it("is read back without a session, at a host that no app had, and with facts kept elsewhere", () => {
    const nowhere: Ask = { ...ask, app: "" as AppId };
    const { session: _, ...anonymous } = facts;
    expect(readDecision({ ...stored(anonymous, nowhere), facts_ref: "lane:1" })).toEqual({ ask: nowhere, subject: facts.subject, own: facts.known, policyVersion: 7, effect: "deny", factsRef: "lane:1" });
  });

  it.each<[string, { [key: string]: Json | undefined }]>([
    ["nothing", {}],
    ["no subject", { ...stored(facts), subject: undefined }],
    ["a subject of a kind that is not known", { ...stored(facts), subject: { kind: "robot", id: "x" } }],
    ["a protocol that is not known", { ...stored(facts), protocol: "udp" }],
    ["an app that is no id", { ...stored(facts), app: "No App" }],
    ["no facts", { ...stored(facts), facts: undefined }],
    ["a fact without an age", { ...stored(facts), facts: { groups: { value: [], source: "corp" } } }],
    ["a session without times", { ...stored(facts), session: {} }],
    ["a version that is no number", { ...stored(facts), policy_version: "7" }],
    ["a reference that is no text", { ...stored(facts), facts_ref: 1 }],
  ])("with %s is no decision: nothing is guessed", (_title, data) => {
    expect(readDecision(data)).toBeUndefined();
  });

  it("takes shared facts from a record that holds some, and from no other", () => {
    expect(readSharedFacts({ facts: stored(facts)["facts"] })).toEqual(facts.known);
    expect(readSharedFacts({})).toBeUndefined();
    expect(readSharedFacts({ facts: { groups: "staff" } })).toBeUndefined();
  });
});
