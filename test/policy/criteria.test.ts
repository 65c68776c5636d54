/** Each criterion: true, false and unknown, and until when. */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import * as v from "valibot";
import { describe, expect, it } from "vitest";
import type { UserId } from "../../core/ids.ts";
import { at, DAY_MS, HOUR_MS, MINUTE_MS } from "../../core/time.ts";
import type { Names } from "../../policy/criterion.ts";
import { ANONYMOUS, type Facts } from "../../policy/facts.ts";
import type { Input } from "../../policy/kleene.ts";
import { CRITERIA, CRITERION_NAMES } from "../../policy/registry.ts";
import type { CriterionName, CriterionValues } from "../../policy/when.ts";
import { factOf, factsOf, NOW, STAFF, WIKI, withFacts } from "./fixtures.ts";

const NAMES: Names = { providers: ["corp"], groupProvider: "corp", list: () => undefined, listNames: [], spend: () => true };

/** Reads the raw value as the document would and runs the test; Infinity is shown as "never". */
function run<N extends CriterionName>(name: N, raw: unknown, facts: Facts, now = NOW): { answer: unknown; until: number | "never" } {
  const criterion = CRITERIA[name];
  expect(v.safeParse(criterion.shape, raw)).toMatchObject({ success: true });
  const value = criterion.read(raw, NAMES, (_, message) => {
    throw new Error(message);
  }) as CriterionValues[N];
  const input: Input = { facts, app: WIKI.app, now, changesAt: Number.NaN };
  const answer = (criterion.compile as (value: CriterionValues[N]) => (input: Input) => unknown)(value)(input);
  return { answer, until: input.changesAt === Infinity ? "never" : input.changesAt };
}

const USER_ID = `u_${"a".repeat(43)}` as UserId;
const known = (name: string, fact: ReturnType<typeof factOf>): Facts => withFacts(STAFF, { [name]: fact });
const device = (facts: Record<string, unknown>, age = 0, source = "operator"): Facts =>
  withFacts(STAFF, Object.fromEntries(Object.entries(facts).map(([name, value]) => [`device.${name}`, factOf(value as never, age, { source })])));
const target = (facts: Record<string, unknown>, age = 0, source = "connector:c_1"): Facts =>
  withFacts(STAFF, Object.fromEntries(Object.entries(facts).map(([name, value]) => [`target.${name}`, factOf(value as never, age, { source })])));
/** A grant for the app that is asked for, unless `app` is another. */
const granted = (value: unknown = "g_1", age = 0, more: Parameters<typeof factOf>[2] = {}, app = "wiki"): Facts =>
  withFacts(STAFF, { [`grant.${app}`]: factOf(value as never, age, { source: "operator:user:u_boss", ...more }) });
const DIGEST = `sha256:${"ab".repeat(32)}`;
const ci = factsOf({ service: "ci" });

