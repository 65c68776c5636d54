/** Random policies, facts and requests for the properties: small worlds, so that things meet. */
import fc from "fast-check";
import type { AppId } from "../../core/ids.ts";
import { at, HOUR_MS, MINUTE_MS } from "../../core/time.ts";
import type { Ask, Fact, Facts, Subject } from "../../policy/facts.ts";
import { NOW } from "./fixtures.ts";

export type Raw = Record<string, unknown>;

const pick = <T>(...values: readonly T[]): fc.Arbitrary<T> => fc.constantFrom(...values);

const CRITERIA: readonly fc.Arbitrary<Raw>[] = [
  pick<Raw>({ user: "ann" }, { user: ["ann", "bob"] }),
  pick<Raw>({ email: "ann@example.com" }, { email_domain: "example.com" }),
  pick<Raw>({ group: "staff" }, { group: ["staff", "ops"] }, { group: "ops" }),
  pick<Raw>({ provider: "corp" }),
  pick<Raw>({ service: "ci" }),
  pick<Raw>({ country: "DE" }, { country: ["DE", "FR"] }),
  pick<Raw>({ ip_range: "192.0.2.0/24" }, { ip_range: ["192.0.2.0/25", "2001:db8::/32"] }),
  pick<Raw>({ mfa: true }, { mfa: { max_age: "1h" } }, { mfa: { methods: ["hwk"] } }, { mfa: { max_age: "4h", methods: ["hwk", "otp"] } }),
  pick<Raw>({ session_age: { max: "1h" } }, { session_age: { max: "8h" } }),
  pick<Raw>({ time_window: { days: "mon-fri", from: "09:00", to: "17:00", zone: "Europe/Berlin" } }, { time_window: { from: "22:00", to: "06:00", zone: "UTC" } }),
  pick<Raw>({ device: { registered: true } }, { device: { os: ["linux", "macos"], max_age: "15m" } }, { device: { tags: "lab" } }),
  pick<Raw>({ target: { healthy: true } }, { target: { max_critical: 0, version: ["1", "2"], max_age: "1h" } }),
  pick<Raw>({ grant: true }, { grant: { max: "1h" } }),
  pick<Raw>({ risk: "low" }, { risk: { max: "medium" } }),
  pick<Raw>({ risk_reason: "elsewhere" }, { risk_reason: ["second_session", "new_app"] }),
];

/** A when-block; `negation` false leaves `not` out. */
export function whenOf(negation: boolean, depth = 2): fc.Arbitrary<Raw> {
  const leaf = fc.oneof(...CRITERIA);
  const flat = fc.array(leaf, { minLength: 1, maxLength: 3 }).map((parts): Raw => Object.assign({}, ...parts) as Raw);
  if (depth === 0) return flat;
  const inner = whenOf(negation, depth - 1);
  const nested = fc.record({ any: fc.array(inner, { minLength: 1, maxLength: 2 }) });
  const both = fc.tuple(leaf, fc.oneof(nested, fc.record({ all: fc.array(inner, { minLength: 1, maxLength: 2 }) }))).map(([one, more]): Raw => ({ ...one, ...more }));
  const options: fc.WeightedArbitrary<Raw>[] = [
    { arbitrary: flat, weight: 4 },
    { arbitrary: nested, weight: 1 },
    { arbitrary: both, weight: 1 },
  ];
  if (negation) options.push({ arbitrary: fc.record({ not: inner }), weight: 1 });
  return fc.oneof(...options);
}

const httpOf = fc.option(
  pick<Raw>({ methods: ["GET"] }, { methods: ["GET", "POST"] }, { paths: ["/a/**"] }, { paths: ["/", "/a/*"] }, { methods: ["POST"], paths: ["/**"] }),
  { nil: undefined, freq: 2 },
);
const limitsOf = pick<Raw | undefined>(undefined, undefined, { session: "2h" }, { session: "4h", read_only: true }, { idle: "15m", max_bytes: "1MB" }, { read_only: true });

export interface Shape {
  readonly negation?: boolean;
  readonly effects?: readonly ("allow" | "deny" | "limit")[];
}

