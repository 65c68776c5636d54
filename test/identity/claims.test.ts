import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { at } from "../../core/time.ts";
import { identityFromClaims, userIdOf } from "../../identity/claims.ts";
import type { Identity } from "../../identity/claims.ts";
import type { ProviderSettings } from "../../identity/provider.ts";
import { START } from "./fake-provider.ts";

const SECONDS = START / 1_000;
const base: ProviderSettings = {
  id: "corp",
  issuer: "https://idp.example.com",
  clientId: "postern",
  clientAuth: "none",
  scopes: ["openid"],
  groupsClaim: "groups",
  emailDomains: ["example.com"],
  trustEmail: false,
  acrValues: [],
  tokenAudiences: [],
};

async function identity(claims: Record<string, unknown>, settings: Partial<ProviderSettings> = {}): Promise<Identity> {
  const result = await identityFromClaims({ sub: "alice", iat: SECONDS, ...claims }, { ...base, ...settings }, { now: START });
  if (!result.ok) throw new Error(result.error.cause);
  return result.value;
}
const values = (who: Identity): Record<string, unknown> =>
  Object.fromEntries(Object.entries(who.facts).map(([name, fact]) => [name, fact.value]));

describe("provider fixtures (POLICY, Providers)", () => {
  const entra: Partial<ProviderSettings> = {
    id: "entra",
    issuer: "https://login.microsoftonline.com/9122040d-6c67-4c5b-b112-36a304b66dad/v2.0",
    trustEmail: true,
  };
  const entraClaims = {
    aud: "6cb04018-a3f5-46a7-b995-940c78f5aef3",
    nbf: SECONDS,
    name: "Abe Lincoln",
    preferred_username: "AbeLi@example.com",
    email: "AbeLi@example.com",
    oid: "00000000-0000-0000-66f3-3332eca7ea81",
    tid: "9122040d-6c67-4c5b-b112-36a304b66dad",
    sub: "AAAAAAAAAAAAAAAAAAAAAIkzqFVrSaSaFHy782bbtaQ",
    ver: "2.0",
    uti: "fqiBqXLPj0eQa82S-IYFAA",
  };
  const rows: [string, Partial<ProviderSettings>, Record<string, unknown>, Record<string, unknown>, Partial<Identity>][] = [
    [
      "Entra, single tenant with trust_email",
      entra,
      { ...entraClaims, groups: ["2d1ee4a1-9d2f-4a55-8bb4-2e5d8c6b9e11"], auth_time: SECONDS - 60, amr: ["pwd", "mfa"] },
      {
        user: `entra:${entraClaims.sub}`,
        provider: "entra",
        email: "abeli@example.com",
        groups: ["entra:2d1ee4a1-9d2f-4a55-8bb4-2e5d8c6b9e11"],
        mfa: { methods: ["mfa", "pwd"] },
        auth: true,
      },
      { emailNote: "trusted", groupsNote: "given", name: "Abe Lincoln" },
    ],
    [
      "Entra without trust_email: no email_verified, so no email",
      { ...entra, trustEmail: false },
      entraClaims,
      { user: `entra:${entraClaims.sub}`, provider: "entra" },
      { emailNote: "unverified", groupsNote: "absent" },
    ],
    [
      "Entra with more groups than it sends (overage)",
      entra,
      {
        ...entraClaims,
        _claim_names: { groups: "src1" },
        _claim_sources: { src1: { endpoint: "https://graph.windows.net/t/users/u/getMemberObjects" } },
      },
      { user: `entra:${entraClaims.sub}`, provider: "entra", email: "abeli@example.com" },
      { groupsNote: "overage" },
    ],
    [
      "Okta",
      { id: "okta", issuer: "https://example.okta.com/oauth2/default" },
      {
        sub: "00uid4BxXw6I6TV4m0g3",
        name: "John Doe",
        email: "john.doe@example.com",
        email_verified: true,
        ver: 1,
        aud: "0oa1gjh63g214q0Hq0g4",
        jti: "ID.4eAWJOCMB3SX8XewDfVR",
        idp: "00oi5cpnylv792IcF0g3",
        amr: ["pwd", "mfa", "otp"],
        auth_time: SECONDS - 10,
        at_hash: "cpqKfdQA5eH891Ff5oJr_Q",
        groups: ["Everyone", "Engineering", "Everyone"],
      },
      {
        user: "okta:00uid4BxXw6I6TV4m0g3",
        provider: "okta",
        email: "john.doe@example.com",
        groups: ["okta:Everyone", "okta:Engineering"],
        mfa: { methods: ["mfa", "otp", "pwd"] },
        auth: true,
      },
      { groupsNote: "given" },
    ],
    [
      "Google Workspace: hd, no groups, no auth_time",
      { id: "google", issuer: "https://accounts.google.com" },
      { sub: "110169484474386276334", azp: "x.apps.googleusercontent.com", hd: "example.com", email: "jane@example.com", email_verified: true, name: "Jane" },
      { user: "google:110169484474386276334", provider: "google", email: "jane@example.com" },
      { groupsNote: "absent" },
    ],
    [
      "Google, a private account that uses a company address",
      { id: "google", issuer: "https://accounts.google.com" },
      { sub: "1", email: "jane@example.com", email_verified: true },
      { user: "google:1", provider: "google" },
      { emailNote: "unverified" },
    ],
    [
      "Google, gmail.com where the operator listed it",
      { id: "google", issuer: "https://accounts.google.com", emailDomains: ["gmail.com"] },
      { sub: "1", email: "jane@gmail.com", email_verified: true },
      { user: "google:1", provider: "google", email: "jane@gmail.com" },
      { emailNote: "trusted" },
    ],
    [
      "Keycloak: group paths, sid, acr as level of assurance",
      { id: "kc", issuer: "https://kc.example.com/realms/main", acrValues: ["2", "gold"] },
      {
        sub: "f1b2c3d4-0000-4000-8000-000000000001",
        typ: "ID",
        azp: "postern",
        sid: "b3c8f1d2",
        acr: "gold",
        auth_time: SECONDS - 5,
        email: "bob@example.com",
        email_verified: true,
        preferred_username: "bob",
        groups: ["/staff", "/staff/berlin"],
      },
      {
        user: "kc:f1b2c3d4-0000-4000-8000-000000000001",
        provider: "kc",
        email: "bob@example.com",
        groups: ["kc:/staff", "kc:/staff/berlin"],
        mfa: { methods: ["mfa"] },
        auth: true,
      },
      { name: "bob", providerSession: "b3c8f1d2" },
    ],
  ];
  it.each(rows)("%s", async (_, settings, claims, facts, rest) => {
    const who = await identity(claims, settings);
    expect(values(who)).toEqual(facts);
    expect(who).toMatchObject(rest);
    for (const fact of Object.values(who.facts)) expect(fact.source).toBe({ ...base, ...settings }.id);
  });
});

