/** Devices on live streams: what a report, an operator or another system says ends at once what it forbids, and what only renews wakes nobody. */
import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { DeviceId, SessionId } from "../../core/ids.ts";
import { at } from "../../core/time.ts";
import { Session } from "../../durable-objects/session/session.ts";
import { ConnectorLinks } from "../../durable-objects/tunnel/connector-links.ts";
import { digestOf } from "../../identity/digest.ts";
import { laneOf, laneStub, objects, openRequest, outcome, sessionOf, setUp, signedIn, userId, wipe } from "./deployment.ts";
import { eventually } from "./eventually.ts";
import { connected } from "./test-connector.ts";
import { BAD, deviceOf, deviceStub, GOOD, TestDevice } from "./test-device.ts";

const ENCRYPTED = "{ provider: [corp], device: { registered: true, disk_encrypted: true, max_age: 15m } }";
const control = (): ReturnType<typeof objects.CONTROL.getByName> => objects.CONTROL.getByName("control");

/** A browser's socket at the app; how it was closed. */
async function open(sid: SessionId): Promise<{ closed: Promise<number>; socket: WebSocket }> {
  const answer = await laneStub().fetch(openRequest(sid, "wiki", "websocket"));
  const socket = answer.webSocket;
  if (socket === null) throw new Error(`status ${answer.status}`);
  socket.accept();
  return { socket, closed: new Promise((resolve) => socket.addEventListener("close", ({ code }) => resolve(code))) };
}
const opens = async (sid: SessionId): Promise<boolean> => {
  const { webSocket } = await laneStub().fetch(openRequest(sid, "wiki", "websocket"));
  webSocket?.accept();
  webSocket?.close();
  return webSocket !== null;
};
const factsOf = async (sid: SessionId): Promise<Record<string, unknown>> =>
  Object.fromEntries(Object.entries((await sessionOf(sid).describe())?.facts ?? {}).filter(([name]) => name.startsWith("device.")).map(([name, { value }]) => [name, value]));
const stored = (id: DeviceId): Promise<string> => runInDurableObject(deviceStub(id), async (_device, state) => JSON.stringify(state.storage.kv.get("device")));

beforeEach(() => setUp(["wiki"], ENCRYPTED));
afterEach(wipe);

