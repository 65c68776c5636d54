/** What a round's connections and its receipts come to, protocol by protocol, and what of it is not as promised. Pure. */
import type { CanaryHeard } from "../../protocol/canary.ts";
import type { ReceiptAnswer } from "../../protocol/admin-api.ts";
import { DRILL_PROTOCOLS, type DrillProtocol, type LiveStream } from "./live-stream.ts";

/** At a client that reads, the connection has ended this long after the receipt. */
export const END_AFTER_RECEIPT_MS = 250;

export type Subject = "session" | "service" | "app";

/** A connection as it is judged. */
export type Seen = Pick<LiveStream, "protocol" | "name" | "endedAt" | "end" | "afterBytes" | "inFlightBytes">;

/** One revocation of a round, and the connections that it was about. Times are of one clock, in ms. */
export interface Revoked {
  readonly receipt: ReceiptAnswer;
  readonly askedAt: number;
  readonly readAt: number;
  readonly streams: readonly Seen[];
}

export interface Round {
  readonly subject: Subject;
  readonly revoked: readonly Revoked[];
  /** How long this process itself did not run while it was measured. */
  readonly stalledMs: number;
  /** What the canary says of these connections; undefined: it could not be asked. */
  readonly heard: readonly CanaryHeard[] | undefined;
}

export interface ProtocolReport {
  readonly protocol: DrillProtocol;
  readonly opened: number;
  readonly ended: number;
  /** How often each way of ending came. */
  readonly ends: Readonly<Record<string, number>>;
  readonly slowest_end_after_request_ms: number | null;
  readonly slowest_end_after_receipt_ms: number | null;
  readonly bytes_after_receipt: number;
  readonly bytes_in_flight: number;
  /** Connections on which the canary heard a line that was written here after the receipt was read; null: it could not be asked. */
  readonly heard_after_receipt: number | null;
  /** Connections that the canary still holds; null: it could not be asked. */
  readonly open_at_canary: number | null;
}

export interface RoundReport {
  readonly revoked: Subject;
  readonly receipts: readonly ReceiptAnswer[];
  /** From the request to its receipt, the slowest. */
  readonly receipt_ms: number;
  readonly stalled_ms: number;
  readonly protocols: readonly ProtocolReport[];
}

export interface Fault {
  readonly what: string;
  readonly why: string;
  readonly fix: readonly string[];
}

const rounded = (ms: number): number => Math.round(ms * 10) / 10;
const largest = (values: readonly number[]): number | null => (values.length === 0 ? null : rounded(Math.max(...values)));

export function reportOf({ subject, revoked, stalledMs, heard }: Round): RoundReport {
  const all = revoked.flatMap(({ streams, askedAt, readAt }) => streams.map((stream) => ({ stream, askedAt, readAt })));
  const protocols = DRILL_PROTOCOLS.map((protocol) => ({ protocol, mine: all.filter(({ stream }) => stream.protocol === protocol) })).filter(({ mine }) => mine.length > 0);
  return {
    revoked: subject,
    receipts: revoked.map(({ receipt }) => receipt),
    receipt_ms: largest(revoked.map(({ askedAt, readAt }) => readAt - askedAt)) ?? 0,
    stalled_ms: rounded(stalledMs),
    protocols: protocols.map(({ protocol, mine }): ProtocolReport => {
      const over = mine.flatMap(({ stream, ...times }) => (stream.endedAt === undefined ? [] : [{ ...times, endedAt: stream.endedAt, end: stream.end ?? "broken" }]));
      const ends: Record<string, number> = {};
      for (const { end } of over) ends[end] = (ends[end] ?? 0) + 1;
      const atCanary = heard === undefined ? undefined : mine.map(({ stream, readAt }) => ({ readAt, told: heard.find(({ name }) => name === stream.name) }));
      return {
        protocol,
        opened: mine.length,
        ended: over.length,
        ends,
        slowest_end_after_request_ms: largest(over.map(({ endedAt, askedAt }) => endedAt - askedAt)),
        slowest_end_after_receipt_ms: largest(over.map(({ endedAt, readAt }) => Math.max(0, endedAt - readAt))),
        bytes_after_receipt: mine.reduce((sum, { stream }) => sum + stream.afterBytes, 0),
        bytes_in_flight: mine.reduce((sum, { stream }) => sum + stream.inFlightBytes, 0),
        heard_after_receipt: atCanary?.filter(({ readAt, told }) => (told?.heard_at ?? 0) > readAt).length ?? null,
        open_at_canary: atCanary?.filter(({ told }) => told?.open === true).length ?? null,
      };
    }),
  };
}

