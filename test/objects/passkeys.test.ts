/** Passkeys in the person's own object: what is stored, what is on record first, and what the session knows afterwards. */
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { Json } from "../../core/json.ts";
import type { SessionId } from "../../core/ids.ts";
import { at } from "../../core/time.ts";
import { EDGE_AUDIT_NAMES } from "../../durable-objects/bindings.ts";
import { Audit } from "../../durable-objects/audit/audit.ts";
import { CHALLENGE_LIFE_MS } from "../../durable-objects/user/passkeys.ts";
import type { PasskeyAnswer, PasskeyAsk } from "../../durable-objects/user/rpc.ts";
import { type Lies, SoftwareAuthenticator } from "../identity/software-authenticator.ts";
import { cookieOf, objects, outcome, randomText, sessionOf, setUp, signedIn, userId, wipe } from "./deployment.ts";

const PLACE = { origin: "https://access.example.com", rpId: "access.example.com" };
const userOf = (owner = userId()): ReturnType<typeof objects.USER.getByName> => objects.USER.getByName(owner);
const asking = (sid: SessionId, act: PasskeyAsk["act"], more: Partial<PasskeyAsk> = {}): PasskeyAsk => ({ request: `r_${randomText(16)}`, owner: userId(), sid, act, proved: "auth", ...more });

async function challenge(asked: PasskeyAsk): Promise<{ challenge: string; origin: string; rpId: string }> {
  const given = await userOf(asked.owner).askPasskey(asked);
  if (!given.ok) throw new Error(given.code);
  return { ...PLACE, challenge: given.challenge };
}
const answer = (asked: PasskeyAsk, made: object, name = "Laptop"): Promise<PasskeyAnswer> => userOf(asked.owner).answerPasskey(asked, { name, place: PLACE, answer: made as Json });

async function registered(sid: SessionId, more: Partial<PasskeyAsk> = {}): Promise<SoftwareAuthenticator> {
  const authenticator = new SoftwareAuthenticator();
  const asked = asking(sid, "add", more);
  expect(await answer(asked, authenticator.create(await challenge(asked)))).toEqual({ ok: true });
  return authenticator;
}
async function used(sid: SessionId, authenticator: SoftwareAuthenticator, lies: Lies = {}): Promise<PasskeyAnswer> {
  const asked = asking(sid, "use");
  return answer(asked, authenticator.get(await challenge(asked), lies));
}
const mfaOf = async (sid: SessionId): Promise<unknown> => (await sessionOf(sid).describe())?.facts["mfa"];
/** What the record says of passkeys, in order. */
async function recorded(): Promise<unknown[]> {
  const events = await Promise.all(EDGE_AUDIT_NAMES.map((name) => objects.AUDIT.getByName(name).since(0, 100)));
  return events.flat().filter(({ kind }) => kind === "passkey").toSorted((a, b) => a.at - b.at || a.seq - b.seq).map(({ data }) => [data["done"], data["why"] ?? data["name"]]);
}
const REFUSED = { ok: false, code: "passkey_refused" };
const TOO_OLD = { ok: false, code: "step_up_required" };

beforeEach(() => setUp());
afterEach(async () => {
  vi.useRealTimers();
  await wipe();
});

