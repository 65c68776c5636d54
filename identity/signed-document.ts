/**
 * Documents that the edge signs for connectors: a site's configuration and the key set. Each has a
 * version that only grows, and a new key set counts only under the signature of a key already
 * known, so that whoever answers for the edge tomorrow cannot bring keys of its own.
 */
import { fromBase64Url } from "../core/bytes.ts";
import type { SiteId } from "../core/ids.ts";
import type { Json } from "../core/json.ts";
import { err, ok } from "../core/result.ts";
import type { Result } from "../core/result.ts";
import { SECOND_MS } from "../core/time.ts";
import type { Millis } from "../core/time.ts";
import { parsePublicJwk } from "./keys.ts";
import type { PublicJwk, PublicKeySet, SigningKey } from "./keys.ts";
import type { TokenProblem } from "./problems.ts";
import { signStrict, verifyStrict } from "./strict-jws.ts";

export const SITE_CONFIG_TYPE = "postern-site-config+jwt";
export const KEY_SET_TYPE = "postern-keys+jwt";
/** Bounds what a connector parses before a signature is known. */
const DOCUMENT_MAX_CHARS = 1_048_576;
/** Every signer's ring of both uses, with room: bounds what a set can make a connector hold. */
const KEY_SET_MAX_KEYS = 64;

export type DocumentProblem = TokenProblem | "older_version" | "same_version_differs";

export interface SignedSiteConfig {
  readonly site: SiteId;
  readonly version: number;
  readonly config: Json;
}

/** Signs a site's configuration. `key` is of use "admission". */
export function signSiteConfig(document: SignedSiteConfig, key: SigningKey, now: Millis): Promise<string> {
  const { site, version, config } = document;
  return signStrict(SITE_CONFIG_TYPE, { site, version, config, iat: Math.floor(now / SECOND_MS) }, key);
}

/** Verifies a site configuration of at least `minimumVersion`, so that an old one cannot come back. */
export async function verifySiteConfig(
  jws: string,
  keySet: PublicKeySet,
  expected: { readonly site: SiteId; readonly minimumVersion: number },
): Promise<Result<SignedSiteConfig, DocumentProblem>> {
  const verified = await verifyStrict(jws, { typ: SITE_CONFIG_TYPE, alg: "EdDSA", keys: keySet, maxChars: DOCUMENT_MAX_CHARS });
  if (!verified.ok) return verified;
  const { site, version, config } = verified.value;
  if (site !== expected.site) return err("not_for_us");
  if (!isVersion(version) || config === undefined) return err("claims_refused");
  return version < expected.minimumVersion ? err("older_version") : ok({ site: expected.site, version, config });
}

export interface SignedKeySet extends PublicKeySet {
  readonly version: number;
}

/** Signs the public keys of all signers. `key` is of use "admission" and already announced. */
export function signKeySet(set: SignedKeySet, key: SigningKey, now: Millis): Promise<string> {
  const keys: Json[] = set.keys.map((jwk) => ({ ...jwk }));
  return signStrict(KEY_SET_TYPE, { keys, version: set.version, iat: Math.floor(now / SECOND_MS) }, key);
}

/**
 * Reads a key set that `known` vouches for: signed by one of its keys, never older, and for the
 * same version the same keys. Errors: DocumentProblem.
 */
export async function acceptKeySet(known: SignedKeySet, jws: string): Promise<Result<SignedKeySet, DocumentProblem>> {
  const read = await readKeySet(known, jws);
  if (!read.ok) return read;
  if (read.value.version < known.version) return err("older_version");
  if (read.value.version === known.version && !sameKeys(read.value, known)) return err("same_version_differs");
  return read;
}

/** The newest set at the end of a chain, oldest first: for a connector that was away for several turns. */
export async function acceptKeySetChain(
  known: SignedKeySet,
  chain: readonly string[],
): Promise<Result<SignedKeySet, DocumentProblem>> {
  let newest = known;
  for (const jws of chain) {
    const accepted = await acceptKeySet(newest, jws);
    if (!accepted.ok) return accepted;
    newest = accepted.value;
  }
  return ok(newest);
}

/**
 * Reads the first key set, at enrolment, which nothing known can vouch for: TLS to the edge does.
 * It must be signed by a key that it contains.
 */
export async function readFirstKeySet(jws: string): Promise<Result<SignedKeySet, DocumentProblem>> {
  if (jws.length > DOCUMENT_MAX_CHARS) return err("too_large");
  const body = jws.split(".", 3)[1];
  const claimed = body === undefined ? undefined : await unverifiedKeys(body);
  return claimed === undefined ? err("malformed") : readKeySet({ keys: claimed }, jws);
}

async function readKeySet(signers: PublicKeySet, jws: string): Promise<Result<SignedKeySet, DocumentProblem>> {
  const verified = await verifyStrict(jws, { typ: KEY_SET_TYPE, alg: "EdDSA", keys: signers, maxChars: DOCUMENT_MAX_CHARS });
  if (!verified.ok) return verified;
  const keys = await parseKeys(verified.value["keys"]);
  const version = verified.value["version"];
  return keys === undefined || !isVersion(version) ? err("claims_refused") : ok({ keys, version });
}

async function unverifiedKeys(body: string): Promise<readonly PublicJwk[] | undefined> {
  const bytes = fromBase64Url(body);
  if (bytes === undefined) return undefined;
  try {
    const claims: unknown = JSON.parse(new TextDecoder().decode(bytes));
    return typeof claims === "object" && claims !== null && "keys" in claims ? await parseKeys(claims.keys) : undefined;
  } catch {
    return undefined;
  }
}

/** All keys, or undefined if any of them is not one of ours: half a set would lose a signer. */
async function parseKeys(value: unknown): Promise<readonly PublicJwk[] | undefined> {
  if (!Array.isArray(value) || value.length === 0 || value.length > KEY_SET_MAX_KEYS) return undefined;
  const keys = await Promise.all((value as readonly unknown[]).map(parsePublicJwk));
  const read = keys.filter((key) => key !== undefined);
  return read.length === keys.length ? read : undefined;
}

function sameKeys(a: PublicKeySet, b: PublicKeySet): boolean {
  const ids = (set: PublicKeySet): string => set.keys.map((key) => key.kid).sort().join();
  return ids(a) === ids(b);
}

function isVersion(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}
