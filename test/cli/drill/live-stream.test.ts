import { describe, expect, it } from "vitest";
import { type DrillProtocol, LiveStream, Transits } from "../../../cli/drill/live-stream.ts";
import { canaryMark } from "../../../protocol/canary.ts";
import { stampedLine } from "../../../protocol/stamped-lines.ts";

/** The canary's clock is another machine's. */
const OFFSET_MS = 5_000_000;
const WAY_MS = 30;
const RECEIPT_AT = 1_000;

function scene(protocol: DrillProtocol = "http") {
  let now = 0;
  const transits = new Transits();
  const stream = new LiveStream(protocol, "run.one", transits, () => now);
  return {
    stream,
    transits,
    /** Written at that moment of our clock, here so much later. */
    line: (writtenAt: number, tookMs = WAY_MS, { canary = "aaaa", hears = true } = {}) => {
      now = writtenAt + tookMs;
      stream.hear(stampedLine(writtenAt + OFFSET_MS, canaryMark(canary, hears)));
    },
    receipt: () => {
      now = RECEIPT_AT;
      stream.receiptRead(now);
    },
    at: (moment: number) => (now = moment),
  };
}

const isLive = async (stream: LiveStream): Promise<boolean> => Promise.race([stream.live.then(() => true, () => false), new Promise<boolean>((done) => setImmediate(() => done(false)))]);

describe("a connection of a drill", () => {
  it.each([
    { what: "long before the receipt, and late on the way", writtenAt: 900, tookMs: 500, after: 0, inFlight: 256 },
    { what: "so that at the fastest it came before it", writtenAt: RECEIPT_AT - WAY_MS - 1, tookMs: 60, after: 0, inFlight: 256 },
    { what: "after it", writtenAt: RECEIPT_AT + 1, tookMs: WAY_MS, after: 256, inFlight: 0 },
    { what: "after it, and slow", writtenAt: RECEIPT_AT + 1, tookMs: 900, after: 256, inFlight: 0 },
    { what: "by less than the way before it, which nobody can tell from after it", writtenAt: RECEIPT_AT - 1, tookMs: WAY_MS + 2, after: 256, inFlight: 0 },
  ])("counts what the canary wrote $what, whatever its clock says", ({ writtenAt, tookMs, after, inFlight }) => {
    const { stream, line, receipt } = scene();
    for (const moment of [100, 200, 300]) line(moment);
    line(400, WAY_MS + 100);
    receipt();
    line(writtenAt, tookMs);
    expect([stream.afterBytes, stream.inFlightBytes]).toEqual([after, inFlight]);
  });

  it("counts nothing before the receipt, and half a line at the end as far as it came", () => {
    const { stream, line, receipt, at } = scene();
    for (const moment of [100, 200, 300]) line(moment);
    expect([stream.afterBytes, stream.inFlightBytes]).toEqual([0, 0]);
    receipt();
    at(RECEIPT_AT + 50);
    stream.hear(stampedLine(RECEIPT_AT + 10 + OFFSET_MS, "aa").slice(0, 30));
    stream.over("broken");
    expect(stream.afterBytes).toBe(30);
    expect(stream).toMatchObject({ end: "broken", endedAt: RECEIPT_AT + 50, canary: "aaaa" });
  });

  it.each([
    { protocol: "http", hears: false, live: true },
    { protocol: "sse", hears: false, live: true },
    { protocol: "websocket", hears: false, live: false },
    { protocol: "websocket", hears: true, live: true },
    { protocol: "tcp", hears: false, live: false },
    { protocol: "tcp", hears: true, live: true },
  ] as const)("$protocol is live once lines come, and only if the canary hears ours where there is a way back ($hears)", async ({ protocol, hears, live }) => {
    const { stream, line } = scene(protocol);
    for (const moment of [1, 2]) line(moment, 1, { hears });
    expect(await isLive(stream)).toBe(false);
    line(3, 1, { hears });
    expect(await isLive(stream)).toBe(live);
  });

  it("that ends before it lived says why", async () => {
    const { stream } = scene();
    stream.over("upstream_refused", new Error("why"));
    await expect(stream.live).rejects.toThrow("why");
  });

  it("knows the fastest way of each canary by itself", () => {
    const transits = new Transits();
    transits.note("near", 5);
    transits.note("far", 500);
    transits.note("near", 7);
    expect([transits.fastest("near"), transits.fastest("far"), transits.fastest("unknown")]).toEqual([5, 500, Number.POSITIVE_INFINITY]);
  });
});
