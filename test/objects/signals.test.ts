/** Signals on live streams: what they forbid ends before they are answered, in a lane that sleeps too; what they only renew wakes nobody. */
import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { SessionId, UserId } from "../../core/ids.ts";
import { at } from "../../core/time.ts";
import type { SignalEffect, SignalTarget } from "../../durable-objects/control/rpc.ts";
import { Session } from "../../durable-objects/session/session.ts";
import { ConnectorLinks } from "../../durable-objects/tunnel/connector-links.ts";
import { Tunnel } from "../../durable-objects/tunnel/tunnel.ts";
import type { News } from "../../durable-objects/signal-facts.ts";
import { cookieOf, laneOf, laneStub, objects, openRequest, randomText, sessionOf, sessionStub, setUp, signedIn, signInOf, stubs, userId, wipe } from "./deployment.ts";
import { eventually } from "./eventually.ts";
import { connected } from "./test-connector.ts";

const control = (): ReturnType<typeof objects.CONTROL.getByName> => objects.CONTROL.getByName("control");
const risk = (value: string, observedAt = Date.now()): News => ({ risk: { value, source: "risk", observedAt: at(observedAt) } });
const posture = (encrypted: boolean, observedAt = Date.now()): News => ({ "device.disk_encrypted": { value: encrypted, source: "device:d1", observedAt: at(observedAt) } });

const CALM = "{ provider: [corp], risk: { max: medium } }";

async function say(target: SignalTarget, effect: SignalEffect, id = randomText(8)): Promise<{ closed: number; found: number; kept: number; unconfirmed: readonly unknown[]; receipt: string; repeated: boolean }> {
  const done = await control().signal({ source: "test", id, name: "test", target, effect });
  if (!done.ok) throw new Error(done.code);
  return { ...done.receipt.report, receipt: done.receipt.id, repeated: done.repeated };
}
const user = (n = 0): SignalTarget => ({ kind: "user", id: userId(n) as UserId });
const facts = (news: News, when?: number): SignalEffect => ({ kind: "facts", facts: news, ...(when === undefined ? {} : { at: when }) });

/** A browser's socket at an app; how it was closed. */
async function open(sid: SessionId, app = "wiki"): Promise<{ closed: Promise<number>; socket: WebSocket }> {
  const answer = await laneStub().fetch(openRequest(sid, app, "websocket"));
  const socket = answer.webSocket;
  if (socket === null) throw new Error(`status ${answer.status}`);
  socket.accept();
  return { socket, closed: new Promise((resolve) => socket.addEventListener("close", ({ code }) => resolve(code))) };
}
const openStreams = async (): Promise<number> => (await laneOf().status())?.streams ?? 0;

afterEach(wipe);

