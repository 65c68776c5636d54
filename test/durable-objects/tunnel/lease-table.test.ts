import { afterEach, describe, expect, it, vi } from "vitest";
import type { SessionId } from "../../../core/ids.ts";
import { ASK_ATTEMPT_MS, LEASE_HOLD_MS, SESSION_SPREAD_MS, spreadOf } from "../../../durable-objects/lease-terms.ts";
import { create, end, lease as grant, type SessionState, snapshot } from "../../../durable-objects/session/machine.ts";
import type { LeaseAnswer } from "../../../durable-objects/session/rpc.ts";
import { type AdmissionKey, LeaseTable, SWEPT_COUNT } from "../../../durable-objects/tunnel/lease-table.ts";
import { ObjectStorage } from "../object-storage.ts";
import { CRM, question, RECEIPT, SID, sidOf, signIn, T0, WIKI } from "../samples.ts";

const KEY: AdmissionKey = { sid: SID, app: WIKI, connector: "thumb", policyVersion: 1, issuer: "https://access.example.com" };
const yes = (epoch: number, lastActiveAt = T0): LeaseAnswer => ({
  ok: true,
  snapshot: { ...snapshot(create(SID, signIn(), T0)), epoch, lastActiveAt },
  admitted: { admission: "jws", digest: "digest", assertion: "", usableMs: LEASE_HOLD_MS },
  firstGrant: epoch === 1,
  usedBytes: 0,
});

/** A session whose answers the test hands out one by one. */
function asked(): { ask: () => Promise<LeaseAnswer>; count: () => number; answer: (reply: LeaseAnswer | Error, which?: number) => Promise<void> } {
  const waiting: PromiseWithResolvers<LeaseAnswer>[] = [];
  return {
    ask: () => {
      const one = Promise.withResolvers<LeaseAnswer>();
      waiting.push(one);
      return one.promise;
    },
    count: () => waiting.length,
    answer: async (reply, which = waiting.length - 1) => {
      if (reply instanceof Error) waiting[which]?.reject(reply);
      else waiting[which]?.resolve(reply);
      await new Promise((resolve) => setImmediate(resolve));
    },
  };
}

describe("a reply that a push overtook (M1)", () => {
  const rows: readonly [string, readonly number[], number, "taken" | "asked again"][] = [
    ["counts when no push came", [], 1, "taken"],
    ["is discarded when it is older than the push", [2], 1, "asked again"],
    ["counts when it is as new as the push", [2], 2, "taken"],
    ["is measured by the newest of several pushes", [2, 4, 3], 3, "asked again"],
  ];
  it.each(rows)("%s", async (_title, pushes, epoch, wanted) => {
    const table = new LeaseTable();
    const session = asked();
    const outcome = table.ensure(KEY, session.ask, () => T0);
    for (const push of pushes) table.push(SID, push);
    await session.answer(yes(epoch));
    expect(session.count()).toBe(wanted === "taken" ? 1 : 2);
    expect(table.lease(SID, T0) !== undefined).toBe(wanted === "taken");
    await session.answer({ ok: false, epoch: 9, code: "revoked" });
    expect((await outcome).ok).toBe(wanted === "taken");
  });

  it("keeps its floor for every question of the session until the last is answered", async () => {
    const table = new LeaseTable();
    const session = asked();
    void table.ensure(KEY, session.ask, () => T0);
    void table.ensure({ ...KEY, app: CRM }, session.ask, () => T0);
    table.push(SID, 2);
    await session.answer({ ok: false, epoch: 2, code: "revoked" }, 0);
    await session.answer(yes(1), 1);
    expect(session.count()).toBe(3);
    expect(table.lease(SID, T0)).toBeUndefined();
  });

  it("a push of one session leaves the others alone", async () => {
    const table = new LeaseTable();
    const session = asked();
    const outcome = table.ensure(KEY, session.ask, () => T0);
    table.push(sidOf(7), 9);
    await session.answer(yes(1));
    expect((await outcome).ok).toBe(true);
  });

  it("gives up rather than fight pushes for ever, and then lets nobody in", async () => {
    const table = new LeaseTable();
    let questions = 0;
    const outcome = await table.ensure(KEY, async () => {
      table.push(SID, ++questions + 1);
      return yes(questions);
    }, () => T0);
    expect(outcome).toEqual({ ok: false, code: "unavailable" });
    expect(questions).toBeLessThan(10);
  });

  it("an older answer never replaces what a newer one said", async () => {
    const table = new LeaseTable();
    const session = asked();
    void table.ensure(KEY, session.ask, () => T0);
    void table.ensure({ ...KEY, app: CRM }, session.ask, () => T0);
    await session.answer(yes(3), 1);
    await session.answer(yes(2), 0);
    expect(table.lease(SID, T0)?.snapshot.epoch).toBe(3);
  });
});

