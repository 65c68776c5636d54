import { afterEach, beforeAll, beforeEach, describe, expect, it, onTestFinished, vi } from "vitest";
import type { UserId } from "../../core/ids.ts";
import { CONTROL_AUDIT_NAME } from "../../durable-objects/bindings.ts";
import { Control } from "../../durable-objects/control/control.ts";
import { userIdOf } from "../../identity/claims.ts";
import { objects, sessionOf, signedIn, wipe } from "../objects/deployment.ts";
import { TestDevice } from "../objects/test-device.ts";
import { isolate } from "./isolate.ts";
import { FEED, type Issuer, LAUNCHER, newIssuer, PROVIDER, SECRETS, seconds, serve, setUpDocument } from "./pushing-systems.ts";

const AUDIENCE = "https://access.example.com/.postern/ssf/feed";
const REVOKED = "https://schemas.openid.net/secevent/caep/event-type/session-revoked";
const TYPED = { "content-type": "application/secevent+jwt" };
const SIGNALS = (token: string): string => `signals: [{ id: feed, issuer: "${FEED}", jwks_uri: "${FEED}/jwks", audience: ["${AUDIENCE}"], provider: corp${token} }]\n`;

let feed: Issuer;
let provider: Issuer;
let other: Issuer;
let asked: { asked: number };
beforeAll(async () => {
  [feed, provider, other] = [await newIssuer("f"), await newIssuer("p"), await newIssuer("f")];
});
beforeEach(() => {
  asked = serve(provider, feed);
});
afterEach(wipe);

const idOf = (name: string): Promise<UserId> => userIdOf(PROVIDER, name);
const claims = (name: string, jti: string, more: object = {}): object => ({ iss: FEED, aud: AUDIENCE, iat: seconds(), jti, sub_id: { format: "iss_sub", iss: PROVIDER, sub: name }, events: { [REVOKED]: {} }, ...more });
const event = (name: string, jti: string, more: object = {}, header: object = {}, by = feed): Promise<string> => by.sign(claims(name, jti, more), { typ: "secevent+jwt", ...header });
const push = (edge: ReturnType<typeof isolate>, body: string, headers: Record<string, string> = {}): Promise<Response> => edge(LAUNCHER, "/.postern/ssf/feed", { method: "POST", headers: { ...TYPED, ...headers }, body });
/** What became of people by signals, as the record has it. */
async function recorded(): Promise<unknown[]> {
  const events = await objects.AUDIT.getByName(CONTROL_AUDIT_NAME).since(0, 5_000);
  return events.filter((one) => one.kind === "signal").map((one) => one.data);
}