const many = (count: number, what: string): string => `${count} ${what}${count === 1 ? "" : "s"}`;
const LOOK = ["postern edge-status", "postern sessions"];

/** What is not as a receipt promises; empty: all of it is. */
export function faultsOf({ revoked, receipts, stalled_ms: stalledMs, protocols }: RoundReport): readonly Fault[] {
  const faults: Fault[] = [];
  const fault = (what: string, why: string, ...fix: readonly string[]): void => void faults.push({ what: `${revoked}: ${what}`, why, fix });
  for (const { id, unconfirmed, complete, frozen } of receipts) {
    for (const { site, lane, lease_ends_at: endsAt } of unconfirmed) fault(`the receipt is not complete: lane ${lane} of site ${site} is unconfirmed`, `what it or a connector there holds ends with its lease at ${endsAt}`, `postern receipt ${id}`, ...LOOK);
    if (!complete && unconfirmed.length === 0) fault("the receipt is not complete", "the edge says so, and names nobody", `postern receipt ${id}`);
    if (frozen > 0) fault(`${many(frozen, "connection")} were held and not ended`, "a revocation leaves nothing to hold", `postern receipt ${id}`);
  }
  const opened = protocols.reduce((sum, one) => sum + one.opened, 0);
  const found = receipts.reduce((sum, one) => sum + one.found, 0);
  const closed = receipts.reduce((sum, one) => sum + one.closed, 0);
  if (found < opened || closed < opened) fault(`the receipt found ${found} and closed ${closed} of ${many(opened, "live connection")}`, "lanes did not know of all that was open", ...LOOK);
  for (const one of protocols) {
    const { protocol } = one;
    const left = one.opened - one.ended;
    const late = one.slowest_end_after_receipt_ms ?? 0;
    if (left > 0) fault(`${many(left, "connection")} of ${protocol} did not end`, "bytes may still pass where access was taken away", ...LOOK);
    if (late > END_AFTER_RECEIPT_MS + stalledMs) fault(`a connection of ${protocol} ended ${late} ms after the receipt`, `it must be over within ${END_AFTER_RECEIPT_MS} ms; a slow network on the way here looks the same`, "try again from a machine nearer to the edge, then postern edge-status");
    if (one.bytes_after_receipt > 0) fault(`${many(one.bytes_after_receipt, "byte")} of ${protocol} came that the canary wrote after the receipt`, "after a receipt nothing of what it ended may pass", ...LOOK);
    if ((one.heard_after_receipt ?? 0) > 0) fault(`${many(one.heard_after_receipt ?? 0, "connection")} of ${protocol} carried to the canary what was written here after the receipt`, "after a receipt nothing of what it ended may pass", ...LOOK);
    if ((one.open_at_canary ?? 0) > 0) fault(`${many(one.open_at_canary ?? 0, "connection")} of ${protocol} are still open at the canary`, "the connector did not close what the receipt says it closed", "see the connector's log", ...LOOK);
    if ((one.ends["whole"] ?? 0) > 0) fault(`${many(one.ends["whole"] ?? 0, "connection")} of ${protocol} ended as if they were whole`, "what is cut off must be an error, never a short success", "does something in between end connections itself? Try without it");
  }
  return faults;
}