describe("the use of a passkey", () => {
  it("is a second factor of the session that used it from now on, and of no other", async () => {
    const [sid, other] = [await signedIn(), await signedIn()];
    const authenticator = await registered(sid);
    expect(await mfaOf(sid)).toBeUndefined();
    const before = Date.now();
    expect(await used(sid, authenticator)).toEqual({ ok: true });
    expect(await mfaOf(sid)).toMatchObject({ value: { methods: ["hwk", "mfa", "pop", "user"] }, source: "postern" });
    expect(((await mfaOf(sid)) as { observedAt: number }).observedAt).toBeGreaterThanOrEqual(before);
    expect(await mfaOf(other)).toBeUndefined();
    expect(await recorded()).toEqual([["added", "Laptop"], ["used", undefined]]);
    expect((await userOf().passkeys())[0]?.usedAt).toBeGreaterThanOrEqual(before);
  });

  it("covers an older factor of the provider, and a newer one of the provider covers it", async () => {
    const otp = (observedAt: number) => ({ mfa: { value: { methods: ["mfa", "otp"] }, source: "corp", observedAt: at(observedAt) } });
    const sid = await signedIn(userId(), { facts: otp(Date.now() - 60_000) });
    const authenticator = await registered(sid);
    await used(sid, authenticator);
    expect(await mfaOf(sid)).toMatchObject({ source: "postern" });
    await sessionOf(sid).refresh({ facts: otp(Date.now() + 1), display: { sub: "ann" }, endsAt: Date.now() + 3_600_000 }, cookieOf("wiki"));
    expect(await mfaOf(sid)).toMatchObject({ source: "corp" });
  });

  it.each<[string, Lies]>([
    ["made at another origin", { origin: "https://wiki.access.example.com" }],
    ["for another host", { rpId: "example.com" }],
    ["by nobody who was verified", { verified: false }],
    ["as a registration", { type: "webauthn.create" }],
  ])("%s is refused, and on record", async (_name, lies) => {
    const sid = await signedIn();
    const authenticator = await registered(sid);
    expect(await used(sid, authenticator, lies)).toEqual(REFUSED);
    expect(await mfaOf(sid)).toBeUndefined();
    expect((await recorded()).at(-1)).toEqual(["refused", "not verified"]);
  });

  it("counts once, also when it is sent many times at once", async () => {
    const sid = await signedIn();
    const authenticator = await registered(sid);
    const asked = asking(sid, "use");
    const made = authenticator.get(await challenge(asked));
    const answers = await Promise.all(Array.from({ length: 10 }, () => answer(asked, made)));
    expect(answers.filter(({ ok }) => ok)).toHaveLength(1);
    expect(await answer(asked, made)).toEqual(REFUSED);
  });

  it("with a challenge of another session, of another person, or of the other act is refused", async () => {
    const [sid, other, bobs] = [await signedIn(), await signedIn(), await signedIn(userId(1))];
    const authenticator = await registered(sid);
    for (const wrong of [asking(other, "use"), asking(sid, "add", { proved: "mfa" }), asking(bobs, "use", { owner: userId(1) })]) {
      expect(await answer(asking(sid, "use"), authenticator.get(await challenge(wrong)))).toEqual(REFUSED);
    }
    expect(await mfaOf(sid)).toBeUndefined();
  });

  it("of another person's key is refused, whoever holds it", async () => {
    const authenticator = await registered(await signedIn());
    const bobs = await signedIn(userId(1));
    const asked = asking(bobs, "use", { owner: userId(1) });
    expect(await answer(asked, authenticator.get(await challenge(asked)))).toEqual(REFUSED);
    expect(await mfaOf(bobs)).toBeUndefined();
    // Nor does her object answer for a session that is not hers.
    expect(await userOf().askPasskey(asking(bobs, "use"))).toEqual(REFUSED);
  });

  it("whose counter went back is refused, and on record as that", async () => {
    const sid = await signedIn();
    const authenticator = await registered(sid);
    expect(await used(sid, authenticator, { counter: 7 })).toEqual({ ok: true });
    for (const counter of [7, 6, 0]) expect(await used(sid, authenticator, { counter }), String(counter)).toEqual(REFUSED);
    expect((await recorded()).slice(-3)).toEqual([["refused", "counter"], ["refused", "counter"], ["refused", "counter"]]);
    expect(await used(sid, authenticator, { counter: 8 })).toEqual({ ok: true });
  });

  it("counts for nothing while the record cannot be written", async () => {
    const sid = await signedIn();
    const authenticator = await registered(sid);
    vi.spyOn(Audit.prototype, "append").mockRejectedValue(new Error("full"));
    expect(await outcome(() => used(sid, authenticator))).toBe("failed");
    expect(await mfaOf(sid)).toBeUndefined();
  });

  it("after its challenge's time is refused", async () => {
    const sid = await signedIn();
    const authenticator = await registered(sid);
    const asked = asking(sid, "use");
    const made = authenticator.get(await challenge(asked));
    const now = Date.now();
    vi.spyOn(Date, "now").mockReturnValue(now + CHALLENGE_LIFE_MS);
    expect(await answer(asked, made)).toEqual(REFUSED);
  });
});

