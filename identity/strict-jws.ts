/**
 * The one form of token that Postern signs: a compact JWS whose header is exactly {alg, kid, typ}
 * and whose every byte has one spelling. What a verifier requires is written at its call, so no
 * token of one kind passes for another. Not for tokens of identity providers.
 */
import { compactVerify } from "jose";
import { fromBase64Url, toBase64Url } from "../core/bytes.ts";
import { canonicalJson } from "../core/json.ts";
import type { Json } from "../core/json.ts";
import { err, ok } from "../core/result.ts";
import type { Result } from "../core/result.ts";
import { SECOND_MS } from "../core/time.ts";
import type { DurationMs, Millis } from "../core/time.ts";
import type { KeyAlgorithm, PublicKeySet, SigningKey } from "./keys.ts";
import type { TokenProblem } from "./problems.ts";

/** Bounds the work on a token before its signature is known (class F). */
export const JWS_MAX_CHARS = 16_384;

export type Claims = { readonly [claim: string]: Json | undefined };

const ALGORITHMS = { ES256: { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" }, EdDSA: { name: "Ed25519" } } as const;
/** Keys as the platform took them; gone with their JWK. */
const imported = new WeakMap<object, CryptoKey>();

/** Signs `claims` as they are, in canonical JSON. */
export async function signStrict(typ: string, claims: Claims, { alg, kid, privateJwk }: SigningKey): Promise<string> {
  const encoder = new TextEncoder();
  const input = [{ alg, kid, typ }, claims].map((part) => toBase64Url(encoder.encode(canonicalJson(part)))).join(".");
  const algorithm = ALGORITHMS[alg];
  let key = imported.get(privateJwk);
  if (key === undefined) {
    const { kty, crv, x, y, d } = privateJwk;
    key = await crypto.subtle.importKey("jwk", { kty, crv, x, d, ...(y === undefined ? {} : { y }) }, algorithm, false, ["sign"]);
    imported.set(privateJwk, key);
  }
  return `${input}.${toBase64Url(new Uint8Array(await crypto.subtle.sign(algorithm, key, encoder.encode(input))))}`;
}

/** Signs `claims` with the instants between which they count: now, and `lifetime` later. */
export function signLasting(typ: string, claims: Claims, key: SigningKey, now: Millis, lifetime: DurationMs): Promise<string> {
  const issued = Math.floor(now / SECOND_MS);
  return signStrict(typ, { ...claims, iat: issued, exp: issued + lifetime / SECOND_MS }, key);
}

export interface StrictExpectation {
  readonly typ: string;
  readonly alg: KeyAlgorithm;
  readonly keys: PublicKeySet;
  readonly maxChars?: number;
}

/** The claims of a JWS that signStrict made with one of `keys`. Times are checkLifetime's. */
export async function verifyStrict(jws: string, expected: StrictExpectation): Promise<Result<Claims, TokenProblem>> {
  if (jws.length > (expected.maxChars ?? JWS_MAX_CHARS)) return err("too_large");
  const [head, body, signature, ...more] = jws.split(".", 4);
  if (head === undefined || body === undefined || signature === undefined || more.length > 0) return err("malformed");
  if (fromBase64Url(signature) === undefined) return err("malformed");
  const header = canonicalObject(head);
  if (header === undefined) return err("malformed");
  const { alg, kid, typ, ...others } = header;
  // jku, x5u, jwk, crit, zip, b64: a token does not choose its key or its meaning (class F).
  if (Object.keys(others).length > 0 || alg !== expected.alg || typ !== expected.typ) return err("header_refused");
  const key = expected.keys.keys.find((candidate) => candidate.kid === kid && candidate.alg === expected.alg);
  if (key === undefined) return err("unknown_key");
  try {
    await compactVerify(jws, key, { algorithms: [expected.alg] });
  } catch {
    return err("bad_signature");
  }
  const claims = canonicalObject(body);
  return claims === undefined ? err("malformed") : ok(claims);
}

/** A JSON object written as canonicalJson writes it; so repeated keys and other spellings are refused. */
function canonicalObject(part: string): Claims | undefined {
  const bytes = fromBase64Url(part);
  if (bytes === undefined) return undefined;
  try {
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
    const value = JSON.parse(text) as Json;
    if (typeof value !== "object" || value === null || Array.isArray(value)) return undefined;
    const object = value as Claims;
    return canonicalJson(object) === text ? object : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Whether a token's iat, exp and nbf (whole seconds) hold at `now`: exp is required, no more than
 * `maxLifetimeMs` after iat, and iat at most `earlyMs` ahead. Nothing is accepted after exp.
 */
export function checkLifetime(
  claims: Claims,
  now: Millis,
  maxLifetimeMs: number,
  earlyMs = 0,
): Result<{ readonly issuedAt: number; readonly expiresAt: number }, TokenProblem> {
  const issued = wholeSeconds(claims["iat"]);
  const expires = wholeSeconds(claims["exp"]);
  const notBefore = claims["nbf"] === undefined ? issued : wholeSeconds(claims["nbf"]);
  if (issued === undefined || expires === undefined || notBefore === undefined) return err("claims_refused");
  if (expires <= issued || (expires - issued) * SECOND_MS > maxLifetimeMs) return err("claims_refused");
  if (Math.max(issued, notBefore) * SECOND_MS > now + earlyMs) return err("not_yet_valid");
  if (now >= expires * SECOND_MS) return err("expired");
  return ok({ issuedAt: issued * SECOND_MS, expiresAt: expires * SECOND_MS });
}

function wholeSeconds(value: Json | undefined): number | undefined {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0 ? value : undefined;
}
