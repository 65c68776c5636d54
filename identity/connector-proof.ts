/**
 * How a connector and a lane prove themselves to each other in the hello: the connector signs the
 * transcript with its own Ed25519 key, the edge answers with a signed welcome, and both derive a
 * MAC key that only they know (M17). Not enrolment, and not the frames of the hello.
 */
import { fromBase64Url, toBase64Url } from "../core/bytes.ts";
import type { SiteId } from "../core/ids.ts";
import { err, ok } from "../core/result.ts";
import type { Result } from "../core/result.ts";
import { lasting, SECOND_MS } from "../core/time.ts";
import type { Millis } from "../core/time.ts";
import { parsePublicJwk } from "./keys.ts";
import type { PublicJwk, PublicKeySet, SigningKey } from "./keys.ts";
import type { TokenProblem } from "./problems.ts";
import { checkLifetime, signLasting, verifyStrict } from "./strict-jws.ts";

export const LANE_TYPE = "postern-lane+jwt";
/** A welcome answers one hello; bounds what a recorded one is worth. */
const LANE_LIFETIME_MS = lasting(30 * SECOND_MS);
/** The connector knows no corrected clock yet when it reads a welcome. */
export const LANE_CLOCK_TOLERANCE_MS = 300 * SECOND_MS;
/** Separates these signatures from any other use of the connector's key. */
const HELLO_CONTEXT = "postern connector hello v1\0";
const MAC_CONTEXT = "postern stream mac v1";
const KEY_BYTES = 32;
const SIGNATURE_BYTES = 64;

type Bytes = Uint8Array<ArrayBuffer>;

/** A connector's key as its state directory holds it; the JWK is secret. */
export interface ConnectorKey {
  readonly privateJwk: PublicJwk & { readonly d: string };
  readonly publicJwk: PublicJwk;
  /** RFC 7638, SHA-256; also the public key's kid. */
  readonly thumbprint: string;
}

/** RFC 7638 SHA-256 thumbprint of an Ed25519 public JWK; undefined if it is not one. */
export async function thumbprint(publicJwk: unknown): Promise<string | undefined> {
  const jwk = await parsePublicJwk(publicJwk);
  return jwk?.crv === "Ed25519" ? jwk.kid : undefined;
}

/** A new connector key; `subtle` is the only randomness. */
export async function generateConnectorKey(subtle: SubtleCrypto): Promise<ConnectorKey> {
  const pair = await subtle.generateKey({ name: "Ed25519" }, true, ["sign", "verify"]);
  if (!("privateKey" in pair)) throw new Error("a signature algorithm makes a key pair");
  const key = await parseConnectorKey(await subtle.exportKey("jwk", pair.privateKey));
  if (key === undefined) throw new Error("the platform exported no usable key");
  return key;
}

/** Reads a stored private JWK; undefined if it is not a whole Ed25519 key. */
export async function parseConnectorKey(stored: unknown): Promise<ConnectorKey | undefined> {
  const publicJwk = await parsePublicJwk(stored);
  if (publicJwk?.crv !== "Ed25519" || typeof stored !== "object" || stored === null || !("d" in stored)) return undefined;
  const d = stored.d;
  if (typeof d !== "string" || fromBase64Url(d)?.length !== KEY_BYTES) return undefined;
  return { privateJwk: { ...publicJwk, d }, publicJwk, thumbprint: publicJwk.kid };
}

function helloMessage(transcript: Uint8Array): Bytes {
  const context = new TextEncoder().encode(HELLO_CONTEXT);
  const message = new Uint8Array(context.length + transcript.length);
  message.set(context);
  message.set(transcript, context.length);
  return message;
}

/** Base64url Ed25519 signature over a transcript, which the protocol defines. */
export async function signHello(transcript: Uint8Array, key: ConnectorKey): Promise<string> {
  const { d, x, kty, crv } = key.privateJwk;
  const signing = await crypto.subtle.importKey("jwk", { d, x, kty, crv }, { name: "Ed25519" }, false, ["sign"]);
  return toBase64Url(new Uint8Array(await crypto.subtle.sign("Ed25519", signing, helloMessage(transcript))));
}

/** Whether the holder of `publicJwk` signed this transcript. False for any other key or spelling. */
export async function verifyHello(transcript: Uint8Array, signature: string, publicJwk: unknown): Promise<boolean> {
  const jwk = await parsePublicJwk(publicJwk);
  const bytes = signature.length > 2 * SIGNATURE_BYTES ? undefined : fromBase64Url(signature);
  if (jwk?.crv !== "Ed25519" || bytes?.length !== SIGNATURE_BYTES) return false;
  const { x, kty, crv } = jwk;
  try {
    const key = await crypto.subtle.importKey("jwk", { x, kty, crv }, { name: "Ed25519" }, false, ["verify"]);
    return await crypto.subtle.verify("Ed25519", key, bytes, helloMessage(transcript));
  } catch {
    return false;
  }
}

