/**
 * An ID token verified in full (OpenID Connect Core §3.1.3.7): signature, issuer, audience, times,
 * and that it is an ID token and not another JWT of the same provider. The nonce belongs to the
 * sign-in (oidc-login.ts), the meaning of the claims to claims.ts.
 */
import type { AuthorizationServer } from "oauth4webapi";
import { err, ok } from "../core/result.ts";
import type { Result } from "../core/result.ts";
import { oidcProblem } from "./problems.ts";
import type { OidcProblem } from "./problems.ts";
import { verifyProviderJws } from "./provider-jws.ts";
import type { ProviderClaims } from "./provider-jws.ts";
import type { OidcIo, ProviderSettings } from "./provider.ts";

/** Header types of ID tokens; access tokens (at+jwt), logout and event tokens have others. */
const ID_TOKEN_TYPES = ["", "jwt"];
const AUDIENCES_MAX_COUNT = 16;

/** The token's claims if it was issued by this provider for `audiences` only. Errors: token_invalid, clock_wrong, those of providerKeys. */
export async function verifyIdToken(
  token: string,
  audiences: readonly string[],
  provider: ProviderSettings,
  as: AuthorizationServer,
  io: OidcIo,
): Promise<Result<ProviderClaims, OidcProblem>> {
  const verified = await verifyProviderJws(token, ID_TOKEN_TYPES, provider, as, io);
  if (!verified.ok) return verified;
  const claims = verified.value;
  const refuse = (cause: string): { ok: false; error: OidcProblem } => err(oidcProblem(provider.id, "token_invalid", cause));
  if (claims["iss"] !== provider.issuer) return refuse("issuer differs");
  if (!isForAudiences(claims["aud"], audiences)) return refuse("audience differs");
  const azp = claims["azp"];
  if (azp !== undefined && !(typeof azp === "string" && audiences.includes(azp))) return refuse("authorized party differs");
  // Keycloak labels its tokens in the payload; a logout token is known by `events` (Back-Channel Logout §2.4).
  if (claims["typ"] !== undefined && claims["typ"] !== "ID") return refuse("not an ID token");
  if (claims["events"] !== undefined) return refuse("not an ID token");
  return ok(claims);
}

/** Every audience must be one of ours: a token also meant for others may have been shown to them. */
export function isForAudiences(aud: unknown, audiences: readonly string[]): boolean {
  const named: readonly unknown[] = Array.isArray(aud) ? aud : [aud];
  if (named.length === 0 || named.length > AUDIENCES_MAX_COUNT) return false;
  return named.every((name) => typeof name === "string" && audiences.includes(name));
}