/** Policies about wiki, crm and "*", without ids. */
export function policiesOf({ negation = true, effects = ["allow", "allow", "allow", "deny", "limit"] }: Shape = {}): fc.Arbitrary<Raw[]> {
  const one = fc.record({ effect: pick(...effects), apps: pick<unknown>("*", "wiki", ["tag:internal"]), when: whenOf(negation), http: httpOf, limits: limitsOf }).map((policy): Raw => {
    const limits = policy.effect === "deny" ? undefined : policy.effect === "limit" ? (policy.limits ?? { session: "1h" }) : policy.limits;
    return { ...policy, limits };
  });
  return fc.array(one, { minLength: 1, maxLength: 6 }).map((list) => list.map((policy, i): Raw => ({ id: `p${i}`, ...policy })));
}

const age = pick(0, 10 * MINUTE_MS, 30 * MINUTE_MS, 2 * HOUR_MS, 30 * HOUR_MS);
const of = (...values: readonly unknown[]): fc.Arbitrary<unknown> => fc.constantFrom(...values);
const factWith = (value: fc.Arbitrary<unknown>, source: string): fc.Arbitrary<Fact | undefined> =>
  fc.option(
    fc.record({ value, age, life: pick<number | undefined>(undefined, undefined, HOUR_MS, -1) }).map(({ value: known, age: old, life }) => ({
      value: known as Fact["value"],
      source,
      observedAt: at(NOW - old),
      ...(life === undefined ? {} : { expiresAt: at(NOW + life) }),
    })),
    { nil: undefined, freq: 4 },
  );

const SUBJECTS: readonly Subject[] = [
  { kind: "user", id: "ann" },
  { kind: "user", id: "ann" },
  { kind: "service", id: "ci" },
  { kind: "device", id: "d1" },
  { kind: "anonymous", id: "" },
];

export const factsArbitrary: fc.Arbitrary<Facts> = fc
  .record({
    subject: pick(...SUBJECTS),
    session: pick<Facts["session"]>(undefined, { startedAt: at(NOW - HOUR_MS), lastActiveAt: NOW }, { startedAt: at(NOW - 25 * HOUR_MS), lastActiveAt: NOW }, { startedAt: at(NOW - 10 * HOUR_MS), lastActiveAt: at(NOW - 9 * HOUR_MS) }),
    known: fc.record({
      user: factWith(of("corp:ann", "corp:bob", 7), "corp"),
      email: factWith(of("ann@example.com", "eve@evil.test"), "corp"),
      groups: factWith(of(["corp:staff"], ["corp:staff", "corp:ops"], [], "corp:staff"), "corp"),
      provider: factWith(of("corp"), "postern"),
      service: factWith(of("ci", "other"), "postern"),
      country: factWith(of("DE", "FR", "US", "XX"), "edge"),
      ip: factWith(of("192.0.2.1", "192.0.2.200", "2001:db8::1", "10.0.0.1", "x"), "edge"),
      mfa: factWith(of({ methods: ["hwk"] }, { methods: ["otp"] }, { methods: [] }, true), "corp"),
      auth: factWith(of(true), "corp"),
      risk: factWith(of("low", "medium", "high"), "postern"),
      "risk.reasons": factWith(of([], ["second_session"], ["elsewhere", "new_app"], "elsewhere"), "postern"),
      "grant.wiki": factWith(of("g_1", false, 3), "operator:user:u_boss"),
      "target.healthy": factWith(of(true, false), "connector:c_1"),
      "target.critical": factWith(of(0, 2, "0"), "connector:c_1"),
      "target.version": factWith(of("1", "3"), "connector:c_1"),
      "device.registered": factWith(of(true, false), "postern"),
      "device.os": factWith(of("linux", "windows", 3), "device:d1"),
      "device.tags": factWith(of(["lab"], []), "operator"),
    }),
  })
  .map(({ subject, session, known }) => ({
    subject,
    known: Object.fromEntries(Object.entries(known).filter((pair): pair is [string, Fact] => pair[1] !== undefined)),
    ...(session === undefined ? {} : { session }),
  }));

export const askArbitrary: fc.Arbitrary<Ask> = fc.record({
  app: pick("wiki", "crm", "shop") as fc.Arbitrary<AppId>,
  protocol: pick<"http" | "websocket">("http", "http", "websocket"),
  method: pick("GET", "POST", "DELETE"),
  path: pick("/", "/a", "/a/b", "/c"),
});

export const json = (policies: readonly Raw[]): string => JSON.stringify(policies);
