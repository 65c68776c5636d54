/**
 * One key's signed word that another is a connector's of the same site: how an agent that pinned
 * the first comes to trust the second, without believing the edge. Signed by a connector of the
 * site or by the team's offline key. It names no time of its end: who signs, vouches.
 */
import type { SiteId } from "../core/ids.ts";
import { SECOND_MS } from "../core/time.ts";
import type { Millis } from "../core/time.ts";
import type { ConnectorKey } from "./connector-proof.ts";
import { parsePublicJwk } from "./keys.ts";
import type { PublicJwk } from "./keys.ts";
import { signStrict, verifyStrict } from "./strict-jws.ts";

const ENDORSEMENT_TYPE = "postern-endorsement+jwt";
/** Bounds what an agent parses before a signature is known. */
export const ENDORSEMENT_MAX_CHARS = 2_048;

export interface Endorsement {
  /** The edge's origin, so that a word for one deployment is none for another. */
  readonly edge: string;
  readonly site: SiteId;
  /** The endorsed Ed25519 public key, base64url of 32 bytes. */
  readonly key: string;
}

/** The JWK of an Ed25519 public key in base64url; undefined if it is none. */
export function ed25519Jwk(key: string): Promise<PublicJwk | undefined> {
  return parsePublicJwk({ kty: "OKP", crv: "Ed25519", x: key });
}

export function signEndorsement({ edge, site, key }: Endorsement, signer: ConnectorKey, now: Millis): Promise<string> {
  const { privateJwk, publicJwk, thumbprint } = signer;
  const signing = { kid: thumbprint, alg: "EdDSA", use: "admission", privateJwk, publicJwk, createdAt: now } as const;
  return signStrict(ENDORSEMENT_TYPE, { edge, site, key, iat: Math.floor(now / SECOND_MS) }, signing);
}

/** The key that `jws` endorses for this edge and site in the name of one of `signers`; undefined if it does not. */
export async function verifyEndorsement(jws: string, signers: readonly PublicJwk[], edge: string, site: SiteId): Promise<string | undefined> {
  const verified = await verifyStrict(jws, { typ: ENDORSEMENT_TYPE, alg: "EdDSA", keys: { keys: signers }, maxChars: ENDORSEMENT_MAX_CHARS });
  if (!verified.ok) return undefined;
  const { edge: forEdge, site: forSite, key } = verified.value;
  return forEdge === edge && forSite === site && typeof key === "string" ? key : undefined;
}
