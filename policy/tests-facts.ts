/**
 * Facts in the form that people write them, in a document's tests (P26) and in `explain --facts`.
 * What is not given is unknown, never defaulted. Not the facts of real requests: those come from
 * the edge with their own sources and ages.
 */
import * as v from "valibot";
import { type AppId, parseUserId } from "../core/ids.ts";
import type { Json } from "../core/json.ts";
import type { Result } from "../core/result.ts";
import { err, ok } from "../core/result.ts";
import type { Millis } from "../core/time.ts";
import { at, parseDuration } from "../core/time.ts";
import { keys, list } from "./containers.ts";
import type { Provider } from "./document.ts";
import { soleGroupProvider } from "./naming.ts";
import type { Fact, Facts, Subject } from "./facts.ts";
import { ANONYMOUS, grantFact } from "./facts.ts";
import { lossName, LOSS_PARTS } from "./losses.ts";
import type { Finding } from "./problems.ts";
import { findingsOf } from "./shape-problems.ts";
import { duration, oneOrMore, text, toList } from "./shapes.ts";
import { didYouMean } from "./suggest.ts";
import { RISK_REASONS } from "./when.ts";

/** "0s" is legal for ages, unlike for durations: just now. */
const age = v.union([duration, v.literal("0s")]);
const posture = v.union([text, v.number(), v.boolean()]);

const KEYS = {
  user: v.optional(text),
  provider: v.optional(text),
  email: v.optional(text),
  groups: v.optional(v.union([text, list(text, Infinity)])),
  service: v.optional(text),
  mfa: v.optional(v.union([v.literal(true), keys({ methods: v.optional(oneOrMore(text)), age: v.optional(age) })])),
  auth_age: v.optional(age),
  session_age: v.optional(age),
  ip: v.optional(text),
  country: v.optional(text),
  asn: v.optional(v.number()),
  device: v.optional(
    keys(
      {
        id: v.optional(text),
        registered: v.optional(v.boolean()),
        managed: v.optional(v.boolean()),
        tags: v.optional(oneOrMore(text)),
        owner_is_user: v.optional(v.boolean()),
        age: v.optional(age),
      },
      posture,
    ),
  ),
  grant: v.optional(oneOrMore(text)),
  grant_age: v.optional(age),
  risk: v.optional(v.picklist(["low", "medium", "high"])),
  risk_reasons: v.optional(list(v.picklist(RISK_REASONS), RISK_REASONS.length)),
  lost: v.optional(keys({ identity: v.optional(age), audit: v.optional(age), control: v.optional(age) })),
  target: v.optional(keys({ healthy: v.optional(v.boolean()), version: v.optional(text), digest: v.optional(text), critical: v.optional(v.number()), high: v.optional(v.number()), age: v.optional(age) })),
};

/** What a form may hold; LANGUAGE.md lists them. */
export const FRIENDLY_KEYS: readonly string[] = Object.keys(KEYS);

/** `facts:` may hold any of the keys too, so that `as: {user, groups, facts: {...}}` reads as POLICY.md P26 writes it. */
const friendlyShape = keys({ ...KEYS, facts: v.optional(keys(KEYS)) });

type Friendly = v.InferOutput<ReturnType<typeof keys<typeof KEYS>>>;

const DEVICE_KEYS: ReadonlySet<string> = new Set(["id", "registered", "managed", "tags", "owner_is_user", "age"]);