describe("a session that never answers", () => {
  afterEach(() => void vi.useRealTimers());

  it("is asked no longer than a while: the open is refused, the next one asks anew, and its late word counts for nothing", async () => {
    vi.useFakeTimers({ now: T0 });
    const table = new LeaseTable();
    const session = asked();
    const outcome = table.ensure(KEY, session.ask, Date.now);
    await vi.advanceTimersByTimeAsync(ASK_ATTEMPT_MS);
    expect(await outcome).toEqual({ ok: false, code: "unavailable" });
    vi.useRealTimers();
    await session.answer(yes(1));
    expect(table.lease(SID, T0)).toBeUndefined();
    const again = table.ensure(KEY, session.ask, Date.now);
    expect(session.count()).toBe(2);
    await session.answer(yes(1));
    expect((await again).ok).toBe(true);
  });
});

describe("one flight for one question", () => {
  it("shares it between all who ask the same, and asks anew afterwards", async () => {
    const table = new LeaseTable();
    const session = asked();
    let now = T0;
    const all = Array.from({ length: 20 }, () => table.ensure(KEY, session.ask, () => now));
    expect(session.count()).toBe(1);
    await session.answer(yes(1));
    expect((await Promise.all(all)).every((one) => one.ok)).toBe(true);
    expect((await table.ensure(KEY, session.ask, () => now)).ok).toBe(true);
    expect(session.count()).toBe(1);
    now += LEASE_HOLD_MS;
    void table.ensure(KEY, session.ask, () => now);
    expect(session.count()).toBe(2);
  });

  const others: readonly [string, Partial<AdmissionKey>][] = [
    ["another app", { app: CRM }],
    ["another connector's key", { connector: "other" }],
    ["another policy version", { policyVersion: 2 }],
  ];
  it.each(others)("%s is another question (M17)", async (_title, change) => {
    const table = new LeaseTable();
    const session = asked();
    void table.ensure(KEY, session.ask, () => T0);
    await session.answer(yes(1));
    void table.ensure({ ...KEY, ...change }, session.ask, () => T0);
    expect(session.count()).toBe(2);
  });

  it("a session that cannot be asked lets nobody in, and is asked again next time", async () => {
    const table = new LeaseTable();
    const session = asked();
    const outcome = table.ensure(KEY, session.ask, () => T0);
    await session.answer(new Error("the object is gone"));
    expect(await outcome).toEqual({ ok: false, code: "unavailable" });
    void table.ensure(KEY, session.ask, () => T0);
    expect(session.count()).toBe(2);
  });

  it("a no takes back what was held", async () => {
    const table = new LeaseTable();
    const session = asked();
    void table.ensure(KEY, session.ask, () => T0);
    await session.answer(yes(1));
    void table.ensure({ ...KEY, app: CRM }, session.ask, () => T0);
    await session.answer({ ok: false, epoch: 2, code: "signed_out" });
    expect(table.lease(SID, T0)).toBeUndefined();
    expect(table.admission(KEY, T0)).toBeUndefined();
  });
});

