/**
 * Our cookies: all `__Host-`, so that no sibling host can plant one (M19). Names and spelling only;
 * what they hold is session-token.ts and sealed-cookie.ts.
 */
import { readCookie } from "../identity/session-token.ts";

/** The session at this host, and nowhere else. */
export const SESSION_COOKIE = "__Host-postern";
/** Binds a hand-off code to the browser that asked for it (M19). */
export const NONCE_COOKIE = "__Host-postern-nonce";
/** Counts how often one address bounced to sign-in lately. */
export const BOUNCE_COOKIE = "__Host-postern-bounce";

const ATTRIBUTES = "Path=/; Secure; HttpOnly; SameSite=Lax";

/** A cookie of ours until `maxAgeSeconds` from now; absent: until the browser closes. */
export function setCookie(name: string, value: string, maxAgeSeconds?: number): string {
  return `${name}=${value}; ${ATTRIBUTES}${maxAgeSeconds === undefined ? "" : `; Max-Age=${Math.floor(maxAgeSeconds)}`}`;
}

export const dropCookie = (name: string): string => setCookie(name, "", 0);

/** One cookie of ours; undefined when absent, doubled or too large. */
export function cookieOf(request: Request, name: string): string | undefined {
  const header = request.headers.get("cookie");
  const reading = name === SESSION_COOKIE ? sessionIn(header) : readCookie(header, name);
  return reading.kind === "found" ? reading.value : undefined;
}

/** The header that was read last for a session: each request asks twice. */
let last: { readonly header: string | null; readonly reading: ReturnType<typeof readCookie> } = { header: null, reading: { kind: "absent" } };

function sessionIn(header: string | null): ReturnType<typeof readCookie> {
  if (header !== last.header) last = { header, reading: readCookie(header, SESSION_COOKIE) };
  return last.reading;
}

/** More cookies than are looked through for ours: the person has to delete some. */
export function tooManyCookies(request: Request): boolean {
  const reading = sessionIn(request.headers.get("cookie"));
  return reading.kind === "refused" && reading.reason === "too_large";
}
