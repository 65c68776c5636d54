import { CompactSign } from "jose";
import { beforeAll, describe, expect, it } from "vitest";
import { canonicalJson } from "../../core/json.ts";
import { ADMIN_APP, parseAppId, parseSessionId, parseSiteId } from "../../core/ids.ts";
import { after, at } from "../../core/time.ts";
import { ADMISSION_LIFETIME_MS, admissionDigest, signAdmission, verifyAdmission } from "../../identity/admission.ts";
import { ASSERTION_LIFETIME_MS, signAssertion, verifyAssertion } from "../../identity/assertion.ts";
import { generateSigningKey, KEY_ANNOUNCEMENT_MS, newKeyRing, parsePublicJwk, publicKeySet, turnKeyRing } from "../../identity/keys.ts";
import type { KeyRing, SigningKey } from "../../identity/keys.ts";
import { checkLifetime, JWS_MAX_CHARS, signStrict, verifyStrict } from "../../identity/strict-jws.ts";
import { START } from "./fake-provider.ts";

const must = <T>(value: T | undefined): T => {
  if (value === undefined) throw new Error("test value");
  return value;
};
const sid = must(parseSessionId("ab".repeat(32)));
const app = must(parseAppId("wiki"));
const site = must(parseSiteId("berlin"));
const { subtle } = crypto;
let admissions: KeyRing;
let assertions: KeyRing;
let connector: string;
beforeAll(async () => {
  admissions = await newKeyRing("admission", START, subtle);
  assertions = await newKeyRing("assertion", START, subtle);
  connector = (await generateSigningKey("admission", START, subtle)).kid;
});
const code = (result: { ok: true } | { ok: false; error: string }): string => (result.ok ? "ok" : result.error);
const b64 = (text: string): string => Buffer.from(text).toString("base64url");

describe("key rings (M17)", () => {
  it("publish current, next and previous, without private members, each under its own thumbprint", async () => {
    const fresh = await generateSigningKey("admission", after(START, KEY_ANNOUNCEMENT_MS), subtle);
    const turned = turnKeyRing(admissions, fresh, after(START, KEY_ANNOUNCEMENT_MS));
    if (!turned.ok) throw new Error(turned.error);
    expect(turned.value).toMatchObject({ previous: admissions.current, current: admissions.next, next: fresh });
    const set = publicKeySet(turned.value, assertions);
    expect(set.keys).toHaveLength(5);
    expect(JSON.stringify(set)).not.toContain('"d"');
    for (const key of set.keys) expect((await parsePublicJwk({ ...key }))?.kid).toBe(key.kid);
  });
  it("a key signs only after it was announced for twice the longest token life", async () => {
    const fresh = await generateSigningKey("admission", START, subtle);
    expect(turnKeyRing(admissions, fresh, at(START + KEY_ANNOUNCEMENT_MS - 1))).toEqual({ ok: false, error: "too_soon" });
    expect(KEY_ANNOUNCEMENT_MS).toBeGreaterThanOrEqual(2 * Math.max(ADMISSION_LIFETIME_MS, ASSERTION_LIFETIME_MS));
  });
  it("a ring of one use takes no key of the other", async () => {
    const fresh = await generateSigningKey("assertion", START, subtle);
    expect(turnKeyRing(admissions, fresh, at(START + 1e9))).toEqual({ ok: false, error: "wrong_use" });
  });
  it("a token signed just before a turn verifies after it", async () => {
    const now = after(START, KEY_ANNOUNCEMENT_MS);
    const jws = await signAdmission({ sid, app, site, epoch: 1, policyVersion: 1, connector }, admissions.current, now);
    const turned = turnKeyRing(admissions, await generateSigningKey("admission", now, subtle), now);
    if (!turned.ok) throw new Error(turned.error);
    const verified = await verifyAdmission(jws, publicKeySet(turned.value), { connectorThumbprint: connector, site }, now);
    expect(verified.ok).toBe(true);
  });
  it.each<[string, (jwk: Record<string, unknown>) => unknown]>([
    ["a kid that is not its thumbprint", (jwk) => ({ ...jwk, kid: "mine" })],
    ["another curve", (jwk) => ({ ...jwk, crv: "X25519" })],
    ["a symmetric key", () => ({ kty: "oct", k: "c2VjcmV0" })],
    ["a coordinate with a leading space", (jwk) => ({ ...jwk, x: ` ${String(jwk["x"])}` })],
    ["a PEM", () => "-----BEGIN PUBLIC KEY-----"],
    ["null", () => null],
  ])("%s is no public key of ours", async (_, spoil) => {
    expect(await parsePublicJwk(spoil({ ...admissions.current.publicJwk }))).toBeUndefined();
  });
});

