/**
 * A provider's metadata: fetched from its issuer, checked, and kept for an hour. What it says is
 * believed only as far as isUsableEndpoint allows. Not the key set: that is provider-keys.ts.
 */
import type { AuthorizationServer } from "oauth4webapi";
import { err, ok } from "../core/result.ts";
import type { Result } from "../core/result.ts";
import { HOUR_MS, SECOND_MS } from "../core/time.ts";
import { DISCOVERY_MAX_BYTES, fetchBounded, FetchRefused } from "./bounded-fetch.ts";
import { oidcProblem } from "./problems.ts";
import type { OidcProblem } from "./problems.ts";
import { cacheEntry } from "./provider-cache.ts";
import { isUsableEndpoint, parseIssuer } from "./provider-url.ts";
import type { OidcIo, ProviderSettings } from "./provider.ts";

const DISCOVERY_FRESH_MS = HOUR_MS;
/** Metadata moves rarely; an hour's outage of a provider's discovery page need not stop sign-ins. */
const DISCOVERY_STALE_MS = 24 * HOUR_MS;
/** Bounds how often strangers at the sign-in page make us ask a provider that fails. */
const DISCOVERY_RETRY_MS = 5 * SECOND_MS;

/**
 * The provider's checked metadata (OpenID Connect Discovery 1.0 §4). Errors: provider_unreachable,
 * provider_misconfigured (issuer_refused, multi_tenant_issuer, issuer_mismatch, redirected,
 * too_large, not_metadata, endpoint_refused).
 */
export async function discover(
  provider: ProviderSettings,
  io: OidcIo,
): Promise<Result<AuthorizationServer, OidcProblem>> {
  const issuer = parseIssuer(provider.issuer);
  // One issuer for all of a vendor's tenants says nothing about who may mint subjects in it.
  if (provider.issuer.includes("{")) return err(misconfigured(provider, "multi_tenant_issuer", "issuer has a placeholder"));
  if (issuer === undefined) return err(misconfigured(provider, "issuer_refused", "issuer is not an https URL"));

  const entry = cacheEntry(io.cache, provider.issuer);
  const now = io.now();
  const known = entry.discovery;
  if (known !== undefined && now - known.fetchedAt < DISCOVERY_FRESH_MS) return ok(known.server);
  const usable = known !== undefined && now - known.fetchedAt < DISCOVERY_STALE_MS ? known : undefined;
  const failure = entry.discoveryFailure;
  if (failure !== undefined && now - failure.at < DISCOVERY_RETRY_MS) {
    return usable === undefined ? err({ ...failure.problem, provider: provider.id }) : ok(usable.server);
  }

  const fetched = await fetchMetadata(provider, issuer, io);
  if (fetched.ok) {
    entry.discovery = { server: fetched.value, fetchedAt: now };
    delete entry.discoveryFailure;
    return fetched;
  }
  entry.discoveryFailure = { problem: fetched.error, at: now };
  // Unreachable is an outage and the old word stands; wrong metadata is a change, and fails now.
  return usable !== undefined && fetched.error.code === "provider_unreachable" ? ok(usable.server) : fetched;
}

async function fetchMetadata(
  provider: ProviderSettings,
  issuer: URL,
  io: OidcIo,
): Promise<Result<AuthorizationServer, OidcProblem>> {
  const url = new URL(issuer);
  url.pathname = `${url.pathname}/.well-known/openid-configuration`.replace("//", "/");
  let server: AuthorizationServer;
  try {
    const response = await fetchBounded(io, url.href, { method: "GET", headers: { accept: "application/json" } }, DISCOVERY_MAX_BYTES);
    if (response.status >= 500 || response.status === 429) {
      return err(oidcProblem(provider.id, "provider_unreachable", `discovery answered ${response.status}`));
    }
    const claimed: unknown = await response.json().catch(() => undefined);
    const text = response.status === 200 ? claimedIssuer(claimed) : undefined;
    if (text === undefined) return err(misconfigured(provider, "not_metadata", `discovery answered ${response.status}`));
    // Compared as text: "https://a" and "https://a/" are two issuers (Discovery §4.3).
    if (text !== provider.issuer) {
      return err(misconfigured(provider, text.includes("{") ? "multi_tenant_issuer" : "issuer_mismatch", "issuer differs"));
    }
    server = claimed as AuthorizationServer;
  } catch (error) {
    if (!(error instanceof FetchRefused)) throw error;
    return error.reason === "unreachable"
      ? err(oidcProblem(provider.id, "provider_unreachable", "discovery"))
      : err(misconfigured(provider, error.reason, "discovery"));
  }
  for (const name of ["authorization_endpoint", "token_endpoint", "jwks_uri"] as const) {
    if (!isUsableEndpoint(issuer, server[name])) return err(misconfigured(provider, "endpoint_refused", name));
  }
  if (isUsableEndpoint(issuer, server.end_session_endpoint)) return ok(server);
  const { end_session_endpoint: _unusable, ...rest } = server;
  return ok(rest);
}

function claimedIssuer(document: unknown): string | undefined {
  if (typeof document !== "object" || document === null || !("issuer" in document)) return undefined;
  return typeof document.issuer === "string" ? document.issuer : undefined;
}

function misconfigured(provider: ProviderSettings, reason: string, cause: string): OidcProblem {
  return oidcProblem(provider.id, "provider_misconfigured", cause, { reason });
}