describe("a device's report", () => {
  it("lets its person in, and one that says otherwise ends what is open before it is answered (P15)", async () => {
    await connected();
    const sid = await signedIn();
    expect(await opens(sid)).toBe(false);
    const device = await TestDevice.enrolled(sid);
    expect(await opens(sid)).toBe(false);
    await device.report();
    const { closed } = await open(sid);
    expect(await device.report(BAD)).toMatchObject({ ok: true, seq: 2 });
    expect((await laneOf().status())?.streams).toBe(0);
    expect(await closed).toBe(4403);
    expect(await opens(sid)).toBe(false);
    await device.report();
    expect(await opens(sid)).toBe(true);
  });

  it("that leaves a fact out ends what needed it, in a lane that sleeps, too (row 90)", async () => {
    await connected();
    const sid = await signedIn();
    const device = await TestDevice.enrolled(sid);
    await device.report();
    const { closed } = await open(sid);
    await evictDurableObject(laneStub(), { webSockets: "hibernate" });
    await device.report({ os: "linux" });
    expect(await closed).toBe(4403);
  });

  it("is worth nothing to another person's session, and another person cannot enrol the key (row 90)", async () => {
    await connected();
    const [ann, bob] = [await signedIn(userId(0)), await signedIn(userId(1))];
    const device = await TestDevice.enrolled(ann);
    await device.report();
    expect([await opens(ann), await opens(bob)]).toEqual([true, false]);
    expect(await device.enrol(bob, userId(1))).toBe(false);
    expect(await deviceOf(device.id).enrol({ key: device.key.publicJwk, owner: userId(1), name: "mine", sid: bob })).toBe(false);
    expect(await factsOf(bob)).toEqual({});
    const other = await TestDevice.enrolled(bob, userId(1));
    // Signed by bob's device, sent as ann's; and ann's report sent as bob's.
    expect(await deviceOf(device.id).report(await other.sign(GOOD))).toMatchObject({ ok: false, fault: "invalid" });
    expect(await deviceOf(other.id).report(await device.sign(GOOD))).toMatchObject({ ok: false, fault: "invalid" });
    expect(await opens(bob)).toBe(false);
  });

  it("of a device that nobody enrolled is refused, and asking stores nothing", async () => {
    const device = await TestDevice.make();
    expect(await device.report()).toMatchObject({ ok: false, code: "unknown_id" });
    expect(await deviceOf(device.id).describe()).toBeUndefined();
    expect(await deviceOf(device.id).set({ managed: true })).toBeUndefined();
    expect(await runInDurableObject(deviceStub(device.id), async (_device, state) => (await state.storage.list()).size)).toBe(0);
  });

  it("that is unchanged is not stored here, survives a sleep, and moves the session's clock", async () => {
    const sid = await signedIn();
    const device = await TestDevice.enrolled(sid);
    await device.report();
    const before = await stored(device.id);
    const then = (await sessionOf(sid).describe())?.facts["device.os"]?.observedAt ?? 0;
    for (const sleeps of [false, true, true]) {
      if (sleeps) await evictDurableObject(deviceStub(device.id));
      expect(await device.report()).toMatchObject({ ok: true });
    }
    expect(device.seq).toBe(4);
    expect(await stored(device.id)).toBe(before);
    expect((await sessionOf(sid).describe())?.facts["device.os"]?.observedAt).toBeGreaterThan(then);
  });

  it("that only renews what a lane knows to be too old lets its person in at once, and asks the session once (M5, M7)", async () => {
    await connected();
    const sid = await signedIn();
    const facts = (observedAt: number): Parameters<Session["observe"]>[0] =>
      Object.fromEntries(["registered", "disk_encrypted"].map((name) => [`device.${name}`, { value: true, source: "postern", observedAt: at(observedAt) }]));
    await sessionOf(sid).observe(facts(Date.now() - 20 * 60_000), Date.now());
    expect([await opens(sid), await opens(sid)]).toEqual([false, false]);
    await sessionOf(sid).observe(facts(Date.now()), Date.now());
    const asked = vi.spyOn(Session.prototype, "lease");
    expect([await opens(sid), await opens(sid)]).toEqual([true, true]);
    expect(asked).toHaveBeenCalledTimes(1);
  });

  it("that was stored and could not be told is told by the alarm, after a sleep, too", async () => {
    await connected();
    const sid = await signedIn();
    const device = await TestDevice.enrolled(sid);
    await device.report();
    const { closed } = await open(sid);
    const lost = vi.spyOn(Session.prototype, "observe").mockRejectedValue(new Error("gone"));
    expect(await outcome(() => device.report(BAD))).toBe("failed");
    await evictDurableObject(deviceStub(device.id));
    // The alarm comes again for as long as it fails.
    for (let n = 0; n < 8; n++) expect(await runDurableObjectAlarm(deviceStub(device.id))).toBe(true);
    lost.mockRestore();
    expect(await runDurableObjectAlarm(deviceStub(device.id))).toBe(true);
    expect(await closed).toBe(4403);
    expect(await runDurableObjectAlarm(deviceStub(device.id))).toBe(false);
  });

  it("sent twice counts once, whoever sends it again", async () => {
    const device = await TestDevice.enrolled(await signedIn());
    const jws = await device.sign(GOOD);
    const answers = await Promise.all([deviceOf(device.id).report(jws), deviceOf(device.id).report(jws)]);
    expect(answers).toEqual([answers[0], answers[0]]);
    await evictDurableObject(deviceStub(device.id));
    expect(await deviceOf(device.id).report(jws)).toEqual(answers[0]);
    expect((await deviceOf(device.id).describe())?.state).toBe("enrolled");
  });
});

describe("a key on two machines (row 89)", () => {
  it.each([false, true])("is found by the first report that contradicts the other, and both lose at once (after a sleep: %s)", async (sleeps) => {
    await connected();
    const sid = await signedIn();
    const device = await TestDevice.enrolled(sid);
    await device.report();
    const { closed } = await open(sid);
    const clone = device.copy();
    expect(await clone.report({ ...GOOD, os: "macos" })).toMatchObject({ ok: true });
    if (sleeps) await evictDurableObject(deviceStub(device.id));
    expect(await device.report()).toMatchObject({ ok: false, fault: "cloned" });
    expect(await closed).toBe(4403);
    for (const one of [device, clone]) expect(await one.report()).toMatchObject({ ok: false, code: "device_barred" });
    expect(await factsOf(sid)).toEqual({ "device.registered": false });
    expect(await device.enrol(sid)).toBe(false);
    const shards = await Promise.all([0, 1, 2, 3].map((n) => objects.AUDIT.getByName(`edge/${n}`).since(0, 1_000)));
    expect(shards.flat().filter(({ kind }) => kind === "device").map(({ data }) => data)).toEqual([{ act: "cloned", device: device.id, owner: userId() }]);
  });
});

