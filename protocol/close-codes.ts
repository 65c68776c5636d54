/**
 * WebSocket close codes: one table for the tunnel and for relayed client sockets, with what the
 * other end should do. Not HTTP statuses, though 44xx and 45xx borrow their sense (CL1).
 */
import { MAX_CLOSE_REASON_BYTES } from "./limits.ts";

/** What a peer does after this close: reconnect at once, with backoff, or not at all. */
export type Retry = "now" | "later" | "never";

export interface CloseCode {
  readonly code: number;
  /** Short, public, at most 123 bytes: sent as the reason. */
  readonly meaning: string;
  readonly toward: "tunnel" | "client" | "both";
  readonly retry: Retry;
}

export const CLOSE_CODES = {
  normal: { code: 1000, meaning: "closed", toward: "both", retry: "later" },
  going_away: { code: 1001, meaning: "going away", toward: "both", retry: "later" },
  message_protocol: { code: 1002, meaning: "protocol error", toward: "client", retry: "never" },
  message_text: { code: 1007, meaning: "text is not UTF-8", toward: "client", retry: "never" },
  message_too_large: { code: 1009, meaning: "message too large", toward: "client", retry: "never" },
  internal: { code: 1011, meaning: "internal error", toward: "both", retry: "later" },
  overloaded: { code: 1013, meaning: "overloaded, try again later", toward: "both", retry: "later" },
  protocol_error: { code: 4400, meaning: "protocol error", toward: "tunnel", retry: "later" },
  signed_out: { code: 4401, meaning: "signed out", toward: "both", retry: "never" },
  not_allowed: { code: 4403, meaning: "policy no longer allows this", toward: "both", retry: "never" },
  handshake_timeout: { code: 4407, meaning: "handshake not finished in time", toward: "tunnel", retry: "later" },
  idle: { code: 4408, meaning: "idle too long", toward: "both", retry: "later" },
  superseded: { code: 4409, meaning: "replaced by a newer connection", toward: "tunnel", retry: "never" },
  connector_revoked: { code: 4410, meaning: "connector revoked", toward: "tunnel", retry: "never" },
  handshake_refused: { code: 4411, meaning: "handshake refused", toward: "tunnel", retry: "later" },
  too_large: { code: 4413, meaning: "message too large", toward: "tunnel", retry: "later" },
  version_unsupported: { code: 4426, meaning: "no common protocol version", toward: "tunnel", retry: "never" },
  flood: { code: 4429, meaning: "too many frames without purpose", toward: "both", retry: "later" },
  upstream_lost: { code: 4502, meaning: "the app's connection was lost", toward: "client", retry: "later" },
  draining: { code: 4503, meaning: "restarting, reconnect", toward: "both", retry: "now" },
} as const satisfies Record<string, CloseCode>;

export type CloseName = keyof typeof CLOSE_CODES;

const BY_CODE: ReadonlyMap<number, CloseName> = new Map(
  (Object.keys(CLOSE_CODES) as CloseName[]).map((name) => [CLOSE_CODES[name].code, name]),
);

/** The name of a received code; undefined for a code that is not in the table (an app's own, say). */
export function closeName(code: number): CloseName | undefined {
  return BY_CODE.get(code);
}

/** What a connector does after a received code: the table's answer, "later" for any other and for those meant for browsers, which an engine sends when bytes arrive broken (CL4). */
export function retryAfterClose(code: number): Retry {
  const name = BY_CODE.get(code);
  return name === undefined || CLOSE_CODES[name].toward === "client" ? "later" : CLOSE_CODES[name].retry;
}

/**
 * A code that `close()` accepts for a code that was received: 1004, 1005, 1006, 1015, the
 * unassigned 1016-2999 and whatever is no close code at all become 1000 (CL2; RFC 6455 §7.4).
 */
export function sendableCloseCode(code: number): number {
  if (!Number.isInteger(code) || code < 1000 || code > 4999) return 1000;
  if (code === 1004 || code === 1005 || code === 1006) return 1000;
  return code >= 1015 && code < 3000 ? 1000 : code;
}

/** Cuts a close reason to 123 bytes of UTF-8 without splitting a character (CL3). */
export function closeReason(text: string): string {
  const bytes = new TextEncoder().encode(text);
  if (bytes.length <= MAX_CLOSE_REASON_BYTES) return text;
  let end = MAX_CLOSE_REASON_BYTES;
  while (end > 0 && ((bytes[end] ?? 0) & 0xc0) === 0x80) end--;
  return new TextDecoder().decode(bytes.subarray(0, end));
}
