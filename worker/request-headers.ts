/**
 * What of a browser's headers reaches an app, and what the edge says for itself. Dropped: what is
 * hop-by-hop or named by Connection, what claims an identity or a way the request took, our own
 * credentials, and every spelling of those names that an origin may fold together (class C). Pure.
 */
import type { HeaderField } from "../protocol/head.ts";
import { HOP_BY_HOP } from "../protocol/header-names.ts";
import type { HeaderRules } from "../policy/document.ts";

/** Of one connection or one message: what the tunnel's own head says in their place. */
const OF_ONE_HOP = new Set([...HOP_BY_HOP, "http2-settings", "content-length", "expect", "host"]);
/** Written by us or by nobody. Compared after folding. */
const RESERVED = new Set([
  "forwarded", "via", "x-real-ip", "true-client-ip", "x-client-ip", "x-cluster-client-ip", "x-original-url", "x-original-uri",
  "x-rewrite-url", "x-http-method", "x-http-method-override", "x-method-override", "cdn-loop", "x-remote-user", "remote-user",
  "x-auth-request-user", "x-auth-request-email", "x-auth-email", "x-auth-user", "x-user", "x-email", "x-webauth-user",
]);
const RESERVED_PREFIXES = ["x-postern-", "postern-", "x-forwarded-", "cf-"];

/** One spelling for all that CGI and its heirs make one variable of: they fold whatever is no letter or digit. */
const folded = (name: string): string => name.toLowerCase().replace(/[^a-z0-9]/g, "-");

/** Names judged lately; browsers send the same ones again and again. Bounds what is kept; emptied when full. */
const MAX_JUDGED_COUNT = 512;
const MAX_JUDGED_CHARS = 64;
const judged = new Map<string, boolean>();

/** A name that only the edge may use toward an app. */
export function isReserved(name: string): boolean {
  const known = judged.get(name);
  if (known !== undefined) return known;
  const reserved = judge(name);
  if (judged.size >= MAX_JUDGED_COUNT) judged.clear();
  if (name.length <= MAX_JUDGED_CHARS) judged.set(name, reserved);
  return reserved;
}

function judge(name: string): boolean {
  const plain = folded(name);
  return RESERVED.has(plain) || OF_ONE_HOP.has(plain) || RESERVED_PREFIXES.some((prefix) => plain.startsWith(prefix));
}

/** A cookie of ours at the start of a part, or after the comma that two Cookie lines are joined with. */
const OWN_COOKIE = /(?:^|,)\s*(?:__host-|__secure-|__http-|__host-http-)?postern/i;

/** The Cookie header without ours; undefined when nothing is left. */
export function foreignCookies(header: string): string | undefined {
  const rest = header.split(";").filter((part) => {
    const name = part.split("=")[0]?.trim() ?? "";
    return name !== "" && !OWN_COOKIE.test(part.trim());
  });
  return rest.length === 0 ? undefined : rest.map((part) => part.trim()).join("; ");
}

export interface Speaker {
  readonly sub: string;
  readonly email?: string;
  readonly groups: readonly string[];
}

export interface ForwardedAs {
  readonly host: string;
  readonly scheme: string;
  /** "" when the platform does not say it. */
  readonly clientIp: string;
  /** Who asks; absent on a public path. */
  readonly user: Speaker | undefined;
  readonly stripAuthorization: boolean;
  readonly websocket: boolean;
  readonly rules: HeaderRules;
}

/** The headers of the stream-open, in a stable order. `fields`: as the runtime lists them, names in lower case and each once but Set-Cookie. */
export function forwardedHeaders(fields: readonly (readonly [string, string])[], as: ForwardedAs): HeaderField[] {
  const connection = fields.find(([name]) => name === "connection")?.[1] ?? "";
  const named = new Set(connection.split(",").map((name) => name.trim().toLowerCase()));
  // What an operator sets or removes is theirs in every spelling, like our own names.
  const ruled = new Set([...as.rules.remove, ...Object.keys(as.rules.set)].map(folded));
  const out: HeaderField[] = [["Host", as.host]];
  for (const [name, value] of fields) {
    if (isReserved(name) || named.has(name) || (ruled.size > 0 && ruled.has(folded(name)))) continue;
    if (name === "authorization" && as.stripAuthorization) continue;
    if (as.websocket && name === "sec-websocket-extensions") continue;
    if (name === "cookie") {
      const cookies = foreignCookies(value);
      if (cookies !== undefined) out.push([name, wireText(cookies)]);
    } else out.push([name, wireText(value)]);
  }
  if (as.clientIp !== "") out.push(["X-Forwarded-For", as.clientIp]);
  out.push(["X-Forwarded-Proto", as.scheme], ["X-Forwarded-Host", as.host]);
  if (as.user !== undefined) out.push(["X-Postern-User", headerText(as.user.email ?? as.user.sub)]);
  for (const [name, value] of Object.entries(as.rules.set)) {
    const filled = fill(value, as.user);
    if (filled !== undefined) out.push([name, filled]);
  }
  return out;
}

/** `${user.email}` and its kin (P23); a header whose value is not known is not sent. */
function fill(template: string, user: Speaker | undefined): string | undefined {
  let missing = false;
  const text = template.replace(/\$\{user\.(email|sub|groups)\}/g, (_, key: string) => {
    const value = key === "email" ? user?.email : key === "sub" ? user?.sub : user?.groups.map((group) => group.replace(/[%,]/g, encodeURIComponent)).join(",");
    if (value === undefined) missing = true;
    return value ?? "";
  });
  return missing ? undefined : headerText(text);
}

/**
 * The runtime shows a value's bytes as UTF-8 text; the tunnel carries one character a byte. Bytes
 * that were no UTF-8 are U+FFFD by then, and stay so.
 */
function wireText(value: string): string {
  if (/^[\x20-\x7e\t]*$/.test(value)) return value;
  return Array.from(new TextEncoder().encode(value), (byte) => String.fromCharCode(byte)).join("");
}

/** Printable ASCII; everything else is escaped, so that no name can write a header line. */
function headerText(text: string): string {
  return text.replace(/[^\x20-\x7e]/g, (char) => encodeURIComponent(char));
}
