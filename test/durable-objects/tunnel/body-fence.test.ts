import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { BodyFence, FENCE_MS, FENCED_AFTER_MS } from "../../../durable-objects/tunnel/body-fence.ts";
import { ObjectStorage } from "../object-storage.ts";
import { T0 } from "../samples.ts";

beforeEach(() => {
  vi.useFakeTimers({ now: T0 });
});
afterEach(() => {
  vi.useRealTimers();
});

/** Milliseconds until an instance that starts now may say that no older one pipes; undefined beyond a minute. */
async function waits(fence: BodyFence): Promise<number | undefined> {
  const from = Date.now();
  let gone = false;
  void fence.othersGone(from).then(() => {
    gone = true;
  });
  for (let ms = 0; ms <= 60_000; ms += 100) {
    await vi.advanceTimersByTimeAsync(ms === 0 ? 0 : 100);
    if (gone) return Date.now() - from;
  }
  return undefined;
}

describe("an instance with an open body (M6)", () => {
  it("writes at once and then every interval, so that a replaced one dies of it", () => {
    const storage = new ObjectStorage();
    const fence = new BodyFence(storage.kv, "a");
    const put = vi.spyOn(storage.kv, "put");
    fence.opened();
    fence.opened();
    expect(put).toHaveBeenCalledTimes(1);
    vi.advanceTimersByTime(5 * FENCE_MS);
    expect(put).toHaveBeenCalledTimes(6);
  });

  it("stops within an interval of the last body's end and leaves nothing behind; a wake then waits for nobody", async () => {
    const storage = new ObjectStorage();
    const fence = new BodyFence(storage.kv, "a");
    fence.opened();
    fence.closed();
    vi.advanceTimersByTime(FENCE_MS);
    expect(storage.keys()).toEqual([]);
    expect(vi.getTimerCount()).toBe(0);
    expect(await waits(new BodyFence(storage.kv, "b"))).toBe(0);
  });

  it("goes on when a body opened meanwhile", () => {
    const storage = new ObjectStorage();
    const fence = new BodyFence(storage.kv, "a");
    fence.opened();
    fence.closed();
    fence.opened();
    vi.advanceTimersByTime(3 * FENCE_MS);
    expect(storage.keys()).toEqual(["fence"]);
  });

  it("closing more than was opened counts as none open", () => {
    const storage = new ObjectStorage();
    const fence = new BodyFence(storage.kv, "a");
    fence.closed();
    fence.opened();
    vi.advanceTimersByTime(3 * FENCE_MS);
    expect(storage.keys()).toEqual(["fence"]);
  });
});

describe("a newer instance (M6)", () => {
  it.each([
    ["right after the older one wrote", 0, FENCED_AFTER_MS],
    ["an interval later", FENCE_MS, FENCED_AFTER_MS - FENCE_MS],
    ["when two intervals passed", FENCED_AFTER_MS, 0],
  ])("%s waits until the older one must have died", async (_title, later, wanted) => {
    const storage = new ObjectStorage();
    storage.kv.put("fence", { nonce: "old", at: T0 });
    vi.advanceTimersByTime(later);
    expect(await waits(new BodyFence(storage.kv, "new"))).toBe(wanted);
  });

  it("does not wait for itself", async () => {
    const storage = new ObjectStorage();
    storage.kv.put("fence", { nonce: "same", at: T0 });
    expect(await waits(new BodyFence(storage.kv, "same"))).toBe(0);
  });

  it("waits still when it opened bodies of its own meanwhile", async () => {
    const storage = new ObjectStorage();
    storage.kv.put("fence", { nonce: "old", at: T0 });
    const fence = new BodyFence(storage.kv, "new");
    fence.opened();
    expect(await waits(fence)).toBe(FENCED_AFTER_MS);
  });
});
