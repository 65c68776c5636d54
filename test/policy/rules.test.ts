/** What decide() answers, rule by rule. */
import { describe, expect, it } from "vitest";
import { ADMIN_APP } from "../../core/ids.ts";
import { at, HOUR_MS, MINUTE_MS } from "../../core/time.ts";
import { ANONYMOUS, type Facts } from "../../policy/facts.ts";
import { ask, askFor, effectOf, factOf, factsOf, NOW, PG, policyOf, policyWhen, STAFF, WIKI, withFacts } from "./fixtures.ts";

const allow = (id: string, when: string, rest = ""): string => `{ id: ${id}, effect: allow, apps: "*", when: ${when}${rest} }`;
const deny = (id: string, when: string, rest = ""): string => `{ id: ${id}, effect: deny, apps: "*", when: ${when}${rest} }`;
const limit = (id: string, when: string, limits: string): string => `{ id: ${id}, effect: limit, apps: "*", when: ${when}, limits: ${limits} }`;
const service = (name: string): Facts => factsOf({ service: name });

describe("P1: three-valued logic", () => {
  it.each([
    ["{ all: [{ group: staff }, { risk: low }] }", "deny", "true and unknown is not true"],
    ["{ any: [{ group: staff }, { risk: low }] }", "allow", "true or unknown is true"],
    ["{ not: { risk: low } }", "deny", "not unknown is unknown"],
    ["{ not: { group: managers } }", "allow", "not false is true"],
    ["{ any: [{ group: managers }, { risk: low }] }", "deny", "false or unknown is unknown"],
    ["{ not: { all: [{ group: managers }, { risk: low }] } }", "allow", "false and unknown is false"],
  ])("P1: an allow with %s gives %s: %s", (when, effect) => {
    expect(effectOf(policyWhen(when), WIKI, STAFF)).toBe(effect);
  });

  it.each([
    ["a fact of the wrong type", withFacts(STAFF, { groups: factOf("staff") })],
    ["a fact that ran out", withFacts(STAFF, { groups: factOf(["corp:staff"], 0, { expiresAt: NOW }) })],
    ["a fact from far in the future", withFacts(STAFF, { groups: factOf(["corp:staff"], -2 * MINUTE_MS) })],
    ["a missing fact", withFacts(STAFF, { groups: undefined })],
    ["an instant that is no number", withFacts(STAFF, { groups: factOf(["corp:staff"], 0, { observedAt: at(Number.NaN) }) })],
  ])("P1: %s is unknown", (_, facts) => {
    expect(effectOf(policyWhen("{ group: staff }"), WIKI, facts)).toBe("deny");
    expect(effectOf(policyOf(`[${allow("a", "{ user: ann }")}, ${deny("d", "{ group: staff }")}]`), WIKI, facts)).toBe("deny");
  });

  it("P1: the country XX is unknown", () => {
    const facts = withFacts(STAFF, { country: factOf("XX") });
    expect(effectOf(policyWhen("{ country: DE }"), WIKI, facts)).toBe("deny");
    expect(effectOf(policyWhen("{ not: { country: DE } }"), WIKI, facts)).toBe("deny");
  });
});