describe("a push", () => {
  beforeEach(() => setUpDocument({ more: SIGNALS("") }));

  it("is accepted with an empty 202 once it took effect, and told again it has none", async () => {
    const edge = isolate(SECRETS);
    const sid = await signedIn(await idOf("ann"));
    const token = await event("ann", "j1");
    const answer = await push(edge, token);
    expect([answer.status, await answer.text(), answer.headers.get("cache-control")]).toEqual([202, "", "no-store"]);
    expect(await sessionOf(sid).isLive()).toBe(false);
    // Somebody who signed in anew is not ended by what was said before.
    const again = await signedIn(await idOf("ann"), { attemptStartedAt: Date.now() + 60_000 });
    expect((await push(edge, token)).status).toBe(202);
    expect((await push(isolate(SECRETS), token)).status).toBe(202);
    expect(await sessionOf(again).isLive()).toBe(true);
    expect(await recorded()).toHaveLength(1);
  });

  it.each<[string, () => Promise<Response>, number, unknown]>([
    ["from another issuer", async () => push(isolate(), await event("ann", "j", { iss: "https://evil.example" })), 400, "invalid_issuer"],
    ["for another audience", async () => push(isolate(), await event("ann", "j", { aud: "https://other.example" })), 400, "invalid_audience"],
    ["by another key", async () => push(isolate(), await event("ann", "j", {}, {}, other)), 400, "invalid_key"],
    ["by the provider's key instead of the feed's", async () => push(isolate(), await event("ann", "j", {}, {}, provider)), 400, "invalid_key"],
    ["of another type", async () => push(isolate(), await event("ann", "j", {}, { typ: "logout+jwt" })), 400, "invalid_request"],
    ["about a foreign subject", async () => push(isolate(), await event("ann", "j", { sub_id: { format: "iss_sub", iss: "https://partner.example.com", sub: "ann" } })), 400, "invalid_request"],
    ["of text", async () => push(isolate(), "x".repeat(1_000)), 400, "invalid_request"],
    ["of a megabyte", async () => push(isolate(), ".".repeat(1_000_000)), 400, "invalid_request"],
    ["as JSON", async () => push(isolate(), await event("ann", "j"), { "content-type": "application/json" }), 400, "invalid_request"],
    ["that is packed (row 106)", async () => push(isolate(), await event("ann", "j"), { "content-encoding": "gzip" }), 400, "invalid_request"],
  ])("%s is refused and has no effect (row 101)", async (_, act, status, err) => {
    const sid = await signedIn(await idOf("ann"));
    const answer = await act();
    expect([answer.status, ((await answer.json()) as { err: unknown }).err]).toEqual([status, err]);
    expect(answer.headers.get("cache-control")).toBe("no-store");
    expect(await sessionOf(sid).isLive()).toBe(true);
    expect(await recorded()).toEqual([]);
  });

  it("to a source that the document does not name is a push to nothing", async () => {
    const edge = isolate();
    const known = await edge(LAUNCHER, "/.postern/nothing", { method: "POST", headers: TYPED, body: "x" });
    const answer = await edge(LAUNCHER, "/.postern/ssf/other", { method: "POST", headers: TYPED, body: "x" });
    expect(answer.status).toBe(404);
    expect((await answer.text()).replace(/r_[\w-]+/, "")).toBe((await known.text()).replace(/r_[\w-]+/, ""));
  });

  it("that took effect and is said again a moment later reaches no control: nobody who repeats one can keep it from its work (row 101)", async () => {
    onTestFinished(() => void vi.useRealTimers());
    const edge = isolate(SECRETS);
    const heard = vi.spyOn(Control.prototype, "hear");
    const token = await event("ann", "j1");
    for (let n = 0; n < 3; n++) expect((await push(edge, token)).status).toBe(202);
    expect(heard).toHaveBeenCalledTimes(1);
    // The same word in another token is another: control knows it by its id.
    expect((await push(edge, await event("ann", "j1"))).status).toBe(202);
    expect(heard).toHaveBeenCalledTimes(2);
    vi.setSystemTime(Date.now() + 61_000);
    expect((await push(edge, token)).status).toBe(202);
    expect(heard).toHaveBeenCalledTimes(3);
    expect(await recorded()).toHaveLength(1);
  });

  it("of a verification event changes nothing", async () => {
    const answer = await push(isolate(), await event("ann", "v", { events: { "https://schemas.openid.net/secevent/ssf/event-type/verification": { state: "s" } } }));
    expect(answer.status).toBe(202);
    expect(await recorded()).toEqual([]);
  });

  it("about a person's address ends whoever has it, verified, at this provider", async () => {
    const control = objects.CONTROL.getByName("control");
    const sids = [];
    for (const [name, issuer, email] of [["ann", PROVIDER, "ann@example.com"], ["bob", PROVIDER, undefined], ["eve", "https://partner.example.com", "ann@example.com"]] as const) {
      const id = await userIdOf(issuer, name);
      sids.push(await signedIn(id));
      await control.noteSignIn({ id, issuer, sub: name, lastSignInAt: 1, ...(email === undefined ? {} : { email }) });
    }
    expect((await push(isolate(), await event("", "j", { sub_id: { format: "email", email: "Ann@example.com" } }))).status).toBe(202);
    expect(await Promise.all(sids.map((sid) => sessionOf(sid).isLive()))).toEqual([false, true, true]);
  });

  it("about a provider's session ends what came of it, else the person's", async () => {
    const control = objects.CONTROL.getByName("control");
    const ann = await idOf("ann");
    const [here, elsewhere] = [await signedIn(ann), await signedIn(ann)];
    await control.noteSignIn({ id: ann, issuer: PROVIDER, sub: "ann", lastSignInAt: 1 }, { id: "s1", sid: here, endsAt: Date.now() + 60_000 });
    const about = (session: string): object => ({ sub_id: { format: "complex", user: { format: "iss_sub", iss: PROVIDER, sub: "ann" }, session: { format: "opaque", id: session } } });
    expect((await push(isolate(), await event("ann", "j1", about("s1")))).status).toBe(202);
    expect([await sessionOf(here).isLive(), await sessionOf(elsewhere).isLive()]).toEqual([false, true]);
    expect((await push(isolate(), await event("ann", "j2", about("nobody knows this one")))).status).toBe(202);
    expect(await sessionOf(elsewhere).isLive()).toBe(false);
  });

  it.each<[string, object, object]>([
    ["caep/event-type/assurance-level-change", { change_direction: "decrease" }, { mfa: undefined, auth: true, groups: ["corp:staff"] }],
    ["risc/event-type/account-credential-change-required", {}, { mfa: undefined, auth: undefined, groups: ["corp:staff"] }],
    ["caep/event-type/token-claims-change", { claims: { groups: ["crew"] } }, { auth: true, groups: ["corp:crew"] }],
    ["caep/event-type/token-claims-change", { claims: { groups: 7 } }, { auth: true, groups: undefined }],
    ["caep/event-type/device-compliance-change", { current_status: "not-compliant" }, { auth: true, "device.compliant": false }],
    ["caep/event-type/credential-change", { change_type: "create" }, { mfa: { methods: ["hwk"] } }],
  ])("of %s %j: what a live session knows afterwards", async (type, payload, expected) => {
    const ann = await idOf("ann");
    const said = (value: unknown): object => ({ value, source: "corp", observedAt: Date.now() - 60_000 });
    const sid = await signedIn(ann, { facts: { mfa: said({ methods: ["hwk"] }), auth: said(true), groups: said(["corp:staff"]) } as never });
    expect((await push(isolate(), await event("ann", "j", { events: { [`https://schemas.openid.net/secevent/${type}`]: payload } }))).status).toBe(202);
    const facts = (await sessionOf(sid).describe())?.facts ?? {};
    for (const [name, value] of Object.entries(expected)) expect(facts[name]?.value, name).toEqual(value);
    expect(await sessionOf(sid).isLive()).toBe(true);
  });

  it("about a device of theirs: that device alone, and nobody else's", async () => {
    const [ann, bob] = [await idOf("ann"), await idOf("bob")];
    const [onDevice, elsewhere, bobs] = [await signedIn(ann), await signedIn(ann), await signedIn(bob)];
    const device = await TestDevice.enrolled(onDevice, ann);
    const other = await TestDevice.enrolled(bobs, bob);
    for (const one of [device, other]) await one.report();
    const compliant = async (sid: typeof bobs): Promise<unknown> => (await sessionOf(sid).describe())?.facts["device.compliant"]?.value;
    const say = async (id: string | undefined, jti: string, status: string): Promise<number> =>
      (await push(isolate(), await event("ann", jti, { sub_id: { format: "complex", user: { format: "iss_sub", iss: PROVIDER, sub: "ann" }, device: { format: "opaque", id } }, events: { "https://schemas.openid.net/secevent/caep/event-type/device-compliance-change": { current_status: status } } }))).status;
    expect(await say(device.id, "j1", "compliant")).toBe(202);
    expect(await Promise.all([onDevice, elsewhere, bobs].map(compliant))).toEqual([true, undefined, undefined]);
    expect((await objects.AUDIT.getByName(CONTROL_AUDIT_NAME).since(0, 100)).filter((one) => one.kind === "device").map((one) => one.data["device"])).toEqual([device.id]);
    // A device that is not hers, or nobody's here: all that is known is that one of hers may be worse.
    for (const [i, id] of [other.id, "serial-4711", undefined].entries()) {
      expect(await say(id, `g${i}`, "compliant")).toBe(202);
      expect(await compliant(elsewhere)).toBe(i === 0 ? undefined : false);
      expect(await say(id, `k${i}`, "not-compliant")).toBe(202);
      expect(await compliant(elsewhere)).toBe(false);
      expect(await compliant(bobs)).toBeUndefined();
    }
  });

  it("about somebody whose newer sign-in says more: the newer counts", async () => {
    const ann = await idOf("ann");
    const claimed = (jti: string, groups: string[]): Promise<string> => event("ann", jti, { iat: seconds() - 30, events: { "https://schemas.openid.net/secevent/caep/event-type/token-claims-change": { claims: { groups } } } });
    expect((await push(isolate(), await claimed("j1", ["crew"]))).status).toBe(202);
    const signIn = (observedAt: number): Promise<string> => signedIn(ann, { facts: { groups: { value: ["corp:staff"], source: "corp", observedAt } } as never });
    const groups = async (sid: string): Promise<unknown> => (await sessionOf(sid as never).describe())?.facts["groups"]?.value;
    expect(await groups(await signIn(Date.now() - 120_000))).toEqual(["corp:crew"]);
    expect(await groups(await signIn(Date.now()))).toEqual(["corp:staff"]);
  });

  it("of a weaker sign-in takes back the second factor of live sessions, and leaves a newer one", async () => {
    const ann = await idOf("ann");
    const then = Date.now() - 60_000;
    const fact = (observedAt: number): object => ({ facts: { mfa: { value: { methods: ["hwk"] }, source: "corp", observedAt } } });
    const sid = await signedIn(ann, fact(then));
    const known = async (of = sid): Promise<unknown> => (await sessionOf(of).describe())?.facts["mfa"]?.value;
    expect(await known()).toEqual({ methods: ["hwk"] });
    expect((await push(isolate(), await event("ann", "j1", { events: { "https://schemas.openid.net/secevent/caep/event-type/credential-change": { credential_type: "fido2-roaming", change_type: "revoke" } } }))).status).toBe(202);
    expect(await known()).toBeUndefined();
    expect(await known(await signedIn(ann, fact(Date.now() + 1_000)))).toEqual({ methods: ["hwk"] });
  });
});

