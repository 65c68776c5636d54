/** Criterion `target`: what the connectors beside an app say of the app itself. A person can do nothing about it. */
import * as v from "valibot";
import { keys } from "../containers.ts";
import { defineCriterion, factOf } from "../criterion.ts";
import type { Test } from "../kleene.ts";
import { all } from "../kleene.ts";
import { duration, matching, oneOrMore, text, toList, toMs } from "../shapes.ts";
import type { TargetValue } from "../when.ts";
import { MAX_POSTURE_AGE_MS } from "./device.ts";

const NAMES = ["healthy", "version", "digest", "critical", "high"] as const;
const digest = matching(/^sha256:[0-9a-f]{64}$/, '"sha256:" and 64 lower-case hex digits');
const most = v.pipe(v.number(), v.integer(), v.minValue(0));

export const target = defineCriterion({
  name: "target",
  kind: "context",
  shape: keys({
    healthy: v.optional(v.boolean()),
    version: v.optional(oneOrMore(text)),
    digest: v.optional(oneOrMore(digest)),
    max_critical: v.optional(most),
    max_high: v.optional(most),
    max_age: v.optional(duration),
  }),
  read: ({ healthy, version, digest: image, max_critical: critical, max_high: high, max_age: age }, _names, refuse) => {
    const listed = (one: string | readonly string[] | undefined): readonly string[] | undefined => (one === undefined ? undefined : [...new Set(toList(one))].sort());
    const written = { healthy, version: listed(version), digest: listed(image), critical, high, maxAge: age === undefined ? undefined : toMs(age) };
    const value = Object.fromEntries(Object.entries(written).filter(([, one]) => one !== undefined)) as TargetValue;
    if (readsOf(value).length === 0) refuse("empty", "target names no fact", "write for example healthy: true");
    return value;
  },
  reads: readsOf,
  compile: (value) => all(NAMES.flatMap((name) => testOf(value, name) ?? [])),
});

function readsOf(value: TargetValue): string[] {
  return NAMES.filter((name) => value[name] !== undefined).map((name) => `target.${name}`);
}

function testOf(value: TargetValue, name: (typeof NAMES)[number]): Test | undefined {
  const wanted = value[name];
  if (wanted === undefined) return undefined;
  // Of health its connector says when it changes, and is there or says nothing: it does not age.
  const maxAge = name === "healthy" ? Infinity : (value.maxAge ?? MAX_POSTURE_AGE_MS);
  return (input) => {
    const fact = factOf(input, `target.${name}`, maxAge);
    // Only a connector's word counts, whatever else brought a fact of that name.
    const known = fact?.source.startsWith("connector:") === true ? fact.value : undefined;
    if (typeof wanted === "boolean") return typeof known === "boolean" ? known === wanted : "unknown";
    if (typeof wanted === "number") return typeof known === "number" ? known <= wanted : "unknown";
    return typeof known === "string" ? wanted.includes(known) : "unknown";
  };
}
