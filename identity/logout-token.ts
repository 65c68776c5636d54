/**
 * A logout token (OpenID Connect Back-Channel Logout 1.0 §2.4, §2.6): a provider says that one of
 * its sessions, or all of a person, is over. Not an ID token, and none passes for one.
 */
import { err, ok } from "../core/result.ts";
import type { Result } from "../core/result.ts";
import { oidcProblem } from "./problems.ts";
import type { OidcProblem } from "./problems.ts";
import type { KeySetPlace } from "./provider-jws.ts";
import type { OidcIo, ProviderSettings } from "./provider.ts";
import type { Named } from "./security-event.ts";
import { shortText, verifyStatement } from "./statement.ts";

export const LOGOUT_EVENT = "http://schemas.openid.net/event/backchannel-logout";
/** Before the specification named a type of its own, providers sent "JWT" or none; some still do. */
const LOGOUT_TOKEN_TYPES = ["logout+jwt", "jwt", ""];

export interface Logout {
  readonly jti: string;
  /** The provider's session, else everything of the person. */
  readonly named: Named;
}

/** Errors: those of verifyStatement. */
export async function verifyLogoutToken(
  token: string,
  provider: ProviderSettings,
  as: KeySetPlace,
  io: OidcIo,
): Promise<Result<Logout, OidcProblem>> {
  const verified = await verifyStatement(token, LOGOUT_TOKEN_TYPES, provider, as, { issuer: provider.issuer, audience: [provider.clientId] }, io);
  if (!verified.ok) return verified;
  const { jti, claims, events } = verified.value;
  const refuse = (cause: string): { ok: false; error: OidcProblem } => err(oidcProblem(provider.id, "token_invalid", cause));
  if (events.length !== 1 || events[0]?.[0] !== LOGOUT_EVENT) return refuse("events");
  // Keycloak labels its tokens in the payload.
  if (claims["typ"] !== undefined && claims["typ"] !== "Logout") return refuse("typ");
  // What has a nonce could be an ID token (§2.4).
  if (Object.hasOwn(claims, "nonce")) return refuse("nonce");
  const [sub, sid] = [shortText(claims["sub"]), shortText(claims["sid"])];
  // Read in part it would end too much or too little.
  if (claims["sub"] !== sub || claims["sid"] !== sid || (sub === undefined && sid === undefined)) return refuse("sub or sid");
  return ok({ jti, named: sid === undefined ? { sub: sub ?? "" } : { providerSession: sid } });
}