describe("P2, P3: who counts, and deny wins", () => {
  it("P2: a deny counts when it is unknown, an allow does not", () => {
    const policy = policyOf(`[${allow("a", "{ group: staff }")}, ${deny("d", "{ country: [RU] }")}]`);
    expect(ask(policy, WIKI, STAFF)).toMatchObject({ effect: "deny", reason: "denied", decidedBy: ["d"] });
    expect(effectOf(policy, WIKI, withFacts(STAFF, { country: factOf("DE") }))).toBe("allow");
  });

  it("P2: a policy whose apps or http do not apply is not looked at", () => {
    const policy = policyOf(`[${allow("a", "{ group: staff }")}, { id: d, effect: deny, apps: crm, when: { risk: high } }, ${deny("e", "{ risk: high }", ", http: { methods: [POST] }")}]`);
    expect(effectOf(policy, WIKI, STAFF)).toBe("allow");
    expect(effectOf(policy, askFor("crm"), STAFF)).toBe("deny");
    expect(effectOf(policy, askFor("wiki", { method: "POST" }), STAFF)).toBe("deny");
  });

  it("P3: a deny that counts wins over every allow; nothing matching is deny", () => {
    expect(ask(policyOf(`[${allow("a", "{ group: staff }")}, ${deny("d", "{ user: ann }")}]`), WIKI, STAFF)).toMatchObject({ effect: "deny", decidedBy: ["d"] });
    expect(ask(policyOf("[]"), WIKI, STAFF)).toMatchObject({ effect: "deny", reason: "no_allow", decidedBy: [], explained: false });
  });

  it("P3: step_up when a sign-in now would give allow, and not when a deny counts or another criterion fails", () => {
    const policy = policyOf(`[${allow("a", "{ group: staff, mfa: { max_age: 12h, methods: [hwk] } }")}]`);
    expect(ask(policy, WIKI, STAFF)).toMatchObject({ effect: "step_up", reason: "step_up", decidedBy: ["a"], explained: true, stepUp: { maxAge: 12 * HOUR_MS, methods: ["hwk"], mfa: true } });
    expect(effectOf(policy, WIKI, factsOf({ user: "bob", groups: ["guests"] }))).toBe("deny");
    expect(effectOf(policyOf(`[${allow("a", "{ group: staff, mfa: true }")}, ${deny("d", "{ user: ann }")}]`), WIKI, STAFF)).toBe("deny");
    expect(effectOf(policyOf(`[${allow("a", "{ group: staff, mfa: true }")}, ${deny("d", "{ not: { mfa: true } }")}]`), WIKI, STAFF)).toBe("deny");
    expect(effectOf(policyWhen("{ group: staff, mfa: true, country: DE }"), WIKI, STAFF)).toBe("deny");
  });

  it("P3: step_up is not offered when a deny would count after the sign-in", () => {
    expect(effectOf(policyOf(`[${allow("a", "{ mfa: { methods: [sms] } }")}, ${deny("d", "{ mfa: { methods: [sms] } }")}]`), WIKI, withFacts(STAFF, { mfa: factOf({ methods: ["otp"] }) }))).toBe("deny");
  });
});

describe("P4: the least demand", () => {
  it.each([
    ["fewest methods", ["{ mfa: { methods: [hwk, otp], max_age: 12h } }", "{ mfa: { methods: [pin], max_age: 1h } }"], "b", { methods: ["pin"], maxAge: HOUR_MS, mfa: true }],
    ["then the longest max_age", ["{ mfa: { methods: [hwk], max_age: 1h } }", "{ mfa: { methods: [pin], max_age: 2h } }"], "b", { methods: ["pin"], maxAge: 2 * HOUR_MS, mfa: true }],
    ["then the id", ["{ mfa: { methods: [hwk], max_age: 1h } }", "{ mfa: { methods: [pin], max_age: 1h } }"], "a", { methods: ["hwk"], maxAge: HOUR_MS, mfa: true }],
    ["a fresh sign-in asks less than a factor", ["{ mfa: true }", "{ session_age: { max: 15m } }"], "b", { methods: [], maxAge: 15 * MINUTE_MS, mfa: false }],
    ["mfa and session_age of one allow together", ["{ mfa: { max_age: 8h }, session_age: { max: 1h } }", "{ group: nobody }"], "a", { methods: [], maxAge: HOUR_MS, mfa: true }],
  ])("P4: step_up names the allow that demands least: %s", (_, [first, second], by, stepUp) => {
    for (const order of [`[${allow("a", String(first))}, ${allow("b", String(second))}]`, `[${allow("b", String(second))}, ${allow("a", String(first))}]`]) {
      expect(ask(policyOf(order), WIKI, STAFF)).toMatchObject({ effect: "step_up", decidedBy: [by], stepUp });
    }
  });
});

