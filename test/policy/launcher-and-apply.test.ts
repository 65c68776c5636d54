/** What the launcher shows, what `apply` warns of, and how few policies one decision looks at. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { candidatesOf } from "../../policy/candidates.ts";
import type { CompiledPolicy } from "../../policy/compile.ts";
import { decide } from "../../policy/decide.ts";
import type { App } from "../../policy/document.ts";
import type { Facts } from "../../policy/facts.ts";
import type { Input } from "../../policy/kleene.ts";
import { unknownDenies } from "../../policy/unknown-denies.ts";
import { standingAt, witness } from "../../policy/visible.ts";
import { askFor, factOf, factsOf, NOW, policyOf, policyWhen, STAFF, WIKI, withFacts } from "./fixtures.ts";
import { factsArbitrary, json, policiesOf } from "./generated.ts";

const visibleIn = (policy: CompiledPolicy, facts: Facts): readonly App[] => policy.document.apps.filter((app) => ["allow", "step_up"].includes(standingAt(policy, app, facts, NOW) ?? ""));

describe("the launcher's apps", () => {
  const idsOf = (policies: string, facts = STAFF): string[] => visibleIn(policyOf(policies), facts).map(({ id }) => id);
  const allow = (when: string, rest = ""): string => `{ id: a, effect: allow, apps: "*", when: ${when}${rest} }`;

  it.each([
    ["all apps of an allow, in the document's order", `[${allow("{ group: staff }")}]`, ["wiki", "crm", "shop", "pg"]],
    ["apps that need a step-up", `[${allow("{ group: staff, mfa: true }")}]`, ["wiki", "crm", "shop", "pg"]],
    ["apps of which one page is open", `[${allow("{ group: staff }", ', http: { methods: [PUT], paths: ["/x/*/y"] }')}]`, ["wiki", "crm", "shop"]],
    ["apps whose first page is denied", `[${allow("{ group: staff }")}, { id: d, effect: deny, apps: wiki, when: { group: staff }, http: { paths: [/, "/*"] } }]`, ["wiki", "crm", "shop", "pg"]],
    ["apps that may be written only", `[${allow("{ group: staff }")}, { id: d, effect: deny, apps: wiki, when: { group: staff }, http: { methods: [GET] } }]`, ["wiki", "crm", "shop", "pg"]],
    ["no app that a deny shuts", `[${allow("{ group: staff }")}, { id: d, effect: deny, apps: wiki, when: { group: staff }, http: { paths: ["/**"] } }]`, ["crm", "shop", "pg"]],
    ["nothing to those whom no allow means", `[${allow("{ group: bosses }")}]`, []],
    ["nothing that a context forbids", `[${allow("{ group: staff, country: DE }")}]`, []],
  ])("%s", (_, policies, ids) => {
    expect(idsOf(policies)).toEqual(ids);
  });

  it("what is shown has a request that decide() lets pass or steps up, and an open allow is always shown", () => {
    fc.assert(
      fc.property(policiesOf(), factsArbitrary, (policies, facts) => {
        const policy = policyOf(json(policies));
        const shown = visibleIn(policy, facts);
        for (const app of shown) {
          const plan = policy.plan(app.id);
          const ask = plan === undefined ? undefined : witness(policy, plan, facts, NOW);
          expect(ask === undefined ? "deny" : decide(policy, ask, facts, NOW).effect).not.toBe("deny");
        }
        for (const app of policy.document.apps) {
          if (app.protocol === "tcp" || decide(policy, askFor(app.id, { path: "/~" }), facts, NOW).effect === "deny") continue;
          expect(shown.map(({ id }) => id)).toContain(app.id);
        }
      }),
      { numRuns: 150 },
    );
  });
});

describe("unknownDenies()", () => {
  it("P2: counts the cases that only an unknown fact denies, and by which policy", () => {
    const policy = policyOf(`[{ id: a, effect: allow, apps: wiki, when: { group: staff } },
      { id: abroad, effect: deny, apps: wiki, when: { country: RU } },
      { id: lost, effect: deny, apps: wiki, when: { device: { registered: false } } },
      { id: writes, effect: deny, apps: wiki, when: { risk: high }, http: { methods: [POST] } }]`);
    const home = withFacts(STAFF, { country: factOf("DE") });
    const cases = [
      { facts: STAFF, ask: WIKI },
      { facts: home, ask: WIKI },
      { facts: withFacts(STAFF, { country: factOf("RU") }), ask: WIKI },
      { facts: withFacts(home, { "device.registered": factOf(true, 0, { source: "postern" }) }), ask: WIKI },
      { facts: STAFF, ask: askFor("crm") },
      { facts: STAFF, ask: askFor("nothing") },
    ];
    expect(unknownDenies(policy, cases, NOW)).toEqual({ cases: 2, policies: [{ id: "lost", count: 2 }, { id: "abroad", count: 1 }] });
  });
});

describe("the index", () => {
  const many = (count: number): string =>
    `[${Array.from({ length: count }, (_, i) => `{ id: p${i}, effect: ${i % 2 === 0 ? "allow" : "deny"}, apps: "*", when: { group: g${i} } }`).join(",")}, { id: a, effect: allow, apps: "*", when: { group: staff } }]`;
  const looked = (count: number, facts = STAFF): number => {
    const policy = policyOf(many(count));
    const plan = policy.plan("wiki");
    if (plan === undefined) throw new Error("no plan");
    const input = (): Input => ({ facts, app: plan.app, now: NOW, changesAt: Infinity });
    expect(policy.candidates("wiki")).toBe(count + 1);
    return candidatesOf(plan.allows, input(), false).length + candidatesOf(plan.denies, input(), true).length;
  };

  it("a decision among 1,000 policies of 1,000 groups looks at as many as among 10: those that name the subject", () => {
    expect(looked(10)).toBe(1);
    expect(looked(1_000)).toBe(1);
    expect(looked(1_000, factsOf({ user: "ann", groups: ["staff", "g2", "g3", "g4"] }))).toBe(4);
  });

  it("P2: where the groups are unknown every deny is looked at, and denies", () => {
    const nobody = withFacts(STAFF, { groups: undefined });
    expect(looked(10, nobody)).toBe(5);
    expect(decide(policyOf(many(10)), WIKI, nobody, NOW)).toMatchObject({ effect: "deny", reason: "denied" });
  });

  it("one policy that names two groups of a subject is looked at once", () => {
    expect(decide(policyWhen("{ group: [staff, ops] }"), WIKI, factsOf({ user: "ann", groups: ["ops", "staff"] }), NOW).decidedBy).toEqual(["p"]);
  });

  it("compiled policies find apps by id and by host, whatever the case and port", () => {
    const policy = policyOf("[]", "", 'apps:\n  - { id: wiki, site: berlin, upstream: "http://a:1" }\n  - { id: b, site: berlin, upstream: "http://a:1", hostname: intranet.example.org }\n');
    expect(policy.appByHost("Wiki.Access.Example.com:8787")?.id).toBe("wiki");
    expect(policy.appByHost("intranet.example.org")?.id).toBe("b");
    expect(["access.example.com", "b.access.example.com", "x.wiki.access.example.com", "__proto__", ""].map((host) => policy.appByHost(host))).toEqual([undefined, undefined, undefined, undefined, undefined]);
    expect([policy.app("wiki")?.id, policy.app("constructor"), policy.plan("__proto__"), policy.candidates("x")]).toEqual(["wiki", undefined, undefined, undefined]);
  });
});
