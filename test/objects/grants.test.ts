/** Grants on live streams, from the question to the end, by the real objects. */
import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { AppId, SessionId, UserId } from "../../core/ids.ts";
import { DAY_MS, HOUR_MS } from "../../core/time.ts";
import { CONTROL_AUDIT_NAME } from "../../durable-objects/bindings.ts";
import { Control } from "../../durable-objects/control/control.ts";
import { laneOf, laneStub, objects, openRequest, outcome, sessionOf, sessionStub, setUp, signedIn, stubs, userId, wipe } from "./deployment.ts";
import { Audit } from "../../durable-objects/audit/audit.ts";
import { Session } from "../../durable-objects/session/session.ts";
import { User } from "../../durable-objects/user/user.ts";
import { connected } from "./test-connector.ts";

const control = (): ReturnType<typeof objects.CONTROL.getByName> => objects.CONTROL.getByName("control");
const ANN = userId(0) as UserId;
const BOSS = userId(9) as UserId;
const WIKI = "wiki" as AppId;
const NEEDED = "{ provider: [corp], grant: true }";

let boss: SessionId;
const by = (subject: string = BOSS, sid = boss) => ({ name: `user:${subject}`, sid, subject, policyVersion: 1 });
const ask = (user = ANN, app: string = "wiki", lasting = HOUR_MS) => control().askGrant({ user, app: app as AppId, lasting, reason: "an incident", connection: {} });
async function give(more: { id?: string; user?: UserId; app?: string; lasting?: number } = {}): Promise<string> {
  const { id, user = ANN, app = "wiki", lasting = HOUR_MS } = more;
  const done = await control().giveGrant({ ...(id === undefined ? {} : { id }), user, app: app as AppId, lasting, reason: "an incident", by: by() });
  if (!done.ok) throw new Error(done.code);
  return done.id;
}
async function revoke(kind: "grant" | "user", id: string): Promise<{ found: number; closed: number; unconfirmed: readonly unknown[] }> {
  const done = await control().revoke({ kind, id, by: "internal" });
  if (!done.ok) throw new Error(done.code);
  return done.receipt.report;
}
async function open(sid: SessionId, app = "wiki"): Promise<{ closed: Promise<number>; socket: WebSocket } | string> {
  const answer = await laneStub().fetch(openRequest(sid, app, "websocket"));
  const socket = answer.webSocket;
  if (socket === null) return answer.headers.get("postern-refusal") ?? String(answer.status);
  socket.accept();
  return { socket, closed: new Promise((resolve) => socket.addEventListener("close", ({ code }) => resolve(code))) };
}
async function opened(sid: SessionId, app = "wiki"): Promise<{ closed: Promise<number> }> {
  const one = await open(sid, app);
  if (typeof one === "string") throw new Error(one);
  return one;
}
const acts = async (): Promise<unknown[]> => {
  const events = await objects.AUDIT.getByName(CONTROL_AUDIT_NAME).since(0, 1_000);
  return events.filter(({ kind }) => kind === "grant").map(({ data }) => data["act"]);
};

beforeEach(async () => {
  await setUp(["wiki", "crm", "pg"], NEEDED);
  boss = await signedIn(BOSS);
  await connected();
});
afterEach(wipe);

