/** explain() and advise(): everything for operators, nothing of an allow-list for users. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { HOUR_MS, MINUTE_MS } from "../../core/time.ts";
import { advise } from "../../policy/advice.ts";
import { decide } from "../../policy/decide.ts";
import { explain } from "../../policy/explain.ts";
import type { Facts } from "../../policy/facts.ts";
import { askFor, factOf, factsOf, NOW, policyOf, STAFF, WIKI, withFacts } from "./fixtures.ts";
import { askArbitrary, factsArbitrary, json, policiesOf } from "./generated.ts";

describe("explain()", () => {
  it("always says what decide() says", () => {
    fc.assert(
      fc.property(policiesOf(), askArbitrary, factsArbitrary, (policies, ask, facts) => {
        const policy = policyOf(json(policies));
        const decision = decide(policy, ask, facts, NOW);
        const explanation = explain(policy, ask, facts, NOW);
        expect(explanation).toMatchObject({ effect: decision.effect, reason: decision.reason, decided_by: decision.decidedBy, policy_version: 7 });
        expect(explanation.redecide_at).toBe(decision.redecideAt === undefined ? null : new Date(decision.redecideAt).toISOString());
        const counting = explanation.policies.filter(({ effect, result }) => result === "true" || (effect !== "allow" && result === "unknown"));
        if (decision.reason === "denied") expect(counting.filter(({ effect }) => effect === "deny").map(({ id }) => id)).toEqual(decision.decidedBy);
        if (decision.reason === "allowed") expect(counting.map(({ id }) => id)).toEqual(decision.decidedBy);
      }),
      { numRuns: 200 },
    );
  });

  it("has the shape that the outside relies on", () => {
    const policy = policyOf(
      `[{ id: a, effect: allow, apps: wiki, when: { group: staff, use: strong, any: [{ country: DE }, { time_window: { from: "07:00", to: "20:00", zone: Europe/Berlin } }] }, limits: { max_bytes: 1MB } },
        { id: b, effect: deny, apps: wiki, when: { device: { os: windows, registered: false } }, http: { methods: [POST] } },
        { id: c, effect: allow, apps: wiki, subject: device, when: { device: { registered: true } } }]`,
      "conditions: { strong: { mfa: { max_age: 1h } } }",
    );
    const facts = withFacts(STAFF, { mfa: factOf({ methods: ["otp"] }, 15 * MINUTE_MS), country: factOf("FR", 0, { source: "edge" }) });
    const none = { fact: null, value: null, source: null, age_ms: null };
    expect(explain(policy, WIKI, facts, NOW)).toEqual({
      effect: "allow",
      reason: "allowed",
      policy_version: 7,
      decided_by: ["a"],
      policies: [
        {
          id: "a",
          effect: "allow",
          result: "true",
          criteria: [
            { path: "when.group", result: "true", reason: "group-ok", fact: "groups", value: ["corp:staff"], source: "corp", age_ms: 0 },
            { path: "when.any[0].country", result: "false", reason: "country-denied", fact: "country", value: "FR", source: "edge", age_ms: 0 },
            { path: "when.any[1].time_window", result: "true", reason: "time_window-ok", ...none },
            { path: "conditions.strong.mfa", result: "true", reason: "mfa-ok", fact: "mfa", value: { methods: ["otp"] }, source: "corp", age_ms: 15 * MINUTE_MS },
          ],
        },
        { id: "b", effect: "deny", result: "skipped", why: "http", criteria: [] },
        { id: "c", effect: "allow", result: "skipped", why: "subject", criteria: [] },
      ],
      limits: { session_ends_at: "2026-11-21T09:00:00.000Z", idle_ms: 8 * HOUR_MS, max_bytes: 1e6, read_only: false },
      redecide_at: "2026-11-20T10:45:00.001Z",
      fix: [],
    });
    const posted = explain(policy, askFor("wiki", { method: "POST" }), facts, NOW);
    expect(posted).toMatchObject({ effect: "deny", decided_by: ["b"], policies: [{}, { id: "b", result: "unknown" }, {}] });
    expect(posted.policies[1]?.criteria.map(({ fact, value, reason }) => [fact, value, reason])).toEqual([
      ["device.registered", null, "device-unknown"],
      ["device.os", null, "device-unknown"],
    ]);
  });

  it("of an app that does not exist says so", () => {
    expect(explain(policyOf("[]"), askFor("nothing"), STAFF, NOW)).toMatchObject({ effect: "deny", reason: "unknown_app", policies: [], fix: [] });
  });

  it("names what a step-up must achieve", () => {
    const policy = policyOf("[{ id: a, effect: allow, apps: wiki, when: { group: staff, mfa: { max_age: 1h, methods: hwk } } }]");
    expect(explain(policy, WIKI, STAFF, NOW)).toMatchObject({ effect: "step_up", step_up: { max_age_ms: HOUR_MS, methods: ["hwk"], mfa: true }, fix: ["Sign in again with a second factor."] });
  });
});

describe("advise() (promise 9)", () => {
  const codes = (policies: string, facts: Facts, ask = WIKI): string[] => advise(policyOf(policies), ask, facts, NOW).map(({ code }) => code);
  const allow = (when: string, rest = ""): string => `[{ id: a, effect: allow, apps: wiki, when: { group: staff, ${when} }${rest} }]`;

  it.each([
    ["a second factor", "mfa: true", ["mfa"]],
    ["a fresh sign-in", "session_age: { max: 1h }", ["sign_in"]],
    ["a country", "country: DE", ["country"]],
    ["a network", "ip_range: 192.0.2.0/24", ["network"]],
    ["a time", 'time_window: { days: sat, zone: UTC }', ["time"]],
    ["a device", "device: { registered: true }", ["device"]],
    ["a risk", "risk: low", ["risk"]],
    ["a reason of risk", "not: { risk_reason: second_session }", ["risk"]],
    ["several things at once", "risk: low, country: DE, device: { registered: true }", ["device", "country", "risk"]],
    ["one of several ways", "any: [{ country: DE }, { ip_range: 192.0.2.0/24 }]", ["network", "country"]],
    ["only what fails", 'country: DE, time_window: { days: fri, zone: UTC }', ["country"]],
  ])("%s", (_, when, expected) => {
    expect(codes(allow(when), STAFF)).toEqual(expected);
  });

  it.each<[string, string, Facts, string[], ReturnType<typeof askFor>]>([
    ["another page or action", allow("anyone: true", ', http: { paths: ["/a"] }'), STAFF, ["request"], WIKI],
    ["reading only", allow("anyone: true", ', http: { paths: ["/**"] }, limits: { read_only: true }'), STAFF, ["read_only"], askFor("wiki", { method: "POST" })],
    ["a deny about a device", '[{ id: a, effect: allow, apps: wiki, when: { group: staff } }, { id: d, effect: deny, apps: wiki, when: { not: { device: { registered: true } } } }]', STAFF, ["device", "denied"], WIKI],
    ["a deny about a person", '[{ id: a, effect: allow, apps: wiki, when: { group: staff } }, { id: d, effect: deny, apps: wiki, when: { user: ann } }]', STAFF, ["denied"], WIKI],
    ["a session that is over", "[{ id: a, effect: allow, apps: wiki, when: { group: staff }, limits: { session: 30m } }]", STAFF, ["sign_in"], WIKI],
    ["nothing to those whom no allow means", allow("mfa: true"), factsOf({ user: "eve", groups: ["guests"] }), [], WIKI],
    ["nothing to those who are allowed", "[{ id: a, effect: allow, apps: wiki, when: { group: staff } }]", STAFF, [], WIKI],
    ["nothing about an app that does not exist", allow("mfa: true"), STAFF, [], askFor("nothing")],
  ])("%s", (_, policies, facts, expected, ask) => {
    expect(codes(policies, facts, ask)).toEqual(expected);
  });

  it("never says a value of the policy", () => {
    const canaries = ["canary-group", "canary-user", "canary.example", "203.0.113.0/24", "FR", "canaryos", "canary-tag", "canary-policy", "21:13", "Asia/Kathmandu", "hwk-canary", "13m"];
    const policy = policyOf(`[{ id: canary-policy, effect: allow, apps: wiki, when: { any: [{ group: canary-group }, { user: canary-user }, { email_domain: canary.example }, { group: staff }],
      all: [{ country: FR }, { ip_range: 203.0.113.0/24 }, { time_window: { days: sat, from: "21:13", to: "21:14", zone: Asia/Kathmandu } }, { device: { os: canaryos, tags: canary-tag, max_age: 13m } }, { mfa: { methods: hwk-canary } }, { risk: low }] } },
      { id: canary-deny, effect: deny, apps: crm, when: { not: { country: FR } } }]`);
    for (const app of ["wiki", "crm"]) {
      const said = JSON.stringify(advise(policy, askFor(app), STAFF, NOW));
      for (const canary of canaries) expect(said).not.toContain(canary);
    }
    expect(advise(policy, WIKI, STAFF, NOW).length).toBeGreaterThan(3);
  });

  it("says something exactly when a denial is explained", () => {
    fc.assert(
      fc.property(policiesOf(), askArbitrary, factsArbitrary, (policies, ask, facts) => {
        const policy = policyOf(json(policies));
        const { effect, explained } = decide(policy, ask, facts, NOW);
        expect(advise(policy, ask, facts, NOW).length > 0).toBe(effect !== "allow" && explained);
      }),
      { numRuns: 200 },
    );
  });
});
