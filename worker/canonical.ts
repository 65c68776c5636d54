/**
 * The one canonical request: host, path and query are made canonical once, and policy, proxy and
 * audit all use that. What has two readings is refused, never repaired (DESIGN §7, classes A, B, J).
 * Pure; it never parses with `new URL`, which repairs.
 */
import { err, ok, type Result } from "../core/result.ts";
import type { InsecurePath } from "../policy/document.ts";

export interface CanonicalRequest {
  readonly scheme: "http" | "https";
  /** Lower-case, without port and trailing dot. */
  readonly host: string;
  /** "" or ":8787". */
  readonly port: string;
  /** Begins with "/"; unreserved characters decoded, other escapes upper-case. */
  readonly path: string;
  /** With its "?", or "". */
  readonly query: string;
}

export type CanonicalRefusal = { readonly code: "bad_request" | "uri_too_long"; readonly what: string };

/** A whole URL. Bounds parsing and what an origin must hold. */
export const MAX_URL_BYTES = 16 * 1024;

/** The path of a WebSocket. Its lane keeps it on the socket, where there is room for 16 KiB in all. */
export const MAX_SOCKET_PATH_CHARS = 8 * 1024;

const AUTHORITY = /^([a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*)\.?(:[0-9]{1,5})?$/;
const UNRESERVED = /[A-Za-z0-9\-._~]/;
const HEX = /^[0-9A-Fa-f]{2}$/;
/** Visible ASCII but "#", "\" and what begins a query. */
const PATH_CHARACTERS = /^[\x21\x22\x24-\x3e\x40-\x5b\x5d-\x7e]*$/;
/** An escape, a parameter, an empty segment, or one that begins with a dot: a path without them is canonical as it stands. */
const NEEDS_READING = /[%;]|\/[/.]/;
const QUERY_CHARACTERS = /^[\x21\x22\x24-\x7e]*$/;
const MAX_HOST_CHARS = 253;

const refuse = (what: string): Result<never, CanonicalRefusal> => err({ code: "bad_request", what });

/** `url` as the runtime gives it, unparsed. `relaxed`: what the app opts into (P24). */
export function canonicalise(url: string, relaxed: readonly InsecurePath[] = []): Result<CanonicalRequest, CanonicalRefusal> {
  if (url.length > MAX_URL_BYTES) return err({ code: "uri_too_long", what: "the URL" });
  const split = /^(https?):\/\/([^/?#\\]*)([^?]*)(\?[\s\S]*)?$/i.exec(url);
  if (split === null) return refuse("the URL");
  const [, scheme = "", authority = "", rawPath = "", query = ""] = split;
  const host = canonicalHost(authority);
  if (host === undefined) return refuse("the host name");
  const path = canonicalPath(rawPath === "" ? "/" : rawPath, relaxed);
  if (!path.ok) return path;
  if (!QUERY_CHARACTERS.test(query)) return refuse("the query");
  // A browser leaves "\\" in a query as it is; escaped it says the same to everybody (WHATWG URL, query state).
  return ok({ scheme: scheme.toLowerCase() === "https" ? "https" : "http", ...host, path: path.value, query: query.replaceAll("\\", "%5C") });
}

/** Hosts read lately: all requests name the same few, each of them twice. Bounds what is kept; emptied when full. */
const MAX_HOSTS_COUNT = 256;
const hosts = new Map<string, { readonly host: string; readonly port: string }>();

/** Lower-case, no trailing dot, no user part; undefined for anything that is not a DNS name. */
export function canonicalHost(authority: string): { readonly host: string; readonly port: string } | undefined {
  const known = hosts.get(authority);
  if (known !== undefined) return known;
  const read = readHost(authority);
  if (hosts.size >= MAX_HOSTS_COUNT) hosts.clear();
  if (read !== undefined) hosts.set(authority, read);
  return read;
}

function readHost(authority: string): { readonly host: string; readonly port: string } | undefined {
  const match = AUTHORITY.exec(authority.toLowerCase());
  const host = match?.[1];
  return host === undefined || host.length > MAX_HOST_CHARS ? undefined : { host, port: match?.[2] ?? "" };
}

function canonicalPath(raw: string, relaxed: readonly InsecurePath[]): Result<string, CanonicalRefusal> {
  if (!raw.startsWith("/") || !PATH_CHARACTERS.test(raw)) return refuse("a character of the path");
  if (!NEEDS_READING.test(raw)) return ok(raw);
  let path = "";
  for (let i = 0; i < raw.length; i++) {
    const char = raw.charAt(i);
    if (char !== "%") {
      path += char;
      continue;
    }
    const hex = raw.slice(i + 1, i + 3);
    if (!HEX.test(hex)) return refuse("an escape in the path");
    const code = Number.parseInt(hex, 16);
    const decoded = String.fromCharCode(code);
    if (code < 0x20 || code === 0x7f) return refuse("an escaped control character");
    if (decoded === "\\") return refuse("an escaped backslash");
    if (decoded === "/" && !relaxed.includes("encoded_slash")) return refuse("an escaped slash");
    path += UNRESERVED.test(decoded) ? decoded : `%${hex.toUpperCase()}`;
    i += 2;
  }
  // On the finished path: what was written with more escapes reads the same to whoever decodes twice.
  if (/%25(?:2[EF5]|5C|00|3B)/i.test(path)) return refuse("a double escape");
  const segments = path.split("/").slice(1);
  for (const [index, segment] of segments.entries()) {
    const name = segment.split(/;|%3B/)[0] ?? "";
    if (name === "." || name === "..") return refuse("a dot segment");
    if (/%2F/.test(segment) && segment.split("%2F").some((part) => part === "." || part === "..")) return refuse("a dot segment");
    const last = index === segments.length - 1;
    if (segment === "" && !last && !relaxed.includes("double_slash")) return refuse("an empty segment");
    if (segment !== "" && name === "") return refuse("a segment of parameters only");
  }
  return ok(path);
}

export type Framing = { readonly websocket: boolean; readonly body: "none" | "stream"; readonly length?: number };

/**
 * How the message is framed, from its headers alone. Two lengths, an upgrade that is no GET
 * handshake, or a length that is no number have no one reading.
 */
export function readFraming(method: string, headers: Headers): Result<Framing, CanonicalRefusal> {
  // The runtime builds the URL from Host and target: "Host: a/b" would move the path.
  const host = headers.get("host");
  if (host !== null && canonicalHost(host) === undefined) return refuse("the Host header");
  const length = headers.get("content-length");
  const chunked = headers.get("transfer-encoding");
  if (length !== null && chunked !== null) return refuse("Content-Length beside Transfer-Encoding");
  if (chunked !== null && chunked.trim().toLowerCase() !== "chunked") return refuse("Transfer-Encoding");
  if (length !== null && !/^(?:0|[1-9][0-9]{0,15})$/.test(length)) return refuse("Content-Length");
  const upgrade = headers.get("upgrade");
  if (upgrade !== null && upgrade.toLowerCase() === "websocket") {
    const key = headers.get("sec-websocket-key") ?? "";
    const handshake = method === "GET" && /^[A-Za-z0-9+/]{22}==$/.test(key) && headers.get("sec-websocket-version") === "13";
    // The runtime shows a POST with this header as a GET: its leftover length gives it away.
    if (!handshake || (length !== null && length !== "0") || chunked !== null) return refuse("an upgrade that is no WebSocket handshake");
    return ok({ websocket: true, body: "none" });
  }
  if (length !== null) return ok(length === "0" ? { websocket: false, body: "none" } : { websocket: false, body: "stream", length: Number(length) });
  return ok({ websocket: false, body: chunked === null ? "none" : "stream" });
}

/**
 * What all headers of a request take as lines: names, values, and 4 for ": " and the line's end.
 * Never less than what MAX_HEADERS_BYTES of protocol/limits.ts counts, which is its bound here too.
 */
export function headerBytes(fields: readonly (readonly [string, string])[]): number {
  let bytes = 0;
  for (const [name, value] of fields) bytes += name.length + value.length + 4;
  return bytes;
}