describe("a grant", () => {
  it("P27: opens its app to its person in sessions that are there and in later ones, and nothing else", async () => {
    const [ann, bob] = [await signedIn(ANN), await signedIn(userId(1))];
    expect(await open(ann)).toContain("denied");
    await give();
    await opened(ann);
    await opened(await signedIn(ANN));
    expect(await open(ann, "crm")).toContain("denied");
    expect(await open(bob)).toContain("denied");
  });

  it("that is revoked cuts what it opened before the receipt is answered, and no other, in a lane that sleeps too", async () => {
    const ann = await signedIn(ANN);
    const [grant] = [await give(), await give({ app: "crm" }), await give({ user: userId(1) as UserId })];
    const { closed: cut } = await opened(ann);
    const [kept, his] = [await open(ann, "crm"), await open(await signedIn(userId(1)))];
    await evictDurableObject(laneStub(), { webSockets: "hibernate" });
    expect(await revoke("grant", grant)).toMatchObject({ found: 2, closed: 1, unconfirmed: [] });
    expect(await cut).toBe(4403);
    expect([typeof kept, typeof his, (await laneOf().status())?.streams]).toEqual(["object", "object", 2]);
    expect(await open(ann)).toContain("denied");
    expect(await open(await signedIn(ANN))).toContain("denied");
    // Again: nothing is left to end.
    expect(await revoke("grant", grant)).toMatchObject({ closed: 0 });
  });

  it("P18: that runs out ends a quiet stream in a lane that sleeps, by the session's own alarm", async () => {
    const ann = await signedIn(ANN);
    await give({ lasting: 60_000 });
    const { closed: cut } = await opened(ann);
    await evictDurableObject(laneStub(), { webSockets: "hibernate" });
    const due = await runInDurableObject(sessionStub(ann), (_, state) => state.storage.getAlarm());
    expect((due ?? 0) - Date.now()).toBeLessThanOrEqual(60_000);
    vi.useFakeTimers({ now: Date.now() + 60_001, toFake: ["Date"] });
    await runDurableObjectAlarm(sessionStub(ann));
    expect(await cut).toBe(4403);
    vi.useRealTimers();
  });

  it("given anew replaces the one before, and nothing is cut; the older one, revoked, takes nothing back", async () => {
    const ann = await signedIn(ANN);
    const first = await give();
    const { closed: cut } = await opened(ann);
    const second = await give({ lasting: 2 * HOUR_MS });
    expect(await revoke("grant", first)).toMatchObject({ closed: 0 });
    expect((await control().grants()).map(({ id }) => id)).toEqual([second]);
    expect(await revoke("grant", second)).toMatchObject({ closed: 1 });
    expect(await cut).toBe(4403);
  });

  it("goes with `revoke user`, what waits too; and a sign-in after that does not find it", async () => {
    await signedIn(ANN);
    await give();
    await ask(ANN, "crm");
    await ask(userId(1) as UserId);
    await revoke("user", ANN);
    expect((await control().grants()).map(({ user }) => user)).toEqual([userId(1)]);
    vi.useFakeTimers({ now: Date.now() + 10_000, toFake: ["Date"] });
    expect(await open(await signedIn(ANN))).toContain("denied");
    // A grant that was given after that counts.
    await give();
    await opened(await signedIn(ANN));
    vi.useRealTimers();
  });

  it("whose telling failed is told by the alarm, and one that was revoked meanwhile is not", async () => {
    const ann = await signedIn(ANN);
    const observe = vi.spyOn(User.prototype, "observe").mockRejectedValueOnce(new Error("lost"));
    expect(await outcome(() => give())).toBe("failed");
    await runDurableObjectAlarm(stubs.CONTROL.getByName("control"));
    await opened(ann);
    observe.mockRejectedValueOnce(new Error("lost"));
    expect(await outcome(() => give({ app: "crm" }))).toBe("failed");
    const crm = (await control().grants()).find(({ app }) => app === "crm");
    await revoke("grant", crm?.id ?? "");
    await runDurableObjectAlarm(stubs.CONTROL.getByName("control"));
    expect(await open(ann, "crm")).toContain("denied");
  });
});