describe("P5, P6, P7: limits", () => {
  it("P5: a limit policy binds when true or unknown, and never grants", () => {
    const only = policyOf(`[${limit("l", "{ group: staff }", "{ read_only: true }")}]`);
    expect(effectOf(only, WIKI, STAFF)).toBe("deny");
    const both = policyOf(`[${allow("a", "{ group: staff }")}, ${limit("l", "{ risk: [medium, high] }", "{ max_bytes: 1MB }")}]`);
    expect(ask(both, WIKI, STAFF)).toMatchObject({ effect: "allow", limits: { maxBytes: 1e6 }, decidedBy: ["a", "l"] });
    expect(ask(both, WIKI, withFacts(STAFF, { risk: factOf("low") })).limits.maxBytes).toBeUndefined();
  });

  it("P6: limits of counting allows join permissively per key, then the strictest of the rest", () => {
    const policy = policyOf(`[
      ${allow("a", "{ group: staff }", ", limits: { session: 2h, max_bytes: 5MB, read_only: true }")},
      ${allow("b", "{ user: ann }", ", limits: { session: 4h, max_bytes: 1MB }")},
      ${allow("c", "{ user: bob }", ", limits: { session: 9h }")}]`);
    expect(ask(policy, WIKI, STAFF)).toMatchObject({ decidedBy: ["a", "b"], limits: { sessionEndsAt: NOW - HOUR_MS + 4 * HOUR_MS, maxBytes: 5e6, readOnly: false } });
  });

  it("P6: an allow without a limit does not limit; app and limit policies then shorten", () => {
    const apps = `apps:\n  - { id: wiki, site: berlin, upstream: "http://10.0.0.5:8080", session: { max: 3h, idle: 20m } }\n`;
    const base = `${allow("a", "{ group: staff }", ", limits: { session: 2h }")}, ${allow("b", "{ user: ann }")}`;
    expect(ask(policyOf(`[${base}]`, "", apps), WIKI, STAFF).limits).toMatchObject({ sessionEndsAt: NOW + 2 * HOUR_MS, idle: 20 * MINUTE_MS });
    const limited = policyOf(`[${base}, ${limit("l", "{ group: staff }", "{ session: 90m, idle: 5m }")}]`, "", apps);
    expect(ask(limited, WIKI, STAFF).limits).toMatchObject({ sessionEndsAt: NOW + 30 * MINUTE_MS, idle: 5 * MINUTE_MS });
  });

  it.each(["GET", "HEAD", "OPTIONS"])("P7: read_only lets %s pass", (method) => {
    expect(effectOf(policyWhen("{ group: staff }", ", limits: { read_only: true }"), askFor("wiki", { method }), STAFF)).toBe("allow");
  });

  it.each([
    ["POST", askFor("wiki", { method: "POST" })],
    ["lower-case get", askFor("wiki", { method: "get" })],
    ["a WebSocket", askFor("wiki", { protocol: "websocket" })],
    ["TCP", PG],
  ])("P7: read_only refuses %s with its own reason", (_, what) => {
    const policy = policyWhen("{ group: staff }", ", limits: { read_only: true }");
    expect(ask(policy, what, STAFF)).toMatchObject({ effect: "deny", reason: "read_only", decidedBy: ["p"], explained: true });
  });
});