describe("a person's passkeys", () => {
  it("the first needs a fresh sign-in, each later change a second factor", async () => {
    const sid = await signedIn();
    expect(await userOf().askPasskey(asking(sid, "add", { proved: "nothing" }))).toEqual(TOO_OLD);
    await registered(sid);
    expect(await userOf().askPasskey(asking(sid, "add"))).toEqual(TOO_OLD);
    const [first] = await userOf().passkeys();
    expect(await userOf().removePasskey(asking(sid, "remove"), first?.id ?? "")).toEqual(TOO_OLD);
    await registered(sid, { proved: "mfa" });
    expect(await userOf().removePasskey(asking(sid, "remove", { proved: "mfa" }), first?.id ?? "")).toEqual({ ok: true });
    expect(await userOf().passkeys()).toHaveLength(1);
    expect((await recorded()).map((one) => (one as unknown[])[0])).toEqual(["added", "added", "removed"]);
  });

  it("two that are registered at once by a password alone: one stays out", async () => {
    const sid = await signedIn();
    const asked = [asking(sid, "add"), asking(sid, "add")];
    const made = await Promise.all(asked.map(async (one) => new SoftwareAuthenticator().create(await challenge(one))));
    const answers = await Promise.all(asked.map((one, i) => answer(one, made[i] ?? {})));
    expect(answers.filter(({ ok }) => ok)).toHaveLength(1);
    expect(await userOf().passkeys()).toHaveLength(1);
  });

  it("one that is removed works no longer", async () => {
    const sid = await signedIn();
    const authenticator = await registered(sid);
    const [key] = await userOf().passkeys();
    await userOf().removePasskey(asking(sid, "remove", { proved: "mfa" }), key?.id ?? "");
    expect(await used(sid, authenticator)).toEqual(REFUSED);
  });

  it("go when an operator revokes their owner, and stay when another system's signal ends the sessions", async () => {
    const control = objects.CONTROL.getByName("control");
    const authenticator = await registered(await signedIn());
    await control.signal({ source: "ssf:okta", id: "1", name: "session-revoked", target: { kind: "user", id: userId() as never }, effect: { kind: "end" } });
    expect(await userOf().passkeys()).toHaveLength(1);
    await control.noteSignIn({ id: userId(), issuer: "https://login.example.com", sub: "ann", lastSignInAt: 0 });
    expect(await control.revoke({ kind: "user", id: userId(), by: "internal" })).toMatchObject({ ok: true });
    expect(await userOf().passkeys()).toEqual([]);
    const later = await signedIn(userId(), { attemptStartedAt: Date.now() + 60_000 });
    expect(await used(later, authenticator)).toEqual(REFUSED);
  });

  it("none is added or removed by a session that is revoked meanwhile", async () => {
    const sid = await signedIn();
    await registered(sid);
    const [key] = await userOf().passkeys();
    const asked = asking(sid, "add", { proved: "mfa" });
    const made = new SoftwareAuthenticator().create(await challenge(asked));
    const { value: real } = Object.getOwnPropertyDescriptor(Audit.prototype, "append") as { value: Audit["append"] };
    const meanwhile = (passkeys: boolean): unknown => vi.spyOn(Audit.prototype, "append").mockImplementationOnce(async function (this: Audit, ...event) {
      await userOf().revoke("rcpt_x" as never, passkeys);
      return real.apply(this, event);
    });
    meanwhile(false);
    expect(await userOf().removePasskey(asking(sid, "remove", { proved: "mfa" }), key?.id ?? "")).toEqual(REFUSED);
    expect(await userOf().passkeys()).toHaveLength(1);
    const later = await signedIn(userId(), { attemptStartedAt: Date.now() + 60_000 });
    const again = asking(later, "add", { proved: "mfa" });
    const other = new SoftwareAuthenticator().create(await challenge(again));
    meanwhile(true);
    expect(await answer(again, other)).toEqual(REFUSED);
    expect(await answer(asked, made)).toEqual(REFUSED);
    expect(await userOf().passkeys()).toEqual([]);
    expect((await recorded()).slice(-2)).toEqual([["added", "Laptop"], ["refused", "not added"]]);
  });

  it("one that is not there is removed already, and nothing is on record of it", async () => {
    const sid = await signedIn();
    await registered(sid);
    expect(await userOf().removePasskey(asking(sid, "remove", { proved: "mfa" }), "no such key")).toEqual({ ok: true });
    expect(await recorded()).toEqual([["added", "Laptop"]]);
  });

  it("a session that was ended asks for nothing", async () => {
    const sid = await signedIn();
    await registered(sid);
    await userOf().revoke("rcpt_x" as never);
    for (const act of ["add", "use"] as const) expect(await userOf().askPasskey(asking(sid, act, { proved: "mfa" }))).toEqual(REFUSED);
    expect(await userOf().removePasskey(asking(sid, "remove", { proved: "mfa" }), "x")).toEqual(REFUSED);
  });
});
