/** What each close code is for, and what a connector or an agent does after it (CL1, CL4). Never at the edge, which only sends them. */
import { CLOSE_CODES, type CloseName } from "./close-codes.ts";

/** What a peer does after this close: reconnect at once, with backoff, or not at all. */
export type Retry = "now" | "later" | "never";

export interface CloseRule {
  readonly toward: "tunnel" | "client" | "both";
  readonly retry: Retry;
}

export const CLOSE_RULES: Readonly<Record<CloseName, CloseRule>> = {
  normal: { toward: "both", retry: "later" },
  going_away: { toward: "both", retry: "later" },
  message_protocol: { toward: "client", retry: "never" },
  message_text: { toward: "client", retry: "never" },
  message_too_large: { toward: "client", retry: "never" },
  internal: { toward: "both", retry: "later" },
  overloaded: { toward: "both", retry: "later" },
  protocol_error: { toward: "tunnel", retry: "later" },
  signed_out: { toward: "both", retry: "never" },
  not_allowed: { toward: "both", retry: "never" },
  handshake_timeout: { toward: "tunnel", retry: "later" },
  idle: { toward: "both", retry: "later" },
  superseded: { toward: "tunnel", retry: "never" },
  connector_revoked: { toward: "tunnel", retry: "never" },
  handshake_refused: { toward: "tunnel", retry: "later" },
  too_large: { toward: "tunnel", retry: "later" },
  version_unsupported: { toward: "tunnel", retry: "never" },
  flood: { toward: "both", retry: "later" },
  upstream_lost: { toward: "client", retry: "later" },
  draining: { toward: "both", retry: "now" },
};

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
  return name === undefined || CLOSE_RULES[name].toward === "client" ? "later" : CLOSE_RULES[name].retry;
}
