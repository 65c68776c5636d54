/**
 * Serves a tcp stream: its answer head, then TLS with the agent, whose first frame says which
 * resumable stream it carries (tcp-streams.ts). Opaque to the edge from there on.
 */
import type { Duplex } from "node:stream";
import type { SecureContext } from "node:tls";
import { firstFrame } from "../channel/first-frame.ts";
import { secureServer } from "../channel/secure-stream.ts";
import { StreamDuplex } from "../channel/stream-duplex.ts";
import { ENDORSEMENT_HEADER } from "../protocol/header-names.ts";
import { UPSTREAM_ERROR_CODES, encodeAnswerHead } from "../protocol/head.ts";
import type { UpstreamErrorCode } from "../protocol/head.ts";
import { DialError } from "./dial.ts";
import { dialFailure } from "./http-origin.ts";
import type { Finished } from "./http-origin.ts";
import type { Permit } from "./stream-gate.ts";
import type { Attachment, Carrier, TcpStreams } from "./tcp-streams.ts";
import type { StreamHandler, TunnelStream } from "../channel/tunnel-stream.ts";

/** What all tcp streams of the process share. */
export interface TcpParts {
  readonly streams: TcpStreams;
  readonly context: SecureContext;
  /** Signed words of other keys for this connector's, for agents that know those (KC3). */
  readonly endorsements: () => readonly string[];
}

export function serveTcp(stream: TunnelStream, permit: Permit, parts: TcpParts, carrier: Carrier, finished: Finished): StreamHandler {
  const under = new StreamDuplex(stream);
  under.on("error", () => undefined);
  const head = encodeAnswerHead({ v: 1, status: 101, headers: parts.endorsements().map((jws) => [ENDORSEMENT_HEADER, jws]), body: "stream" });
  if (!head.ok) {
    under.destroy();
    return under.handler;
  }
  stream.write(head.value);
  const work: Work = { isGone: false };
  void open(under, permit, parts, carrier, finished, work).catch(() => {
    under.destroy();
    finished(undefined);
  });
  return {
    ...under.handler,
    gone: () => {
      // At once, not when the streams on top have heard of it: nothing is dialled, read or written from here on.
      work.isGone = true;
      if (work.attachment !== undefined) parts.streams.lost(work.attachment);
      under.handler.gone();
      finished(undefined);
    },
  };
}

interface Work {
  attachment?: Attachment;
  isGone: boolean;
}

/** Rejects if no agent proves itself and says what it wants, or if the stream went meanwhile: a cut may be acknowledged already (M2). */
async function open(under: Duplex, permit: Permit, parts: TcpParts, carrier: Carrier, finished: Finished, work: Work): Promise<void> {
  const { socket: secure, peerKey } = await secureServer(under, parts.context);
  const first = await firstFrame(secure);
  if (first?.frame.type !== "open") throw new Error("no first frame");
  if (work.isGone || secure.destroyed) throw new Error("gone before it was carried");
  const { app, origin, session } = permit;
  const attachment: Attachment = { secure, carrier, first, open: first.frame.open, finished: (failure) => finished(upstreamCode(failure)) };
  work.attachment = attachment;
  const dial = async (): ReturnType<typeof origin.dial> => {
    const connected = await origin.dial();
    if (app.idleMs !== undefined) connected.setTimeout(app.idleMs, () => connected.destroy(new DialError("connect_timeout")));
    return connected;
  };
  parts.streams.accept({ session, app: app.id, agentKey: peerKey }, attachment, dial, (error) => dialFailure(error instanceof DialError ? error : new DialError("connect")).code);
}

function upstreamCode(code: string | undefined): UpstreamErrorCode | undefined {
  return UPSTREAM_ERROR_CODES.find((known) => known === code);
}
