/**
 * Passkeys (WebAuthn): whether what a browser brings is a new key, or the use of one that is known.
 * Only attestation "none" counts, so what is left out of the library for attestations is not missed
 * (docs/decisions/0024). Nothing here throws. Not which keys there are, nor which challenge is open.
 */
import { type AuthenticationResponseJSON, type RegistrationResponseJSON, verifyAuthenticationResponse, verifyRegistrationResponse } from "@simplewebauthn/server";
import { fromBase64Url, toBase64Url } from "../core/bytes.ts";

/**
 * RFC 8176: a key that stays on its device ("hwk"), or one that its owner's devices share ("swk"), as
 * the authenticator says of itself; nobody vouches for that (attestation "none").
 */
export type PasskeyKind = "hwk" | "swk";
/** COSE: ES256, and RS256 for older machines with Windows; worker/pages/passkey.js asks for these. */
const PASSKEY_ALGORITHMS: readonly number[] = [-7, -257];

export interface PasskeyKey {
  readonly id: string;
  /** COSE, base64url. */
  readonly publicKey: string;
  readonly counter: number;
  readonly kind: PasskeyKind;
}

/** Where the ceremony must have taken place. */
export interface CeremonyPlace {
  readonly origin: string;
  /** The launcher's host. */
  readonly rpId: string;
}

/** Whether the challenge was given for this, and is given up by being asked about. */
type Spend = (challenge: string) => boolean;

/** The key that a browser made; undefined when anything about it is not as it was asked for. */
export async function newPasskey(answer: unknown, { origin, rpId }: CeremonyPlace, spend: Spend): Promise<PasskeyKey | undefined> {
  try {
    const { registrationInfo: made } = await verifyRegistrationResponse({
      response: answer as RegistrationResponseJSON,
      expectedChallenge: spend,
      expectedOrigin: origin,
      expectedRPID: rpId,
      supportedAlgorithmIDs: [...PASSKEY_ALGORITHMS],
    });
    if (made?.fmt !== "none") return undefined;
    const { id, publicKey, counter } = made.credential;
    return { id, publicKey: toBase64Url(publicKey), counter, kind: made.credentialDeviceType === "singleDevice" ? "hwk" : "swk" };
  } catch {
    return undefined;
  }
}

/** The counter of a use of this key; undefined when it is none. The caller compares it with the last one, in the step that stores it. */
export async function passkeyUse(answer: unknown, key: Pick<PasskeyKey, "id" | "publicKey">, { origin, rpId }: CeremonyPlace, spend: Spend): Promise<number | undefined> {
  try {
    const { verified, authenticationInfo } = await verifyAuthenticationResponse({
      response: answer as AuthenticationResponseJSON,
      expectedChallenge: spend,
      expectedOrigin: origin,
      expectedRPID: rpId,
      credential: { id: key.id, publicKey: fromBase64Url(key.publicKey) ?? new Uint8Array(), counter: 0 },
    });
    return verified ? authenticationInfo.newCounter : undefined;
  } catch {
    return undefined;
  }
}
