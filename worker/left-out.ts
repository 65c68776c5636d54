/**
 * Stands in for parts of packages that the Worker never enters; wrangler.toml's `[alias]` puts it in
 * their place. Of hono: mounting another framework, form bodies and HTML of its own. Of the passkeys' library:
 * attestations and their certificates (only "none" is taken), and algorithms that nobody is asked
 * for. A function that is called after all throws: the request ends as unavailable, the passkey is
 * refused.
 */
export function leftOut(): never {
  throw new Error("left out of the bundle");
}

// hono
export { leftOut as createMountedRequest, leftOut as parseBody, leftOut as resolveCallback };
export const HtmlEscapedCallbackPhase = {};

// @simplewebauthn/server
export {
  leftOut as PQCNotSupportedError,
  leftOut as convertX509PublicKeyToCOSE,
  leftOut as verifyAKP,
  leftOut as verifyAttestationAndroidKey,
  leftOut as verifyAttestationAndroidSafetyNet,
  leftOut as verifyAttestationApple,
  leftOut as verifyAttestationFIDOU2F,
  leftOut as verifyAttestationPacked,
  leftOut as verifyAttestationTPM,
  leftOut as verifyOKP,
};
/** Asked for every key: no attestation is believed, and no algorithm of after the quantum computer is known. */
export const SettingsService = { getRootCertificates: (): readonly string[] => [], runtimeSupportsPQC: (): boolean => false };
/** The library looks for a runtime that has none. */
export const getWebCrypto = (): Crypto => crypto;
/** Nobody reads what an authenticator says besides, nor which make it is. */
export const decodeAuthenticatorExtensions = (): undefined => undefined;
export const convertAAGUIDToString = (): undefined => undefined;
