/**
 * Segments: pieces of a body that leave the mux (M15). The connector carries each with a request
 * of its own, named by a one-time ticket that it was given on that stream and proved by a MAC
 * under the socket's key. What they say and how they are spelled; who may redeem one is the
 * tunnel object's.
 *
 *   Postern-Bulk: ticket.stream.offset.length.MAC
 *   MAC = HMAC-SHA-256(key, "postern bulk 1" NUL direction NUL "ticket.stream.offset.length")
 */
import { equalSecrets, fromBase64Url, toBase64Url } from "../core/bytes.ts";
import type { Hmac } from "./stream-mac.ts";

/** Carries the segment's name on the request; no browser sends it to us across origins, and none has a ticket. */
export const BULK_HEADER = "postern-bulk";

/** down: the app's answer, POSTed by the connector · up: the request's body, which it GETs. */
export type BulkDirection = "down" | "up";

/** The edge's word that one segment of a stream's body may come by a request of its own to `at`, the lane's object. */
export interface Ticket {
  readonly direction: BulkDirection;
  readonly ticket: string;
  readonly at: string;
}

export interface Segment {
  /** 128 random bits, base64url. */
  readonly ticket: string;
  readonly stream: number;
  readonly direction: BulkDirection;
  /** Bytes of this body before it. */
  readonly offset: number;
  readonly length: number;
}

const SPELLING = /^([A-Za-z0-9_-]{22})\.(\d{1,10})\.(\d{1,15})\.(\d{1,15})\.([A-Za-z0-9_-]{43})$/;

const nameOf = ({ ticket, stream, offset, length }: Segment): string => `${ticket}.${stream}.${offset}.${length}`;
const macOf = (hmac: Hmac, key: Uint8Array, segment: Segment): Uint8Array => hmac(key, new TextEncoder().encode(`postern bulk 1\0${segment.direction}\0${nameOf(segment)}`));

/** The header's value. */
export function spellSegment(hmac: Hmac, key: Uint8Array, segment: Segment): string {
  return `${nameOf(segment)}.${toBase64Url(macOf(hmac, key, segment))}`;
}

/** What a header says, and the check of its MAC with the key of the socket on which its ticket was issued. */
export function readSegment(header: string, direction: BulkDirection): { readonly segment: Segment; readonly isOf: (hmac: Hmac, key: Uint8Array) => boolean } | undefined {
  const [, ticket = "", stream, offset, length, mac = ""] = SPELLING.exec(header) ?? [];
  if (stream === undefined) return undefined;
  const segment = { ticket, stream: Number(stream), direction, offset: Number(offset), length: Number(length) };
  return { segment, isOf: (hmac, key) => equalSecrets(macOf(hmac, key, segment), fromBase64Url(mac) ?? new Uint8Array()) };
}