describe("one spelling a token (class F)", () => {
  const claims = { a: 1, sub: "x" };
  async function check(jws: string, keys = publicKeySet(admissions, assertions)): Promise<string> {
    return code(await verifyStrict(jws, { typ: "t", alg: "EdDSA", keys }));
  }
  const raw = (header: string, payload: string, key: SigningKey): Promise<string> => resign(header, payload, key);
  /** Signs exactly these bytes, which no honest signer writes. */
  async function resign(header: string, payload: string, key: SigningKey): Promise<string> {
    const { d, x, kty, crv } = key.privateJwk;
    const signing = await subtle.importKey("jwk", { d, x, kty, crv }, { name: "Ed25519" }, false, ["sign"]);
    const input = `${b64(header)}.${b64(payload)}`;
    const signature = await subtle.sign("Ed25519", signing, new TextEncoder().encode(input));
    return `${input}.${Buffer.from(signature).toString("base64url")}`;
  }

  it("what is signed verifies", async () => expect(await check(await signStrict("t", claims, admissions.current))).toBe("ok"));

  const head = (): { alg: string; kid: string; typ: string } => ({ alg: "EdDSA", kid: admissions.current.kid, typ: "t" });
  it.each<[string, () => string, string, string]>([
    ["the header's order changed", () => JSON.stringify({ typ: "t", alg: "EdDSA", kid: head().kid }), canonicalJson(claims), "malformed"],
    ["a blank in the header", () => `${canonicalJson(head())} `, canonicalJson(claims), "malformed"],
    ["a repeated claim", () => canonicalJson(head()), '{"a":1,"a":1,"sub":"x"}', "malformed"],
    ["a blank in the payload", () => canonicalJson(head()), '{"a": 1,"sub":"x"}', "malformed"],
    ["a byte order mark", () => canonicalJson(head()), `\ufeff${canonicalJson(claims)}`, "malformed"],
    ["a list as payload", () => canonicalJson(head()), "[1]", "malformed"],
    ["jku", () => canonicalJson({ ...head(), jku: "https://evil.example" }), canonicalJson(claims), "header_refused"],
    ["jwk", () => canonicalJson({ ...head(), jwk: { kty: "OKP" } }), canonicalJson(claims), "header_refused"],
    ["x5u", () => canonicalJson({ ...head(), x5u: "https://evil.example" }), canonicalJson(claims), "header_refused"],
    ["crit", () => canonicalJson({ ...head(), crit: ["x"] }), canonicalJson(claims), "header_refused"],
    ["zip", () => canonicalJson({ ...head(), zip: "DEF" }), canonicalJson(claims), "header_refused"],
    ["alg none", () => canonicalJson({ ...head(), alg: "none" }), canonicalJson(claims), "header_refused"],
    ["alg HS256", () => canonicalJson({ ...head(), alg: "HS256" }), canonicalJson(claims), "header_refused"],
    ["alg Ed25519", () => canonicalJson({ ...head(), alg: "Ed25519" }), canonicalJson(claims), "header_refused"],
    ["no alg", () => canonicalJson({ kid: head().kid, typ: "t" }), canonicalJson(claims), "header_refused"],
    ["another typ", () => canonicalJson({ ...head(), typ: "u" }), canonicalJson(claims), "header_refused"],
    ["no typ", () => canonicalJson({ alg: "EdDSA", kid: head().kid }), canonicalJson(claims), "header_refused"],
    ["an unknown kid", () => canonicalJson({ ...head(), kid: "x" }), canonicalJson(claims), "unknown_key"],
    ["the kid of the other use", () => canonicalJson({ ...head(), kid: assertions.current.kid }), canonicalJson(claims), "unknown_key"],
    ["another key's kid", () => canonicalJson({ ...head(), kid: admissions.next.kid }), canonicalJson(claims), "bad_signature"],
  ])("%s is refused though correctly signed", async (_, header, payload, problem) => {
    expect(await check(await raw(header(), payload, admissions.current))).toBe(problem);
  });

  it.each<[string, (jws: string) => string, string]>([
    ["padding", (j) => `${j}=`, "malformed"],
    ["a fourth part", (j) => `${j}.x`, "malformed"],
    ["two parts", (j) => j.slice(0, j.lastIndexOf(".")), "malformed"],
    ["a trailing newline", (j) => `${j}\n`, "malformed"],
    ["an empty signature", (j) => j.slice(0, j.lastIndexOf(".") + 1), "bad_signature"],
    ["dots", () => ".".repeat(JWS_MAX_CHARS), "malformed"],
    ["a megabyte of dots", () => ".".repeat(1_000_000), "too_large"],
  ])("%s is refused", async (_, spoil, problem) => {
    expect(await check(spoil(await signStrict("t", claims, admissions.current)))).toBe(problem);
  });

  it("any flipped bit of any part is refused", async () => {
    const jws = await signStrict("t", claims, admissions.current);
    const parts = jws.split(".").map((part) => Buffer.from(part, "base64url"));
    for (const [i, part] of parts.entries()) {
      for (let at = 0; at < part.length; at += 5) {
        const spoilt = parts.map((bytes) => Buffer.from(bytes));
        const target = must(spoilt[i]);
        target[at] = (target[at] ?? 0) ^ 1;
        expect(await check(spoilt.map((bytes) => bytes.toString("base64url")).join("."))).not.toBe("ok");
      }
    }
  });

  it("an ES256 key never verifies an EdDSA token and a public key never serves as a secret", async () => {
    const es = await signStrict("t", claims, assertions.current);
    expect(await check(es)).toBe("header_refused");
    const secret = new TextEncoder().encode(JSON.stringify(admissions.current.publicJwk));
    const hs = await new CompactSign(new TextEncoder().encode("{}")).setProtectedHeader({ alg: "HS256", kid: head().kid, typ: "t" }).sign(secret);
    expect(await check(hs)).toBe("header_refused");
  });

  it.each<[string, Record<string, number | string | null>, string]>([
    ["no exp", { iat: 1 }, "claims_refused"],
    ["no iat", { exp: 1 }, "claims_refused"],
    ["exp 1e300", { iat: 1_000, exp: 1e300 }, "claims_refused"],
    ["exp as text", { iat: 1_000, exp: "1030" }, "claims_refused"],
    ["exp null", { iat: 1_000, exp: null }, "claims_refused"],
    ["a fraction", { iat: 1_000, exp: 1_030.5 }, "claims_refused"],
    ["a life too long", { iat: 1_000, exp: 1_031 }, "claims_refused"],
    ["exp before iat", { iat: 1_000, exp: 999 }, "claims_refused"],
    ["iat ahead", { iat: 1_011, exp: 1_041 }, "not_yet_valid"],
    ["nbf ahead", { iat: 1_000, exp: 1_030, nbf: 1_011 }, "not_yet_valid"],
    ["expired this instant", { iat: 980, exp: 1_010 }, "expired"],
    ["a second left", { iat: 981, exp: 1_011 }, "ok"],
  ])("times with %s", (_, times, problem) => {
    expect(code(checkLifetime(times, at(1_010_000), 30_000))).toBe(problem);
  });
});

