/**
 * Tickets of this lane: each lets a connector carry one piece of a body by a request of its own,
 * which is then piped without JavaScript per chunk (M15). Who redeems one is proved by the key of
 * the socket on which it was issued, and by nothing else. Not the piping (piped.ts).
 */
import { type BulkDirection, readSegment, type Segment } from "../../protocol/bulk.ts";
import { randomText } from "../random-text.ts";
import type { ConnectorLink } from "./connector-link.ts";

/** Takes the connector's body down, or gives the client's body up; undefined when it cannot be. */
export type Redeem = (segment: Segment, body: ReadableStream<Uint8Array> | null) => Promise<BodyInit | null | undefined>;

interface Issued {
  readonly link: ConnectorLink;
  readonly number: number;
  readonly direction: BulkDirection;
  readonly redeem: Redeem;
}

export class BulkTickets {
  /** This lane's object, as a request to it names it. */
  readonly #at: string;
  readonly #issued = new Map<string, Issued>();

  constructor(at: string) {
    this.#at = at;
  }

  /** Issues a ticket to the link's connector; the answer takes it back. */
  issue(link: ConnectorLink, number: number, direction: BulkDirection, redeem: Redeem): () => void {
    const ticket = randomText(16);
    this.#issued.set(ticket, { link, number, direction, redeem });
    link.tell({ t: "bulk", stream: number, direction, ticket, at: this.#at });
    return () => this.#issued.delete(ticket);
  }

  /** The connector's own request. Whatever does not fit in any way gets the same answer. */
  async serve(header: string, { method, body }: Request): Promise<Response> {
    const read = readSegment(header, method === "POST" ? "down" : "up");
    const issued = this.#issued.get(read?.segment.ticket ?? "");
    const fits = issued?.number === read?.segment.stream && issued?.direction === read?.segment.direction && issued?.link.proves(read?.isOf);
    if (read === undefined || issued === undefined || !fits) return new Response(null, { status: 404 });
    this.#issued.delete(read.segment.ticket);
    const piped = await issued.redeem(read.segment, body as ReadableStream<Uint8Array> | null);
    if (piped === undefined) return new Response(null, { status: 409 });
    const headers = { "cache-control": "no-store, no-transform", "content-type": "application/octet-stream" };
    return piped === null ? new Response(null, { status: 204 }) : new Response(piped, { headers, encodeBody: "manual" });
  }
}
