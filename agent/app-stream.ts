/**
 * One secure stream to an app's connector, from the edge's word to TLS with a key that this
 * machine trusts. Nothing is said inside yet. Every step has a deadline or ends with the link.
 */
import type { TLSSocket } from "node:tls";
import type { SecureContext } from "node:tls";
import { secureClient } from "../channel/secure-stream.ts";
import { StreamDuplex } from "../channel/stream-duplex.ts";
import type { AppId, ConnectorId, SiteId } from "../core/ids.ts";
import { HeadReader, parseAnswerHead } from "../protocol/head.ts";
import type { AnswerHead } from "../protocol/head.ts";
import { ENDORSEMENT_HEADER } from "../protocol/header-names.ts";
import { MAX_ENDORSEMENTS_COUNT } from "../protocol/limits.ts";
import { AgentFailure } from "./agent-failure.ts";
import type { EdgeLink, OpenedStream } from "./edge-link.ts";
import type { KnownConnectors, Trusted } from "./known-connectors.ts";
import { refusedBecause } from "./refusals.ts";

export interface AppStream {
  readonly secure: TLSSocket;
  readonly connector: ConnectorId;
  readonly site: SiteId;
  readonly request: string;
  /** The connector's key, trusted. */
  readonly peerKey: string;
  readonly trusted: Trusted;
  readonly closedBecause: () => string | undefined;
}

export interface AppStreamRequest {
  readonly app: AppId;
  /** Only this one holds what is to be taken up again. */
  readonly connector: ConnectorId | undefined;
  readonly context: SecureContext;
  readonly known: KnownConnectors;
}

/** Rejects with AgentFailure. */
export async function openAppStream(link: EdgeLink, asked: AppStreamRequest): Promise<AppStream> {
  const { opened, under, head } = await link.openStream(asked.app, asked.connector, (stream) => {
    const duplex = new StreamDuplex(stream.stream);
    duplex.on("error", () => undefined);
    return { opened: stream, under: duplex, head: readHead(stream, duplex) };
  });
  try {
    const [secured, answer] = await Promise.all([secureClient(under, asked.context), head]);
    const endorsements = answer.headers.filter(([name]) => name === ENDORSEMENT_HEADER).map(([, value]) => value);
    const { socket: secure, peerKey } = secured;
    const trusted = await asked.known.check(asked.app, opened.site, peerKey, endorsements.slice(0, MAX_ENDORSEMENTS_COUNT));
    const { connector, site, request, closedBecause } = opened;
    return { secure, connector, site, request, peerKey, trusted, closedBecause };
  } catch (error) {
    under.destroy();
    if (error instanceof AgentFailure) throw error;
    const closed = opened.closedBecause();
    if (closed !== undefined) throw refusedBecause(closed, opened.request);
    throw new AgentFailure("not_secured", "no secure stream to the connector came about", "it was lost on the way, or what answers is no connector of this version", ["try again; update connector and agent"], { requestId: opened.request, isPassing: true });
  }
}

/** Takes the answer head off the front; what follows it is TLS. Rejects with AgentFailure. */
function readHead({ stream, request }: OpenedStream, under: StreamDuplex): Promise<Extract<AnswerHead, { readonly status: number }>> {
  const reader = new HeadReader("answer");
  const read = Promise.withResolvers<Extract<AnswerHead, { readonly status: number }>>();
  const fail = (failure: AgentFailure): void => {
    read.reject(failure);
    under.destroy();
  };
  const odd = (): void => fail(new AgentFailure("bad_answer", "the connector's answer cannot be read", "it is of another version, or something in between answers", ["update connector and agent"], { requestId: request }));
  stream.handler = {
    ...under.handler,
    data: (bytes) => {
      const part = reader.feed(bytes);
      if (part.type === "error") return odd();
      if (part.type === "more") return stream.consumed(bytes.length);
      stream.consumed(bytes.length - part.rest.length);
      const head = parseAnswerHead(part.json);
      if (!head.ok) return odd();
      if ("error" in head.value) return fail(refusedBecause(head.value.error, request, head.value.detail));
      stream.handler = under.handler;
      read.resolve(head.value);
      if (part.rest.length > 0) under.handler.data(part.rest);
    },
  };
  // Told by whoever waits for TLS as well: one of the two is enough.
  read.promise.catch(() => undefined);
  return read.promise;
}