type Row = [raw: unknown, what: string, facts: Facts, answer: true | false | "unknown"];
const TABLE: { readonly [N in CriterionName]: readonly Row[] } = {
  user: [
    ["ann", "a bare sub of the only provider", STAFF, true],
    [["corp:bob", "corp:ann"], "one of a list", STAFF, true],
    ["ANN", "exact, not folded", STAFF, false],
    ["bob", "another", STAFF, false],
    [USER_ID, "a user id", { ...STAFF, subject: { kind: "user", id: USER_ID } }, true],
    [USER_ID, "a user id without a user fact", { subject: { kind: "user", id: USER_ID }, known: {} }, true],
    ["ann", "no user fact", withFacts(STAFF, { user: undefined }), "unknown"],
    ["ann", "a user fact that is no text", known("user", factOf(7)), "unknown"],
    ["ann", "a service", ci, "unknown"],
  ],
  email: [
    ["Ann@Example.com", "folded in the document", STAFF, true],
    ["bob@example.com", "another", STAFF, false],
    ["ann@example.com", "no email", withFacts(STAFF, { email: undefined }), "unknown"],
    ["ann@example.com", "a service", ci, "unknown"],
  ],
  email_domain: [
    ["EXAMPLE.com", "folded in the document", STAFF, true],
    ["ample.com", "a suffix is not the domain", STAFF, false],
    ["example.com", "a subdomain is not the domain", known("email", factOf("ann@eu.example.com")), false],
    ["example.com", "the part behind the last @", known("email", factOf('"a@evil.test"@example.com')), true],
    ["example.com", "an address without @", known("email", factOf("example.com")), "unknown"],
    ["example.com", "no email", withFacts(STAFF, { email: undefined }), "unknown"],
  ],
  group: [
    ["staff", "a bare name", STAFF, true],
    [["corp:bosses", "corp:staff"], "one of a list", STAFF, true],
    ["Staff", "exact, not folded", STAFF, false],
    ["staff", "the same name from another provider", known("groups", factOf(["guests:staff"])), false],
    ["staff", "no groups (overage)", withFacts(STAFF, { groups: undefined }), "unknown"],
    ["staff", "one group that is no text spoils all", known("groups", factOf(["corp:staff", 7])), "unknown"],
    ["staff", "in no group", known("groups", factOf([])), false],
  ],
  provider: [
    ["corp", "signed in there", STAFF, true],
    ["corp", "signed in elsewhere", known("provider", factOf("guests")), false],
    ["corp", "a service", ci, "unknown"],
  ],
  service: [
    ["ci", "this service", ci, true],
    ["deploy", "another service", ci, false],
    ["ci", "a user", STAFF, false],
    ["ci", "a user with a stray fact", known("service", factOf("ci")), false],
    ["ci", "a service without its fact", { subject: { kind: "service", id: "ci" }, known: {} }, "unknown"],
    ["ci", "signed out", { subject: ANONYMOUS, known: {} }, "unknown"],
  ],
  country: [
    ["DE", "there", known("country", factOf("DE")), true],
    [["DE", "AT"], "elsewhere", known("country", factOf("CH")), false],
    ["DE", "XX", known("country", factOf("XX")), "unknown"],
    ["DE", "Tor", known("country", factOf("T1")), "unknown"],
    ["DE", "lower case", known("country", factOf("de")), "unknown"],
    ["DE", "none", STAFF, "unknown"],
  ],
  ip_range: [
    ["192.0.2.0/24", "inside", known("ip", factOf("192.0.2.255")), true],
    ["192.0.2.0/24", "outside", known("ip", factOf("192.0.3.0")), false],
    ["192.0.2.7", "one address", known("ip", factOf("192.0.2.7")), true],
    ["192.0.2.0/24", "IPv4 in IPv6 (class J)", known("ip", factOf("::ffff:192.0.2.1")), true],
    ["192.0.2.0/24", "the same in hex", known("ip", factOf("::ffff:c000:201")), true],
    ["2001:db8::/32", "another spelling of IPv6", known("ip", factOf("2001:0DB8:0:0::1")), true],
    ["0.0.0.0/0", "IPv6 is not in a block of IPv4", known("ip", factOf("2001:db8::1")), false],
    ["10.0.0.0/8", "octal is no address (class J)", known("ip", factOf("010.0.0.1")), "unknown"],
    ["10.0.0.0/8", "a port is no address (class J)", known("ip", factOf("10.0.0.1:80")), "unknown"],
    ["10.0.0.0/8", "a list is no address (class J)", known("ip", factOf(`10.0.0.1, ${"1".repeat(10_000)}`)), "unknown"],
    ["10.0.0.0/8", "an octet above 255", known("ip", factOf("10.0.0.256")), "unknown"],
    ["10.0.0.0/8", "none", STAFF, "unknown"],
  ],
  mfa: [
    [true, "used", known("mfa", factOf({ methods: ["otp"] }, DAY_MS)), true],
    [true, "not used", STAFF, "unknown"],
    [{ max_age: "1h" }, "at most an hour ago", known("mfa", factOf({ methods: ["otp"] }, HOUR_MS)), true],
    [{ max_age: "1h" }, "a millisecond more", known("mfa", factOf({ methods: ["otp"] }, HOUR_MS + 1)), "unknown"],
    [{ methods: ["hwk", "pin"] }, "one of the methods", known("mfa", factOf({ methods: ["pwd", "pin"] })), true],
    [{ methods: "hwk" }, "another method", known("mfa", factOf({ methods: ["otp"] })), false],
    [{ methods: "hwk" }, "a fact of another shape", known("mfa", factOf(true)), "unknown"],
    [{ methods: "hwk" }, "methods that are no list", known("mfa", factOf({ methods: "hwk" })), "unknown"],
  ],
  session_age: [
    [{ max: "1h" }, "an hour ago", known("auth", factOf(true, HOUR_MS)), true],
    [{ max: "1h" }, "longer ago", known("auth", factOf(true, HOUR_MS + 1)), false],
    [{ max: "1h" }, "nobody says when", STAFF, "unknown"],
    [{ max: "1h" }, "a fact that is not true", known("auth", factOf("yes")), "unknown"],
  ],
  time_window: [
    [{ days: "mon-fri", from: "07:00", to: "20:00", zone: "Europe/Berlin" }, "inside", STAFF, true],
    [{ days: ["sat", "sun"], zone: "Europe/Berlin" }, "another day", STAFF, false],
    [{ from: "11:00", to: "12:00", zone: "Europe/Berlin" }, "from counts", STAFF, true],
    [{ from: "10:00", to: "11:00", zone: "Europe/Berlin" }, "to does not", STAFF, false],
    [{ days: "thu", from: "22:00", to: "11:30", zone: "Europe/Berlin" }, "opened the day before, across midnight", STAFF, true],
    [{ days: "fri", from: "22:00", to: "11:30", zone: "Europe/Berlin" }, "opens only tonight", STAFF, false],
    [{ days: "fri-mon", zone: "UTC" }, "days across the week's end", STAFF, true],
    [[{ days: "sat", zone: "UTC" }, { days: "fri", zone: "UTC" }], "any of several", STAFF, true],
    [{ days: "sat", zone: "Pacific/Kiritimati" }, "already tomorrow there", STAFF, true],
  ],
  device: [
    [{ registered: true }, "registered", device({ registered: true }), true],
    [{ registered: true }, "not", device({ registered: false }), false],
    [{ registered: true }, "nobody knows", STAFF, "unknown"],
    [{ managed: true }, "the device says so itself", device({ managed: true }, 0, "device:d1"), "unknown"],
    [{ managed: true }, "an operator says so", device({ managed: true }), true],
    [{ tags: ["kiosk", "lab"] }, "one of the tags", device({ tags: ["lab"] }), true],
    [{ tags: "kiosk" }, "other tags", device({ tags: ["lab"] }), false],
    [{ tags: "kiosk" }, "tags that the device gave itself", device({ tags: ["kiosk"] }, 0, "device:d1"), "unknown"],
    [{ owner_is_user: true }, "one's own", device({ owner: "ann" }), true],
    [{ owner_is_user: true }, "somebody else's", device({ owner: "bob" }), false],
    [{ owner_is_user: false }, "somebody else's, wanted", device({ owner: "bob" }), true],
    [{ disk_encrypted: true }, "posture from the device", device({ disk_encrypted: true }, 0, "device:d1"), true],
    [{ disk_encrypted: true }, "posture of another type", device({ disk_encrypted: "yes" }), "unknown"],
    [{ os: ["macos", "linux"] }, "one of a list", device({ os: "linux" }), true],
    [{ os: ["macos", "linux"] }, "another", device({ os: "windows" }), false],
    [{ disk_encrypted: true, os: "linux" }, "all of them: one false", device({ disk_encrypted: false }), false],
    [{ disk_encrypted: true, os: "linux" }, "all of them: one missing", device({ disk_encrypted: true }), "unknown"],
    [{ registered: true, max_age: "15m" }, "too old", device({ registered: true }, 15 * MINUTE_MS + 1), "unknown"],
    [{ registered: true, max_age: "2d" }, "old but allowed", device({ registered: true }, 40 * HOUR_MS), true],
    [{ registered: true }, "older than a day without max_age", device({ registered: true }, DAY_MS + 1), "unknown"],
  ],
  risk: [
    [{ max: "medium" }, "at most", known("risk", factOf("low")), true],
    [{ max: "low" }, "above", known("risk", factOf("medium")), false],
    [["low", "high"], "one of", known("risk", factOf("high")), true],
    ["low", "another", known("risk", factOf("high")), false],
    ["low", "a word that is no level", known("risk", factOf("none")), "unknown"],
    ["low", "nobody says", STAFF, "unknown"],
  ],
  risk_reason: [
    ["second_session", "it counts", known("risk.reasons", factOf(["new_app", "second_session"])), true],
    [["elsewhere", "impossible_travel"], "others count", known("risk.reasons", factOf(["second_session"])), false],
    ["second_session", "none counts", known("risk.reasons", factOf([])), false],
    ["second_session", "what is no list", known("risk.reasons", factOf("second_session")), "unknown"],
    ["second_session", "nobody says", STAFF, "unknown"],
  ],
  grant: [
    [true, "a grant for this app", granted(), true],
    [true, "one for another app", granted("g_1", 0, {}, "crm"), "unknown"],
    [true, "none", STAFF, "unknown"],
    [true, "it was taken back", granted(false), false],
    [true, "it ran out", granted("g_1", HOUR_MS, { expiresAt: NOW }), "unknown"],
    [true, "a day old", granted("g_1", DAY_MS), true],
    [true, "older than a day", granted("g_1", DAY_MS + 1), "unknown"],
    [{ max: "4h" }, "as old as it may be", granted("g_1", 4 * HOUR_MS), true],
    [{ max: "4h" }, "older", granted("g_1", 4 * HOUR_MS + 1), "unknown"],
    [{ max: "30d" }, "old but allowed", granted("g_1", 20 * DAY_MS), true],
    [true, "a value that is no id", granted(true), "unknown"],
    [true, "a device says so", granted("g_1", 0, { source: "device:d1" }), "unknown"],
    [true, "the provider says so", granted("g_1", 0, { source: "corp" }), "unknown"],
    [true, "a service", { ...granted(), subject: { kind: "service", id: "ci" } }, "unknown"],
    [true, "a device", { ...granted(), subject: { kind: "device", id: "d1" } }, "unknown"],
    [true, "nobody", { ...granted(), subject: ANONYMOUS }, "unknown"],
  ],
  target: [
    [{ healthy: true }, "up", target({ healthy: true }), true],
    [{ healthy: true }, "down", target({ healthy: false }), false],
    [{ healthy: false }, "down, wanted", target({ healthy: false }), true],
    [{ healthy: true }, "up since long ago: its connector is there", target({ healthy: true }, 40 * DAY_MS), true],
    [{ healthy: true }, "nobody says", STAFF, "unknown"],
    [{ healthy: true }, "a word that is no boolean", target({ healthy: "yes" }), "unknown"],
    [{ healthy: true }, "somebody else says so", target({ healthy: true }, 0, "posture:edr"), "unknown"],
    [{ healthy: true }, "a device says so", target({ healthy: true }, 0, "device:d1"), "unknown"],
    [{ version: ["1.2", "1.3"] }, "one of the versions", target({ version: "1.3" }), true],
    [{ version: "1.2" }, "another", target({ version: "1.20" }), false],
    [{ version: "1" }, "a number is no version", target({ version: 1 }), "unknown"],
    [{ digest: DIGEST }, "the digest", target({ digest: DIGEST }), true],
    [{ digest: DIGEST }, "another digest", target({ digest: DIGEST.replace("ab", "cd") }), false],
    [{ max_critical: 0 }, "no finding", target({ critical: 0 }), true],
    [{ max_critical: 0 }, "one", target({ critical: 1 }), false],
    [{ max_critical: 0 }, "nobody counted", target({ high: 0 }), "unknown"],
    [{ max_high: 3 }, "as many as may be", target({ high: 3 }), true],
    [{ max_high: 3 }, "one more", target({ high: 4 }), false],
    [{ healthy: true, max_critical: 0 }, "all of them: one false", target({ healthy: false }), false],
    [{ healthy: true, max_critical: 0 }, "all of them: one missing", target({ healthy: true }), "unknown"],
    [{ max_critical: 0, max_age: "1h" }, "too old", target({ critical: 0 }, HOUR_MS + 1), "unknown"],
    [{ max_critical: 0, max_age: "2d" }, "old but allowed", target({ critical: 0 }, 40 * HOUR_MS), true],
    [{ max_critical: 0 }, "older than a day without max_age", target({ critical: 0 }, DAY_MS + 1), "unknown"],
  ],
  anyone: [
    [true, "a user", STAFF, true],
    [true, "signed out", { subject: ANONYMOUS, known: {} }, true],
  ],
};

