/**
 * A JWT signed by an identity provider: size, header, signature and times. What its claims mean
 * is decided elsewhere (id-token.ts). Not for tokens that Postern signs: see strict-jws.ts.
 */
import { compactVerify } from "jose";
import type { AuthorizationServer } from "oauth4webapi";
import { fromBase64Url } from "../core/bytes.ts";
import { err, ok } from "../core/result.ts";
import type { Result } from "../core/result.ts";
import { SECOND_MS } from "../core/time.ts";
import { oidcProblem } from "./problems.ts";
import type { OidcProblem } from "./problems.ts";
import type { CachedKeys } from "./provider-cache.ts";
import { providerKeys } from "./provider-keys.ts";
import type { OidcIo, ProviderSettings } from "./provider.ts";

/** Bounds the work on a token before its signature is known (class F). */
export const PROVIDER_TOKEN_MAX_CHARS = 65_536;
/** Asymmetric only; "none" and HMAC have no place where keys are public (class F). */
export const PROVIDER_ALGORITHMS: readonly string[] = ["RS256", "PS256", "ES256", "EdDSA"];
/** How far a provider's clock may be from ours. */
export const PROVIDER_CLOCK_TOLERANCE_SECONDS = 30;
/** A statement (a logout token, a security event) says nothing any more after this; whoever takes them remembers each longer, so that none counts twice (class M, row 101). */
export const STATEMENT_MAX_AGE_SECONDS = 86_400;

export type ProviderClaims = { readonly [claim: string]: unknown };

/** Header parameters that would let a token choose its own key or meaning. */
const REFUSED_HEADERS = ["jku", "jwk", "x5u", "crit", "zip", "b64"];

/** Who signs, as far as a signature goes: `issuer` names the key set in the cache. */
export type TokenSigner = Pick<ProviderSettings, "id" | "issuer">;
export type KeySetPlace = Pick<AuthorizationServer, "jwks_uri" | "id_token_signing_alg_values_supported">;

/**
 * Verifies a provider's JWT and its exp, iat and nbf against `io.now()`. `types` lists the header
 * `typ` values allowed, "" standing for none. A `statement` need not have exp: its iat bounds it.
 * Errors: token_invalid, clock_wrong, and those of providerKeys.
 */
export async function verifyProviderJws(
  token: string,
  types: readonly string[],
  provider: TokenSigner,
  as: KeySetPlace,
  io: OidcIo,
  statement = false,
): Promise<Result<ProviderClaims, OidcProblem>> {
  const refuse = (cause: string): { ok: false; error: OidcProblem } => err(oidcProblem(provider.id, "token_invalid", cause));
  if (token.length > PROVIDER_TOKEN_MAX_CHARS) return refuse("token too large");
  const parts = token.split(".", 4);
  // Canonical base64url only, so that one token has one spelling.
  if (parts.length !== 3 || parts.some((part) => part === "" || fromBase64Url(part) === undefined)) return refuse("not a JWS");
  const header = readHeader(parts[0] ?? "");
  if (header === undefined) return refuse("header is not JSON");
  // A provider announces what it signs ID tokens with; where it does not, RS256 (Discovery §3).
  const { id_token_signing_alg_values_supported: listed } = as;
  const announced = statement ? PROVIDER_ALGORITHMS : Array.isArray(listed) ? listed : ["RS256"];
  if (!PROVIDER_ALGORITHMS.includes(header.alg) || !announced.includes(header.alg)) return refuse("algorithm refused");
  if (REFUSED_HEADERS.some((name) => Object.hasOwn(header, name))) return refuse("header parameter refused");
  if (!types.includes(header.typ.toLowerCase())) return refuse("typ refused");

  const held = await providerKeys(provider, as, io, false);
  if (!held.ok) return held;
  let payload = await verifyWith(token, held.value, header["kid"]);
  if (payload === undefined) {
    // A new key, or a new key under an old id: ask once more; the interval in providerKeys bounds it.
    const renewed = await providerKeys(provider, as, io, true);
    if (!renewed.ok) return renewed;
    if (renewed.value !== held.value) payload = await verifyWith(token, renewed.value, header["kid"]);
  }
  if (payload === undefined) return refuse("signature");
  const claims = readClaims(payload);
  if (claims === undefined) return refuse("claims are not a JSON object");
  return checkTimes(claims, provider, io, statement);
}

function readHeader(part: string): (ProviderClaims & { readonly alg: string; readonly typ: string }) | undefined {
  const header = readClaims(fromBase64Url(part) ?? new Uint8Array());
  const { alg, typ = "" } = header ?? {};
  return typeof alg === "string" && typeof typ === "string" ? { ...header, alg, typ } : undefined;
}

/** Each key is asked by jose whether it is public, for signatures and for this algorithm. */
async function verifyWith(token: string, { keys }: CachedKeys, kid: unknown): Promise<Uint8Array | undefined> {
  // A provider that sends no key id: any of its keys may have signed.
  const named = keys.filter((key) => kid === undefined || (typeof kid === "string" && key.kid === kid));
  for (const key of named) {
    const verified = await compactVerify(token, key, { algorithms: [...PROVIDER_ALGORITHMS] }).catch(() => undefined);
    if (verified !== undefined) return verified.payload;
  }
  return undefined;
}

/** The JSON object in these bytes, if there is one. */
export function readClaims(payload: Uint8Array): ProviderClaims | undefined {
  try {
    const claims: unknown = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(payload));
    return typeof claims === "object" && claims !== null && !Array.isArray(claims) ? { ...claims } : undefined;
  } catch {
    return undefined;
  }
}

/** A NumericDate that can be reckoned with: 1e300, "1", NaN and fractions of years to come are not. */
export function numericDate(value: unknown): number | undefined {
  const MAX_NUMERIC_DATE = 253_402_300_799; // the end of the year 9999
  return typeof value === "number" && value >= 0 && value <= MAX_NUMERIC_DATE ? value : undefined;
}

function checkTimes(claims: ProviderClaims, provider: TokenSigner, io: OidcIo, statement: boolean): Result<ProviderClaims, OidcProblem> {
  const now = io.now() / SECOND_MS;
  const iat = numericDate(claims["iat"]);
  const last = statement && iat !== undefined ? iat + STATEMENT_MAX_AGE_SECONDS : Infinity;
  const said = statement && claims["exp"] === undefined ? last : numericDate(claims["exp"]);
  const exp = said === undefined ? undefined : Math.min(said, last);
  const nbf = claims["nbf"] === undefined ? 0 : numericDate(claims["nbf"]);
  if (exp === undefined || iat === undefined || nbf === undefined) {
    return err(oidcProblem(provider.id, "token_invalid", "exp, iat or nbf is missing or not a date"));
  }
  const issuedIn = Math.max(iat, nbf) - now;
  if (issuedIn > PROVIDER_CLOCK_TOLERANCE_SECONDS) {
    return err(oidcProblem(provider.id, "clock_wrong", "token from the future", { skewSeconds: -Math.round(issuedIn) }));
  }
  if (now - exp >= PROVIDER_CLOCK_TOLERANCE_SECONDS) {
    return err(oidcProblem(provider.id, "clock_wrong", "token expired", { skewSeconds: Math.round(now - iat) }));
  }
  return ok(claims);
}
