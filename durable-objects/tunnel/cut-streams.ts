/**
 * Cutting many streams at once and waiting until the connectors destroyed their side of each
 * (M2). One that carried any of them and does not say so loses its socket; the report says who was silent.
 */
import type { AppId, SessionId } from "../../core/ids.ts";
import { CLOSE_CODES } from "../../protocol/close-codes.ts";
import type { CutReport } from "../cut-report.ts";
import { LEASE_WAIT_MS } from "../lease-terms.ts";
import type { LaneParts } from "./admission.ts";
import type { Verdict } from "./freshness.ts";
import type { CutReason, LiveStream } from "./live-stream.ts";

export interface Cut {
  /** The streams that the change looked at. */
  readonly streams: readonly LiveStream[];
  readonly why: CutReason;
  /** Sessions whose admissions the connectors must forget. */
  readonly sessions: readonly SessionId[];
  /** Apps of which the connectors must end what they keep for agents that are away (M18). */
  readonly apps?: readonly AppId[];
  readonly verdict: (stream: LiveStream) => Verdict;
}

/** The ends of many streams are put on record once the answer is on its way. */
export async function cutStreams(parts: LaneParts, cut: Cut): Promise<CutReport> {
  const release = parts.log.hold();
  try {
    return await cutAndWait(parts, cut);
  } finally {
    release();
  }
}

async function cutAndWait({ links, lane }: LaneParts, { streams, why, sessions, apps = [], verdict }: Cut): Promise<CutReport> {
  const startedAt = Date.now();
  const byLink = new Map<string, number[]>();
  let closed = 0;
  let frozen = 0;
  let bytesInFlightAtCut = 0;
  const cutAll = (): void => {
    for (const stream of streams) {
      const means = verdict(stream);
      if (means === "freezes") frozen++;
      if (means !== "ends") continue;
      // Only its own connector could take a TCP stream up again, and that never comes back: its agent need not try.
      const because = why === "link" && stream.ask.protocol === "tcp" ? "revoked" : why;
      bytesInFlightAtCut += stream.cut(why === "policy" && stream.frozenAt !== undefined ? "step_up" : because);
      closed++;
      const numbers = byLink.get(stream.link);
      if (numbers === undefined) byLink.set(stream.link, [stream.number]);
      else numbers.push(stream.number);
    }
  };
  // A thousand resets are one message to each connector, and one turn of its loop.
  links.all().reduce<() => void>((work, link) => () => link.gather(work), cutAll)();
  // Also who is about to confirm what was cut a moment ago, by a lane that had learned of the change by itself.
  const told = links.all().filter((link) => sessions.length + apps.length > 0 || byLink.has(link.id) || link.isCutting);
  const confirmed = await Promise.all(
    told.map(async (link) => {
      const done = await link.cut(byLink.get(link.id) ?? [], sessions, apps);
      // One that carried nothing of it, and may only be slow, is named but keeps what it carries of others.
      if (!done && byLink.has(link.id)) links.drop(link.socket, CLOSE_CODES.internal.code, "a cut was not acknowledged");
      return done;
    }),
  );
  const here = lane();
  const silent = confirmed.includes(false) && here !== undefined;
  return {
    found: streams.length,
    closed,
    frozen,
    kept: streams.length - closed - frozen,
    slowestMs: Date.now() - startedAt,
    bytesInFlightAtCut,
    // Its origin sockets end with its own lease on the admissions it holds (M17).
    unconfirmed: silent ? [{ ...here, leaseEndsAt: Date.now() + LEASE_WAIT_MS }] : [],
  };
}