describe("a lease is a duration, counted from when its question was sent (M9)", () => {
  it.each([[0], [5_000], [20_000]])("a reply that took %d ms leaves that much less", async (delay) => {
    const table = new LeaseTable();
    const session = asked();
    let now = T0;
    void table.ensure(KEY, session.ask, () => now);
    now += delay;
    await session.answer(yes(1));
    expect(table.lease(SID, T0 + LEASE_HOLD_MS - spreadOf(SID) - 1)).toBeDefined();
    expect(table.lease(SID, T0 + LEASE_HOLD_MS - spreadOf(SID))).toBeUndefined();
    expect(table.admission(KEY, T0 + LEASE_HOLD_MS)).toBeUndefined();
  });

  it("leases of many sessions that were asked for together do not run out together", async () => {
    const table = new LeaseTable();
    const sids = Array.from({ length: 200 }, (_, n) => n.toString(16).padStart(64, "0") as SessionId);
    for (const sid of sids) await table.ensure({ ...KEY, sid }, () => Promise.resolve(yes(1)), () => T0);
    const tenths = Array.from({ length: 10 }, (_, n) => T0 + LEASE_HOLD_MS - SESSION_SPREAD_MS + (n * SESSION_SPREAD_MS) / 10);
    const left = [...tenths, T0 + LEASE_HOLD_MS].map((at) => sids.filter((sid) => table.lease(sid, at) !== undefined).length);
    expect([left[0], left.at(-1)]).toEqual([200, 0]);
    for (const [n, count] of left.entries()) expect((left[n - 1] ?? 200) - count).toBeLessThan(50);
  });

  it("a reply that came after its own end opens nothing", async () => {
    const table = new LeaseTable();
    const session = asked();
    let now = T0;
    void table.ensure(KEY, session.ask, () => now);
    now += LEASE_HOLD_MS;
    await session.answer(yes(1));
    expect(table.lease(SID, now)).toBeUndefined();
  });

  // The true time is `t`; each side reads t plus its own skew, or a clock that stood still while it worked.
  const skews = [-5_000, 0, 5_000];
  const frozen = [0, 1_500];
  it.each(skews.flatMap((lane) => skews.flatMap((session) => frozen.map((freeze) => [lane, session, freeze] as const))))(
    "the grantor still waits when the holder stops trusting (skews %d and %d ms, clock frozen for %d ms)",
    async (laneSkew, sessionSkew, freeze) => {
      const table = new LeaseTable();
      const questions = asked();
      let state: SessionState = create(SID, signIn(), T0 - 60_000);
      let t = T0;
      void table.ensure(KEY, questions.ask, () => t + laneSkew);
      t += 700;
      // The session's clock stood still since it began to work on the question.
      state = grant(state, question(), t - Math.min(freeze, 700) + sessionSkew);
      t += 300;
      await questions.answer(yes(1));
      const heldUntil = firstMoment(t, (at) => table.lease(SID, at + laneSkew) === undefined);
      const waitedUntil = (state.leases[0]?.until ?? 0) - sessionSkew;
      expect(heldUntil).toBeLessThan(waitedUntil - 2_000);
      expect(end(state, "revoked", RECEIPT, heldUntil + sessionSkew)?.ending?.waiting).toHaveLength(1);
    },
  );
});

const firstMoment = (from: number, fits: (at: number) => boolean): number => {
  let at = from;
  while (!fits(at)) at += 50;
  return at;
};

describe("forgetting", () => {
  it("sweeps what ran out and is not in use; the last word of a live stream stays", async () => {
    const table = new LeaseTable();
    const session = asked();
    void table.ensure(KEY, session.ask, () => T0);
    await session.answer(yes(1));
    table.noteActivity(SID, T0 + 9);
    table.sweep(T0 + LEASE_HOLD_MS, new Set([SID]));
    expect(table.last(SID)?.lastActiveAt).toBe(T0 + 9);
    table.sweep(T0 + LEASE_HOLD_MS, new Set());
    expect(table.size).toBe(0);
    expect(table.last(SID)).toBeUndefined();
  });

  it("sweeps a crowd in slices: of 20,000 sessions whose lease ran out so many at a time, none held up by the rest", async () => {
    const storage = new ObjectStorage();
    const table = new LeaseTable(storage.kv);
    const crowd = Array.from({ length: 20_000 }, (_, at) => at.toString(16).padStart(64, "0") as SessionId);
    await Promise.all(crowd.map((sid) => table.ensure({ ...KEY, sid }, () => Promise.resolve(yes(1)), () => T0)));
    for (const sid of crowd) table.keep(sid);
    const inUse = new Set(crowd.slice(0, 1));
    const took: number[] = [];
    for (let left = crowd.length - 1; left > 0; left -= SWEPT_COUNT) {
      const began = performance.now();
      table.sweep(T0 + LEASE_HOLD_MS, inUse);
      took.push(performance.now() - began);
      expect(table.size).toBe(Math.max(1, left - SWEPT_COUNT + 1));
    }
    expect(took.sort((a, b) => a - b)[Math.floor(took.length / 2)]).toBeLessThan(50);
    expect(storage.keys()).toHaveLength(1);
    expect(table.admission({ ...KEY, sid: crowd[1] as SessionId }, T0 + LEASE_HOLD_MS)).toBeUndefined();
  });

  it("a renewed lease keeps the finer of both words on the user's last byte (P19)", async () => {
    const table = new LeaseTable();
    const session = asked();
    void table.ensure(KEY, session.ask, () => T0);
    await session.answer(yes(1));
    table.noteActivity(SID, T0 + 900);
    void table.ensure({ ...KEY, app: CRM }, session.ask, () => T0);
    await session.answer(yes(1, T0 + 100));
    expect(table.last(SID)?.lastActiveAt).toBe(T0 + 900);
  });
});
