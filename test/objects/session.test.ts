import { abortAllDurableObjects, evictDurableObject, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { AppId, ReceiptId, SessionId } from "../../core/ids.ts";
import { at } from "../../core/time.ts";
import { NOTHING_CUT } from "../../durable-objects/cut-report.ts";
import { Signer } from "../../durable-objects/signer/signer.ts";
import { Tunnel } from "../../durable-objects/tunnel/tunnel.ts";
import type { CodeRecord } from "../../identity/one-time-code.ts";
import { BERLIN, cookieOf, HASH, ISSUER, laneOf, laneStub, objects, openRequest, outcome, randomText, sessionOf, sessionStub, setUp, signedIn, signInOf, userId, wipe } from "./deployment.ts";
import { eventually } from "./eventually.ts";
import { connected } from "./test-connector.ts";

const RECEIPT = `rcpt_${"R".repeat(22)}` as ReceiptId;
const WIKI = "host:wiki.access.example.com";
const bytes = (n: number): Uint8Array => new Uint8Array(32).fill(n);

beforeEach(() => setUp());
afterEach(wipe);

const newSid = (): SessionId => objects.SESSION.newUniqueId().toString() as SessionId;

describe("a session", () => {
  it("opens with its credential at its audience, before and after a sleep, and is created once", async () => {
    const sid = await signedIn();
    expect((await sessionOf(sid).verify(WIKI, HASH))?.sid).toBe(sid);
    expect(await sessionOf(sid).verify("host:crm.access.example.com", HASH)).toBeUndefined();
    expect(await sessionOf(sid).create(sid, signInOf(userId(9)), Date.now())).toBe(false);
    await evictDurableObject(sessionStub(sid));
    expect((await sessionOf(sid).verify(WIKI, HASH))?.subject.id).toBe(userId());
  });

  it("that nobody created opens nothing, and asking stores nothing (P1)", async () => {
    const sid = newSid();
    expect(await sessionOf(sid).verify(WIKI, HASH)).toBeUndefined();
    expect(await sessionOf(sid).describe()).toBeUndefined();
    expect(await runInDurableObject(sessionStub(sid), async (_session, state) => (await state.storage.list()).size)).toBe(0);
  });

  it("that was ended before it was created never comes to be (M1)", async () => {
    const sid = newSid();
    await sessionOf(sid).end("revoked", RECEIPT);
    expect(await sessionOf(sid).create(sid, signInOf(userId()), Date.now())).toBe(false);
    await evictDurableObject(sessionStub(sid));
    expect(await sessionOf(sid).create(sid, signInOf(userId()), Date.now())).toBe(false);
    expect(await sessionOf(sid).verify(WIKI, HASH)).toBeUndefined();
  });

  it("hands a code to one host and one browser, once, whatever races for it (M19)", async () => {
    const sid = await signedIn(userId(), { credential: cookieOf("access") });
    const record: CodeRecord = { codeHash: bytes(1), host: "wiki.access.example.com", nonceHash: bytes(2), expiresAt: at(Date.now() + 30_000), redeemed: false };
    expect(await sessionOf(sid).mintCode({ audience: WIKI, hash: HASH }, record)).toBe(false);
    expect(await sessionOf(sid).mintCode({ audience: "host:access.access.example.com", hash: HASH }, record)).toBe(true);
    const shown = { codeHash: bytes(1), host: "wiki.access.example.com", nonceHash: bytes(2) };
    const tries = await Promise.all(Array.from({ length: 20 }, () => sessionOf(sid).redeemCode(shown, cookieOf("wiki", "w".repeat(43)))));
    expect(tries.filter(Boolean)).toHaveLength(1);
    expect(await sessionOf(sid).verify(WIKI, "w".repeat(43))).toBeDefined();
  });

  it("counts the bytes that a lane tells once, also when its question failed and is asked again (P7)", async () => {
    const sid = await signedIn();
    const signer = vi.spyOn(Signer.prototype, "admit").mockRejectedValueOnce(new Error("down"));
    const ask = (usedBytes: number) => sessionOf(sid).lease({ v: 1, site: BERLIN, lane: 0, nonce: "n", holds: "body", app: "wiki" as AppId, connector: "t".repeat(43), policyVersion: 1, issuer: ISSUER, connection: {}, lastActiveAt: 0, usedBytes, requests: 0, recorded: false });
    expect(await outcome(() => ask(1_000))).toBe("failed");
    expect(await ask(1_000)).toMatchObject({ ok: true, usedBytes: 1_000 });
    expect(await ask(0)).toMatchObject({ ok: true, usedBytes: 1_000 });
    expect(signer).toHaveBeenCalledTimes(3);
  });

  it("ends by its alarm at its end, and lets nobody in between the end and the alarm (row 64)", async () => {
    const sid = await signedIn(userId(), { endsAt: Date.now() + 40 });
    await eventually(async () => (await sessionOf(sid).verify(WIKI, HASH)) === undefined);
    expect((await sessionOf(sid).describe())?.ended).toBe("expired");
    await eventually(async () => (await objects.USER.getByName(userId()).sessions()).length === 0);
  });

  it("asks its lanes before it ends for idleness: a busy socket keeps it (P19)", async () => {
    const sid = await signedIn();
    await connected();
    const answer = await laneStub().fetch(openRequest(sid));
    // An hour passes for the session; the lane saw the user a moment ago.
    await runInDurableObject(sessionStub(sid), async (_session, state) => {
      const stored = state.storage.kv.get<{ lastActiveAt: number }>("session");
      state.storage.kv.put("session", { ...stored, lastActiveAt: Date.now() - 3_600_001 });
    });
    await evictDurableObject(sessionStub(sid));
    await runDurableObjectAlarm(sessionStub(sid));
    expect((await sessionOf(sid).describe())?.ended).toBeUndefined();
    await sessionOf(sid).end("revoked", RECEIPT);
    await answer.body?.cancel().catch(() => undefined);
  });

  it("forgets everything a day after it ended; what is left of it is a no", async () => {
    const sid = await signedIn();
    await sessionOf(sid).end("signed_out", "self");
    await runDurableObjectAlarm(sessionStub(sid));
    expect(await runInDurableObject(sessionStub(sid), async (_session, state) => (await state.storage.list()).size)).toBe(0);
    expect(await sessionOf(sid).verify(WIKI, HASH)).toBeUndefined();
  });
});

describe("an ending that a crash interrupts (M6, F10)", () => {
  it("is finished by the alarm; whoever repeats the call gets the same report, a later one has nothing to cut", async () => {
    await connected();
    const sid = await signedIn();
    const answer = await laneStub().fetch(openRequest(sid));
    expect(answer.status).toBe(200);
    // The lane does not answer while the session lives; then everything dies.
    const endSession = vi.spyOn(Tunnel.prototype, "endSession").mockImplementation(() => new Promise(() => undefined));
    const interrupted = sessionOf(sid).end("revoked", RECEIPT).catch(() => "gone");
    await eventually(() => endSession.mock.calls.length > 0);
    await abortAllDurableObjects();
    expect(await interrupted).toBe("gone");
    vi.restoreAllMocks();
    expect(await sessionOf(sid).verify(WIKI, HASH)).toBeUndefined();
    expect(await runDurableObjectAlarm(sessionStub(sid))).toBe(true);
    const report = await sessionOf(sid).end("revoked", RECEIPT);
    expect(report.unconfirmed).toEqual([]);
    expect(await sessionOf(sid).end("revoked", RECEIPT)).toEqual(report);
    expect(await sessionOf(sid).end("revoked", "self")).toEqual(NOTHING_CUT);
    expect((await laneOf().streams(sid)).streams).toEqual([]);
    await answer.body?.cancel().catch(() => undefined);
  });

  it("repeated and parallel calls tell one story", async () => {
    await connected();
    const sid = await signedIn();
    const answer = await laneStub().fetch(openRequest(sid));
    const reports = await Promise.all([sessionOf(sid).end("revoked", RECEIPT), sessionOf(sid).end("signed_out", "self"), sessionOf(sid).end("revoked", RECEIPT)]);
    expect(new Set(reports.map((one) => JSON.stringify(one))).size).toBe(1);
    expect(reports[0]).toMatchObject({ found: 1, closed: 1 });
    await evictDurableObject(sessionStub(sid));
    expect(await sessionOf(sid).end("revoked", RECEIPT)).toEqual(reports[0]);
    await answer.body?.cancel().catch(() => undefined);
  });
});

describe("a session whose store fails", () => {
  const breakStore = (sid: SessionId): Promise<void> =>
    runInDurableObject(sessionStub(sid), async (_session, state) => {
      vi.spyOn(state.storage.kv, "put").mockImplementation(() => {
        throw new Error("disk");
      });
    });

  it("tells the caller of a revocation that it failed, and still lets the next try through (row 62)", async () => {
    const sid = await signedIn();
    await breakStore(sid);
    const control = objects.CONTROL.getByName("control");
    expect(await outcome(() => control.revoke({ kind: "session", id: sid, by: "internal" }))).toBe("failed");
    expect(await outcome(() => sessionOf(sid).end("revoked", RECEIPT))).toBe("failed");
    vi.restoreAllMocks();
    const again = await control.revoke({ kind: "session", id: sid, by: "internal" });
    expect(again.ok && again.receipt.complete).toBe(true);
    expect(await sessionOf(sid).verify(WIKI, HASH)).toBeUndefined();
  });

  it("lets no lane carry its streams (fail closed)", async () => {
    await connected();
    const sid = await signedIn();
    await breakStore(sid);
    const answer = await laneStub().fetch(openRequest(sid));
    expect(answer.headers.get("postern-refusal")).toContain("unavailable");
  });

  it("of the record refuses a first grant: what is acknowledged is stored first (promise 8)", async () => {
    await connected();
    const sid = await signedIn();
    const shards = ["edge/0", "edge/1", "edge/2", "edge/3"].map((name) => objects.AUDIT.getByName(name));
    expect(shards).toHaveLength(4);
    const { Audit } = await import("../../durable-objects/audit/audit.ts");
    vi.spyOn(Audit.prototype, "append").mockRejectedValue(new Error("disk"));
    const answer = await laneStub().fetch(openRequest(sid)).catch(() => undefined);
    expect(answer === undefined || answer.headers.has("postern-refusal")).toBe(true);
    expect((await laneOf().streams(sid)).streams).toEqual([]);
  });
});

describe("a person", () => {
  it("who is revoked loses every session, and a sign-in begun before comes to nothing (CONTRACT)", async () => {
    const before = signInOf(userId());
    const sids = await Promise.all([signedIn(), signedIn(), signedIn()]);
    const done = await objects.CONTROL.getByName("control").revoke({ kind: "user", id: userId(), by: "internal" });
    expect(done.ok && done.receipt.complete).toBe(true);
    for (const sid of sids) expect(await sessionOf(sid).verify(WIKI, HASH)).toBeUndefined();
    expect(await objects.USER.getByName(userId()).signIn(before)).toEqual({ ok: false, code: "revoked" });
    const again = await objects.USER.getByName(userId()).signIn(signInOf(userId(), { attemptStartedAt: Date.now() + 5_000 }));
    expect(again.ok).toBe(true);
  });

  it("who is revoked while twenty sign-ins are under way keeps none that works", async () => {
    const attempts = Array.from({ length: 20 }, () => objects.USER.getByName(userId()).signIn(signInOf(userId(), { credential: cookieOf("wiki", randomText(32)) })));
    const revoked = objects.USER.getByName(userId()).revoke(RECEIPT);
    const results = await Promise.all(attempts);
    await revoked;
    for (const result of results) if (result.ok) expect(await sessionOf(result.sid).describe()).toMatchObject({ ended: "revoked" });
    expect(await objects.USER.getByName(userId()).sessions()).toEqual([]);
  });
});
