/** P19: what an app allows while the identity provider, the record or control is down. */
import { describe, expect, it } from "vitest";
import { at } from "../../core/time.ts";
import { LEASE_WAIT_MS } from "../../durable-objects/lease-terms.ts";
import { compile, type CompiledPolicy } from "../../policy/compile.ts";
import { deadlinesOf } from "../../policy/deadlines.ts";
import { explain } from "../../policy/explain.ts";
import { FIRST_GRANT, LOSS_LEASE_MS, LOSS_PARTS, type LossPart } from "../../policy/losses.ts";
import { parseDocument } from "../../policy/parse-document.ts";
import { ask, askFor, documentOf, factOf, factsOf, HEAD, NOW, PG, STAFF, textOf, WIKI, withFacts } from "./fixtures.ts";

const SECOND = 1_000;
const STAFF_ONLY = `[{ id: staff, effect: allow, apps: "*", when: { group: staff } }]`;

const apps = (own = ""): string => `apps:
  - { id: wiki, site: berlin, upstream: "http://10.0.0.5:8080"${own} }
  - { id: pg, site: berlin, upstream: "tcp://10.0.0.9:5432"${own} }
`;
const under = (defaults: string, own?: string): CompiledPolicy => compile(documentOf(textOf(STAFF_ONLY, defaults === "" ? "" : `defaults: { ${defaults} }\n`, apps(own))), 7);
/** Ann's facts, a part down since so long; her session began an hour before. */
const lost = (part: LossPart, forMs: number): typeof STAFF => withFacts(STAFF, { [part === "identity" ? "loss.identity.corp" : `loss.${part}`]: factOf(true, forMs, { source: "postern" }) });

const GET = WIKI;
const POST = askFor("wiki", { method: "POST" });
const SOCKET = askFor("wiki", { protocol: "websocket" });
const ASKS = { GET, POST, SOCKET, TCP: PG };

/** Part × rule × what is asked, within the time that the rule gives and after it. */
const TABLE: readonly [rule: string, reading: boolean, changing: boolean][] = [["keep", true, true], ["read_only", true, false], ["cut", false, false]];

describe.each(LOSS_PARTS)("P19: while %s is down", (part) => {
  it.each(TABLE)("%s: reading goes on: %s, everything else: %s", (rule, reading, changing) => {
    const policy = under(`on_${part}_loss: ${rule}`);
    for (const [name, what] of Object.entries(ASKS)) {
      const goesOn = name === "GET" ? reading : changing;
      const decision = ask(policy, what, lost(part, 10 * SECOND));
      expect({ name, effect: decision.effect, reason: decision.reason }).toEqual({ name, effect: goesOn ? "allow" : "deny", reason: goesOn ? "allowed" : `${part}_lost` });
      expect(decision.explained).toBe(true);
      if (goesOn) expect(decision.limits.readOnly).toBe(rule === "read_only");
    }
  });

  it("a rule of the app is as good as one of the defaults, and the strictest of both counts", () => {
    expect(ask(under("", `, on_${part}_loss: cut`), GET, lost(part, 0)).reason).toBe(`${part}_lost`);
    expect(ask(under(`on_${part}_loss: read_only`, `, on_${part}_loss: cut`), GET, lost(part, 0)).reason).toBe(`${part}_lost`);
    expect(ask(under(`on_${part}_loss: keep`, `, on_${part}_loss: read_only`), POST, lost(part, 0)).reason).toBe(`${part}_lost`);
  });

  it("a stored document that knows no such rules keeps, for as long as one that says so", () => {
    const document = documentOf(textOf(STAFF_ONLY));
    const { onLoss: _none, ...defaults } = document.defaults;
    const before = compile({ ...document, defaults }, 7);
    expect(ask(before, GET, lost(part, 10 * SECOND)).effect).toBe("allow");
    expect(ask(before, GET, lost(part, LOSS_LEASE_MS + SECOND)).effect).toBe(part === "identity" ? "allow" : "deny");
  });

  it("who would not be let in is answered as ever: nothing tells them apart from before", () => {
    const stranger = factsOf({ user: "eve", groups: ["other"], session_age: "1h" });
    const policy = under(`on_${part}_loss: cut`);
    const there = ask(policy, GET, stranger);
    const down = ask(policy, GET, withFacts(stranger, { [`loss.${part}`]: factOf(true), [`loss.${part}.corp`]: factOf(true) }));
    expect(down).toEqual(there);
    expect(down).toMatchObject({ reason: "no_allow", explained: false });
  });

  it("an app may be stricter than the defaults, never looser: an error at its line, with what to do", () => {
    const parsed = parseDocument(textOf(STAFF_ONLY, `defaults: { on_${part}_loss: read_only }\n`, apps(`, on_${part}_loss: keep`)));
    expect(parsed.ok ? [] : parsed.error).toMatchObject([{ line: 9, message: expect.stringContaining("read_only"), fix: expect.stringContaining("leave it out") }, { line: 10 }]);
  });

  it("the trace gives the same answer, with the fact", () => {
    const explained = explain(under(`on_${part}_loss: cut`), GET, lost(part, 5 * SECOND), NOW);
    expect(explained).toMatchObject({ effect: "deny", reason: `${part}_lost`, lost: [{ part, age_ms: 5 * SECOND }], fix: [expect.stringContaining("does not answer")] });
  });
});