describe("a signal about a user", () => {
  beforeEach(() => setUp(["wiki", "crm", "pg"], CALM));

  it("ends each stream that the new facts forbid before it is answered, and no other", async () => {
    await connected();
    const [ann, bob] = [await signedIn(userId(0)), await signedIn(userId(1))];
    for (const one of [user(0), user(1)]) await say(one, facts(risk("low")));
    const hers = [await open(ann), await open(ann, "crm")];
    const his = await open(bob);
    const done = await say(user(0), facts(risk("high")));
    expect(done).toMatchObject({ found: 2, closed: 2, kept: 0, unconfirmed: [] });
    expect(await openStreams()).toBe(1);
    expect(await Promise.all(hers.map(({ closed }) => closed))).toEqual([4403, 4403]);
    his.socket.close();
    // And nothing opens any more, until it is calm again.
    expect((await laneStub().fetch(openRequest(ann, "wiki", "websocket"))).headers.get("postern-refusal")).toContain("denied");
    await say(user(0), facts(risk("low")));
    expect((await laneStub().fetch(openRequest(ann, "wiki", "websocket"))).status).toBe(101);
  });

  it("keeps what the new facts allow, without a renewal", async () => {
    await connected();
    await say(user(), facts(risk("low")));
    const { socket } = await open(await signedIn());
    const lease = vi.spyOn(Session.prototype, "lease");
    expect(await say(user(), facts(risk("medium")))).toMatchObject({ found: 1, closed: 0, kept: 1 });
    expect(lease).not.toHaveBeenCalled();
    socket.send("still here");
    expect(await openStreams()).toBe(1);
    socket.close();
  });

  it("finds its streams in a lane that sleeps", async () => {
    await connected();
    await say(user(), facts(risk("low")));
    const { closed } = await open(await signedIn());
    await evictDurableObject(laneStub(), { webSockets: "hibernate" });
    expect(await say(user(), facts(risk("high")))).toMatchObject({ found: 1, closed: 1, unconfirmed: [] });
    expect(await closed).toBe(4403);
  });

  it("holds for sessions that begin later, and for one that begins at the same moment", async () => {
    await connected();
    const [sid] = await Promise.all([signedIn(), say(user(), facts(risk("high")))]);
    const later = await signedIn();
    for (const one of [sid, later]) expect((await laneStub().fetch(openRequest(one, "wiki", "websocket"))).status).not.toBe(101);
  });

  it("counts once by its source's id, and a repetition gets the first receipt", async () => {
    await connected();
    await say(user(), facts(risk("low")));
    await open(await signedIn());
    const first = await say(user(), facts(risk("high")), "once");
    const again = await Promise.all([say(user(), facts(risk("low")), "once"), say(user(), facts(risk("high")), "once")]);
    expect(first).toMatchObject({ closed: 1, repeated: false });
    for (const one of again) expect(one).toMatchObject({ closed: 1, repeated: true, receipt: first.receipt });
    expect((await sessionOf(await signedIn()).verify("host:wiki.access.example.com", cookieOf("wiki").hash))?.facts["risk"]?.value).toBe("high");
  });

  it("that comes late does not undo what was observed after it happened", async () => {
    const then = Date.now() - 60_000;
    await say(user(), facts(risk("high")));
    await say(user(), facts(risk("low", then), then));
    expect((await sessionOf(await signedIn()).describe())?.facts["risk"]?.value).toBe("high");
  });

  it("takes a fact of the sign-in back, and one that was performed after it stands", async () => {
    const now = Date.now();
    const mfa = (observedAt: number) => ({ mfa: { value: { methods: ["hwk"] }, source: "corp", observedAt: at(observedAt) }, provider: { value: "corp", source: "corp", observedAt: at(now) } });
    const sid = await signedIn(userId(), { facts: mfa(now - 60_000) });
    await say(user(), facts({ mfa: null }, now - 30_000));
    expect((await sessionOf(sid).describe())?.facts["mfa"]).toBeUndefined();
    // The provider vouches anew for the old one; then for a new one.
    const renew = (observedAt: number) => sessionOf(sid).refresh({ facts: mfa(observedAt), display: { sub: "ann" }, endsAt: now + 3_600_000 }, cookieOf("wiki"));
    await renew(now - 60_000);
    expect((await sessionOf(sid).describe())?.facts["mfa"]).toBeUndefined();
    await renew(now - 10_000);
    expect((await sessionOf(sid).describe())?.facts["mfa"]).toBeDefined();
  });

  it("ends every session, and bars sign-ins begun before, as a revocation does", async () => {
    await connected();
    await say(user(), facts(risk("low")));
    const { closed } = await open(await signedIn());
    expect(await say(user(), { kind: "end" })).toMatchObject({ found: 1, closed: 1 });
    expect(await closed).toBe(4401);
    expect(await objects.USER.getByName(userId()).signIn(signInOf(userId(), { attemptStartedAt: Date.now() - 1 }))).toMatchObject({ ok: false, code: "revoked" });
  });

  it("is unconfirmed when a lane does not answer, and complete when it does so late", async () => {
    await connected();
    await say(user(), facts(risk("low")));
    await open(await signedIn());
    const lost = vi.spyOn(Tunnel.prototype, "observe").mockRejectedValueOnce(new Error("gone"));
    expect(await say(user(), facts(risk("high")))).toMatchObject({ closed: 1, unconfirmed: [] });
    expect(lost).toHaveBeenCalledTimes(2);
  });
});

