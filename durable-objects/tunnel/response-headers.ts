/**
 * What of an app's answer reaches the browser: nothing hop-by-hop, nothing in our names, no
 * cookie for a sibling host (M19), no service worker over `/.postern/`. Pure.
 */
import type { HeaderField } from "../../protocol/head.ts";

const HOP_BY_HOP = new Set([
  "connection",
  "keep-alive",
  "proxy-authenticate",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
]);
const OWN_COOKIE = /^(?:__host-|__secure-|__http-|__host-http-)?postern/i;

/** The cookie without its Domain attribute; undefined when it uses a name of ours. */
export function siblingSafeCookie(value: string): string | undefined {
  const parts = value.split(";");
  const name = (parts[0] ?? "").split("=")[0]?.trim() ?? "";
  if (OWN_COOKIE.test(name)) return undefined;
  const rest = parts.slice(1).filter((part) => part.split("=")[0]?.trim().toLowerCase() !== "domain");
  return [parts[0] ?? "", ...rest].join(";");
}

export interface ResponseRules {
  readonly set: { readonly [name: string]: string };
  readonly remove: readonly string[];
  /** For apps whose origin sees its own name: Location headers that name it are turned to the public one. */
  readonly rewriteOrigin?: { readonly from: readonly string[]; readonly to: string };
}

/** The answer's headers in order, ready for `new Headers`. */
export function responseHeaders(fields: readonly HeaderField[], rules: ResponseRules): [string, string][] {
  const named = new Set<string>();
  for (const [name, value] of fields) {
    if (name.toLowerCase() === "connection") for (const token of value.split(",")) named.add(token.trim().toLowerCase());
  }
  const removed = new Set(rules.remove);
  const out: [string, string][] = [];
  for (const [name, value] of fields) {
    const lower = name.toLowerCase();
    if (HOP_BY_HOP.has(lower) || named.has(lower) || lower.startsWith("postern-") || removed.has(lower)) continue;
    if (rules.set[lower] !== undefined) continue;
    if (lower === "set-cookie") {
      const cookie = siblingSafeCookie(value);
      if (cookie !== undefined) out.push([name, cookie]);
    } else if (lower === "service-worker-allowed") {
      // A wider scope than the script's own folder could take `/.postern/` in.
    } else if (lower === "location" && rules.rewriteOrigin !== undefined) {
      out.push([name, publicLocation(value, rules.rewriteOrigin)]);
    } else out.push([name, value]);
  }
  for (const [name, value] of Object.entries(rules.set)) out.push([name, value]);
  return out;
}

function publicLocation(value: string, { from, to }: { readonly from: readonly string[]; readonly to: string }): string {
  for (const origin of from) {
    if (value === origin) return to;
    if (value.startsWith(`${origin}/`)) return to + value.slice(origin.length);
  }
  return value;
}
