/**
 * Token exchange (RFC 8693) as far as identity goes: an ID token of a configured provider, issued
 * for an audience that the policy document lists, becomes an identity. Which app the bearer is for
 * and whether policy allows it is decided by the caller.
 */
import { fromBase64Url } from "../core/bytes.ts";
import { err, ok } from "../core/result.ts";
import type { Result } from "../core/result.ts";
import { at, DAY_MS, HOUR_MS, lasting, SECOND_MS } from "../core/time.ts";
import type { Millis } from "../core/time.ts";
import { identityFromClaims } from "./claims.ts";
import type { Identity } from "./claims.ts";
import { verifyIdToken } from "./id-token.ts";
import { discover } from "./oidc-discovery.ts";
import { oidcProblem } from "./problems.ts";
import type { OidcProblem } from "./problems.ts";
import { numericDate, PROVIDER_TOKEN_MAX_CHARS, readClaims } from "./provider-jws.ts";
import type { OidcIo, ProviderSettings } from "./provider.ts";

export const TOKEN_EXCHANGE_GRANT = "urn:ietf:params:oauth:grant-type:token-exchange";
export const ID_TOKEN_TYPE = "urn:ietf:params:oauth:token-type:id_token";
export const ACCESS_TOKEN_TYPE = "urn:ietf:params:oauth:token-type:access_token";
/** The longest life of an exchanged bearer. */
export const BEARER_LIFETIME_MS = lasting(HOUR_MS);
/** An older token buys nothing, however long it lives: by then a logout of its session may be forgotten. */
const SUBJECT_TOKEN_MAX_AGE_MS = DAY_MS;
/** RFC 8693 §2.1 parameters that we know; anything that asks for more than we give is refused. */
const REFUSED_PARAMETERS = ["actor_token", "actor_token_type", "scope"];

export interface ExchangeRequest {
  readonly subjectToken: string;
  /** `audience` as sent: an app id, or an app's URL, for the caller to resolve. */
  readonly audience: string;
}

/** RFC 6749 §5.2 error codes of the token endpoint. */
export type ExchangeRefusal = "invalid_request" | "unsupported_grant_type" | "invalid_target";

/** Reads the form of `POST /.postern/token`. `audience` or `resource` must be given exactly once. */
export function parseExchangeRequest(form: URLSearchParams): Result<ExchangeRequest, ExchangeRefusal> {
  if (new Set(form.keys()).size !== [...form.keys()].length) return err("invalid_request");
  if (form.get("grant_type") !== TOKEN_EXCHANGE_GRANT) return err("unsupported_grant_type");
  if (form.get("subject_token_type") !== ID_TOKEN_TYPE) return err("invalid_request");
  if ((form.get("requested_token_type") ?? ACCESS_TOKEN_TYPE) !== ACCESS_TOKEN_TYPE) return err("invalid_request");
  if (REFUSED_PARAMETERS.some((name) => form.has(name))) return err("invalid_request");
  const subjectToken = form.get("subject_token");
  if (subjectToken === null || subjectToken === "" || subjectToken.length > PROVIDER_TOKEN_MAX_CHARS) return err("invalid_request");
  const targets = [form.get("audience"), form.get("resource")].filter((target) => target !== null);
  const audience = targets.length === 1 ? targets[0] : undefined;
  return audience === undefined || audience === "" ? err("invalid_target") : ok({ subjectToken, audience });
}

export interface ExchangedIdentity {
  readonly identity: Identity;
  /** The bearer may live at most this long: an hour, and never past the token that bought it. */
  readonly expiresAt: Millis;
}

/**
 * Verifies a subject token against the provider that its `iss` names, if that one takes part in
 * token exchange at all. Errors: token_invalid, clock_wrong, provider_*.
 */
export async function verifySubjectToken(
  subjectToken: string,
  providers: readonly ProviderSettings[],
  io: OidcIo,
): Promise<Result<ExchangedIdentity, OidcProblem>> {
  const issuer = subjectToken.length > PROVIDER_TOKEN_MAX_CHARS ? undefined : claimedIssuer(subjectToken);
  const provider = providers.find((candidate) => candidate.issuer === issuer && candidate.tokenAudiences.length > 0);
  if (provider === undefined) return err(oidcProblem("", "token_invalid", "no provider exchanges tokens of this issuer"));
  const as = await discover(provider, io);
  if (!as.ok) return as;
  const verified = await verifyIdToken(subjectToken, provider.tokenAudiences, provider, as.value, io);
  if (!verified.ok) return verified;
  const now = io.now();
  const expires = (numericDate(verified.value["exp"]) ?? 0) * SECOND_MS;
  // The clock tolerance lets a sign-in through; it must not mint a bearer from a dead token.
  if (expires <= now) return err(oidcProblem(provider.id, "token_invalid", "subject token expired"));
  const issued = (numericDate(verified.value["iat"]) ?? 0) * SECOND_MS;
  if (issued < now - SUBJECT_TOKEN_MAX_AGE_MS) return err(oidcProblem(provider.id, "token_invalid", "subject token older than a day"));
  const identity = await identityFromClaims(verified.value, provider, { now });
  if (!identity.ok) return identity;
  return ok({ identity: identity.value, expiresAt: at(Math.min(expires, now + BEARER_LIFETIME_MS)) });
}

/** The issuer that a token claims, only to find who could have signed it. */
function claimedIssuer(token: string): unknown {
  const payload = fromBase64Url(token.split(".", 2)[1] ?? "");
  return payload === undefined ? undefined : readClaims(payload)?.["iss"];
}