describe("a change of risk that one of several sessions could not be told", () => {
  beforeEach(() => setUp(["wiki", "crm", "pg"], CALM));

  it("is told again until all know it, and its receipt waits for that", async () => {
    const [one, two] = [await signedIn(), await signedIn()];
    await say(user(), facts(risk("low")));
    vi.spyOn(Session.prototype, "observe").mockRejectedValueOnce(new Error("replaced"));
    await say(user(), facts(risk("high"))).catch(() => undefined);
    const level = async (sid: SessionId): Promise<unknown> => (await sessionOf(sid).describe())?.facts["risk"]?.value;
    await runDurableObjectAlarm(stubs.CONTROL.getByName("control"));
    await eventually(async () => (await level(one)) === "high" && (await level(two)) === "high");
  });

  const personStub = (): DurableObjectStub => stubs.USER.getByName(userId());
  const riskOf = async (sid: SessionId): Promise<unknown> => (await sessionOf(sid).describe())?.facts["risk"]?.value;

  it("has its alarm before anybody is told, so that a crash in between loses nothing", async () => {
    await signedIn();
    const { promise, resolve } = Promise.withResolvers<never>();
    const told = vi.spyOn(Session.prototype, "observe").mockReturnValueOnce(promise);
    const began = Date.now();
    const saying = say(user(), facts(risk("high"))).catch(() => undefined);
    await eventually(() => told.mock.calls.length > 0);
    expect(await runInDurableObject(personStub(), (_person, state) => state.storage.getAlarm())).toBeLessThan(began + 60_000);
    resolve({ found: 0, closed: 0, frozen: 0, kept: 0, slowestMs: 0, unconfirmed: [] } as never);
    await saying;
  });

  it("is told again though an older word, still under way, reached everybody", async () => {
    const sid = await signedIn();
    await say(user(), facts(risk("low")));
    const { promise, resolve } = Promise.withResolvers<never>();
    const told = vi.spyOn(Session.prototype, "observe").mockReturnValueOnce(promise).mockRejectedValueOnce(new Error("replaced"));
    const person = objects.USER.getByName(userId());
    const older = person.observe(risk("medium"), Date.now());
    await eventually(() => told.mock.calls.length === 1);
    await person.observe(risk("high"), Date.now()).catch(() => undefined);
    resolve({ found: 0, closed: 0, frozen: 0, kept: 0, slowestMs: 0, unconfirmed: [] } as never);
    await older;
    expect(await riskOf(sid)).toBe("low");
    await runDurableObjectAlarm(personStub());
    expect(await riskOf(sid)).toBe("high");
  });

  it("fails no sign-in and no renewal", async () => {
    const from = { country: "DE", asn: 1, device: "cli" };
    const sid = await signedIn(userId(), { from });
    const [now, elsewhere] = [Date.now(), { country: "BR", asn: 2, device: "other" }];
    const told = vi.spyOn(Session.prototype, "observe").mockRejectedValueOnce(new Error("replaced"));
    await signedIn(userId(), { from: elsewhere });
    told.mockRejectedValueOnce(new Error("replaced"));
    expect(await objects.USER.getByName(userId()).renew(sid, { attemptStartedAt: now, endsAt: now + 60_000, from: { ...elsewhere, country: "JP" } })).toBe(true);
    // One session that could not be told is enough for the answer; the other hears it a moment later.
    await eventually(() => told.mock.calls.length === 3);
    await runDurableObjectAlarm(personStub());
    expect(await riskOf(sid)).not.toBe("low");
  });
});

describe("a provider's own session", () => {
  beforeEach(() => setUp());
  const person = { id: userId(), issuer: "https://login.example.com", sub: "ann", lastSignInAt: 0 };
  const login: SignalTarget = { kind: "login", issuer: person.issuer, id: "psid" };

  it("that ended ends the sessions that came of it, and refuses a sign-in by it that was under way", async () => {
    const [one, two] = [await signedIn(), await signedIn()];
    await control().noteSignIn(person, { id: "psid", sid: one, endsAt: Date.now() + 60_000 });
    await control().noteSignIn(person, { id: "other", sid: two, endsAt: Date.now() + 60_000 });
    await say(login, { kind: "end" });
    expect([await sessionOf(one).isLive(), await sessionOf(two).isLive()]).toEqual([false, true]);
    expect(await control().noteSignIn(person, { id: "psid", sid: await signedIn(), endsAt: Date.now() + 60_000 })).toBe(false);
  });
});

