/** Grants: what one opens, when it ends, and who may ask for one. */
import { describe, expect, it } from "vitest";
import { at, DAY_MS, HOUR_MS, MINUTE_MS } from "../../core/time.ts";
import { advise } from "../../policy/advice.ts";
import { decide } from "../../policy/decide.ts";
import { deadlinesOf } from "../../policy/deadlines.ts";
import { explain } from "../../policy/explain.ts";
import type { Facts } from "../../policy/facts.ts";
import { mayAsk } from "../../policy/grants.ts";
import { runTests } from "../../policy/run-tests.ts";
import { isAskable } from "../../policy/visible.ts";
import { askFor, factOf, factsOf, NOW, PG, policyOf, policyWhen, STAFF, WIKI, withFacts } from "./fixtures.ts";

const granted = (facts: Facts, app: string, ageMs = 0, lastingMs = 2 * HOUR_MS): Facts =>
  withFacts(facts, { [`grant.${app}`]: factOf("g_1", ageMs, { source: "operator:user:u_boss", expiresAt: at(NOW - ageMs + lastingMs) }) });
const ONCALL = factsOf({ user: "ann", groups: ["oncall"], mfa: true });
const policy = policyOf('[{ id: oncall, effect: allow, apps: [pg, wiki], when: { group: oncall, mfa: { max_age: 12h }, grant: { max: 4h } } }, { id: open, effect: allow, apps: crm, when: { group: oncall } }]');

describe("P27: what a grant opens", () => {
  it("opens nothing by itself: every other criterion of its policy stays in force", () => {
    expect(decide(policy, PG, granted(ONCALL, "pg"), NOW)).toMatchObject({ effect: "allow", decidedBy: ["oncall"] });
    expect(decide(policy, PG, ONCALL, NOW)).toMatchObject({ effect: "deny", explained: true });
    expect(decide(policy, PG, granted(factsOf({ user: "ann", groups: ["staff"], mfa: true }), "pg"), NOW)).toMatchObject({ effect: "deny", explained: false });
    expect(decide(policy, PG, granted(factsOf({ user: "ann", groups: ["oncall"] }), "pg"), NOW).effect).toBe("step_up");
    expect(decide(policy, askFor("shop"), granted(ONCALL, "shop"), NOW).effect).toBe("deny");
  });

  it("counts at the very app that it was given for", () => {
    expect(decide(policy, WIKI, granted(ONCALL, "pg"), NOW).effect).toBe("deny");
    expect(decide(policy, WIKI, granted(ONCALL, "wiki"), NOW).effect).toBe("allow");
  });

  it("a deny wins over it", () => {
    const shut = policyOf('[{ id: a, effect: allow, apps: "*", when: { grant: true } }, { id: d, effect: deny, apps: wiki, when: { group: oncall } }]');
    expect(decide(shut, WIKI, granted(ONCALL, "wiki"), NOW)).toMatchObject({ effect: "deny", decidedBy: ["d"] });
  });

  it("a fact that is missing opens no `not` either", () => {
    expect(decide(policyWhen("{ not: { grant: true } }"), WIKI, STAFF, NOW).effect).toBe("deny");
  });

  it("P18: is decided again when the grant ends, or the policy's max of it", () => {
    expect(decide(policy, PG, granted(ONCALL, "pg"), NOW).redecideAt).toBe(NOW + 2 * HOUR_MS);
    expect(decide(policy, PG, granted(ONCALL, "pg", HOUR_MS, DAY_MS), NOW).redecideAt).toBe(NOW + 3 * HOUR_MS + 1);
    const plan = policy.plan("pg");
    if (plan === undefined) throw new Error("no plan");
    const { known } = granted(ONCALL, "pg");
    const end = { name: "grant.pg", observedAt: NOW, expiresAt: NOW + 2 * HOUR_MS };
    expect(deadlinesOf(plan, { ...ONCALL, known }, NOW + DAY_MS, NOW)).toContainEqual({ at: NOW + 2 * HOUR_MS, by: end });
  });

  it("explain() shows the grant by its app, with its id, source and age", () => {
    const criteria = explain(policy, PG, granted(ONCALL, "pg", MINUTE_MS), NOW).policies.flatMap((one) => one.criteria);
    expect(criteria).toContainEqual({ path: "when.grant", result: "true", reason: "grant-ok", fact: "grant.pg", value: "g_1", source: "operator:user:u_boss", age_ms: MINUTE_MS });
  });

  it("P26: a document's tests may give one", () => {
    const test = (more: string, expect: string): string => `  - { as: { user: ann, groups: [oncall], mfa: true${more} }, app: pg, request: { protocol: tcp }, expect: ${expect} }\n`;
    const tested = policyOf('[{ id: p, effect: allow, apps: pg, when: { group: oncall, grant: { max: 4h } } }]', `tests:\n${test(", grant: [pg]", "allow")}${test("", "deny")}${test(", grant: wiki", "deny")}${test(", grant: pg, grant_age: 4h", "allow")}${test(", grant: pg, grant_age: 5h", "deny")}`);
    expect(runTests(tested, NOW)).toEqual([]);
  });
});

