import { describe, expect, it, vi } from "vitest";
import type { PolicySnapshot } from "../../../durable-objects/control/rpc.ts";
import { ASK_ATTEMPT_MS, LEASE_HOLD_MS } from "../../../durable-objects/lease-terms.ts";
import { PolicyHold } from "../../../durable-objects/tunnel/policy-hold.ts";
import { documentOf, textOf } from "../../policy/fixtures.ts";
import { ObjectStorage } from "../object-storage.ts";
import { T0 } from "../samples.ts";

const document = documentOf(textOf(`[{ id: all, effect: allow, apps: "*", when: { group: [staff] } }]`));
const version = (n: number): PolicySnapshot => ({ version: n, digest: `d${n}`, document });

const nothing = (): void => undefined;

describe("the policy of a lane", () => {
  it("is nothing before control answered: no stream may open (promise 1)", async () => {
    const hold = new PolicyHold(new ObjectStorage().kv, async () => undefined, nothing);
    expect(await hold.fresh(() => T0)).toBeUndefined();
    expect(hold.version).toBe(0);
  });

  it("is nothing when control cannot be asked, whatever is stored (M8)", async () => {
    const { kv } = new ObjectStorage();
    new PolicyHold(kv, async () => undefined, nothing).take(version(3));
    const woken = new PolicyHold(kv, async () => Promise.reject(new Error("down")), nothing);
    expect(woken.version).toBe(3);
    expect(woken.isFresh(T0)).toBe(false);
    expect(await woken.fresh(() => T0)).toBeUndefined();
  });

  it("is nothing while control does not answer, which is waited for a while only: then it is asked anew (M8)", async () => {
    vi.useFakeTimers({ now: T0 });
    try {
      let asked = 0;
      const hold = new PolicyHold(new ObjectStorage().kv, () => (asked++ === 0 ? new Promise(() => undefined) : Promise.resolve(version(1))), nothing);
      const first = hold.fresh(Date.now);
      await vi.advanceTimersByTimeAsync(ASK_ATTEMPT_MS);
      expect(await first).toBeUndefined();
      expect((await hold.fresh(Date.now))?.version).toBe(1);
    } finally {
      vi.useRealTimers();
    }
  });

  it("survives a wake, but is trusted only after control said that it is still the newest (M3, M8)", async () => {
    const { kv } = new ObjectStorage();
    new PolicyHold(kv, async () => undefined, nothing).take(version(3));
    let known = -1;
    const woken = new PolicyHold(kv, async (asked) => {
      known = asked;
      return undefined;
    }, nothing);
    expect((await woken.fresh(() => T0))?.version).toBe(3);
    expect(known).toBe(3);
  });

  it.each([
    ["1 ms before its lease ends", LEASE_HOLD_MS - 1, true],
    ["at its end", LEASE_HOLD_MS, false],
    ["1 ms after", LEASE_HOLD_MS + 1, false],
  ])("is fresh exactly as long as its lease: %s", async (_title, later, fresh) => {
    const hold = new PolicyHold(new ObjectStorage().kv, async () => version(1), nothing);
    await hold.fresh(() => T0);
    expect(hold.isFresh(T0 + later)).toBe(fresh);
  });

  it("counts its lease from when the question was sent (M9)", async () => {
    let now = T0;
    const hold = new PolicyHold(new ObjectStorage().kv, async () => {
      now += 4_000;
      return version(1);
    }, nothing);
    await hold.fresh(() => now);
    expect(hold.isFresh(T0 + LEASE_HOLD_MS - 1)).toBe(true);
    expect(hold.isFresh(T0 + LEASE_HOLD_MS)).toBe(false);
  });

  it("an answer that came after its own end opens nothing (M9)", async () => {
    let now = T0;
    const hold = new PolicyHold(new ObjectStorage().kv, async () => {
      now += LEASE_HOLD_MS;
      return version(1);
    }, nothing);
    expect(await hold.fresh(() => now)).toBeUndefined();
  });

  it("never goes back to an older version, by push or by answer (M7)", async () => {
    let answer = Promise.withResolvers<PolicySnapshot | undefined>();
    const hold = new PolicyHold(new ObjectStorage().kv, () => answer.promise, nothing);
    const asked = hold.fresh(() => T0);
    hold.take(version(5));
    answer.resolve(version(4));
    expect((await asked)?.version).toBe(5);
    hold.take(version(3));
    expect(hold.version).toBe(5);
    answer = Promise.withResolvers();
  });

  it.each([4, 5, 6])("a push of version %d over 5 prolongs no lease: it may have been under way for a minute (M9)", async (pushed) => {
    const hold = new PolicyHold(new ObjectStorage().kv, async () => version(5), nothing);
    await hold.fresh(() => T0);
    hold.take(version(pushed));
    expect(hold.version).toBe(Math.max(5, pushed));
    expect(hold.isFresh(T0 + LEASE_HOLD_MS - 1)).toBe(true);
    expect(hold.isFresh(T0 + LEASE_HOLD_MS)).toBe(false);
  });

  it("tells its owner of a newer version after it was taken, once for each answer that had one", async () => {
    const answers = [version(1), undefined, version(2)];
    const told: number[] = [];
    const hold: PolicyHold = new PolicyHold(
      new ObjectStorage().kv,
      async () => answers.shift(),
      () => told.push(hold.version),
    );
    for (let i = 0; i < 3; i++) await hold.renew(() => T0);
    expect(told).toEqual([1, 2]);
  });

  it("P19: is asked for ahead of its end by whoever goes by it, and says since when control does not answer, and that it does again", async () => {
    let now = T0;
    let down = false;
    let asked = 0;
    const lost: (number | undefined)[] = [];
    const ask = async (): Promise<PolicySnapshot | undefined> => {
      asked++;
      if (down) throw new Error("down");
      return version(1);
    };
    const hold = new PolicyHold(new ObjectStorage().kv, ask, nothing, (since) => lost.push(since));
    const use = async (atMs: number): Promise<boolean> => {
      now = T0 + atMs;
      hold.keep(now, () => now);
      const fresh = await hold.fresh(() => now);
      await hold.renew(() => now).catch(nothing);
      return fresh !== undefined;
    };
    await hold.fresh(() => now);
    now = T0 + 10_000;
    hold.keep(now, () => now);
    expect(asked).toBe(1);
    down = true;
    expect(await use(18_000)).toBe(true);
    expect(lost).toEqual([T0 + 18_000]);
    const before = asked;
    hold.keep(now, () => now);
    // Not with every byte.
    expect(asked).toBe(before);
    expect(await use(LEASE_HOLD_MS)).toBe(false);
    expect(lost).toEqual([T0 + 18_000]);
    down = false;
    expect(await use(40_000)).toBe(true);
    expect(lost).toEqual([T0 + 18_000, undefined]);
  });

  it("asks once for all who wait, a second time at once if control was replaced, and again after a failure", async () => {
    let asked = 0;
    const hold = new PolicyHold(new ObjectStorage().kv, async () => {
      asked++;
      if (asked < 3) throw new Error("down");
      return version(1);
    }, nothing);
    expect(await Promise.all([hold.fresh(() => T0), hold.fresh(() => T0)])).toEqual([undefined, undefined]);
    expect(asked).toBe(2);
    expect((await hold.fresh(() => T0))?.version).toBe(1);
    expect(asked).toBe(3);
  });
});
