/**
 * A sign-in by OpenID Connect authorization code with PKCE, in two steps: where to send the
 * browser, and what its return proves. Each failure has a code of its own. Not a session: that is
 * made by whoever receives the identity.
 */
import type { AuthorizationServer } from "oauth4webapi";
import { equalSecrets, toBase64Url } from "../core/bytes.ts";
import { err, ok } from "../core/result.ts";
import type { Result } from "../core/result.ts";
import { DAY_MS, lasting, MINUTE_MS, SECOND_MS } from "../core/time.ts";
import type { Millis } from "../core/time.ts";
import { identityFromClaims, readAuthTime } from "./claims.ts";
import type { Identity } from "./claims.ts";
import { exchangeCode } from "./code-exchange.ts";
import { digestOf } from "./digest.ts";
import { verifyIdToken } from "./id-token.ts";
import { authorizationRefusal } from "./oidc-failures.ts";
import { oidcProblem } from "./problems.ts";
import type { OidcProblem, OidcProblemCode } from "./problems.ts";
import { PROVIDER_CLOCK_TOLERANCE_SECONDS } from "./provider-jws.ts";
import type { OidcIo, ProviderSettings, Random } from "./provider.ts";

/** How long a person may take at the provider. */
export const LOGIN_LIFETIME_MS = lasting(10 * MINUTE_MS);
/** Bounds a callback's query before it is parsed. */
const CALLBACK_MAX_CHARS = 16_384;
const RANDOM_BYTES = 32;
/** Sent when nothing fresher is demanded: a max_age obliges the provider to tell auth_time (Core §2). */
const INFORMATIVE_MAX_AGE_SECONDS = (30 * DAY_MS) / SECOND_MS;

/** What an attempt asks of the provider beyond a plain sign-in. */
export interface LoginDemand {
  /** The authentication may be at most this old. */
  readonly maxAgeSeconds?: number;
  /** "login" demands a new authentication now. */
  readonly prompt?: "login" | "select_account";
  /** Sends the provider's acr_values and refuses an answer that does not prove several factors. */
  readonly mfa?: boolean;
}

/** What the browser that began the sign-in carries, sealed, in a `__Host-` cookie (M19). */
export interface LoginState {
  readonly provider: string;
  readonly state: string;
  readonly nonce: string;
  readonly verifier: string;
  readonly redirectUri: string;
  readonly returnTo: string;
  readonly startedAt: Millis;
  readonly demand: LoginDemand;
  /** The caller's own words, brought back unchanged: the app, a nonce's hash, a device code. */
  readonly carry: { readonly [name: string]: string };
}

export interface LoginRequest {
  readonly provider: ProviderSettings;
  readonly as: AuthorizationServer;
  readonly redirectUri: string;
  readonly returnTo: string;
  readonly random: Random;
  readonly now: Millis;
  readonly demand?: LoginDemand;
  readonly carry?: { readonly [name: string]: string };
}

/** Where to send the browser, and what it must carry meanwhile. `as` comes from discover(). */
export async function beginLogin(
  request: LoginRequest,
): Promise<{ readonly authorizationUrl: string; readonly loginState: LoginState }> {
  const { provider, demand = {} } = request;
  const loginState: LoginState = {
    provider: provider.id,
    state: toBase64Url(request.random(RANDOM_BYTES)),
    nonce: toBase64Url(request.random(RANDOM_BYTES)),
    verifier: toBase64Url(request.random(RANDOM_BYTES)),
    redirectUri: request.redirectUri,
    returnTo: request.returnTo,
    startedAt: request.now,
    demand,
    carry: request.carry ?? {},
  };
  const url = new URL(request.as.authorization_endpoint ?? "");
  const query = url.searchParams;
  query.set("client_id", provider.clientId);
  query.set("response_type", "code");
  query.set("redirect_uri", request.redirectUri);
  query.set("scope", [...new Set(["openid", ...provider.scopes])].join(" "));
  query.set("state", loginState.state);
  query.set("nonce", loginState.nonce);
  query.set("code_challenge", await digestOf(loginState.verifier));
  query.set("code_challenge_method", "S256");
  query.set("max_age", String(demand.maxAgeSeconds ?? INFORMATIVE_MAX_AGE_SECONDS));
  if (demand.prompt !== undefined) query.set("prompt", demand.prompt);
  if (demand.mfa === true && provider.acrValues.length > 0) query.set("acr_values", provider.acrValues.join(" "));
  return { authorizationUrl: url.href, loginState };
}

