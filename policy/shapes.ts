/**
 * Building blocks of the document's schema: the raw shapes that an operator may write.
 * Not for meaning: references and values are judged by the criteria and by references.ts.
 */
import * as v from "valibot";
import { parseDuration } from "../core/time.ts";
import { list, type Shape } from "./containers.ts";

/** Text that is stored and compared: bounds each value. */
export const MAX_TEXT_CHARS = 1_024;
/** Items of one list: bounds one policy's tests. */
export const MAX_LIST_ITEMS = 10_000;

export const text = v.pipe(v.string(), v.minLength(1), v.maxLength(MAX_TEXT_CHARS));

/** Text of a pattern; `what` completes "expected …". */
export const matching = (pattern: RegExp, what: string) => v.pipe(v.string(), v.maxLength(MAX_TEXT_CHARS), v.regex(pattern, `expected ${what}`));

/** A DNS label: ids of apps, sites, providers and tags. */
export const label = matching(
  /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/,
  "1 to 63 lower-case letters, digits and inner hyphens",
);

/** Ids of policies, services, lists and conditions. */
export const name = matching(/^[a-z0-9][a-z0-9_-]{0,62}$/, "1 to 63 lower-case letters, digits, - and _");

export const duration = matching(/^[1-9][0-9]{0,8}(?:s|m|h|d)$/, 'a duration such as "30s", "15m", "8h" or "90d"');

/** One item or a list of them: a scalar is accepted wherever a list is. */
export const oneOrMore = <T extends Shape>(item: T) => v.union([item, list(item, MAX_LIST_ITEMS, 1)]);

/** `value` as a list. */
export function toList<T>(value: T | readonly T[]): readonly T[] {
  return Array.isArray(value) ? (value as readonly T[]) : [value as T];
}

/** Milliseconds of a duration that already passed the schema. */
export function toMs(written: string): number {
  return parseDuration(written) ?? 0;
}