/** The facts that the friendly form tells, as of `now` (ms); or what is wrong with it, paths inside the form. */
export function readFriendlyFacts(form: unknown, providers: readonly Pick<Provider, "id" | "groupsClaim" | "scim">[], now: number): Result<Facts, Finding[]> {
  const parsed = v.safeParse(friendlyShape, form);
  if (!parsed.success) return err(parsed.issues.flatMap((issue) => findingsOf(form, issue)));
  const { facts: more, ...own } = parsed.output;
  const given: Friendly = { ...own, ...more };
  const wrong: Finding[] = [];
  const known: Record<string, Fact> = {};
  const tell = (name: string, value: Json, source: string, ageMs = 0): void => {
    known[name] = { value, source, observedAt: at(now - ageMs) };
  };
  const sole = providers.length === 1 ? providers[0]?.id : undefined;
  const provider = given.provider ?? providers.find(({ id }) => given.user?.startsWith(`${id}:`) === true)?.id ?? sole;
  const source = provider ?? "test";
  if (given.provider !== undefined && !providers.some(({ id }) => id === given.provider)) {
    wrong.push({ code: "dangling", message: `no provider "${given.provider}"`, fix: didYouMean(given.provider, providers.map(({ id }) => id)), path: ["provider"] });
  }
  if (given.service !== undefined && given.user !== undefined) {
    wrong.push({ code: "subject", message: "a subject is a user or a service, not both", path: ["service"] });
  }
  const person = given.user !== undefined || given.email !== undefined || given.groups !== undefined || given.mfa !== undefined || given.auth_age !== undefined;
  if (given.user !== undefined && parseUserId(given.user) === undefined) {
    const qualified = providers.some(({ id }) => given.user?.startsWith(`${id}:`)) ? given.user : provider === undefined ? undefined : `${provider}:${given.user}`;
    if (qualified === undefined) wrong.push({ code: "user", message: "the user's provider is not known", fix: "write provider:sub", path: ["user"] });
    else tell("user", qualified, source);
  }
  if (person && provider !== undefined) tell("provider", provider, "postern");
  if (given.email !== undefined) tell("email", given.email.toLowerCase(), source);
  if (given.groups !== undefined) tell("groups", readGroups(toList(given.groups), providers, given.provider, wrong), source);
  if (given.service !== undefined) tell("service", given.service, "postern");
  if (given.mfa !== undefined) {
    const { methods, age: old } = given.mfa === true ? { methods: ["mfa"], age: undefined } : given.mfa;
    tell("mfa", { methods: methods === undefined ? ["mfa"] : [...toList(methods)] }, source, ageOf(old));
  }
  if (given.auth_age !== undefined) tell("auth", true, source, ageOf(given.auth_age));
  for (const name of ["ip", "country", "asn"] as const) if (given[name] !== undefined) tell(name, given[name], "edge");
  for (const app of toList(given.grant ?? [])) tell(grantFact(app as AppId), "test", "operator:test", ageOf(given.grant_age));
  if (given.risk !== undefined) tell("risk", given.risk, "postern");
  if (given.risk_reasons !== undefined) tell("risk.reasons", given.risk_reasons, "postern");
  for (const part of LOSS_PARTS) if (given.lost?.[part] !== undefined) tell(lossName(part, provider), true, "postern", ageOf(given.lost[part]));
  const { age: old, ...said } = given.target ?? {};
  for (const [name, value] of Object.entries(said)) tell(`target.${name}`, value as Json, "connector:test", ageOf(old));
  const subject = subjectOf(given, person);
  if (given.device !== undefined) tellDevice(given.device, subject, tell);
  if (wrong.length > 0) return err(wrong);
  const started = given.session_age === undefined ? undefined : at(now - ageOf(given.session_age));
  return ok({ subject, known, ...(started === undefined ? {} : { session: { startedAt: started, lastActiveAt: at(now) } }) });
}

function subjectOf(given: Friendly, person: boolean): Subject {
  if (given.service !== undefined) return { kind: "service", id: given.service };
  if (given.user !== undefined || person) return { kind: "user", id: given.user ?? "" };
  const id = given.device?.id;
  return given.device === undefined ? ANONYMOUS : { kind: "device", id: typeof id === "string" ? id : "test" };
}

function readGroups(
  written: readonly string[],
  providers: readonly Pick<Provider, "id" | "groupsClaim" | "scim">[],
  provider: string | undefined,
  wrong: Finding[],
): string[] {
  const bare = provider ?? soleGroupProvider(providers);
  return written.flatMap((group, i) => {
    if (providers.some(({ id }) => group.startsWith(`${id}:`))) return [group];
    if (bare !== undefined && !group.includes(":")) return [`${bare}:${group}`];
    wrong.push({ code: "group", message: `"${group}" does not say whose group it is`, fix: `write provider:${group}`, path: ["groups", i] });
    return [];
  });
}

function tellDevice(
  device: NonNullable<Friendly["device"]>,
  subject: Subject,
  tell: (name: string, value: Json, source: string, ageMs?: number) => void,
): void {
  const id = typeof device.id === "string" ? device.id : "test";
  const old = ageOf(device.age);
  tell("device.id", id, "postern", old);
  if (device.registered !== undefined) tell("device.registered", device.registered, "postern", old);
  if (device.managed !== undefined) tell("device.managed", device.managed, "operator", old);
  if (device.tags !== undefined) tell("device.tags", [...toList(device.tags)], "operator", old);
  if (device.owner_is_user !== undefined) tell("device.owner", device.owner_is_user ? subject.id : `not ${subject.id}`, "postern", old);
  for (const [name, value] of Object.entries(device)) {
    if (!DEVICE_KEYS.has(name)) tell(`device.${name}`, value as Json, `device:${id}`, old);
  }
}

const ageOf = (written: string | undefined): number => (written === undefined || written === "0s" ? 0 : (parseDuration(written) ?? 0));

/** The same for callers that have a document: the CLI's `explain --facts FILE`. */
export function factsOf(form: unknown, document: { readonly providers: readonly Provider[] }, now: Millis): Result<Facts, Finding[]> {
  return readFriendlyFacts(form, document.providers, now);
}