/** An identity, and the ID token that proved it: later only a hint at sign-out. Keep it out of records. */
export interface SignedIn extends Identity {
  readonly idToken: string;
}

export interface LoginReturn {
  readonly provider: ProviderSettings;
  readonly as: AuthorizationServer;
  /** The callback as it was asked for; only its query is read. */
  readonly callbackUrl: URL;
  readonly loginState: LoginState;
  readonly io: OidcIo;
  readonly now: Millis;
}

/**
 * What the browser's return proves: the code is exchanged once, and the ID token verified in full.
 * Errors: every OidcProblemCode. Nothing is sent to the provider before state and issuer agree.
 */
export async function finishLogin(request: LoginReturn): Promise<Result<SignedIn, OidcProblem>> {
  const { provider, as, loginState, io, now } = request;
  const refuse = (code: OidcProblemCode, cause: string, reason?: string): { ok: false; error: OidcProblem } =>
    err(oidcProblem(provider.id, code, cause, reason === undefined ? {} : { reason }));

  const query = request.callbackUrl.searchParams;
  if (request.callbackUrl.search.length > CALLBACK_MAX_CHARS) return refuse("callback_invalid", "query too large", "too_large");
  // Repeated parameters: which of two codes or states counts is not ours to guess (RFC 6749 §3.1).
  if (new Set(query.keys()).size !== [...query.keys()].length) return refuse("callback_invalid", "repeated parameter", "repeated");
  const state = query.get("state");
  if (state === null) return refuse("callback_invalid", "no state", "no_state");
  if (!sameText(state, loginState.state)) return refuse("callback_mismatch", "state differs", "state");
  if (loginState.provider !== provider.id) return refuse("callback_mismatch", "attempt of another provider", "provider");
  const age = now - loginState.startedAt;
  if (age < 0 || age >= LOGIN_LIFETIME_MS) return refuse("login_expired", "attempt too old");
  const issuer = query.get("iss");
  if (issuer === null ? as.authorization_response_iss_parameter_supported === true : issuer !== as.issuer) {
    return refuse("callback_mismatch", "iss differs (RFC 9207)", "issuer");
  }
  const error = query.get("error");
  if (error !== null) return err(authorizationRefusal(provider, error));
  if (query.get("code") === null || query.get("code") === "") return refuse("callback_invalid", "no code", "no_code");

  const idToken = await exchangeCode(request);
  if (!idToken.ok) return idToken;
  const verified = await verifyIdToken(idToken.value, [provider.clientId], provider, as, io);
  if (!verified.ok) return verified;

  const { demand, startedAt } = loginState;
  const claims = verified.value;
  if (claims["nonce"] !== loginState.nonce) return refuse("token_invalid", "nonce differs");
  if (demand.maxAgeSeconds !== undefined) {
    const authTime = readAuthTime(claims, now);
    const oldest = now - (demand.maxAgeSeconds + PROVIDER_CLOCK_TOLERANCE_SECONDS) * SECOND_MS;
    if (authTime === undefined) return refuse("step_up_unmet", "no auth_time", "no_auth_time");
    if (authTime < oldest) return refuse("step_up_unmet", "auth_time too old", "too_old");
  }
  const identity = await identityFromClaims(claims, provider, {
    now,
    ...(demand.prompt === "login" ? { freshSince: startedAt } : {}),
  });
  if (!identity.ok) return identity;
  if (demand.mfa === true && identity.value.facts["mfa"] === undefined) {
    return refuse("step_up_unmet", "no multi-factor authentication proved", "no_mfa");
  }
  return ok({ ...identity.value, idToken: idToken.value });
}

function sameText(a: string, b: string): boolean {
  const encoder = new TextEncoder();
  return equalSecrets(encoder.encode(a), encoder.encode(b));
}
