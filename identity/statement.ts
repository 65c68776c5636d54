/**
 * What logout tokens and security events (RFC 8417) have in common: a token by which an issuer
 * states that something happened. Verified as any token of a provider, with what such a token
 * must have and must not. Not what the events mean.
 */
import { err, ok } from "../core/result.ts";
import type { Result } from "../core/result.ts";
import { isForAudiences } from "./id-token.ts";
import { oidcProblem } from "./problems.ts";
import type { OidcProblem } from "./problems.ts";
import { verifyProviderJws } from "./provider-jws.ts";
import type { KeySetPlace, ProviderClaims, TokenSigner } from "./provider-jws.ts";
import type { OidcIo } from "./provider.ts";

/** Bounds what a statement can make us store and compare. */
const TEXT_MAX_CHARS = 255;
/** Events of one token. */
const EVENTS_MAX_COUNT = 16;
const CONTROL = /\p{Cc}/u;

export type Payload = { readonly [key: string]: unknown };

export const isObject = (value: unknown): value is Payload => typeof value === "object" && value !== null && !Array.isArray(value);

export const shortText = (value: unknown): string | undefined =>
  typeof value === "string" && value !== "" && value.length <= TEXT_MAX_CHARS && !CONTROL.test(value) ? value : undefined;

export interface VerifiedStatement {
  readonly jti: string;
  readonly claims: ProviderClaims;
  /** At least one: its type and its payload. */
  readonly events: readonly (readonly [string, Payload])[];
}

/** Errors: token_invalid (cause invalid_issuer, invalid_audience, signature, …), clock_wrong, those of providerKeys. */
export async function verifyStatement(
  token: string,
  types: readonly string[],
  signer: TokenSigner,
  as: KeySetPlace,
  expected: { readonly issuer: string; readonly audience: readonly string[] },
  io: OidcIo,
): Promise<Result<VerifiedStatement, OidcProblem>> {
  const verified = await verifyProviderJws(token, types, signer, as, io, true);
  if (!verified.ok) return verified;
  const claims = verified.value;
  const refuse = (cause: string): { ok: false; error: OidcProblem } => err(oidcProblem(signer.id, "token_invalid", cause));
  if (claims["iss"] !== expected.issuer) return refuse("invalid_issuer");
  if (!isForAudiences(claims["aud"], expected.audience)) return refuse("invalid_audience");
  const jti = shortText(claims["jti"]);
  const events = isObject(claims["events"]) ? Object.entries(claims["events"]) : [];
  if (jti === undefined) return refuse("jti");
  if (events.length === 0 || events.length > EVENTS_MAX_COUNT || !events.every((one): one is [string, Payload] => isObject(one[1]))) return refuse("events");
  return ok({ jti, claims, events });
}
