/** Criterion `device`: what is known of the device, each fact with its own age (P15). */
import * as v from "valibot";
import { DAY_MS } from "../../core/time.ts";
import { keys } from "../containers.ts";
import { defineCriterion, factOf } from "../criterion.ts";
import type { Fact } from "../facts.ts";
import type { Input, Test } from "../kleene.ts";
import { all } from "../kleene.ts";
import { duration, label, oneOrMore, text, toList, toMs } from "../shapes.ts";
import type { DeviceValue, PostureValue } from "../when.ts";

/** Without max_age no posture fact counts longer than this (P15): bounds replayed reports. */
export const MAX_POSTURE_AGE_MS = DAY_MS;

const posture = v.union([text, v.number(), v.boolean()]);
const POSTURE_NAME = /^[a-z][a-z0-9_]{0,63}$/;

const shape = keys(
  {
    registered: v.optional(v.boolean()),
    managed: v.optional(v.boolean()),
    tags: v.optional(oneOrMore(label)),
    owner_is_user: v.optional(v.boolean()),
    max_age: v.optional(duration),
  },
  oneOrMore(posture),
);

const NAMED: ReadonlySet<string> = new Set(["registered", "managed", "tags", "owner_is_user", "max_age"]);
/** Names under which other facts of a device stand; a posture value never answers for them. */
const TAKEN: ReadonlySet<string> = new Set(["id", "owner"]);

export const device = defineCriterion({
  name: "device",
  kind: "context",
  shape,
  read: (raw, _names, refuse) => {
    const value: { -readonly [K in keyof DeviceValue]: DeviceValue[K] } & { posture: Record<string, readonly PostureValue[]> } = { posture: {} };
    if (raw.registered !== undefined) value.registered = raw.registered;
    if (raw.managed !== undefined) value.managed = raw.managed;
    if (raw.tags !== undefined) value.tags = [...new Set(toList(raw.tags))].sort();
    if (raw.owner_is_user !== undefined) value.ownerIsUser = raw.owner_is_user;
    if (raw.max_age !== undefined) value.maxAge = toMs(raw.max_age);
    for (const [fact, wanted] of Object.entries(raw)) {
      if (NAMED.has(fact)) continue;
      if (!POSTURE_NAME.test(fact) || TAKEN.has(fact)) refuse("posture", `"${fact}" cannot be the name of a posture fact`, undefined, [fact]);
      else value.posture[fact] = toList(wanted as PostureValue | PostureValue[]);
    }
    const named = Object.keys(value).length - 1 - (value.maxAge === undefined ? 0 : 1) + Object.keys(value.posture).length;
    if (named === 0) refuse("empty", "device names no fact", "write for example registered: true");
    return value;
  },
  reads: (value) => [
    ...(value.registered === undefined ? [] : ["device.registered"]),
    ...(value.managed === undefined ? [] : ["device.managed"]),
    ...(value.tags === undefined ? [] : ["device.tags"]),
    ...(value.ownerIsUser === undefined ? [] : ["device.owner"]),
    ...Object.keys(value.posture).map((fact) => `device.${fact}`),
  ],
  compile: (value) => {
    const get = (input: Input, name: string): Fact | undefined => factOf(input, `device.${name}`, value.maxAge ?? MAX_POSTURE_AGE_MS);
    const tests: Test[] = [];
    for (const name of ["registered", "managed"] as const) {
      const wanted = value[name];
      if (wanted === undefined) continue;
      tests.push((input) => {
        const known = attested(get(input, name));
        return typeof known !== "boolean" ? "unknown" : known === wanted;
      });
    }
    const { tags, ownerIsUser } = value;
    if (tags !== undefined) {
      tests.push((input) => {
        const known = attested(get(input, "tags"));
        return !Array.isArray(known) ? "unknown" : tags.some((tag) => known.includes(tag));
      });
    }
    if (ownerIsUser !== undefined) {
      tests.push((input) => {
        const owner = attested(get(input, "owner"));
        const { subject } = input.facts;
        if (typeof owner !== "string" || subject.kind !== "user") return "unknown";
        return (owner === subject.id) === ownerIsUser;
      });
    }
    for (const [fact, wanted] of Object.entries(value.posture)) {
      tests.push((input) => {
        const known = get(input, fact)?.value;
        if (typeof known !== "string" && typeof known !== "number" && typeof known !== "boolean") return "unknown";
        // Of another type than every wanted value: nobody can say (P1).
        if (!wanted.some((one) => typeof one === typeof known)) return "unknown";
        return wanted.includes(known);
      });
    }
    return all(tests);
  },
});

/** What others say of a device; a device's own word on these is no fact (P15). */
function attested(fact: Fact | undefined): unknown {
  return fact === undefined || fact.source.startsWith("device:") ? undefined : fact.value;
}