describe.each(CRITERION_NAMES)("criterion %s (P1, P12 to P15, P27)", (name) => {
  it.each([...TABLE[name]])("%j: %s", (raw, _, facts, answer) => {
    expect(run(name, raw, facts).answer).toBe(answer);
  });
});

describe("until when an answer stands (P18)", () => {
  it.each<[CriterionName, unknown, Facts, number | "never"]>([
    ["group", "staff", STAFF, "never"],
    ["group", "staff", known("groups", factOf(["corp:staff"], 0, { expiresAt: at(NOW + HOUR_MS) })), NOW + HOUR_MS],
    ["group", "staff", known("groups", factOf(["corp:staff"], -2 * MINUTE_MS)), NOW + MINUTE_MS],
    ["mfa", { max_age: "1h" }, known("mfa", factOf({ methods: [] }, 30 * MINUTE_MS)), NOW + 30 * MINUTE_MS + 1],
    ["mfa", { max_age: "1h" }, known("mfa", factOf({ methods: [] }, 2 * HOUR_MS)), "never"],
    ["session_age", { max: "1h" }, known("auth", factOf(true, 30 * MINUTE_MS)), NOW + 30 * MINUTE_MS + 1],
    ["session_age", { max: "1h" }, known("auth", factOf(true, 2 * HOUR_MS)), "never"],
    ["device", { registered: true, max_age: "1h" }, device({ registered: true }, MINUTE_MS), NOW + 59 * MINUTE_MS + 1],
    ["device", { registered: true, os: "linux" }, device({ registered: true, os: "linux" }, HOUR_MS), NOW + 23 * HOUR_MS + 1],
    ["target", { healthy: true }, target({ healthy: true }, HOUR_MS), "never"],
    ["target", { healthy: true, max_high: 0 }, target({ healthy: true, high: 0 }, HOUR_MS), NOW + 23 * HOUR_MS + 1],
    ["grant", true, granted("g_1", 0, { expiresAt: at(NOW + HOUR_MS) }), NOW + HOUR_MS],
    ["grant", { max: "30m" }, granted("g_1", 10 * MINUTE_MS, { expiresAt: at(NOW + HOUR_MS) }), NOW + 20 * MINUTE_MS + 1],
    ["grant", true, granted(false, 0, { expiresAt: at(NOW + HOUR_MS) }), NOW + HOUR_MS],
    ["grant", true, granted("g_1", 2 * DAY_MS), "never"],
    ["time_window", { from: "07:00", to: "20:00", zone: "Europe/Berlin" }, STAFF, NOW + 9 * HOUR_MS],
    ["time_window", { days: "mon-fri", from: "20:00", to: "22:00", zone: "Europe/Berlin" }, STAFF, NOW + 9 * HOUR_MS],
    ["anyone", true, STAFF, "never"],
  ])("%s %j", (name, raw, facts, until) => {
    expect(run(name, raw, facts).until).toBe(until);
  });
});

