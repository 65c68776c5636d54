/**
 * Removes from a raw header list what belongs to one connection only (RFC 9110 §7.6.1), keeping
 * order, case and duplicates of the rest. Not a validator: node:http refuses CR, LF and NUL.
 */
import { HOP_BY_HOP } from "../protocol/header-names.ts";

/** A raw header list as node:http gives and takes it, in pairs. */
export type HeaderPairs = readonly (readonly [name: string, value: string])[];

/**
 * What a Connection header may not name away: framing, routing and whatever says who asks. A
 * client that writes "Connection: X-Postern-Assertion" must not reach the origin anonymous.
 */
const PROTECTED = /^(?:host|content-length|content-type|content-encoding|authorization|cookie|set-cookie|date|x-postern-.*|x-forwarded-.*|forwarded)$/;

/** The list without hop-by-hop headers, including those that its Connection headers name. */
export function endToEnd(headers: HeaderPairs): [string, string][] {
  const named = new Set<string>();
  for (const [name, value] of headers) {
    if (name.toLowerCase() !== "connection") continue;
    for (const token of value.split(",")) named.add(token.trim().toLowerCase());
  }
  return headers
    .filter(([name]) => {
      const lower = name.toLowerCase();
      return !HOP_BY_HOP.has(lower) && (!named.has(lower) || PROTECTED.test(lower));
    })
    .map(([name, value]) => [name, value]);
}

/** All values of a header, in order. */
export function valuesOf(headers: HeaderPairs, wanted: string): string[] {
  return headers.filter(([name]) => name.toLowerCase() === wanted).map(([, value]) => value);
}

/** The list without some headers (lower-case names). */
export function without(headers: HeaderPairs, ...unwanted: readonly string[]): [string, string][] {
  return headers.filter(([name]) => !unwanted.includes(name.toLowerCase())).map(([name, value]) => [name, value]);
}

/** node's flat rawHeaders as pairs. */
export function toPairs(raw: readonly string[]): [string, string][] {
  const pairs: [string, string][] = [];
  for (let i = 0; i + 1 < raw.length; i += 2) pairs.push([raw[i] ?? "", raw[i + 1] ?? ""]);
  return pairs;
}