describe("P18, P19: how long it goes on", () => {
  it("is the lease, where nobody could be asked for longer", () => {
    expect(LOSS_LEASE_MS).toBe(LEASE_WAIT_MS);
  });

  it.each(["audit", "control"] as const)("%s: as long as the lease, to the millisecond, and the decision says so", (part) => {
    for (const rule of ["keep", "read_only"]) {
      const policy = under(`on_${part}_loss: ${rule}`);
      expect(ask(policy, GET, lost(part, LOSS_LEASE_MS - 1))).toMatchObject({ effect: "allow", redecideAt: NOW + 1 });
      expect(ask(policy, GET, lost(part, LOSS_LEASE_MS))).toMatchObject({ effect: "deny", reason: `${part}_lost` });
    }
  });

  it("identity: as long as the session, or as the rule says; a session begun since is not let in", () => {
    expect(ask(under("on_identity_loss: keep"), GET, lost("identity", 59 * 60 * SECOND)).effect).toBe("allow");
    const hour = under("on_identity_loss: { keep: 30m }");
    expect(ask(hour, GET, lost("identity", 30 * 60 * SECOND - 1))).toMatchObject({ effect: "allow", redecideAt: NOW + 1 });
    expect(ask(hour, GET, lost("identity", 30 * 60 * SECOND))).toMatchObject({ effect: "deny", reason: "identity_lost" });
    expect(ask(under("on_identity_loss: { read_only: 30m }"), POST, lost("identity", 1))).toMatchObject({ reason: "identity_lost" });
    expect(ask(under("on_identity_loss: keep"), GET, lost("identity", 61 * 60 * SECOND))).toMatchObject({ effect: "deny", reason: "identity_lost" });
  });

  it("identity: what an app says without a duration is no longer than the defaults", () => {
    const policy = under("on_identity_loss: { keep: 30m }", ", on_identity_loss: keep");
    expect(ask(policy, GET, lost("identity", 30 * 60 * SECOND)).reason).toBe("identity_lost");
    const longer = parseDocument(textOf(STAFF_ONLY, "defaults: { on_identity_loss: { keep: 30m } }\n", apps(", on_identity_loss: { read_only: 31m }")));
    expect(longer.ok ? [] : longer.error).toMatchObject([{ line: 9 }, { line: 10 }]);
  });

  it("is known to whoever watches over quiet streams", () => {
    const policy = under("on_audit_loss: keep");
    const plan = policy.plan("wiki");
    if (plan === undefined) throw new Error("no plan");
    expect(deadlinesOf(plan, lost("audit", 10 * SECOND), Infinity, NOW)).toEqual([{ at: NOW + LOSS_LEASE_MS - 10 * SECOND }]);
  });
});

describe("P19: whom it concerns", () => {
  it("only people of the provider that is down, and no service", () => {
    const policy = compile(documentOf(textOf(`[{ id: all, effect: allow, apps: "*", when: { any: [{ group: staff }, { service: ci }] } }]`, "defaults: { on_identity_loss: cut }\n")), 7);
    expect(ask(policy, GET, withFacts(STAFF, { "loss.identity.other": factOf(true) })).effect).toBe("allow");
    expect(ask(policy, GET, withFacts(factsOf({ service: "ci" }), { "loss.identity.corp": factOf(true) })).effect).toBe("allow");
  });

  it("a first grant is not made while the record is down, whatever the rule", () => {
    const first = withFacts(lost("audit", 0), { [FIRST_GRANT]: factOf(true) });
    expect(ask(under(""), GET, first)).toMatchObject({ effect: "deny", reason: "audit_lost", explained: true });
    expect(ask(under(""), GET, withFacts(STAFF, { [FIRST_GRANT]: factOf(true) })).effect).toBe("allow");
  });

  it("a passkey still opens what wants a second factor while the provider may be kept, and does not under cut", () => {
    const mfa = (rule: string): CompiledPolicy => compile(documentOf(textOf(`[{ id: staff, effect: allow, apps: "*", when: { group: staff, mfa: true } }]`, `defaults: { on_identity_loss: ${rule} }\n`)), 7);
    expect(ask(mfa("keep"), GET, lost("identity", 60 * SECOND))).toMatchObject({ effect: "step_up", stepUp: { mfa: true } });
    expect(ask(mfa("cut"), GET, lost("identity", 60 * SECOND)).effect).toBe("deny");
  });

  it("of two parts that are down the stricter rule decides", () => {
    const policy = under("on_audit_loss: read_only, on_control_loss: cut");
    expect(ask(policy, GET, withFacts(lost("audit", 0), { "loss.control": factOf(true) })).reason).toBe("control_lost");
    expect(ask(policy, POST, lost("audit", 0)).reason).toBe("audit_lost");
  });

  it("P26: a document's own tests can ask what happens (lost)", () => {
    const text = `${HEAD}${apps()}policies: ${STAFF_ONLY}
defaults: { on_audit_loss: read_only, on_identity_loss: { keep: 1h } }
tests:
  - { as: { user: ann, groups: [staff], lost: { audit: 10s } }, app: wiki, expect: allow }
  - { as: { user: ann, groups: [staff], lost: { audit: 10s } }, app: wiki, request: { method: POST }, expect: deny }
  - { as: { user: ann, groups: [staff], session_age: 3h, lost: { identity: 2h } }, app: wiki, expect: deny }
`;
    const { tests } = documentOf(text);
    for (const { as, app, request, expect: wanted } of tests) expect(ask(compile(documentOf(text), 7), { app, ...request }, factsOf(as), at(NOW)).effect).toBe(wanted);
  });

  it("a rule for TCP that cannot be read only is a warning of check", () => {
    const parsed = parseDocument(textOf(STAFF_ONLY, "", apps(", on_audit_loss: read_only")));
    expect(parsed.ok ? parsed.value.warnings : []).toMatchObject([{ line: 10, message: expect.stringContaining("TCP"), fix: "write cut" }]);
  });
});