describe("P8, P9, P10: narrowing", () => {
  const narrowed = (http: string) => policyWhen("{ group: staff }", `, http: ${http}`);

  it.each([
    ["GET", "GET", "allow"],
    ["GET", "HEAD", "deny"],
    ["GET", "get", "deny"],
    ["GET", "PROPFIND", "deny"],
    ["DELETE", "POST", "deny"],
  ])("P8: methods are exact: [%s] and %s give %s", (wanted, method, effect) => {
    expect(effectOf(narrowed(`{ methods: [${wanted}] }`), askFor("wiki", { method }), STAFF)).toBe(effect);
  });

  it("P8: a WebSocket is GET on its path", () => {
    const policy = narrowed("{ methods: [GET], paths: [/live] }");
    expect(effectOf(policy, askFor("wiki", { protocol: "websocket", path: "/live" }), STAFF)).toBe("allow");
    expect(effectOf(policy, askFor("wiki", { protocol: "websocket", path: "/other" }), STAFF)).toBe("deny");
  });

  it("P9: a deny also matches with ;params removed, an allow does not", () => {
    const policy = policyOf(`[${allow("a", "{ group: staff }", ', http: { paths: ["/x/**"] }')}, ${deny("d", "{ group: staff }", ", http: { paths: [/x/admin] }")}]`);
    expect(effectOf(policy, askFor("wiki", { path: "/x/admin;v=1" }), STAFF)).toBe("deny");
    expect(effectOf(policy, askFor("wiki", { path: "/x;a/admin" }), STAFF)).toBe("deny");
    expect(effectOf(policy, askFor("wiki", { path: "/x/other;v=1" }), STAFF)).toBe("allow");
    expect(effectOf(narrowed("{ paths: [/x] }"), askFor("wiki", { path: "/x;v=1" }), STAFF)).toBe("deny");
  });

  it.each([
    ["wiki", "/ADMIN", "allow"],
    ["shop", "/ADMIN", "deny"],
    ["shop", "/Admin/Users", "deny"],
    ["shop", "/%C3%84dmin", "allow"],
    ["shop", "/%C3%84RGER", "deny"],
  ])("P9, P10: paths are case-sensitive unless the app folds them: %s %s is %s under a deny", (app, path, effect) => {
    const policy = policyOf(`[${allow("a", "{ group: staff }")}, ${deny("d", "{ group: staff }", ', http: { paths: ["/admin/**", "/ärger"] }')}]`);
    expect(effectOf(policy, askFor(app, { path }), STAFF)).toBe(effect);
  });

  it("P10: a policy with http never applies to a tcp app", () => {
    const policy = policyOf(`[${allow("a", "{ group: staff }")}, ${deny("d", "{ group: staff }", ", http: { methods: [GET] }")}]`);
    expect(effectOf(policy, PG, STAFF)).toBe("allow");
    expect(effectOf(narrowed("{ methods: [GET] }"), PG, STAFF)).toBe("deny");
    const paths = policyOf(`[${allow("a", "{ group: staff }")}, ${deny("d", "{ group: staff }", ', http: { paths: ["/**"] }')}]`);
    expect(effectOf(paths, PG, STAFF)).toBe("allow");
    expect(effectOf(narrowed('{ paths: ["/**"] }'), PG, STAFF)).toBe("deny");
  });

  it("P10: a stream of another protocol than the app's is refused", () => {
    const policy = policyWhen("{ group: staff }");
    expect(effectOf(policy, { ...PG, protocol: "http" }, STAFF)).toBe("deny");
    expect(effectOf(policy, { ...WIKI, protocol: "tcp" }, STAFF)).toBe("deny");
  });
});

describe("P11: which apps", () => {
  it.each([
    ["wiki", "wiki", "allow"],
    ["wiki", "crm", "deny"],
    ['"tag:internal"', "crm", "allow"],
    ['["tag:money", shop]', "shop", "allow"],
    ['["tag:money", shop]', "wiki", "deny"],
    ['"*"', "shop", "allow"],
    ['"*", except: [shop]', "shop", "deny"],
    ['"*", except: ["tag:internal"]', "wiki", "deny"],
    ['"tag:internal", except: ["tag:money"]', "wiki", "allow"],
  ])("P11: apps: %s and app %s give %s", (apps, app, effect) => {
    expect(effectOf(policyOf(`[{ id: p, effect: allow, apps: ${apps}, when: { group: staff } }]`), askFor(app), STAFF)).toBe(effect);
  });

  it("P11: \"*\" is never postern:admin, which must be named", () => {
    const all = policyWhen("{ group: staff }");
    const named = policyOf('[{ id: p, effect: allow, apps: ["postern:admin"], when: { group: staff }, limits: { role: responder } }]');
    expect(effectOf(all, askFor(ADMIN_APP), STAFF)).toBe("deny");
    expect(ask(named, askFor(ADMIN_APP), STAFF)).toMatchObject({ effect: "allow", limits: { role: "responder" } });
  });

  it("P11: an allow of postern:admin without a role gives viewer; a limit policy lowers a role", () => {
    const admin = '["postern:admin"]';
    const policy = policyOf(`[{ id: a, effect: allow, apps: ${admin}, when: { group: staff } }]`);
    expect(ask(policy, askFor(ADMIN_APP), STAFF).limits.role).toBe("viewer");
    const lowered = policyOf(`[{ id: a, effect: allow, apps: ${admin}, when: { group: staff }, limits: { role: operator } }, { id: l, effect: limit, apps: ${admin}, when: { risk: high }, limits: { role: viewer } }]`);
    expect(ask(lowered, askFor(ADMIN_APP), STAFF).limits.role).toBe("viewer");
    expect(ask(lowered, askFor(ADMIN_APP), withFacts(STAFF, { risk: factOf("low") })).limits.role).toBe("operator");
  });

  it("an app that does not exist is a blank denial of its own", () => {
    expect(ask(policyWhen("{ group: staff }"), askFor("nothing"), STAFF)).toMatchObject({ effect: "deny", reason: "unknown_app", explained: false, decidedBy: [] });
  });
});

