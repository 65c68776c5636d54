/**
 * The proof that whoever redeems an enrolment token holds the key that it enrols: a compact JWS
 * (EdDSA) of that key over the token's hash. Not the token's own check, which control makes.
 */
import { compactVerify, importJWK } from "jose";
import { SECOND_MS, type Millis } from "../core/time.ts";
import type { PublicJwk } from "./keys.ts";

export const ENROLL_PROOF_TYPE = "postern-enroll+jwt";
/** A proof answers one request; the clocks may differ this much. */
const PROOF_SKEW_MS = 300 * SECOND_MS;
const PROOF_MAX_CHARS = 2_048;

/** True for a fresh proof by `key` over `tokenHash` (base64url SHA-256 of the whole token). */
export async function verifyEnrollProof(jws: string, key: PublicJwk, tokenHash: string, now: Millis): Promise<boolean> {
  if (jws.length > PROOF_MAX_CHARS || key.crv !== "Ed25519") return false;
  try {
    const imported = await importJWK({ kty: key.kty, crv: key.crv, x: key.x }, "EdDSA");
    const { payload, protectedHeader } = await compactVerify(jws, imported, { algorithms: ["EdDSA"] });
    const claims: unknown = JSON.parse(new TextDecoder().decode(payload));
    if (protectedHeader.typ !== ENROLL_PROOF_TYPE || typeof claims !== "object" || claims === null) return false;
    const { token_hash: hash, thumbprint, iat } = claims as { token_hash?: unknown; thumbprint?: unknown; iat?: unknown };
    const fresh = typeof iat === "number" && Number.isFinite(iat) && Math.abs(iat * SECOND_MS - now) < PROOF_SKEW_MS;
    return hash === tokenHash && thumbprint === key.kid && fresh;
  } catch {
    return false;
  }
}
