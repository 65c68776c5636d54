/**
 * A code for an ID token, at the provider's token endpoint (RFC 6749 §4.1.3, RFC 7636). The library
 * reads the callback and makes the request; its answer is read here, because of all it holds only
 * the ID token is wanted, which id-token.ts verifies in full. The access token is left alone.
 */
import { allowInsecureRequests, authorizationCodeGrantRequest, ClientSecretBasic, ClientSecretPost, customFetch, None, validateAuthResponse } from "oauth4webapi";
import type { ClientAuth } from "oauth4webapi";
import { err, ok } from "../core/result.ts";
import type { Result } from "../core/result.ts";
import { fetchBounded, TOKEN_RESPONSE_MAX_BYTES } from "./bounded-fetch.ts";
import { requestFailure, tokenRefusal } from "./oidc-failures.ts";
import type { LoginReturn } from "./oidc-login.ts";
import { oidcProblem } from "./problems.ts";
import type { OidcProblem } from "./problems.ts";
import { isLoopbackHost } from "./provider-url.ts";
import type { ProviderSettings } from "./provider.ts";

/** The ID token, not yet verified. Errors: provider_unreachable, provider_misconfigured, provider_error, callback_replayed, token_invalid. */
export async function exchangeCode(request: LoginReturn): Promise<Result<string, OidcProblem>> {
  const { provider, as, loginState, io } = request;
  const authentication = clientAuthentication(provider);
  if (authentication === undefined) {
    return err(oidcProblem(provider.id, "provider_misconfigured", "client secret is missing", { reason: "no_client_secret" }));
  }
  const client = { client_id: provider.clientId };
  try {
    const parameters = validateAuthResponse(as, client, request.callbackUrl, loginState.state);
    const response = await authorizationCodeGrantRequest(as, client, authentication, parameters, loginState.redirectUri, loginState.verifier, {
      [allowInsecureRequests]: isLoopbackHost(new URL(as.token_endpoint ?? "").hostname),
      [customFetch]: (url, init) => fetchBounded(io, url, init, TOKEN_RESPONSE_MAX_BYTES),
    });
    return await readTokens(provider, response);
  } catch (error) {
    return err(requestFailure(provider, error));
  }
}

/** What RFC 6749 §5 and OpenID Connect Core §3.1.3.3 let a token endpoint answer. */
async function readTokens(provider: ProviderSettings, response: Response): Promise<Result<string, OidcProblem>> {
  const { status } = response;
  if (status >= 500) return err(oidcProblem(provider.id, "provider_unreachable", `token endpoint answered ${status}`));
  if (status !== 200 && response.headers.has("www-authenticate")) return err(tokenRefusal(provider, "invalid_client"));
  const said: unknown = await response.json().catch(() => undefined);
  const body = typeof said === "object" && said !== null ? (said as { readonly [name: string]: unknown }) : {};
  const word = (name: string): string => (typeof body[name] === "string" ? body[name] : "");
  if (status !== 200 && word("error") !== "") return err(tokenRefusal(provider, word("error")));
  const idToken = word("id_token");
  const whole = status === 200 && word("access_token") !== "" && word("token_type").toLowerCase() === "bearer" && idToken !== "";
  return whole ? ok(idToken) : err(oidcProblem(provider.id, "token_invalid", `token endpoint answered ${status}`));
}

/** Undefined if the settings ask for a secret that is not there: never fall back to none. */
function clientAuthentication(provider: ProviderSettings): ClientAuth | undefined {
  if (provider.clientAuth === "none") return None();
  if (provider.clientSecret === undefined || provider.clientSecret === "") return undefined;
  switch (provider.clientAuth) {
    case "client_secret_basic":
      return ClientSecretBasic(provider.clientSecret);
    case "client_secret_post":
      return ClientSecretPost(provider.clientSecret);
    default:
      return provider.clientAuth satisfies never;
  }
}
