/**
 * Where a browser may be sent after signing in or out. A target that is not certainly a place of
 * this deployment becomes the home page; nothing is repaired. Not for redirects of apps.
 */

/** Bounds what a sign-in carries around in its cookie. */
const RETURN_MAX_CHARS = 1_536;
/** Printable ASCII without space, quotation mark, angle brackets and backslash: those must come percent-encoded. */
const PLAIN = /^[!#-;=?-[\]-~]+$/;
/** Encoded control characters and backslashes, which a later decoder could turn into another URL. */
const ENCODED_TRICK = /%(?:0[0-9a-f]|1[0-9a-f]|5c|7f)/i;

export interface ReturnPlaces {
  /** The origin that a path belongs to, and the home page "/" of refused targets. */
  readonly home: URL;
  /** Whether a lower-case host, with port if any, is this deployment's. */
  readonly isOurs: (host: string) => boolean;
}

/** The target as a canonical absolute URL on one of our hosts, or the home page. */
export function safeReturnUrl(target: string | null | undefined, places: ReturnPlaces): string {
  return readTarget(target, places)?.href ?? new URL("/", places.home).href;
}

function readTarget(target: string | null | undefined, places: ReturnPlaces): URL | undefined {
  if (target === null || target === undefined || target.length > RETURN_MAX_CHARS || !PLAIN.test(target)) return undefined;
  const isPath = target.startsWith("/");
  // Two leading slashes, written or encoded, begin a host for some reader of it.
  if (isPath ? /^\/(?:\/|%2f)/i.test(target) : !/^https?:\/\/[a-z0-9]/.test(target)) return undefined;
  if (!URL.canParse(target, places.home)) return undefined;
  const url = new URL(target, places.home);
  if (ENCODED_TRICK.test(url.pathname)) return undefined;
  if (url.username !== "" || url.password !== "" || url.hostname.endsWith(".")) return undefined;
  if (url.protocol !== places.home.protocol) return undefined;
  if (isPath) return url.origin === places.home.origin ? url : undefined;
  // What we judged must be what was written: no port, dot or case that the parser took away.
  if (!target.startsWith(url.origin) || !/^(?:$|[/?#])/.test(target.slice(url.origin.length))) return undefined;
  return places.isOurs(url.host) ? url : undefined;
}