describe("P13: subjects", () => {
  it("P13: an allow covers services only through a service criterion", () => {
    expect(effectOf(policyWhen("{ country: DE }"), WIKI, withFacts(service("ci"), { country: factOf("DE") }))).toBe("deny");
    expect(effectOf(policyWhen("{ service: ci }"), WIKI, service("ci"))).toBe("allow");
    expect(effectOf(policyWhen("{ service: ci }"), WIKI, service("other"))).toBe("deny");
    expect(effectOf(policyWhen("{ any: [{ service: ci }, { group: staff }] }"), WIKI, service("ci"))).toBe("allow");
    expect(effectOf(policyWhen("{ not: { service: other } }"), WIKI, service("ci"))).toBe("deny");
  });

  it("P13: user, email, group, mfa and session_age are unknown for a service, whatever facts came along", () => {
    for (const when of ["{ user: ann }", '{ email: "ann@example.com" }', "{ email_domain: example.com }", "{ group: staff }", "{ mfa: true }", "{ session_age: { max: 1h } }"]) {
      const facts: Facts = { ...factsOf({ user: "ann", email: "ann@example.com", groups: ["staff"], mfa: true, auth_age: "1m" }), subject: { kind: "service", id: "ci" } };
      const named = withFacts(facts, { service: factOf("ci") });
      expect(effectOf(policyOf(`[${allow("a", `{ service: ci, any: [${when}] }`)}]`), WIKI, named), when).toBe("deny");
      expect(effectOf(policyOf(`[${allow("a", "{ service: ci }")}, ${deny("d", `{ any: [${when}] }`)}]`), WIKI, named), when).toBe("deny");
    }
  });

  it("P13: deny and limit cover all, unless subject says otherwise", () => {
    const text = (subject: string) => `[${allow("a", "{ service: ci }")}, ${deny("d", "{ group: contractors }", subject)}]`;
    expect(effectOf(policyOf(text("")), WIKI, service("ci"))).toBe("deny");
    expect(effectOf(policyOf(text(", subject: [user]")), WIKI, service("ci"))).toBe("allow");
  });

  it("P13: a service criterion is false for a user, so that a deny of a service stops nobody else", () => {
    expect(effectOf(policyOf(`[${allow("a", "{ group: staff }")}, ${deny("d", "{ service: ci }")}]`), WIKI, STAFF)).toBe("allow");
  });

  it("P13: a user id is enough to know a user, whatever the provider's facts", () => {
    const id = `u_${"b".repeat(43)}`;
    const facts: Facts = { subject: { kind: "user", id }, known: {} };
    expect(effectOf(policyWhen(`{ user: ${id} }`), WIKI, facts)).toBe("allow");
    expect(effectOf(policyWhen(`{ user: u_${"c".repeat(43)} }`), WIKI, facts)).toBe("deny");
  });

  it("P13: a device may be a subject of its own", () => {
    const facts = factsOf({ device: { registered: true } });
    expect(facts.subject.kind).toBe("device");
    expect(effectOf(policyWhen("{ device: { registered: true } }"), WIKI, facts)).toBe("allow");
    expect(effectOf(policyWhen("{ device: { registered: true } }", ", subject: [user]"), WIKI, facts)).toBe("deny");
  });
});