describe("what is only said of a provider's own session", () => {
  beforeEach(() => setUp());

  it("reaches the sessions that came of it, and sign-ins by it go on: the person may step up by it", async () => {
    const person = { id: userId(), issuer: "https://login.example.com", sub: "ann", lastSignInAt: 0 };
    const sid = await signedIn(userId(), { facts: { mfa: { value: { methods: ["otp"] }, source: "corp", observedAt: at(Date.now() - 1_000) } } });
    const login = { id: "psid", sid, endsAt: Date.now() + 60_000 };
    await control().noteSignIn(person, login);
    await say({ kind: "login", issuer: person.issuer, id: "psid" }, facts({ mfa: null }));
    expect((await sessionOf(sid).describe())?.facts["mfa"]).toBeUndefined();
    expect(await sessionOf(sid).isLive()).toBe(true);
    expect(await control().noteSignIn(person, login)).toBe(true);
  });
});

describe("a fact that a quiet stream depends on (P18)", () => {
  beforeEach(() => setUp(["wiki", "crm", "pg"], "{ provider: [corp], device: { disk_encrypted: true, max_age: 15m } }"));
  const MINUTE = 60_000;

  it("and that runs out unrenewed ends it, by the session's alarm, though the lane sleeps", async () => {
    await connected();
    await say(user(), facts(posture(true, Date.now() - 15 * MINUTE + 1_500)));
    const sid = await signedIn();
    const { closed } = await open(sid);
    await eventually(async () => (await watches(sid)) > 0);
    await evictDurableObject(laneStub(), { webSockets: "hibernate" });
    expect(await closed).toBe(4403);
  });

  it.each([
    ["is renewed in time wakes no lane (M5)", true, 1],
    ["is not, ends it in a lane that sleeps", false, 0],
  ] as const)("and that %s", async (_title, renewed, left) => {
    await connected();
    await say(user(), facts(posture(true, Date.now() - 14 * MINUTE)));
    const sid = await signedIn();
    const { socket } = await open(sid);
    await eventually(async () => (await watches(sid)) > 0);
    await evictDurableObject(laneStub(), { webSockets: "hibernate" });
    const constructed = vi.spyOn(ConnectorLinks.prototype, "restore");
    if (renewed) await sessionOf(sid).observe(posture(true), Date.now());
    vi.useFakeTimers({ toFake: ["Date"], now: Date.now() + 2 * MINUTE });
    try {
      await runDurableObjectAlarm(sessionStub(sid));
    } finally {
      vi.useRealTimers();
    }
    expect(constructed).toHaveBeenCalledTimes(renewed ? 0 : 1);
    expect(await openStreams()).toBe(left);
    socket.close();
  });

  it("is told to the session once more if that could not hear it", async () => {
    await connected();
    await say(user(), facts(posture(true)));
    const sid = await signedIn();
    const watch = vi.spyOn(Session.prototype, "watch").mockRejectedValueOnce(new Error("replaced"));
    const { socket } = await open(sid);
    await eventually(async () => (await watches(sid)) > 0);
    expect(watch).toHaveBeenCalledTimes(2);
    socket.close();
  });

  it("ends an event stream that is quiet, too", async () => {
    await connected();
    await say(user(), facts(posture(true, Date.now() - 15 * MINUTE + 1_500)));
    const answer = await laneStub().fetch(openRequest(await signedIn()));
    expect(answer.status).toBe(200);
    await expect(answer.text()).rejects.toThrow();
  });
});

/** Apps of which a session was told deadlines. */
const watches = (sid: SessionId): Promise<number> =>
  runInDurableObject(sessionStub(sid), async (_session, state) => ((state.storage.kv.get("session") as { watched?: readonly unknown[] } | undefined)?.watched ?? []).length);
