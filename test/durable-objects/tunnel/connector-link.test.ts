import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { ConnectorId } from "../../../core/ids.ts";
import { ConnectorLink } from "../../../durable-objects/tunnel/connector-link.ts";
import { CLOSE_CODES } from "../../../protocol/close-codes.ts";
import { CUT_ACK_MS } from "../../../protocol/deadlines.ts";
import { MAX_AGENT_BYTES, MAX_RESETS_BURST_COUNT, MAX_RESETS_PER_SECOND_COUNT } from "../../../protocol/limits.ts";

const ATTACHMENT = { v: 1, role: "connector", link: "one", connector: "c_one" as ConnectorId, thumbprint: "t", mac: "AAAA", idsUsed: 2, welcomedAt: 0 } as const;

/** A socket that keeps what it is told, and a link on it. */
function told(): { readonly link: ConnectorLink; readonly cuts: string[]; readonly closed: number[]; readonly acknowledge: (id: string | undefined) => void } {
  const cuts: string[] = [];
  const closed: number[] = [];
  const send = (text: string): void => void (typeof text === "string" && cuts.push((JSON.parse(text) as { id: string }).id));
  const socket = { send, close: (code: number) => void closed.push(code), serializeAttachment: () => undefined } as unknown as WebSocket;
  const link = new ConnectorLink(socket, ATTACHMENT, () => 0, () => undefined);
  return { link, cuts, closed, acknowledge: (id) => void link.receiveText(JSON.stringify({ t: "cut_ack", id })) };
}

describe("a connector's link", () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  it("AG6 AG8: on a slow line, which answers late what ended streams left on it, is asked again and keeps its socket", async () => {
    const { link, cuts, closed, acknowledge } = told();
    link.unsplice(2, 0, 2 * MAX_AGENT_BYTES, "reset");
    expect(link.full).toBe(true);
    await vi.advanceTimersByTimeAsync(3 * CUT_ACK_MS);
    expect([cuts.length, closed, link.full]).toEqual([4, [], true]);
    acknowledge(cuts.at(-1));
    await vi.advanceTimersByTimeAsync(CUT_ACK_MS);
    expect([cuts.length, link.full]).toEqual([4, false]);
  });

  it("M2: that does not acknowledge the cut of a stream loses its socket, and what it had is over", async () => {
    const { link, cuts, closed } = told();
    link.unsplice(2, 0, 0, "cut");
    expect([cuts.length, link.isCutting]).toEqual([1, true]);
    await vi.advanceTimersByTimeAsync(CUT_ACK_MS);
    expect([closed, link.draining, link.isCutting]).toEqual([[CLOSE_CODES.internal.code], true, false]);
  });

  it("AG8: lets agents begin fewer streams than resets would end its socket, whatever their number and however often they try", () => {
    let now = 0;
    const socket = { send: () => undefined, serializeAttachment: () => undefined } as unknown as WebSocket;
    const link = new ConnectorLink(socket, ATTACHMENT, () => now, () => undefined);
    const begun = (): number => {
      let count = 0;
      while (link.begins()) count++;
      return count;
    };
    const burst = begun();
    expect(burst).toBeGreaterThan(1_000);
    expect(burst).toBeLessThanOrEqual(MAX_RESETS_BURST_COUNT / 2);
    for (let second = 1; second <= 60; second++) {
      now = second * 1_000;
      expect(begun()).toBeLessThanOrEqual(MAX_RESETS_PER_SECOND_COUNT / 2);
    }
  });
});