describe("P17, P18, P19: time", () => {
  it("P17: only what stands in the facts is looked at, however the connection changed since", () => {
    const policy = policyWhen("{ group: staff, country: DE }");
    expect(effectOf(policy, WIKI, withFacts(STAFF, { country: factOf("DE", 100 * HOUR_MS) }))).toBe("allow");
  });

  it("P18: redecideAt is the earliest change of a fact, window or session", () => {
    const mfa = withFacts(STAFF, { mfa: factOf({ methods: ["otp"] }, HOUR_MS) });
    expect(ask(policyWhen("{ mfa: { max_age: 2h } }"), WIKI, mfa).redecideAt).toBe(NOW + HOUR_MS + 1);
    expect(ask(policyWhen("{ mfa: true }"), WIKI, mfa).redecideAt).toBe(NOW + 8 * HOUR_MS);
    expect(ask(policyWhen("{ time_window: { to: \"12:00\", zone: Europe/Berlin } }"), WIKI, STAFF).redecideAt).toBe(NOW + HOUR_MS);
    expect(ask(policyWhen("{ group: staff }"), WIKI, { ...STAFF, session: { startedAt: at(NOW - 23 * HOUR_MS), lastActiveAt: NOW } }).redecideAt).toBe(NOW + HOUR_MS);
    expect(ask(policyWhen("{ service: ci }"), WIKI, service("ci")).redecideAt).toBeUndefined();
  });

  it("P18: a deny that will begin to count is awaited too", () => {
    const policy = policyOf(`[${allow("a", "{ service: ci }")}, ${deny("d", "{ time_window: { from: \"12:00\", zone: Europe/Berlin } }")}]`);
    expect(ask(policy, WIKI, service("ci"))).toMatchObject({ effect: "allow", redecideAt: NOW + HOUR_MS });
  });

  it("P18: a limit that will begin to bind is awaited too", () => {
    const policy = policyOf(`[${allow("a", "{ service: ci }")}, ${limit("l", '{ time_window: { from: "12:00", zone: Europe/Berlin } }', "{ read_only: true }")}]`);
    expect(ask(policy, WIKI, service("ci"))).toMatchObject({ effect: "allow", redecideAt: NOW + HOUR_MS });
  });

  it("P18: a denial that will become a step-up is awaited too", () => {
    const policy = policyWhen('{ session_age: { max: 1h }, time_window: { from: "12:00", zone: Europe/Berlin } }');
    const facts = withFacts(STAFF, { auth: factOf(true, 5 * HOUR_MS) });
    const first = ask(policy, WIKI, facts);
    expect(first).toMatchObject({ effect: "deny", redecideAt: NOW + HOUR_MS });
    expect(effectOf(policy, WIKI, facts, at(NOW + HOUR_MS))).toBe("step_up");
  });

  it.each([["12:00", "13:00"], ["13:00", "12:00"]])("P4, P18: what two shut windows keep shut (%s, %s) is looked at again when the last opens", (first, second) => {
    const opening = (from: string): string => `{ time_window: { from: "${from}", zone: Europe/Berlin } }`;
    const policy = policyWhen(`{ service: ci, all: [${opening(first)}, ${opening(second)}] }`);
    expect(ask(policy, WIKI, service("ci")).redecideAt).toBe(NOW + 2 * HOUR_MS);
  });

  it.each([
    ["the longest life", { startedAt: at(NOW - 24 * HOUR_MS), lastActiveAt: NOW }],
    ["idleness", { startedAt: at(NOW - 9 * HOUR_MS), lastActiveAt: at(NOW - 8 * HOUR_MS) }],
    ["a session of no sense", { startedAt: at(Number.NaN), lastActiveAt: NOW }],
  ])("P19: a session is over by %s, and signing in again is the remedy", (_, session) => {
    const decision = ask(policyWhen("{ group: staff }"), WIKI, { ...STAFF, session });
    expect(decision).toMatchObject({ effect: "step_up", reason: "session_over", decidedBy: ["p"], stepUp: { methods: [], mfa: false } });
  });

  it("P19: an app may shorten the defaults, never lengthen them", () => {
    const apps = (max: string) => `apps:\n  - { id: wiki, site: berlin, upstream: "http://10.0.0.5:8080", session: { max: ${max} } }\n`;
    const allowed = `[${allow("a", "{ group: staff }")}]`;
    expect(ask(policyOf(allowed, "", apps("2h")), WIKI, STAFF).limits.sessionEndsAt).toBe(NOW + HOUR_MS);
    expect(ask(policyOf(allowed, "", apps("30d")), WIKI, STAFF).limits.sessionEndsAt).toBe(NOW + 23 * HOUR_MS);
    expect(ask(policyOf(allowed, "defaults: { session: { max: 6h, idle: 10m } }"), WIKI, STAFF).limits).toMatchObject({ sessionEndsAt: NOW + 5 * HOUR_MS, idle: 10 * MINUTE_MS });
  });

  it("P19: a subject without a session has no session limits", () => {
    expect(ask(policyWhen("{ service: ci }"), WIKI, service("ci")).limits).toEqual({ readOnly: false });
  });
});