describe("a device that is revoked", () => {
  it("takes along what is open by it before the receipt, and its key is barred for ever", async () => {
    await connected();
    const sid = await signedIn();
    const device = await TestDevice.enrolled(sid);
    await device.report();
    const { closed } = await open(sid);
    const done = await control().revoke({ kind: "device", id: device.id, by: "internal" });
    expect(done.ok && done.receipt).toMatchObject({ kind: "device", complete: true, report: { found: 1, closed: 1 } });
    expect(await closed).toBe(4403);
    expect(await factsOf(sid)).toEqual({ "device.registered": false });
    await evictDurableObject(deviceStub(device.id));
    expect(await device.report()).toMatchObject({ code: "device_barred" });
    expect(await device.enrol(await signedIn())).toBe(false);
    expect(await deviceOf(device.id).enrol({ key: device.key.publicJwk, owner: userId(), name: "again", sid })).toBe(false);
    // The session itself stays; another device of the same person counts in it.
    const other = await TestDevice.enrolled(sid);
    await other.report();
    expect(await opens(sid)).toBe(true);
    // Whatever is said of the one that is barred, it is not said of the other.
    const compliant = { value: true, source: "posture:edr", observedAt: at(Date.now()), expiresAt: at(Date.now() + 60_000) };
    await deviceOf(device.id).say({ compliant }, Date.now());
    await deviceOf(device.id).set({ managed: true });
    expect(await factsOf(sid)).toMatchObject({ "device.id": other.id, "device.registered": true });
    expect(await opens(sid)).toBe(true);
  });

  it("before its object took it in stays out", async () => {
    const device = await TestDevice.make();
    await control().enrolDevice(device.id, userId() as never);
    expect((await control().revoke({ kind: "device", id: device.id, by: "internal" })).ok).toBe(true);
    expect(await deviceOf(device.id).enrol({ key: device.key.publicJwk, owner: userId(), name: "late", sid: await signedIn() })).toBe(false);
  });

  it("and that nobody knows is not found", async () => {
    expect(await control().revoke({ kind: "device", id: (await TestDevice.make()).id, by: "internal" })).toMatchObject({ ok: false, code: "unknown_id" });
  });
});

describe("what others say of a device", () => {
  const verdict = (value: boolean, life = 60_000) => ({ disk_encrypted: { value, source: "posture:mdm", observedAt: at(Date.now()), expiresAt: at(Date.now() + life) } });

  it("ends at once what it forbids, also when the device contradicts, and counts when it does not speak", async () => {
    await connected();
    const sid = await signedIn();
    const device = await TestDevice.enrolled(sid);
    await device.report({ os: "linux" });
    expect(await opens(sid)).toBe(false);
    await deviceOf(device.id).say(verdict(true), Date.now());
    const { closed } = await open(sid);
    await device.report();
    expect(await deviceOf(device.id).say(verdict(false), Date.now())).toMatchObject({ found: 1, closed: 1 });
    expect(await closed).toBe(4403);
    await device.report();
    expect(await opens(sid)).toBe(false);
  });

  it("of their person stays when a device is bound, or another one, and no device says it of itself", async () => {
    const sid = await signedIn();
    const compliant = async (): Promise<unknown> => (await factsOf(sid))["device.compliant"];
    await sessionOf(sid).observe({ "device.compliant": { value: false, source: "posture:feed", observedAt: at(Date.now()) } }, Date.now());
    for (const device of [await TestDevice.enrolled(sid), await TestDevice.enrolled(sid)]) {
      await device.report({ ...GOOD, compliant: true });
      expect(await compliant()).toBe(false);
    }
  });

  it("is told to sessions that are bound later", async () => {
    const [one, two] = [await signedIn(), await signedIn()];
    const device = await TestDevice.enrolled(one);
    await device.report();
    await deviceOf(device.id).set({ tags: ["lab"], managed: true });
    await device.enrol(two);
    expect(await factsOf(two)).toEqual(await factsOf(one));
    expect(await factsOf(two)).toMatchObject({ "device.id": device.id, "device.tags": ["lab"], "device.managed": true, "device.owner": userId(), "device.os": "linux" });
  });
});

