/**
 * What was learned from providers, keyed by issuer: discovery documents and key sets with the
 * times that bound their use. The caller owns the value, so no module holds state between
 * requests. It stores results, never promises: a request may not wait on another's I/O.
 */
import type { JWK } from "jose";
import type { AuthorizationServer } from "oauth4webapi";
import type { Millis } from "../core/time.ts";
import type { OidcProblem } from "./problems.ts";

export interface CachedDiscovery {
  readonly server: AuthorizationServer;
  readonly fetchedAt: Millis;
}

export interface CachedKeys {
  /** The last set that held a usable key. */
  readonly keys: readonly JWK[];
  readonly fetchedAt: Millis;
}

export interface ProviderEntry {
  discovery?: CachedDiscovery;
  discoveryFailure?: { readonly problem: OidcProblem; readonly at: Millis };
  keys?: CachedKeys;
  /** When the key set last came, or failed to come. */
  keysAnsweredAt?: Millis;
  /** When each request for the key set that is still under way began. */
  keysUnderWay?: readonly Millis[];
}

export interface ProviderCache {
  readonly entries: Map<string, ProviderEntry>;
}

/** An empty cache for one isolate or one object. */
export function newProviderCache(): ProviderCache {
  return { entries: new Map() };
}

/** The entry of an issuer, made on first use. Issuers come from the policy, so their number is bounded by it. */
export function cacheEntry(cache: ProviderCache, issuer: string): ProviderEntry {
  const known = cache.entries.get(issuer);
  if (known !== undefined) return known;
  const fresh: ProviderEntry = {};
  cache.entries.set(issuer, fresh);
  return fresh;
}