describe("P20: public paths", () => {
  const open = policyOf('[{ id: open, effect: allow, apps: wiki, when: { anyone: true }, http: { paths: ["/public/**"] } }, { id: office, effect: allow, apps: crm, when: { country: DE } }]');
  const anonymous: Facts = { subject: ANONYMOUS, known: { country: factOf("DE") } };

  it("P20: anyone: true lets the anonymous in on its paths only", () => {
    expect(ask(open, askFor("wiki", { path: "/public/logo.png" }), anonymous)).toMatchObject({ effect: "allow", decidedBy: ["open"] });
    expect(ask(open, askFor("wiki", { path: "/private" }), anonymous)).toMatchObject({ effect: "deny", explained: false });
  });

  it("P20: an allow that names nobody does not cover the anonymous", () => {
    expect(effectOf(open, askFor("crm"), anonymous)).toBe("deny");
    expect(effectOf(open, askFor("crm"), withFacts(STAFF, { country: factOf("DE") }))).toBe("allow");
  });
});

describe("P21 to P25: what decide() leaves to the gate", () => {
  it("P21: a preflight is decided like any request", () => {
    const policy = policyWhen("{ group: staff }", ", http: { methods: [GET] }");
    expect(effectOf(policy, askFor("wiki", { method: "OPTIONS" }), STAFF)).toBe("deny");
  });
});

describe("Explained or blank", () => {
  const policy = policyOf(`[
    { id: staff, effect: allow, apps: wiki, when: { group: staff, country: DE } },
    { id: mixed, effect: allow, apps: crm, when: { any: [{ group: bosses }, { country: DE }] } },
    { id: robots, effect: allow, apps: shop, when: { service: ci, ip_range: 192.0.2.0/24 } },
    { id: never, effect: deny, apps: wiki, when: { user: eve } }]`);
  const guest = factsOf({ user: "guest", groups: ["guests"] });

  it.each([
    ["who-criteria hold, the country fails: explained", WIKI, STAFF, true],
    ["who-criteria fail: blank", WIKI, guest, false],
    ["a who-criterion is unknown: blank", WIKI, withFacts(STAFF, { groups: undefined }), false],
    ["in an any, the who-criterion must hold", askFor("crm"), STAFF, false],
    ["in an any, an unknown who-criterion does not hold", askFor("crm"), withFacts(STAFF, { groups: undefined }), false],
    ["a service that is named: explained", askFor("shop"), service("ci"), true],
    ["a service that is not: blank", askFor("shop"), service("other"), false],
    ["a user where only services are meant: blank", askFor("shop"), STAFF, false],
    ["denied by a deny, but meant by an allow: explained", WIKI, factsOf({ user: "eve", groups: ["staff"] }), true],
    ["signed out: blank", WIKI, { subject: ANONYMOUS, known: {} }, false],
  ])("%s", (_, what, facts, explained) => {
    expect(ask(policy, what, facts)).toMatchObject({ effect: "deny", explained });
  });

  it("visible: true explains to every signed-in user and to nobody else", () => {
    const apps = 'apps:\n  - { id: wiki, site: berlin, upstream: "http://10.0.0.5:8080", visible: true }\n';
    const visible = policyOf("[{ id: staff, effect: allow, apps: wiki, when: { group: staff } }]", "", apps);
    expect(ask(visible, WIKI, guest).explained).toBe(true);
    expect(ask(visible, WIKI, service("ci")).explained).toBe(false);
    expect(ask(visible, WIKI, { subject: ANONYMOUS, known: {} }).explained).toBe(false);
  });
});

describe("the grant of postern setup", () => {
  const setup: Facts = { subject: { kind: "service", id: "postern:setup" }, known: { service: factOf("postern:setup", 0, { source: "postern" }) } };

  it("administers although no document can name it, and nothing else", () => {
    expect(ask(policyOf("[]"), askFor(ADMIN_APP), setup)).toMatchObject({ effect: "allow", decidedBy: ["postern:setup"], limits: { role: "operator" } });
    expect(effectOf(policyWhen("{ service: ci }"), WIKI, setup)).toBe("deny");
    expect(effectOf(policyOf("[]"), askFor(ADMIN_APP), service("other"))).toBe("deny");
  });

  it("a deny in the document beats it", () => {
    expect(effectOf(policyOf('[{ id: d, effect: deny, apps: ["postern:admin"], when: { anyone: true } }]'), askFor(ADMIN_APP), setup)).toBe("deny");
  });
});
