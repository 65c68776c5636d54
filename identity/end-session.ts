/**
 * Signing out at the provider too (OpenID Connect RP-Initiated Logout 1.0). Our own session has
 * ended before the browser gets this URL; whether the provider then obeys is its own affair.
 */
import type { AuthorizationServer } from "oauth4webapi";
import type { ProviderSettings } from "./provider.ts";

/** Browsers and proxies refuse long URLs; a hint that would make one is left out. */
const ID_TOKEN_HINT_MAX_CHARS = 4_096;

export interface EndSession {
  readonly provider: ProviderSettings;
  /** From discover(), which keeps end_session_endpoint only if it may be used. */
  readonly as: AuthorizationServer;
  /** `<launcher>/.postern/signed-out`, as registered with the provider. */
  readonly postLogoutRedirectUri: string;
  readonly state?: string;
  /** The ID token of the session that ended. */
  readonly idToken?: string;
}

/** The provider's logout URL, or undefined where it offers none (Google): then show our own page. */
export function endSessionUrl(request: EndSession): string | undefined {
  if (request.as.end_session_endpoint === undefined) return undefined;
  const url = new URL(request.as.end_session_endpoint);
  url.searchParams.set("client_id", request.provider.clientId);
  url.searchParams.set("post_logout_redirect_uri", request.postLogoutRedirectUri);
  if (request.state !== undefined) url.searchParams.set("state", request.state);
  if (request.idToken !== undefined && request.idToken.length <= ID_TOKEN_HINT_MAX_CHARS) {
    url.searchParams.set("id_token_hint", request.idToken);
  }
  return url.href;
}
