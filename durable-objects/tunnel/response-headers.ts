/**
 * What of an app's answer reaches the browser: nothing hop-by-hop, nothing in our names, no
 * cookie for a sibling host (M19), no service worker over `/.postern/`. Pure.
 */
import type { HeaderField } from "../../protocol/head.ts";
import { HOP_BY_HOP, OWN_COOKIE } from "../../protocol/header-names.ts";

/** The cookie without its Domain attribute; undefined when it uses a name of ours. */
export function siblingSafeCookie(value: string): string | undefined {
  const parts = value.split(";");
  // A cookie without a name is sent back as its bare value, and so can pose as any other (RFC 6265bis §5.7).
  const pair = (parts[0] ?? "").replace(/^[\s=]+/, "");
  if (OWN_COOKIE.test(pair)) return undefined;
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
    if (Object.hasOwn(rules.set, lower)) continue;
    if (lower === "set-cookie") {
      const cookie = siblingSafeCookie(value);
      if (cookie !== undefined) out.push([name, shownText(cookie)]);
    } else if (lower === "service-worker-allowed") {
      // A wider scope than the script's own folder could take `/.postern/` in.
    } else if (lower === "clear-site-data") {
      // Cookies are cleared for the whole site: an app could sign everybody out of every other.
      const kept = value.split(",").map((part) => part.trim()).filter((part) => part !== '"cookies"' && part !== '"*"' && part !== "");
      if (kept.length > 0) out.push([name, kept.join(", ")]);
    } else if (lower === "location" && rules.rewriteOrigin !== undefined) {
      out.push([name, publicLocation(shownText(value), rules.rewriteOrigin)]);
    } else out.push([name, shownText(value)]);
  }
  for (const [name, value] of Object.entries(rules.set)) out.push([name, value]);
  return out;
}

/**
 * The tunnel carries one character a byte; the runtime writes text as UTF-8. UTF-8 thus leaves
 * byte for byte as it came; a Latin-1 value leaves as the same characters in UTF-8.
 */
function shownText(value: string): string {
  if (!/[\x80-\xff]/.test(value)) return value;
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(Uint8Array.from(value, (char) => char.charCodeAt(0)));
  } catch {
    return value;
  }
}

function publicLocation(value: string, { from, to }: { readonly from: readonly string[]; readonly to: string }): string {
  for (const origin of from) {
    if (value === origin) return to;
    if (value.startsWith(`${origin}/`)) return to + value.slice(origin.length);
  }
  return value;
}
