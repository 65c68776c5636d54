/**
 * The proof that whoever redeems an enrolment token holds the key that it enrols: a compact JWS
 * (EdDSA) of that key over the token's hash. Not the token's own check, which control makes.
 */
import { SECOND_MS, type Millis } from "../core/time.ts";
import type { ConnectorKey } from "./connector-proof.ts";
import type { PublicJwk } from "./keys.ts";
import { signStrict, verifyStrict } from "./strict-jws.ts";

export const ENROLL_PROOF_TYPE = "postern-enroll+jwt";
/** A proof answers one request; the clocks may differ this much. */
const PROOF_SKEW_MS = 300 * SECOND_MS;
const PROOF_MAX_CHARS = 2_048;

/** Proves to whoever reads it now that this key's holder also holds the token. */
export function signEnrollProof({ privateJwk, publicJwk, thumbprint }: ConnectorKey, tokenHash: string, now: Millis): Promise<string> {
  const key = { kid: thumbprint, alg: "EdDSA", use: "admission", privateJwk, publicJwk, createdAt: now } as const;
  return signStrict(ENROLL_PROOF_TYPE, { token_hash: tokenHash, thumbprint, iat: Math.floor(now / SECOND_MS) }, key);
}

/** True for a fresh proof by `key` over `tokenHash` (base64url SHA-256 of the whole token). */
export async function verifyEnrollProof(jws: string, key: PublicJwk, tokenHash: string, now: Millis): Promise<boolean> {
  if (key.crv !== "Ed25519") return false;
  // One spelling, one key, one type: a proof names no key of its own (jwk, jku) and no other algorithm.
  const verified = await verifyStrict(jws, { typ: ENROLL_PROOF_TYPE, alg: "EdDSA", keys: { keys: [key] }, maxChars: PROOF_MAX_CHARS });
  if (!verified.ok) return false;
  const { token_hash: hash, thumbprint, iat } = verified.value;
  const fresh = typeof iat === "number" && Number.isFinite(iat) && Math.abs(iat * SECOND_MS - now) < PROOF_SKEW_MS;
  return hash === tokenHash && thumbprint === key.kid && fresh;
}