describe("P28: who may ask for a grant", () => {
  const fresh = factsOf({ user: "ann", groups: ["oncall"] });

  it.each<[string, boolean, Facts, typeof PG, number]>([
    ["whom it would let in", true, ONCALL, PG, 0],
    ["who would be asked for a step-up", true, fresh, PG, 0],
    ["who has one already, and asks for more", true, granted(ONCALL, "pg"), PG, 0],
    ["as long as the policy lets it count", true, ONCALL, PG, 4 * HOUR_MS],
    ["not for longer", false, ONCALL, PG, 4 * HOUR_MS + 1],
    ["not whom the policy does not name", false, factsOf({ user: "eve", groups: ["staff"] }), PG, 0],
    ["not where the app is open without one", false, ONCALL, askFor("crm"), 0],
    ["not where no policy asks for one", false, ONCALL, askFor("shop"), 0],
    ["not for an app that does not exist", false, ONCALL, askFor("nothing"), 0],
    ["not a service", false, factsOf({ service: "ci" }), PG, 0],
  ])("%s", (_, may, facts, ask, lasting) => {
    expect(mayAsk(policy, ask, facts, NOW, lasting)).toBe(may);
    const plan = policy.plan(ask.app);
    expect(plan !== undefined && isAskable(policy, plan, facts, NOW, lasting)).toBe(may);
    // What can be done about a denial is said to those alone for whom it is true.
    if (lasting === 0 && decide(policy, ask, facts, NOW).effect !== "allow") expect(advise(policy, ask, facts, NOW).some(({ code }) => code === "grant")).toBe(may);
  });

  it("not whom a deny keeps out all the same", () => {
    const shut = policyOf('[{ id: a, effect: allow, apps: "*", when: { grant: true } }, { id: d, effect: deny, apps: wiki, when: { group: oncall } }]');
    expect(mayAsk(shut, WIKI, ONCALL, NOW)).toBe(false);
    expect(mayAsk(shut, WIKI, STAFF, NOW)).toBe(true);
  });

  it("who is kept out by a deny of those without a grant", () => {
    const guests = policyOf('[{ id: a, effect: allow, apps: "*", when: { group: oncall } }, { id: d, effect: deny, apps: wiki, when: { not: { grant: true } } }]');
    expect(mayAsk(guests, WIKI, ONCALL, NOW)).toBe(true);
    expect(decide(guests, WIKI, granted(ONCALL, "wiki"), NOW).effect).toBe("allow");
  });

  it("for a part of an app: any request that it would open", () => {
    const part = policyOf('[{ id: read, effect: allow, apps: wiki, when: { group: oncall }, http: { methods: [GET] } }, { id: write, effect: allow, apps: wiki, when: { grant: true } }]');
    const plan = part.plan("wiki");
    expect(mayAsk(part, WIKI, ONCALL, NOW)).toBe(false);
    expect(mayAsk(part, { ...WIKI, method: "POST" }, ONCALL, NOW)).toBe(true);
    expect(plan !== undefined && isAskable(part, plan, ONCALL, NOW)).toBe(true);
  });
});
