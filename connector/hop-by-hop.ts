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

const NONE: ReadonlySet<string> = new Set();

/** The list without hop-by-hop headers, including those that its Connection headers name, and without `unwanted` (lower-case names). */
export function endToEnd(headers: HeaderPairs, unwanted: ReadonlySet<string> = NONE): [string, string][] {
  const named = namedByConnection(headers);
  const kept: [string, string][] = [];
  for (const [name, value] of headers) {
    const lower = name.toLowerCase();
    if (HOP_BY_HOP.has(lower) || unwanted.has(lower) || (named.has(lower) && !PROTECTED.test(lower))) continue;
    kept.push([name, value]);
  }
  return kept;
}

function namedByConnection(headers: HeaderPairs): ReadonlySet<string> {
  let named: Set<string> | undefined;
  for (const [name, value] of headers) {
    if (!isNamed(name, "connection")) continue;
    named ??= new Set();
    for (const token of value.split(",")) named.add(token.trim().toLowerCase());
  }
  return named ?? NONE;
}

/** Whether this is the header of that lower-case name. Most are not even as long. */
const isNamed = (name: string, wanted: string): boolean => name.length === wanted.length && name.toLowerCase() === wanted;

/** All values of a header, in order. */
export function valuesOf(headers: HeaderPairs, wanted: string): string[] {
  return headers.filter(([name]) => isNamed(name, wanted)).map(([, value]) => value);
}

/** The list without some headers (lower-case names). */
export function without(headers: HeaderPairs, ...unwanted: readonly string[]): [string, string][] {
  return headers.filter(([name]) => !unwanted.some((one) => isNamed(name, one))).map(([name, value]) => [name, value]);
}

/** node's flat rawHeaders as pairs. */
export function toPairs(raw: readonly string[]): [string, string][] {
  const pairs: [string, string][] = [];
  for (let i = 0; i + 1 < raw.length; i += 2) pairs.push([raw[i] ?? "", raw[i + 1] ?? ""]);
  return pairs;
}