describe("users are issuer and subject, never an address (class E)", () => {
  it("the same email, subject and group at two providers make two users and two groups", async () => {
    const claims = { sub: "alice", email: "a@example.com", email_verified: true, groups: ["admins"] };
    const one = await identity(claims);
    const two = await identity(claims, { id: "partner", issuer: "https://partner.example" });
    expect(one.userId).not.toBe(two.userId);
    expect(one.facts["user"]?.value).not.toEqual(two.facts["user"]?.value);
    expect(one.facts["groups"]?.value).toEqual(["corp:admins"]);
    expect(two.facts["groups"]?.value).toEqual(["partner:admins"]);
  });
  it("a group name with a colon cannot pose as another provider's", async () => {
    const who = await identity({ groups: ["partner:admins"] });
    expect(who.facts["groups"]?.value).toEqual(["corp:partner:admins"]);
  });
  it("no two pairs of issuer and subject share an id, however they are cut", async () => {
    expect(await userIdOf("https://a", "bc")).not.toBe(await userIdOf("https://ab", "c"));
    await fc.assert(
      fc.asyncProperty(fc.string(), fc.string(), fc.nat(8), async (issuer, sub, shift) => {
        const joined = issuer + sub;
        const other: [string, string] = [joined.slice(0, shift), joined.slice(shift)];
        const same = other[0] === issuer && other[1] === sub;
        return same || (await userIdOf(issuer, sub)) !== (await userIdOf(...other));
      }),
      { numRuns: 50 },
    );
  });
  it("a user's id is fixed for ever", async () => {
    // Independently: printf '\0\0\0\x18https://idp.example.com/\0\0\0\5alice' | openssl dgst -sha256 -binary | base64url
    expect(await userIdOf("https://idp.example.com/", "alice")).toBe("u_ETInwBRcoxnf-sEvJCvT0zGOy-AVYWxmBFa5oxMbkEc");
  });
});