describe("asking and giving", () => {
  it("the same question again changes the one that waits; one person's and all people's are bounded", async () => {
    const first = await ask(ANN, "wiki", HOUR_MS);
    // At once: the same is answered the same, and another is too soon.
    expect(await ask(ANN, "wiki", HOUR_MS)).toEqual(first);
    expect(await ask(ANN, "wiki", 2 * HOUR_MS)).toMatchObject({ ok: false, code: "overloaded" });
    expect(await acts()).toEqual(["asked"]);
    vi.useFakeTimers({ now: Date.now() + 5_000, toFake: ["Date"] });
    expect(await ask(ANN, "wiki", 2 * HOUR_MS)).toEqual(first.ok ? { ok: true, id: first.id, until: expect.any(Number) as number } : {});
    expect(await control().grants()).toMatchObject([{ lasting: 2 * HOUR_MS, given_at: null, reason: "an incident" }]);
    for (let i = 0; i < 7; i++) expect((await ask(ANN, `app${i}`)).ok).toBe(true);
    expect(await ask(ANN, "crm")).toMatchObject({ ok: false, code: "overloaded" });
    expect((await ask(userId(1) as UserId)).ok).toBe(true);
    vi.useRealTimers();
  });

  it("of a hundred at the same moment one is a question, and one on record", async () => {
    const answers = await Promise.all(Array.from({ length: 100 }, () => ask()));
    // Whoever comes after the first is answered that it waits already.
    expect(new Set(answers.flatMap((one) => (one.ok ? [one.id] : []))).size).toBe(1);
    expect(await control().grants()).toHaveLength(1);
    expect(await acts()).toEqual(["asked"]);
  });

  it("what was denied counts for who asked: nobody asks without end", async () => {
    for (let i = 0; i < 8; i++) {
      const asked = await ask();
      if (!asked.ok) throw new Error(asked.code);
      expect(await control().denyGrant(asked.id, by())).toEqual({ ok: true });
    }
    expect(await ask()).toMatchObject({ ok: false, code: "overloaded" });
    expect((await ask(userId(1) as UserId)).ok).toBe(true);
  });

  it("a question is over after a day", async () => {
    const asked = await ask();
    vi.useFakeTimers({ now: Date.now() + DAY_MS + 1, toFake: ["Date"] });
    expect(await control().grants()).toEqual([]);
    expect(asked.ok).toBe(true);
    vi.useRealTimers();
  });

  it("of fifty who give the same one does, and once more is the same grant", async () => {
    const asked = await ask();
    const id = asked.ok ? asked.id : "";
    const all = await Promise.all(Array.from({ length: 50 }, () => control().giveGrant({ id, user: ANN, app: WIKI, lasting: HOUR_MS, reason: "x", by: by() })));
    expect(new Set(all.flatMap((one) => (one.ok ? [`${one.id} ${one.until}`] : []))).size).toBe(1);
    expect(await give({ id })).toBe(id);
    expect(await control().grants()).toMatchObject([{ id, by: `user:${BOSS}` }]);
  });

  it("nobody gives themselves access", async () => {
    const ann = await signedIn(ANN);
    const asked = await ask();
    const own = { user: ANN, app: WIKI, lasting: HOUR_MS, reason: "x", by: by(ANN, ann) };
    expect(await control().giveGrant({ id: asked.ok ? asked.id : "", ...own })).toMatchObject({ ok: false, code: "own_grant" });
    expect(await control().giveGrant(own)).toMatchObject({ ok: false, code: "own_grant" });
  });

  it("what is denied, or another's, is not given", async () => {
    const asked = await ask();
    const id = asked.ok ? asked.id : "";
    const given = { id, user: ANN, app: WIKI, lasting: HOUR_MS, reason: "x", by: by() };
    expect(await control().giveGrant({ ...given, user: userId(1) as UserId })).toMatchObject({ ok: false, code: "unknown_id" });
    expect(await control().giveGrant({ ...given, app: "crm" as AppId })).toMatchObject({ ok: false, code: "unknown_id" });
    expect(await control().denyGrant(id, by())).toEqual({ ok: true });
    expect(await control().giveGrant(given)).toMatchObject({ ok: false, code: "unknown_id" });
    expect(await control().grants()).toEqual([]);
    const live = await give();
    expect(await control().denyGrant(live, by())).toMatchObject({ ok: false, code: "unknown_id" });
    expect(await control().revoke({ kind: "grant", id, by: "internal" })).toMatchObject({ ok: false, code: "unknown_id" });
  });

  it("an operator whose session ended meanwhile gives and denies nothing", async () => {
    const asked = await ask();
    await sessionOf(boss).end("revoked", "self");
    expect(await control().giveGrant({ user: ANN, app: WIKI, lasting: HOUR_MS, reason: "x", by: by() })).toMatchObject({ ok: false, code: "actor_changed" });
    expect(await control().denyGrant(asked.ok ? asked.id : "", by())).toMatchObject({ ok: false, code: "actor_changed" });
  });

  it("one who may act by a grant alone does not, once its revocation has begun", async () => {
    const grant = await give({ user: ANN });
    const ann = await signedIn(ANN);
    const live = vi.spyOn(Session.prototype, "isLive").mockImplementationOnce(async () => {
      await revoke("grant", grant);
      return true;
    });
    expect(await control().giveGrant({ user: userId(1) as UserId, app: WIKI, lasting: HOUR_MS, reason: "x", by: by(ANN, ann) })).toMatchObject({ ok: false, code: "actor_changed" });
    expect(live).toHaveBeenCalled();
    expect((await control().giveGrant({ user: userId(1) as UserId, app: WIKI, lasting: HOUR_MS, reason: "x", by: by(ANN, ann) })).ok).toBe(true);
  });

  it("one person's grants are bounded, what was taken back among them", async () => {
    await signedIn(ANN);
    for (let i = 0; i < 32; i++) {
      const grant = await give({ app: `app${i}` });
      if (i % 2 === 0) await revoke("grant", grant);
    }
    expect(await outcome(() => give({ app: "wiki" }))).toBe("failed");
    expect(await outcome(() => give({ app: "app7" }))).toBe("answered");
    expect(await outcome(() => give({ user: userId(1) as UserId }))).toBe("answered");
  });

  it("each act is on record first: one that cannot be recorded gives nothing", async () => {
    const asked = await ask();
    const append = vi.spyOn(Audit.prototype, "append").mockRejectedValue(new Error("full"));
    expect(await outcome(() => give({ id: asked.ok ? asked.id : "" }))).toBe("failed");
    expect(await outcome(() => ask(ANN, "crm"))).toBe("failed");
    append.mockRestore();
    expect((await control().grants()).filter(({ given_at: given }) => given !== null)).toEqual([]);
    expect(await control().grants()).toHaveLength(1);
  });

  it("asked, given, denied and run out are on record, the last by control's own alarm", async () => {
    const asked = await ask();
    const other = await ask(ANN, "crm");
    await control().denyGrant(other.ok ? other.id : "", by());
    await give({ id: asked.ok ? asked.id : "", lasting: 60_000 });
    await runDurableObjectAlarm(stubs.CONTROL.getByName("control"));
    expect(await runInDurableObject(stubs.CONTROL.getByName("control"), (instance, state) => (expect(instance).toBeInstanceOf(Control), state.storage.getAlarm()))).toBeLessThanOrEqual(Date.now() + 60_000);
    vi.useFakeTimers({ now: Date.now() + 60_001, toFake: ["Date"] });
    await runDurableObjectAlarm(stubs.CONTROL.getByName("control"));
    vi.useRealTimers();
    expect(await acts()).toEqual(["asked", "asked", "denied", "given", "ran_out"]);
  });
});