describe("binding a browser's session", () => {
  const code = "one-time code";

  it("takes the code that a report announced: once, within a minute, for the device's own person", async () => {
    const [agent, browser, third, bob] = [await signedIn(), await signedIn(), await signedIn(), await signedIn(userId(1))];
    const device = await TestDevice.enrolled(agent);
    await device.report(GOOD, { bind: await digestOf(code) });
    expect(await deviceOf(device.id).redeem(await digestOf("a guess"), userId(), browser)).toBe(false);
    expect(await deviceOf(device.id).redeem(await digestOf(code), userId(1), bob)).toBe(false);
    const tries = await Promise.all([browser, third].map(async (sid) => deviceOf(device.id).redeem(await digestOf(code), userId(), sid)));
    expect(tries).toEqual([true, false]);
    expect(await factsOf(browser)).toEqual({});
    expect(await deviceOf(device.id).bind(browser)).toBe(true);
    expect((await factsOf(browser))["device.disk_encrypted"]).toBe(true);
    expect(await factsOf(third)).toEqual({});
    await device.report(GOOD, { bind: await digestOf("late") });
    vi.useFakeTimers({ toFake: ["Date"], now: Date.now() + 61_000 });
    expect(await deviceOf(device.id).redeem(await digestOf("late"), userId(), third)).toBe(false);
    vi.useRealTimers();
  });

  it("to another device takes the first one's word along whole: what two say never stands together", async () => {
    const sid = await signedIn();
    const one = await TestDevice.enrolled(sid);
    await one.report({ ...GOOD, edr: true });
    const two = await TestDevice.enrolled(sid);
    await deviceOf(one.id).say({ compliant: { value: true, source: "posture:feed", observedAt: at(Date.now()) } }, Date.now());
    await two.report({ os: "macos" });
    expect(await factsOf(sid)).toMatchObject({ "device.id": two.id, "device.os": "macos" });
    for (const name of ["device.edr", "device.disk_encrypted", "device.compliant"]) expect(await factsOf(sid)).not.toHaveProperty([name]);
    // As the edge does when a session moves on: the first one is told, and says no more.
    await deviceOf(one.id).forget(sid);
    await one.report(BAD);
    await two.report({ os: "macos" });
    expect(await factsOf(sid)).toMatchObject({ "device.id": two.id, "device.os": "macos" });
    expect(await factsOf(sid)).not.toHaveProperty(["device.disk_encrypted"]);
  });
});

describe("many devices that renew and change nothing (M5)", () => {
  /** A thousand take three quarters of a minute, and nothing in it depends on how many there are. */
  const COUNT = 100;

  it("wake no lane: it sleeps on with every socket", async () => {
    await connected();
    const all: { readonly sid: SessionId; readonly device: TestDevice; readonly socket: WebSocket }[] = [];
    for (let n = 0; n < COUNT; n++) {
      const sid = await signedIn(userId(n));
      const device = await TestDevice.enrolled(sid, userId(n));
      await device.report();
      all.push({ sid, device, socket: (await open(sid)).socket });
    }
    await evictDurableObject(laneStub(), { webSockets: "hibernate" });
    const constructed = vi.spyOn(ConnectorLinks.prototype, "restore");
    const asked = vi.spyOn(Session.prototype, "lease");
    for (const { device } of all) expect(await device.report()).toMatchObject({ ok: true, seq: 2 });
    expect([constructed.mock.calls.length, asked.mock.calls.length]).toEqual([0, 0]);
    // One of them does change something: that one's stream ends, and no other.
    await all[7]?.device.report(BAD);
    expect(constructed).toHaveBeenCalledTimes(1);
    expect((await laneOf().status())?.streams).toBe(COUNT - 1);
    await eventually(() => all[7]?.socket.readyState === WebSocket.CLOSED);
    for (const { socket } of all) socket.close();
  }, 120_000);
});
