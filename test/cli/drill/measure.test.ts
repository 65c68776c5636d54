import { describe, expect, it } from "vitest";
import { faultsOf, reportOf, type Revoked, type Round, type Seen } from "../../../cli/drill/measure.ts";
import type { CanaryHeard } from "../../../protocol/canary.ts";
import type { ReceiptAnswer } from "../../../protocol/admin-api.ts";

const GOOD: ReceiptAnswer = { id: "rcpt_x", kind: "session", target: "s", version: 1, at: "2026-01-01T00:00:00Z", found: 2, closed: 2, frozen: 0, kept: 0, slowest_ms: 5, bytes_in_flight_at_cut: 0, unconfirmed: [], complete: true };
const [ASKED, READ] = [100, 150];
const seen = (own: Partial<Seen> = {}): Seen => ({ protocol: "http", name: "run.http-0", endedAt: 140, end: "broken", afterBytes: 0, inFlightBytes: 0, ...own });
const ws = (own: Partial<Seen> = {}): Seen => seen({ protocol: "websocket", name: "run.websocket-0", end: "4401", ...own });
const heard = (own: Partial<CanaryHeard> = {}): CanaryHeard => ({ name: "run.websocket-0", open: false, heard_at: 120, ...own });

interface Case {
  readonly receipt?: Partial<ReceiptAnswer>;
  readonly streams?: readonly Seen[];
  readonly heard?: readonly CanaryHeard[] | undefined;
  readonly stalledMs?: number;
}
const round = (one: Case): Round => {
  const revoked: Revoked = { receipt: { ...GOOD, ...one.receipt }, askedAt: ASKED, readAt: READ, streams: one.streams ?? [seen(), ws()] };
  return { subject: "session", revoked: [revoked], stalledMs: one.stalledMs ?? 0, heard: "heard" in one ? one.heard : [heard()] };
};

describe("a drill's verdict", () => {
  it.each<Case & { readonly what: string }>([
    { what: "all ended before the receipt was read" },
    { what: "a client saw the end 250 ms after it", streams: [seen({ endedAt: READ + 250 }), ws()] },
    { what: "this machine stood still for as long as it was late", streams: [seen({ endedAt: READ + 400 }), ws()], stalledMs: 200 },
    { what: "bytes were in flight", streams: [seen({ inFlightBytes: 70_000 }), ws()] },
    { what: "the canary could not be asked", heard: undefined },
    { what: "the canary has forgotten the connection", heard: [] },
    { what: "the receipt counts somebody else's too", receipt: { found: 9, closed: 9 } },
  ])("is good when $what", (one) => {
    expect(faultsOf(reportOf(round(one)))).toEqual([]);
  });

  it.each<Case & { readonly what: string; readonly says: RegExp }>([
    { what: "a lane did not confirm", receipt: { complete: false, unconfirmed: [{ site: "office", lane: 1, lease_ends_at: "2026-01-01T00:00:30Z" }] }, says: /lane 1 of site office is unconfirmed/ },
    { what: "the receipt says that it is not complete and no more", receipt: { complete: false }, says: /not complete/ },
    { what: "fewer were found than were live", receipt: { found: 1, closed: 1 }, says: /found 1 and closed 1 of 2 live connections/ },
    { what: "fewer were closed than were live", receipt: { closed: 1, kept: 1 }, says: /found 2 and closed 1 of 2/ },
    { what: "some were only held", receipt: { closed: 2, frozen: 1 }, says: /held and not ended/ },
    { what: "a connection goes on", streams: [seen({ endedAt: undefined, end: undefined }), ws()], says: /1 connection of http did not end/ },
    { what: "a client saw the end too late", streams: [seen(), ws({ endedAt: READ + 251 })], says: /of websocket ended 251 ms after the receipt/ },
    { what: "bytes came that were written after the receipt", streams: [seen({ afterBytes: 256 }), ws()], says: /256 bytes of http came/ },
    { what: "a connection ended as if it were whole", streams: [seen({ end: "whole" }), ws()], says: /as if they were whole/ },
    { what: "the canary heard what was written here after the receipt", heard: [heard({ heard_at: READ + 1 })], says: /1 connection of websocket carried to the canary/ },
    { what: "the canary still holds a connection", heard: [heard({ open: true })], says: /1 connection of websocket are still open at the canary/ },
  ])("is bad when $what, and says what to do", ({ says, ...one }) => {
    const faults = faultsOf(reportOf(round(one)));
    expect(faults.map(({ what }) => what)).toEqual([expect.stringMatching(says)]);
    for (const { why, fix } of faults) expect([why.length > 0, fix.length > 0]).toEqual([true, true]);
  });

  it("measures each connection by its own revocation, and reports protocol by protocol", () => {
    const web: Revoked = { receipt: GOOD, askedAt: 100, readAt: 150, streams: [seen(), seen({ name: "run.http-1", endedAt: 170, inFlightBytes: 10 })] };
    const tcp: Revoked = { receipt: { ...GOOD, found: 1, closed: 1 }, askedAt: 110, readAt: 180, streams: [seen({ protocol: "tcp", name: "run.tcp-0", endedAt: 181.26, end: "revoked" })] };
    expect(reportOf({ subject: "app", revoked: [web, tcp], stalledMs: 0.04, heard: [] })).toEqual({
      revoked: "app",
      receipts: [web.receipt, tcp.receipt],
      receipt_ms: 70,
      stalled_ms: 0,
      protocols: [
        { protocol: "http", opened: 2, ended: 2, ends: { broken: 2 }, slowest_end_after_request_ms: 70, slowest_end_after_receipt_ms: 20, bytes_after_receipt: 0, bytes_in_flight: 10, heard_after_receipt: 0, open_at_canary: 0 },
        { protocol: "tcp", opened: 1, ended: 1, ends: { revoked: 1 }, slowest_end_after_request_ms: 71.3, slowest_end_after_receipt_ms: 1.3, bytes_after_receipt: 0, bytes_in_flight: 0, heard_after_receipt: 0, open_at_canary: 0 },
      ],
    });
  });
});