describe("the registry", () => {
  it("holds exactly the files of criteria/, each under its name", () => {
    const files = readdirSync(join(import.meta.dirname, "../../policy/criteria")).map((file) => file.replace(/\.ts$/, "").replaceAll("-", "_"));
    expect(files.sort()).toEqual([...CRITERION_NAMES].sort());
    for (const name of CRITERION_NAMES) expect(CRITERIA[name].name).toBe(name);
  });

  it("knows who from context (Explained or blank)", () => {
    expect(CRITERION_NAMES.filter((name) => CRITERIA[name].kind === "who").sort()).toEqual(["email", "email_domain", "group", "provider", "service", "user"]);
  });
});

describe("country", () => {
  const letters = [..."ABCDEFGHIJKLMNOPQRSTUVWXYZ"];
  const refused = (code: string): boolean => {
    let no = false;
    CRITERIA.country.read(code, NAMES, () => {
      no = true;
    });
    return no;
  };
  const taken = letters.flatMap((first) => letters.map((second) => first + second)).filter((code) => !refused(code));

  it("takes the 249 countries of ISO 3166-1, each with a name elsewhere too", () => {
    const names = new Intl.DisplayNames("en", { type: "region", fallback: "none" });
    expect(taken).toHaveLength(249);
    expect(taken.filter((code) => names.of(code) === undefined)).toEqual([]);
  });
  it.each(["XX", "T1", "UK", "EU", "XK", "UN", "AN", "SU", "ZZ", "", "D", "DEU", "de"])("takes no %j", (code) => expect(refused(code)).toBe(true));
});
