/** Signer: the calls it answers. Types only. */
import type { SiteId } from "../../core/ids.ts";
import type { Admission } from "../../identity/admission.ts";
import type { PublicJwk } from "../../identity/keys.ts";
import type { SignedSiteConfig } from "../../identity/signed-document.ts";

/** What an admission and an assertion say about one session at one app (M17). */
export interface AdmitClaims extends Admission {
  readonly issuer: string;
  /** False for a public path: the origin is told nobody's name (P20). */
  readonly assert: boolean;
  readonly user: {
    readonly sub: string;
    readonly email?: string;
    readonly groups?: readonly string[];
    readonly amr?: readonly string[];
  };
}

export interface Admitted {
  /** JWS for the connector. */
  readonly admission: string;
  /** Base64url digest that a stream-open names. */
  readonly digest: string;
  /** JWT for the origin (X-Postern-Assertion); empty for a public path. */
  readonly assertion: string;
  /** How long both may be used, counted from before the question, milliseconds. */
  readonly usableMs: number;
}

export interface SignerRpc {
  admit(claims: AdmitClaims): Promise<Admitted>;
  /** JWS that proves a tunnel object's half of a hello belongs to this deployment. */
  signLane(claims: { transcript: string; site: SiteId; lane: number }): Promise<string>;
  signSiteConfig(config: SignedSiteConfig): Promise<string>;
  /** The public keys of this signer: {current, next, previous} of both uses. */
  publicKeys(): Promise<readonly PublicJwk[]>;
  /** The key set of all signers, signed by a current key of this one. */
  signKeySet(keys: readonly PublicJwk[], version: number): Promise<string>;
}
