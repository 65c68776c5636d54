/**
 * Our own signing keys: made, turned and published. Assertions to apps are ES256, which every JWT
 * library reads; everything between our own processes is Ed25519. Private keys stay in the object
 * that signs (M17). Not the keys of providers (provider-keys.ts) or connectors.
 */
import { canonicalJson } from "../core/json.ts";
import { err, ok } from "../core/result.ts";
import type { Result } from "../core/result.ts";
import { after, lasting, SECOND_MS } from "../core/time.ts";
import type { Millis } from "../core/time.ts";
import { digestOf } from "./digest.ts";

/** "assertion" signs for apps; "admission" signs for connectors: admissions, key sets, site configs, lanes. */
export type KeyUse = "assertion" | "admission";
export type KeyAlgorithm = "ES256" | "EdDSA";

/** A public key as jwks.json shows it. `kid` is the key's own RFC 7638 thumbprint. */
export interface PublicJwk {
  readonly kty: "EC" | "OKP";
  readonly crv: "P-256" | "Ed25519";
  readonly x: string;
  readonly y?: string;
  readonly kid: string;
  readonly alg: KeyAlgorithm;
  readonly use: "sig";
}

export interface SigningKey {
  readonly kid: string;
  readonly alg: KeyAlgorithm;
  readonly use: KeyUse;
  /** Secret. */
  readonly privateJwk: PublicJwk & { readonly d: string };
  readonly publicJwk: PublicJwk;
  readonly createdAt: Millis;
}

/** `next` is published before it signs, `previous` after: tokens under way verify across a turn. */
export interface KeyRing {
  readonly use: KeyUse;
  readonly previous?: SigningKey;
  readonly current: SigningKey;
  readonly next: SigningKey;
}

export interface PublicKeySet {
  readonly keys: readonly PublicJwk[];
}

/**
 * The least time between two turns of a ring: twice the longest life of what it signs (60 s), so
 * that every verifier saw `next` before its first signature and keeps `previous` past its last.
 */
export const KEY_ANNOUNCEMENT_MS = lasting(120 * SECOND_MS);

const ALGORITHM: { readonly [use in KeyUse]: KeyAlgorithm } = { assertion: "ES256", admission: "EdDSA" };

/** A new key pair from the platform's generator; the only randomness, so `subtle` is passed in. */
export async function generateSigningKey(use: KeyUse, now: Millis, subtle: SubtleCrypto): Promise<SigningKey> {
  const alg = ALGORITHM[use];
  const parameters = alg === "ES256" ? { name: "ECDSA", namedCurve: "P-256" } : { name: "Ed25519" };
  const pair = await subtle.generateKey(parameters, true, ["sign", "verify"]);
  if (!("privateKey" in pair)) throw new Error("a signature algorithm makes a key pair");
  const jwk = await subtle.exportKey("jwk", pair.privateKey);
  const publicJwk = await publicJwkOf(jwk, alg);
  if (publicJwk === undefined || jwk.d === undefined) throw new Error("the platform exported no usable key");
  return { kid: publicJwk.kid, alg, use, privateJwk: { ...publicJwk, d: jwk.d }, publicJwk, createdAt: now };
}

/** A ring for a new deployment: both keys are published from the start. */
export async function newKeyRing(use: KeyUse, now: Millis, subtle: SubtleCrypto): Promise<KeyRing> {
  return { use, current: await generateSigningKey(use, now, subtle), next: await generateSigningKey(use, now, subtle) };
}

/** Turns the ring: next signs, `fresh` is announced. Errors: too_soon (KEY_ANNOUNCEMENT_MS), wrong_use. */
export function turnKeyRing(ring: KeyRing, fresh: SigningKey, now: Millis): Result<KeyRing, "too_soon" | "wrong_use"> {
  if (fresh.use !== ring.use) return err("wrong_use");
  if (now < after(ring.next.createdAt, KEY_ANNOUNCEMENT_MS)) return err("too_soon");
  return ok({ use: ring.use, previous: ring.current, current: ring.next, next: fresh });
}

/** The public half of rings, as `/.postern/jwks.json` and signed key sets carry it. */
export function publicKeySet(...rings: readonly KeyRing[]): PublicKeySet {
  const keys = rings.flatMap((ring) => [ring.current, ring.next, ...(ring.previous === undefined ? [] : [ring.previous])]);
  return { keys: keys.map((key) => key.publicJwk) };
}

/**
 * Reads a public key from outside: an Ed25519 or P-256 JWK whose kid, if it has one, is its own
 * thumbprint. Private members are dropped; undefined for anything else.
 */
export async function parsePublicJwk(value: unknown): Promise<PublicJwk | undefined> {
  if (typeof value !== "object" || value === null) return undefined;
  const jwk: { readonly [name: string]: unknown } = { ...value };
  const alg = jwk["kty"] === "EC" ? "ES256" : "EdDSA";
  const parsed = await publicJwkOf(jwk, alg);
  return parsed !== undefined && (jwk["kid"] === undefined || jwk["kid"] === parsed.kid) ? parsed : undefined;
}

/** 32 bytes in base64url: one coordinate of either curve. */
const COORDINATE = /^[A-Za-z0-9_-]{43}$/;

async function publicJwkOf(jwk: { readonly [name: string]: unknown } | JsonWebKey, alg: KeyAlgorithm): Promise<PublicJwk | undefined> {
  const { x, y, crv, kty } = jwk;
  if (typeof x !== "string" || !COORDINATE.test(x)) return undefined;
  if (alg === "EdDSA") {
    if (kty !== "OKP" || crv !== "Ed25519") return undefined;
    return { kty, crv, x, kid: await thumbprint({ kty, crv, x }), alg, use: "sig" };
  }
  if (kty !== "EC" || crv !== "P-256" || typeof y !== "string" || !COORDINATE.test(y)) return undefined;
  return { kty, crv, x, y, kid: await thumbprint({ kty, crv, x, y }), alg, use: "sig" };
}

/** RFC 7638: of exactly the members that it names for the type of key. */
const thumbprint = (members: Readonly<Record<string, string>>): Promise<string> => digestOf(canonicalJson(members));
