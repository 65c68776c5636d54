/** What a passkey proves, and where it would open what is asked for (P3, P4). */
import { describe, expect, it } from "vitest";
import type { AppId } from "../../core/ids.ts";
import { at, HOUR_MS, type Millis } from "../../core/time.ts";
import { compile } from "../../policy/compile.ts";
import { decide } from "../../policy/decide.ts";
import type { Fact, Facts } from "../../policy/facts.ts";
import { HELPS, passkeyFact, passkeysThatHelp, WITH_SIGN_IN } from "../../policy/passkey.ts";
import { parseDocument } from "../../policy/parse-document.ts";

const NOW = at(1_800_000_000_000);
const BOTH = HELPS.hwk | HELPS.swk;
const fact = (value: Fact["value"], observedAt: Millis = NOW): Fact => ({ value, source: "corp", observedAt });
const OLD = at(NOW - 2 * HOUR_MS);

function policyOf(...policies: readonly string[]) {
  const parsed = parseDocument(`version: 1
domain: access.example.com
identity: { providers: [{ id: corp, issuer: "https://login.example.com", client_id: postern }] }
sites: [{ id: berlin }]
apps: [{ id: wiki, site: berlin, upstream: "http://10.0.0.5:8080" }]
policies:
${policies.map((one) => `  - ${one}\n`).join("")}`);
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.error));
  return compile(parsed.value.document, 1);
}
const ASK = { app: "wiki" as AppId, protocol: "http", method: "GET", path: "/" } as const;
const factsOf = (known: Facts["known"] = {}, kind: Facts["subject"]["kind"] = "user"): Facts => ({
  subject: { kind, id: "u" },
  known: { provider: fact("corp"), auth: fact(true, OLD), ...known },
  session: { startedAt: OLD, lastActiveAt: NOW },
});
const allow = (when: string, id = "a"): string => `{ id: ${id}, effect: allow, apps: [wiki], when: ${when} }`;

describe("a passkey", () => {
  it("proves a key and a verified person, and no way of verifying (RFC 8176)", () => {
    expect(passkeyFact("hwk", NOW)).toEqual({ value: { methods: ["hwk", "mfa", "pop", "user"] }, source: "postern", observedAt: NOW });
    expect(passkeyFact("swk", NOW).value).toEqual({ methods: ["mfa", "pop", "swk", "user"] });
  });

  it.each<[string, number, readonly string[], Facts?]>([
    ["P3: any second factor", BOTH, [allow("{ provider: corp, mfa: true }")]],
    ["P3: a fresh one", BOTH, [allow("{ provider: corp, mfa: { max_age: 5m } }")], factsOf({ mfa: fact({ methods: ["otp"] }, OLD) })],
    ["a key in hardware", HELPS.hwk, [allow("{ provider: corp, mfa: { methods: [hwk] } }")]],
    ["a key that is shared among devices", HELPS.swk, [allow("{ provider: corp, mfa: { methods: [swk, otp] } }")]],
    ["a key of either kind", BOTH, [allow("{ provider: corp, mfa: { methods: [pop] } }")]],
    ["a method that no passkey is", 0, [allow("{ provider: corp, mfa: { methods: [otp] } }")]],
    ["a fresh sign-in alone: it opens by that, and the passkey adds nothing", BOTH | WITH_SIGN_IN, [allow("{ provider: corp, session_age: { max: 1h } }")]],
    ["a fresh sign-in and a method that no passkey is", 0, [allow("{ provider: corp, mfa: { methods: [otp] }, session_age: { max: 1h } }")]],
    ["a fresh sign-in and a second factor: the sign-in first", BOTH | WITH_SIGN_IN, [allow("{ provider: corp, mfa: { max_age: 5m }, session_age: { max: 1h } }")]],
    ["the same, signed in just now: the passkey alone", BOTH, [allow("{ provider: corp, mfa: { max_age: 5m }, session_age: { max: 1h } }")], factsOf({ auth: fact(true) })],
    ["P4: two ways, one by a passkey alone", BOTH, [allow("{ provider: corp, session_age: { max: 1h } }"), allow("{ provider: corp, mfa: true }", "b")]],
    ["somebody whom no policy names", 0, [allow("{ email: [ann@example.com], mfa: true }")]],
    ["a deny that stands", 0, [allow("{ provider: corp, mfa: true }"), "{ id: no, effect: deny, apps: [wiki], when: { provider: corp } }"]],
    ["a deny that only a fresh sign-in lifts", BOTH | WITH_SIGN_IN, [allow("{ provider: corp, mfa: true }"), "{ id: no, effect: deny, apps: [wiki], when: { not: { session_age: { max: 1h } } } }"]],
    ["a service", 0, [allow("{ provider: corp, mfa: true }")], factsOf({}, "service")],
  ])("%s → %i", (_name, helps, policies, facts = factsOf()) => {
    const policy = policyOf(...policies);
    expect(passkeysThatHelp(policy, ASK, facts, NOW)).toBe(helps);
    // What it says is true: with each kind that helps the way ends, and with no other.
    for (const kind of ["hwk", "swk"] as const) {
      const auth = (helps & WITH_SIGN_IN) !== 0 ? { auth: fact(true) } : {};
      const after = { ...facts, known: { ...facts.known, ...auth, mfa: passkeyFact(kind, NOW) } };
      expect(decide(policy, ASK, after, NOW).effect === "allow", kind).toBe((helps & HELPS[kind]) !== 0);
    }
  });

  it("helps nowhere where the document bars passkeys", () => {
    const policy = policyOf(allow("{ provider: corp, mfa: true }"));
    expect(passkeysThatHelp(policy, ASK, factsOf(), NOW)).toBe(BOTH);
    expect(passkeysThatHelp({ ...policy, document: { ...policy.document, passkeys: "off" } }, ASK, factsOf(), NOW)).toBe(0);
  });
});
