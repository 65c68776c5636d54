/**
 * Failures of the provider's two answers, the browser's return and the token response, sorted into
 * our problem codes. Error descriptions are dropped: whoever makes the callback chooses them.
 */
import { FetchRefused } from "./bounded-fetch.ts";
import { oidcProblem, safeProviderCode } from "./problems.ts";
import type { OidcProblem } from "./problems.ts";
import type { ProviderSettings } from "./provider.ts";

/** An `error=` return (RFC 6749 §4.1.2.1, Core §3.1.2.6) after its state was found right. */
export function authorizationRefusal(provider: ProviderSettings, error: string): OidcProblem {
  const shown = { providerCode: safeProviderCode(error) };
  switch (error) {
    case "access_denied":
    case "consent_required":
      return oidcProblem(provider.id, "consent_denied", "authorization endpoint", shown);
    case "temporarily_unavailable":
    case "server_error":
      return oidcProblem(provider.id, "provider_unreachable", "authorization endpoint", shown);
    case "unauthorized_client":
    case "invalid_scope":
    case "invalid_request":
    case "unsupported_response_type":
      return oidcProblem(provider.id, "provider_misconfigured", "authorization endpoint", shown);
    case "unmet_authentication_requirements":
    case "login_required":
    case "interaction_required":
      return oidcProblem(provider.id, "step_up_unmet", "authorization endpoint", shown);
    default:
      return oidcProblem(provider.id, "provider_error", "authorization endpoint", shown);
  }
}

/** What the token request threw: the fetch, or the library about a callback that is not one of the code flow. */
export function requestFailure(provider: ProviderSettings, error: unknown): OidcProblem {
  if (!(error instanceof FetchRefused)) return oidcProblem(provider.id, "token_invalid", "token request");
  return error.reason === "unreachable"
    ? oidcProblem(provider.id, "provider_unreachable", "token endpoint")
    : oidcProblem(provider.id, "provider_misconfigured", "token endpoint", { reason: error.reason });
}

/** The `error` of a token endpoint (RFC 6749 §5.2). */
export function tokenRefusal(provider: ProviderSettings, error: string): OidcProblem {
  const shown = { providerCode: safeProviderCode(error) };
  switch (error) {
    // A code used twice, too old, or of another client or verifier.
    case "invalid_grant":
      return oidcProblem(provider.id, "callback_replayed", "token endpoint", shown);
    case "invalid_client":
    case "unauthorized_client":
      return oidcProblem(provider.id, "provider_misconfigured", "token endpoint", shown);
    default:
      return oidcProblem(provider.id, "provider_error", "token endpoint", shown);
  }
}