describe("a bearer that a source must show", () => {
  beforeEach(() => setUpDocument({ more: SIGNALS(", token: { secret: FEED_TOKEN }") }));

  it.each<[string, string | undefined]>([
    ["none", undefined],
    ["another", "Bearer another-token-of-more-than-32-characters"],
    ["of another scheme (row 52)", `Basic ${SECRETS.FEED_TOKEN}`],
    ["twice", `Bearer ${SECRETS.FEED_TOKEN}, Bearer ${SECRETS.FEED_TOKEN}`],
    ["cut short", `Bearer ${SECRETS.FEED_TOKEN.slice(1)}`],
  ])("%s: refused before the token is looked at", async (_, authorization) => {
    const answer = await push(isolate(SECRETS), "not even a token", authorization === undefined ? {} : { authorization });
    expect([answer.status, await answer.json()]).toEqual([401, { err: "authentication_failed", description: "bearer" }]);
    expect(asked.asked).toBe(0);
  });

  it("that is not bound, or too short to be one, opens nothing", async () => {
    for (const secrets of [{}, { FEED_TOKEN: "" }, { FEED_TOKEN: "short" }]) {
      expect((await push(isolate(secrets), await event("ann", "j"), { authorization: `Bearer ${"FEED_TOKEN" in secrets ? secrets.FEED_TOKEN : ""}` })).status).toBe(401);
    }
    expect((await push(isolate(SECRETS), await event("ann", "j"), { authorization: `Bearer ${SECRETS.FEED_TOKEN}` })).status).toBe(202);
  });
});