describe("X-Postern-Assertion (CONTRACT, at the app's origin)", () => {
  const claims = { issuer: "https://access.example.com", app, sub: "u_x", sid, email: "a@example.com", groups: ["corp:staff"], amr: ["mfa"] };
  const expected = { issuer: claims.issuer, app: "wiki" };
  it("says who asks, to one app, for at most 60 s", async () => {
    const jws = await signAssertion(claims, assertions.current, START);
    const verified = await verifyAssertion(jws, publicKeySet(assertions), expected, START);
    expect(verified).toEqual({ ok: true, value: { ...claims, expiresAt: START + 60_000 } });
    expect(JSON.parse(Buffer.from(must(jws.split(".")[0]), "base64url").toString())).toMatchObject({ alg: "ES256" });
    expect(code(await verifyAssertion(jws, publicKeySet(assertions), expected, at(START + 60_000)))).toBe("expired");
    expect(code(await verifyAssertion(jws, publicKeySet(assertions), expected, at(START - 6_000)))).toBe("not_yet_valid");
  });
  it.each([
    ["another app's", { issuer: claims.issuer, app: "pg" }],
    ["the admin app's", { issuer: claims.issuer, app: ADMIN_APP }],
    ["another deployment's", { issuer: "https://other.example", app: "wiki" }],
  ])("%s origin refuses it", async (_, other) => {
    const jws = await signAssertion(claims, assertions.current, START);
    expect(code(await verifyAssertion(jws, publicKeySet(assertions), other, START))).toBe("not_for_us");
  });
  it("the other form of its ECDSA signature says the same: nothing may be listed by signature bytes", async () => {
    const jws = await signAssertion(claims, assertions.current, START);
    const order = BigInt("0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551");
    const signature = Buffer.from(must(jws.split(".")[2]), "base64url");
    const s = BigInt(`0x${signature.subarray(32).toString("hex")}`);
    const flipped = Buffer.concat([signature.subarray(0, 32), Buffer.from((order - s).toString(16).padStart(64, "0"), "hex")]);
    const twin = `${jws.slice(0, jws.lastIndexOf("."))}.${flipped.toString("base64url")}`;
    expect(twin).not.toBe(jws);
    const verified = await verifyAssertion(twin, publicKeySet(assertions), expected, START);
    expect(verified).toEqual(await verifyAssertion(jws, publicKeySet(assertions), expected, START));
    expect(verified.ok && verified.value.sid).toBe(sid);
  });
  it("an admission is no assertion and the reverse", async () => {
    const admission = await signAdmission({ sid, app, site, epoch: 0, policyVersion: 0, connector }, admissions.current, START);
    expect((await verifyAssertion(admission, publicKeySet(admissions, assertions), expected, START)).ok).toBe(false);
    const assertion = await signAssertion(claims, assertions.current, START);
    expect((await verifyAdmission(assertion, publicKeySet(admissions, assertions), { connectorThumbprint: connector, site }, START)).ok).toBe(false);
  });
});