/** SHA-256 of a transcript, as the welcome names it and the MAC key is bound to it. */
export async function transcriptHash(transcript: Uint8Array): Promise<Bytes> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", new Uint8Array(transcript)));
}

export interface LaneWelcome {
  /** Base64url SHA-256 of the whole hello, both halves. */
  readonly transcript: string;
  readonly site: SiteId;
  readonly lane: number;
}

/** The edge's proof that this lane belongs to the deployment. `key` is of use "admission". */
export function signLaneWelcome(welcome: LaneWelcome, key: SigningKey, now: Millis): Promise<string> {
  return signLasting(LANE_TYPE, { ...welcome }, key, now, LANE_LIFETIME_MS);
}

/**
 * Verifies a welcome at the connector. The transcript holds the connector's own nonce, so the
 * welcome is fresh whatever the clocks say; `skewMs` (edge minus connector) is how far they differ.
 */
export async function verifyLaneWelcome(
  jws: string,
  keySet: PublicKeySet,
  expected: LaneWelcome,
  now: Millis,
): Promise<Result<{ readonly skewMs: number }, TokenProblem | "clock_wrong">> {
  const verified = await verifyStrict(jws, { typ: LANE_TYPE, alg: "EdDSA", keys: keySet });
  if (!verified.ok) return verified;
  const { transcript, site, lane, iat } = verified.value;
  if (transcript !== expected.transcript || site !== expected.site || lane !== expected.lane) return err("not_for_us");
  if (typeof iat !== "number") return err("claims_refused");
  const issuedAt = (iat * SECOND_MS) as Millis;
  const lifetime = checkLifetime(verified.value, issuedAt, LANE_LIFETIME_MS);
  if (!lifetime.ok) return lifetime;
  const skewMs = issuedAt - now;
  return Math.abs(skewMs) > LANE_CLOCK_TOLERANCE_MS ? err("clock_wrong") : ok({ skewMs });
}

/** One side's half of the key agreement; the public half is 32 bytes in base64url. */
export interface AgreementKey {
  readonly privateKey: CryptoKey;
  readonly publicKey: string;
}

/** A fresh X25519 key for one socket; `subtle` is the only randomness. */
export async function generateAgreementKey(subtle: SubtleCrypto): Promise<AgreementKey> {
  const pair = await subtle.generateKey({ name: "X25519" }, false, ["deriveBits"]);
  if (!("privateKey" in pair)) throw new Error("a key agreement makes a key pair");
  const raw = await subtle.exportKey("raw", pair.publicKey);
  return { privateKey: pair.privateKey, publicKey: toBase64Url(new Uint8Array(raw)) };
}

/**
 * The socket's 32-byte MAC key: X25519 (RFC 7748) then HKDF-SHA-256 (RFC 5869) salted with the
 * transcript's hash. Undefined if the peer's half is no key or of low order (§6.1). Secret.
 */
export async function deriveStreamMacKey(
  privateKey: CryptoKey,
  peerPublicKey: string,
  transcript: Uint8Array,
): Promise<Bytes | undefined> {
  const raw = peerPublicKey.length > 2 * KEY_BYTES ? undefined : fromBase64Url(peerPublicKey);
  if (raw?.length !== KEY_BYTES) return undefined;
  let shared: ArrayBuffer;
  try {
    const peer = await crypto.subtle.importKey("raw", raw, { name: "X25519" }, false, []);
    shared = await crypto.subtle.deriveBits({ name: "X25519", public: peer }, privateKey, KEY_BYTES * 8);
  } catch {
    return undefined;
  }
  // The platform refuses low-order points by specification; an engine that does not is refused here.
  if (new Uint8Array(shared).every((byte) => byte === 0)) return undefined;
  const material = await crypto.subtle.importKey("raw", shared, "HKDF", false, ["deriveBits"]);
  const info = new TextEncoder().encode(MAC_CONTEXT);
  const parameters = { name: "HKDF", hash: "SHA-256", salt: new Uint8Array(transcript), info };
  return new Uint8Array(await crypto.subtle.deriveBits(parameters, material, KEY_BYTES * 8));
}

/** The derived bytes as an HMAC-SHA-256 key; the bytes themselves go into the socket's attachment (M3). */
export function importStreamMacKey(bytes: Uint8Array): Promise<CryptoKey> {
  return crypto.subtle.importKey("raw", new Uint8Array(bytes), { name: "HMAC", hash: "SHA-256" }, false, ["sign", "verify"]);
}