describe("a thousand pushes of which one in a hundred is good (row 101)", () => {
  beforeEach(() => setUpDocument({ more: SIGNALS("") }));

  it("only the good ones have an effect, each once", async () => {
    const edge = isolate();
    const names = Array.from({ length: 10 }, (_, i) => `person${i}`);
    const good = await Promise.all(names.map((name) => event(name, `good-${name}`)));
    const live = await Promise.all(names.map(async (name) => signedIn(await idOf(name))));
    const bystanders = await Promise.all(names.map(async (name) => signedIn(await idOf(`not-${name}`))));
    const junk: ((i: number) => string | Promise<string>)[] = [
      (i) => event(`not-person${i % 10}`, `junk-${i}`, {}, {}, other),
      (i) => event(`not-person${i % 10}`, `junk-${i}`, {}, { kid: `unknown-${i}` }),
      (i) => event(`not-person${i % 10}`, `junk-${i}`, { aud: "https://other.example" }),
      (i) => event(`not-person${i % 10}`, `junk-${i}`, { iat: seconds() - 30 * 86_400 }),
      (i) => event("ann", `junk-${i}`, { sub_id: { format: "iss_sub", iss: "https://partner.example.com", sub: `not-person${i % 10}` } }),
      (i) => `${"A".repeat(20 + i)}.${"B".repeat(500)}.${"C".repeat(86)}`,
      // Said before: 110 repetitions of the ten.
      (i) => good[i % 10] ?? "",
      (i) => (good[i % 10] ?? "").replace(/.$/, (last) => (last === "A" ? "Q" : "A")),
      () => ".".repeat(70_000),
    ];
    const bodies = await Promise.all(Array.from({ length: 1_000 }, async (_, i) => (i % 100 === 50 ? (good[Math.floor(i / 100)] ?? "") : (junk[i % junk.length]?.(i) ?? ""))));
    const began = Date.now();
    const statuses: number[] = [];
    for (let i = 0; i < bodies.length; i += 50) {
      const answers = await Promise.all(bodies.slice(i, i + 50).map((body) => push(edge, body)));
      for (const answer of answers) {
        statuses.push(answer.status);
        await answer.body?.cancel();
      }
    }
    expect(Date.now() - began).toBeLessThan(20_000);
    expect(new Set(statuses)).toEqual(new Set([202, 400]));
    expect(statuses.filter((one) => one === 202)).toHaveLength(bodies.filter((one) => good.includes(one)).length);
    expect(await Promise.all(live.map((sid) => sessionOf(sid).isLive()))).toEqual(names.map(() => false));
    expect(await Promise.all(bystanders.map((sid) => sessionOf(sid).isLive()))).toEqual(names.map(() => true));
    const effects = (await recorded()) as { target: string }[];
    expect(effects.map((one) => one.target).sort()).toEqual((await Promise.all(names.map(idOf))).sort());
    // Key ids that nobody has do not make us ask for the keys each time.
    expect(asked.asked).toBeLessThan(8);
  });
});