describe("admissions (M17)", () => {
  const admission = () => ({ sid, app, site, epoch: 3, policyVersion: 7, connector });
  const sign = (): Promise<string> => signAdmission(admission(), admissions.current, START);
  const here = () => ({ connectorThumbprint: connector, site });

  it("admits one session to one app through one connector for at most 30 s", async () => {
    const jws = await sign();
    expect(await verifyAdmission(jws, publicKeySet(admissions), here(), START)).toEqual({
      ok: true,
      value: { ...admission(), expiresAt: START + 30_000 },
    });
    expect(code(await verifyAdmission(jws, publicKeySet(admissions), here(), at(START + 30_000)))).toBe("expired");
  });
  it("another connector and another site refuse it", async () => {
    const jws = await sign();
    const elsewhere = must(parseSiteId("paris"));
    expect(code(await verifyAdmission(jws, publicKeySet(admissions), { ...here(), connectorThumbprint: "x" }, START))).toBe("not_for_us");
    expect(code(await verifyAdmission(jws, publicKeySet(admissions), { ...here(), site: elsewhere }, START))).toBe("not_for_us");
  });
  it.each([
    [0, 0, 30_000],
    [0, 2_000, 28_000],
    [0, -2_000, 28_000],
    [-4_000, 0, 30_000],
    [10_000, 5_000, 15_000],
    [-4_000, 4_000, 30_000],
  ])("clock %i ms off with %i ms of doubt: %i ms of validity, never more than 30 s (M9)", async (offset, uncertaintyMs, left) => {
    const now = at(START + offset);
    const verified = await verifyAdmission(await sign(), publicKeySet(admissions), { ...here(), uncertaintyMs }, now);
    expect(verified.ok && verified.value.expiresAt - now).toBe(left);
  });
  it("doubt can only end it earlier", async () => {
    const now = at(START + 29_000);
    expect(code(await verifyAdmission(await sign(), publicKeySet(admissions), { ...here(), uncertaintyMs: 1_000 }, now))).toBe("expired");
  });
  it.each([
    ["a negative epoch", { epoch: -1 }],
    ["a fractional policy version", { policyVersion: 1.5 }],
    ["a session that is none", { sid: "short" as typeof sid }],
    ["an app that is none", { app: "../etc" as typeof app }],
  ])("%s is refused", async (_, change) => {
    const jws = await signAdmission({ ...admission(), ...change }, admissions.current, START);
    expect(code(await verifyAdmission(jws, publicKeySet(admissions), here(), START))).toBe("claims_refused");
  });
  it("is named by one digest, which changes with any byte", async () => {
    const jws = await sign();
    expect(await admissionDigest(jws)).toMatch(/^[A-Za-z0-9_-]{43}$/);
    expect(await admissionDigest(jws)).toBe(await admissionDigest(jws));
    expect(await admissionDigest(`${jws}=`)).not.toBe(await admissionDigest(jws));
  });
});
