/**
 * Names in HTTP heads that every hop treats alike. What a direction drops on top of them is said
 * where it is dropped: worker/request-headers.ts, durable-objects/tunnel/response-headers.ts,
 * connector/hop-by-hop.ts.
 */

/** Of one connection only (RFC 9110 §7.6.1), in lower case; the proxy fields are for whoever is next. */
export const HOP_BY_HOP: ReadonlySet<string> = new Set([
  "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade",
]);

/** The beginning of a cookie with a name of ours, under every prefix that a browser knows (M19). */
export const OWN_COOKIE = /^(?:__host-|__secure-|__http-|__host-http-)?postern/i;

/** On a tcp stream's answer: another key's signed word for the connector's own (KC3). */
export const ENDORSEMENT_HEADER = "postern-endorsement";

/** On the list of sessions while the break-glass account is in use: "open" or "counting", and an instant. */
export const BREAK_GLASS_HEADER = "postern-break-glass";
