/** What holds of every policy, whoever asks. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { at, type Millis } from "../../core/time.ts";
import { compile } from "../../policy/compile.ts";
import { decide } from "../../policy/decide.ts";
import type { Fact, Facts } from "../../policy/facts.ts";
import { documentOf, NOW, policyOf, textOf } from "./fixtures.ts";
import { askArbitrary, factsArbitrary, json, policiesOf } from "./generated.ts";

const RUNS = { numRuns: 200 };
const RANK = { deny: 0, step_up: 1, allow: 2 } as const;

describe("decide()", () => {
  it("P3: adding a deny never turns a denial into more, and a deny that counts always wins", () => {
    fc.assert(
      fc.property(policiesOf(), policiesOf({ effects: ["deny"] }), askArbitrary, factsArbitrary, (policies, denies, ask, facts) => {
        const before = decide(policyOf(json(policies)), ask, facts, NOW);
        const more = denies.map((deny, i) => ({ ...deny, id: `d${i}` }));
        const after = decide(policyOf(json([...policies, ...more])), ask, facts, NOW);
        expect(RANK[after.effect]).toBeLessThanOrEqual(RANK[before.effect]);
        const alone = decide(policyOf(json(more)), ask, facts, NOW);
        if (alone.reason === "denied") expect(after).toMatchObject({ effect: "deny", reason: "denied" });
      }),
      RUNS,
    );
  });

  it("P4: nothing depends on the order in the file", () => {
    fc.assert(
      fc.property(policiesOf(), fc.nat(), askArbitrary, factsArbitrary, (policies, turn, ask, facts) => {
        const cut = turn % policies.length;
        const turned = [...policies.slice(cut), ...policies.slice(0, cut)].reverse().map((policy) => {
          const when = policy["when"] as Record<string, unknown>;
          return { ...policy, when: Object.fromEntries(Object.entries(when).reverse()) };
        });
        expect(decide(policyOf(json(turned)), ask, facts, NOW)).toEqual(decide(policyOf(json(policies)), ask, facts, NOW));
      }),
      RUNS,
    );
  });

  it("P1: a fact that has run out is as good as none", () => {
    fc.assert(
      fc.property(policiesOf(), askArbitrary, factsArbitrary, fc.nat(), (policies, ask, facts, index) => {
        const names = Object.keys(facts.known);
        const name = names[index % Math.max(1, names.length)];
        if (name === undefined) return;
        const policy = policyOf(json(policies));
        const { [name]: fact, ...rest } = facts.known;
        const spent: Fact = { ...(fact as Fact), observedAt: at(0), expiresAt: at(1) };
        expect(decide(policy, ask, { ...facts, known: { ...rest, [name]: spent } }, NOW)).toEqual(decide(policy, ask, { ...facts, known: rest }, NOW));
      }),
      RUNS,
    );
  });

  it("P1: a fact of infinite age never turns a denial into allow", () => {
    fc.assert(
      fc.property(policiesOf(), askArbitrary, factsArbitrary, factsArbitrary, (policies, ask, facts, other) => {
        const policy = policyOf(json(policies));
        if (decide(policy, ask, facts, NOW).effect === "allow") return;
        // Only those whose age is bounded by a rule: without one a fact lives as long as its source says.
        for (const name of ["mfa", "auth", "device.os"] as const) {
          const fact = other.known[name];
          if (fact === undefined || facts.known[name] !== undefined) continue;
          const old: Fact = { ...fact, observedAt: at(Number.NEGATIVE_INFINITY) };
          const unbounded = name === "mfa" && JSON.stringify(policies).match(/"mfa":(?:true|\{"methods")/) !== null;
          if (unbounded) continue;
          expect(decide(policy, ask, { ...facts, known: { ...facts.known, [name]: old } }, NOW).effect).not.toBe("allow");
        }
      }),
      RUNS,
    );
  });

  it("P2: taking a fact away never gives more, in a document without `not`", () => {
    fc.assert(
      fc.property(policiesOf({ negation: false }), askArbitrary, factsArbitrary, (policies, ask, facts) => {
        const policy = policyOf(json(policies));
        const full = decide(policy, ask, facts, NOW);
        for (const name of Object.keys(facts.known)) {
          const { [name]: _, ...rest } = facts.known;
          const less = decide(policy, ask, { ...facts, known: rest }, NOW);
          expect(less.effect === "allow" && full.effect !== "allow", name).toBe(false);
        }
      }),
      RUNS,
    );
  });

  it("P18: the decision stands until redecideAt", () => {
    fc.assert(
      fc.property(policiesOf(), askArbitrary, factsArbitrary, fc.double({ min: 0, max: 1, noNaN: true }), (policies, ask, facts, share) => {
        const policy = policyOf(json(policies));
        const first = decide(policy, ask, facts, NOW);
        const end = first.redecideAt ?? NOW + 40 * 86_400_000;
        expect(end).toBeGreaterThan(NOW);
        for (const now of [Math.floor(NOW + (end - 1 - NOW) * share), end - 1]) {
          const later = decide(policy, ask, facts, at(now));
          expect({ effect: later.effect, decidedBy: later.decidedBy, stepUp: later.stepUp, limits: later.limits }).toEqual({ effect: first.effect, decidedBy: first.decidedBy, stepUp: first.stepUp, limits: first.limits });
        }
      }),
      { numRuns: 300 },
    );
  });

  it("P18, P19: redecideAt is never later than the session's end", () => {
    fc.assert(
      fc.property(policiesOf(), askArbitrary, factsArbitrary, (policies, ask, facts) => {
        const { effect, limits, redecideAt } = decide(policyOf(json(policies)), ask, facts, NOW);
        if (effect !== "allow" || limits.sessionEndsAt === undefined) return;
        expect(redecideAt).toBeLessThanOrEqual(limits.sessionEndsAt);
        expect(limits.sessionEndsAt).toBeGreaterThan(NOW);
      }),
      RUNS,
    );
  });

  it("P3: after the sign-in that step_up asks for, the answer is allow", () => {
    let seen = 0;
    fc.assert(
      fc.property(policiesOf({ effects: ["allow", "allow", "deny"] }), askArbitrary, factsArbitrary, (policies, ask, facts) => {
        const policy = policyOf(json(policies));
        const { effect, stepUp } = decide(policy, ask, facts, NOW);
        if (effect !== "step_up" || stepUp === undefined) return;
        seen++;
        const fresh: Fact = { value: true, source: "corp", observedAt: NOW };
        const mfa: Fact = { value: { methods: stepUp.methods }, source: "corp", observedAt: NOW };
        const after: Facts = {
          ...facts,
          known: { ...facts.known, auth: fresh, ...(stepUp.mfa ? { mfa } : {}) },
          ...(facts.session === undefined ? {} : { session: { startedAt: NOW, lastActiveAt: NOW } }),
        };
        expect(decide(policy, ask, after, NOW).effect).toBe("allow");
      }),
      { numRuns: 700 },
    );
    expect(seen).toBeGreaterThan(5);
  });

  it("P13, P20: the anonymous and services get nothing from allows that do not name them", () => {
    fc.assert(
      fc.property(policiesOf(), askArbitrary, factsArbitrary, (policies, ask, facts) => {
        const decision = decide(policyOf(json(policies)), ask, facts, NOW);
        if (facts.subject.kind === "anonymous") expect(decision).toMatchObject({ effect: "deny", explained: false });
        if (facts.subject.kind === "service" && !json(policies).includes('"service"')) expect(decision.effect).toBe("deny");
      }),
      RUNS,
    );
  });

  it("the same document compiled twice, or read back from JSON, decides alike", () => {
    fc.assert(
      fc.property(policiesOf(), askArbitrary, factsArbitrary, (policies, ask, facts) => {
        const document = documentOf(textOf(json(policies)));
        const copy = JSON.parse(JSON.stringify(document)) as typeof document;
        expect(copy).toEqual(document);
        expect(decide(compile(copy, 7), ask, facts, NOW)).toEqual(decide(compile(document, 7), ask, facts, NOW));
      }),
      { numRuns: 100 },
    );
  });
});

describe("decide() fails closed", () => {
  const facts: Facts = { subject: { kind: "user", id: "ann" }, known: { groups: { value: ["corp:staff"], source: "corp", observedAt: NOW } } };
  const policy = policyOf('[{ id: p, effect: allow, apps: "*", when: { group: staff } }]');
  const ask = { app: "wiki", protocol: "http", method: "GET", path: "/" } as const;

  const broken = (known: object): Facts => ({ ...facts, known: known as Facts["known"] });
  const trap = new Proxy({}, { get: () => { throw new Error("canary"); }, getOwnPropertyDescriptor: () => { throw new Error("canary"); } });

  it.each<[string, () => unknown]>([
    ["facts that throw", () => decide(policy, ask as never, broken(trap), NOW)],
    ["facts that are missing", () => decide(policy, ask as never, undefined as never, NOW)],
    ["known that is null", () => decide(policy, ask as never, broken(null as never), NOW)],
    ["a fact that is null", () => decide(policy, ask as never, broken({ groups: null }), NOW)],
    ["a subject of a kind that does not exist", () => decide(policy, ask as never, { ...facts, subject: { kind: "root", id: "" } as never }, NOW)],
    ["a policy without a plan", () => decide({ ...policy, plan: () => { throw new Error("canary"); } }, ask as never, facts, NOW)],
    ["a policy that is nothing", () => decide(undefined as never, ask as never, facts, NOW)],
    ["an instant that is no number", () => decide(policy, ask as never, facts, Number.NaN as Millis)],
  ])("%s: a blank denial", (_, run) => {
    expect(run()).toMatchObject({ effect: "deny", explained: false, decidedBy: [] });
  });

  it("and the same question, unbroken, is allowed", () => {
    expect(decide(policy, ask as never, facts, NOW).effect).toBe("allow");
  });
});
