/**
 * WebSocket close codes: one table for the tunnel and for relayed client sockets. What the other end
 * does then is in close-rules.ts. Not HTTP statuses, though 44xx and 45xx borrow their sense (CL1).
 */
import { MAX_CLOSE_REASON_BYTES } from "./limits.ts";

export interface CloseCode {
  readonly code: number;
  /** Short, public, at most 123 bytes: sent as the reason. */
  readonly meaning: string;
}

export const CLOSE_CODES = {
  normal: { code: 1000, meaning: "closed" },
  going_away: { code: 1001, meaning: "going away" },
  message_protocol: { code: 1002, meaning: "protocol error" },
  message_text: { code: 1007, meaning: "text is not UTF-8" },
  message_too_large: { code: 1009, meaning: "message too large" },
  internal: { code: 1011, meaning: "internal error" },
  overloaded: { code: 1013, meaning: "overloaded, try again later" },
  protocol_error: { code: 4400, meaning: "protocol error" },
  signed_out: { code: 4401, meaning: "signed out" },
  not_allowed: { code: 4403, meaning: "policy no longer allows this" },
  handshake_timeout: { code: 4407, meaning: "handshake not finished in time" },
  idle: { code: 4408, meaning: "idle too long" },
  superseded: { code: 4409, meaning: "replaced by a newer connection" },
  connector_revoked: { code: 4410, meaning: "connector revoked" },
  handshake_refused: { code: 4411, meaning: "handshake refused" },
  too_large: { code: 4413, meaning: "message too large" },
  version_unsupported: { code: 4426, meaning: "no common protocol version" },
  flood: { code: 4429, meaning: "too many frames without purpose" },
  upstream_lost: { code: 4502, meaning: "the app's connection was lost" },
  draining: { code: 4503, meaning: "restarting, reconnect" },
} as const satisfies Record<string, CloseCode>;

export type CloseName = keyof typeof CLOSE_CODES;

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
  // No character has more than three bytes for each of its units.
  if (text.length * 3 <= MAX_CLOSE_REASON_BYTES) return text;
  const bytes = new TextEncoder().encode(text);
  if (bytes.length <= MAX_CLOSE_REASON_BYTES) return text;
  let end = MAX_CLOSE_REASON_BYTES;
  while (end > 0 && ((bytes[end] ?? 0) & 0xc0) === 0x80) end--;
  return new TextDecoder().decode(bytes.subarray(0, end));
}
