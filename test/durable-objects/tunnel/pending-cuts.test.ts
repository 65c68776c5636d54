import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { PendingCuts } from "../../../durable-objects/tunnel/pending-cuts.ts";
import { CUT_ACK_MS } from "../../../protocol/deadlines.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

describe("a cut of a connector's streams (M2)", () => {
  const asked = (cuts: PendingCuts, parts = 1): { readonly ids: string[]; readonly confirmed: Promise<boolean> } => {
    const ids: string[] = [];
    return { ids, confirmed: cuts.ask(parts, (id) => void ids.push(id)) };
  };

  it("is confirmed once each of its parts was acknowledged", async () => {
    const cuts = new PendingCuts();
    const { ids, confirmed } = asked(cuts, 3);
    expect(new Set(ids).size).toBe(3);
    for (const id of ids) cuts.acknowledged(id);
    expect(await confirmed).toBe(true);
  });

  it("is not, when one part was not acknowledged in time; what comes later confirms nothing", async () => {
    const cuts = new PendingCuts();
    const { ids, confirmed } = asked(cuts, 2);
    cuts.acknowledged(ids[0] ?? "");
    await vi.advanceTimersByTimeAsync(CUT_ACK_MS);
    expect(await confirmed).toBe(false);
    const next = asked(cuts);
    for (const id of ids) cuts.acknowledged(id);
    await vi.advanceTimersByTimeAsync(CUT_ACK_MS);
    expect(await next.confirmed).toBe(false);
  });

  it("is not confirmed by the acknowledgement of one that an earlier instance of the lane sent", async () => {
    const before = asked(new PendingCuts());
    const cuts = new PendingCuts();
    const { confirmed } = asked(cuts);
    cuts.acknowledged(before.ids[0] ?? "");
    await vi.advanceTimersByTimeAsync(CUT_ACK_MS);
    expect(await confirmed).toBe(false);
  });

  it("is not confirmed when the socket is gone", async () => {
    const cuts = new PendingCuts();
    const { confirmed } = asked(cuts);
    cuts.lost();
    expect(await confirmed).toBe(false);
  });
});