describe("email counts only where the provider's word does (P14)", () => {
  it.each<[string, Record<string, unknown>, Partial<ProviderSettings>, string]>([
    ["verified", { email_verified: true }, {}, "trusted"],
    ["verified as text", { email_verified: "true" }, {}, "unverified"],
    ["verified as 1", { email_verified: 1 }, {}, "unverified"],
    ["not verified", { email_verified: false }, {}, "unverified"],
    ["not verified, although trusted", { email_verified: false }, { trustEmail: true }, "unverified"],
    ["trusted", {}, { trustEmail: true }, "trusted"],
    ["trusted in another domain", { email: "a@evil.example" }, { trustEmail: true }, "outside_domains"],
    ["verified in another domain", { email: "a@evil.example", email_verified: true }, {}, "outside_domains"],
    ["verified in a subdomain", { email: "a@x.example.com", email_verified: true }, {}, "outside_domains"],
    ["verified where no domain is listed", { email_verified: true }, { emailDomains: [] }, "outside_domains"],
    ["of two addresses", { email: "a@evil.example,b@example.com", email_verified: true }, {}, "absent"],
    ["with two at-signs", { email: "a@evil.example@example.com", email_verified: true }, {}, "absent"],
    ["with a newline", { email: "a@example.com\n", email_verified: true }, {}, "absent"],
    ["with a letter that folds to ASCII", { email: "\u212Aate@example.com", email_verified: true }, {}, "absent"],
    ["of 300 characters", { email: `${"a".repeat(290)}@example.com`, email_verified: true }, {}, "absent"],
    ["that is no text", { email: ["a@example.com"], email_verified: true }, {}, "absent"],
  ])("an address %s", async (_, claims, settings, note) => {
    const who = await identity({ email: "A.B@Example.com", ...claims }, settings);
    expect(who.emailNote).toBe(note);
    expect(who.facts["email"]?.value).toBe(note === "trusted" ? "a.b@example.com" : undefined);
    expect(who.email).toBe(who.facts["email"]?.value);
  });
});

describe("groups are known whole or not at all (P1)", () => {
  const many = (n: number): string[] => Array.from({ length: n }, (_, i) => `g${i}`);
  it.each<[string, unknown, string]>([
    ["an empty list", [], "given"],
    ["2,000", many(2_000), "given"],
    ["2,001", many(2_001), "too_many"],
    ["a single text", "admins", "wrong_type"],
    ["an object", { admins: true }, "wrong_type"],
    ["null", null, "wrong_type"],
    ["a number among them", ["a", 1], "wrong_type"],
    ["an empty name", ["a", ""], "wrong_type"],
    ["a name of 257 characters", ["a".repeat(257)], "wrong_type"],
    ["a control character", ["a\u0000"], "wrong_type"],
  ])("%s", async (_, groups, note) => {
    const who = await identity({ groups });
    expect(who.groupsNote).toBe(note);
    expect("groups" in who.facts).toBe(note === "given");
  });
  it("hasgroups is an overage even beside a list", async () => {
    expect((await identity({ groups: ["a"], hasgroups: true })).groupsNote).toBe("overage");
  });
  it("without groups_claim they are unknown, whatever the token says", async () => {
    const { groupsClaim: _, ...rest } = base;
    const result = await identityFromClaims({ sub: "a", iat: SECONDS, groups: ["admins"] }, rest, { now: START });
    expect(result).toMatchObject({ ok: true, value: { groupsNote: "not_configured" } });
    expect(result.ok && "groups" in result.value.facts).toBe(false);
  });
  it("a claim that only the prototype has is absent", async () => {
    expect((await identity({}, { groupsClaim: "constructor" })).groupsNote).toBe("absent");
  });
});

describe("mfa and auth are dated by auth_time alone (class E)", () => {
  it.each<[string, Record<string, unknown>, boolean]>([
    ["mfa", { amr: ["mfa"] }, true],
    ["Entra's ngcmfa", { amr: ["rsa", "ngcmfa"] }, true],
    ["two kinds of factor", { amr: ["pwd", "hwk"] }, true],
    ["key and fingerprint", { amr: ["hwk", "fpt"] }, true],
    ["two of one kind", { amr: ["pwd", "pin"] }, false],
    ["a password", { amr: ["pwd"] }, false],
    ["nothing", {}, false],
    ["text instead of a list", { amr: "mfa" }, false],
    ["an acr that the operator did not list", { acr: "gold" }, false],
  ])("%s", async (_, claims, expected) => {
    const dated = await identity({ ...claims, auth_time: SECONDS - 3_600 });
    expect(dated.facts["mfa"]?.observedAt).toBe(expected ? START - 3_600_000 : undefined);
    expect((await identity(claims)).facts["mfa"]).toBeUndefined();
  });
  it.each<[string, unknown]>([
    ["an hour ahead", SECONDS + 3_600],
    ["1e300", 1e300],
    ["text", String(SECONDS)],
    ["negative", -1],
  ])("auth_time %s proves nothing, not even for a forced sign-in", async (_, authTime) => {
    const claims = { sub: "a", iat: SECONDS, amr: ["mfa"], auth_time: authTime };
    const result = await identityFromClaims(claims, base, { now: START, freshSince: at(START - 1) });
    expect(result.ok && Object.keys(result.value.facts).sort()).toEqual(["provider", "user"]);
  });
  it("a clock a little ahead never dates a fact later than now", async () => {
    const who = await identity({ auth_time: SECONDS + 20, iat: SECONDS + 20 });
    expect(who.facts["auth"]?.observedAt).toBe(START);
    expect(who.facts["user"]?.observedAt).toBe(START);
  });
});
