/**
 * A provider's signing keys, cached with bounds on both ends: an unknown key id asks again at most
 * every 30 s, and a set that cannot be renewed stops counting after an hour. Not our own keys.
 */
import type { JWK } from "jose";
import { err, ok } from "../core/result.ts";
import type { Result } from "../core/result.ts";
import { HOUR_MS, lasting, MINUTE_MS, SECOND_MS } from "../core/time.ts";
import { fetchBounded, FetchRefused, JWKS_MAX_BYTES, PROVIDER_DEADLINE_MS } from "./bounded-fetch.ts";
import { oidcProblem } from "./problems.ts";
import type { OidcProblem } from "./problems.ts";
import { cacheEntry } from "./provider-cache.ts";
import type { CachedKeys } from "./provider-cache.ts";
import type { KeySetPlace, TokenSigner } from "./provider-jws.ts";
import type { OidcIo } from "./provider.ts";

/** After this a set is renewed before use, so that a withdrawn key stops counting. */
export const JWKS_FRESH_MS = 10 * MINUTE_MS;
/** After this a set that could not be renewed counts no longer: fail closed. */
export const JWKS_TTL_MS = HOUR_MS;
/** Bounds the requests that tokens with invented key ids can cause. */
export const JWKS_REFETCH_MS = 30 * SECOND_MS;
/**
 * Requests cannot wait for each other's answer, so those that come while the first is under way
 * may ask too, up to this many: floods stay small.
 */
const JWKS_MAX_UNDER_WAY = 4;
/** The others look again this often for what those have brought, so that a rush at a cold start succeeds. */
const JWKS_LOOK_AGAIN_MS = lasting(50);
/** Bounds the keys that one signature may be tried against. */
const JWKS_MAX_KEYS = 64;

/**
 * The provider's keys; `renew` asks for a newer set than the one that just failed. Errors:
 * provider_unreachable, provider_misconfigured.
 */
export async function providerKeys(
  provider: TokenSigner,
  as: KeySetPlace,
  io: OidcIo,
  renew: boolean,
): Promise<Result<CachedKeys, OidcProblem>> {
  const since = io.now();
  for (;;) {
    const held = await keysNow(provider, as, io, renew);
    if (held !== "busy") return held;
    if (io.pause === undefined || io.now() - since >= PROVIDER_DEADLINE_MS) return err(noKeys(provider));
    await io.pause(JWKS_LOOK_AGAIN_MS);
  }
}

const noKeys = (provider: TokenSigner): OidcProblem => oidcProblem(provider.id, "provider_unreachable", "no current keys");

/** One look: the keys, a refusal, or "busy" when there are none yet and enough requests ask for them. */
async function keysNow(
  provider: TokenSigner,
  as: KeySetPlace,
  io: OidcIo,
  renew: boolean,
): Promise<Result<CachedKeys, OidcProblem> | "busy"> {
  const entry = cacheEntry(io.cache, provider.issuer);
  const now = io.now();
  const known = entry.keys;
  if (!renew && known !== undefined && now - known.fetchedAt < JWKS_FRESH_MS) return ok(known);

  const usable = known !== undefined && now - known.fetchedAt < JWKS_TTL_MS ? known : undefined;
  // A request that died without an answer is forgotten after its deadline.
  const underWay = (entry.keysUnderWay ?? []).filter((began) => now - began < PROVIDER_DEADLINE_MS);
  const answered = entry.keysAnsweredAt !== undefined && now - entry.keysAnsweredAt < JWKS_REFETCH_MS;
  if (answered || underWay.length >= JWKS_MAX_UNDER_WAY) {
    if (usable !== undefined) return ok(usable);
    return answered ? err(noKeys(provider)) : "busy";
  }
  entry.keysUnderWay = [...underWay, now];
  const fetched = await fetchKeys(provider, as, io);
  entry.keysUnderWay = [];
  entry.keysAnsweredAt = now;
  if (!fetched.ok) return usable === undefined ? fetched : ok(usable);
  const fresh: CachedKeys = { keys: fetched.value, fetchedAt: now };
  entry.keys = fresh;
  return ok(fresh);
}

async function fetchKeys(
  provider: TokenSigner,
  as: KeySetPlace,
  io: OidcIo,
): Promise<Result<readonly JWK[], OidcProblem>> {
  if (as.jwks_uri === undefined) return err(oidcProblem(provider.id, "provider_misconfigured", "no jwks_uri"));
  try {
    const request = { method: "GET", headers: { accept: "application/json" } } as const;
    const response = await fetchBounded(io, as.jwks_uri, request, JWKS_MAX_BYTES);
    if (response.status !== 200) {
      return err(oidcProblem(provider.id, "provider_unreachable", `key set answered ${response.status}`));
    }
    const keys = usableKeys(await response.json());
    if (keys.length === 0) {
      return err(oidcProblem(provider.id, "provider_misconfigured", "key set is empty", { reason: "no_keys" }));
    }
    return ok(keys);
  } catch (error) {
    if (error instanceof FetchRefused && error.reason !== "unreachable") {
      return err(oidcProblem(provider.id, "provider_misconfigured", "key set", { reason: error.reason }));
    }
    return err(oidcProblem(provider.id, "provider_unreachable", "key set"));
  }
}

/** The asymmetric public signing keys of a set. A symmetric or private member is left out, whatever its label (class F). */
function usableKeys(document: unknown): JWK[] {
  if (typeof document !== "object" || document === null || !("keys" in document)) return [];
  if (!Array.isArray(document.keys)) return [];
  const keys: unknown[] = document.keys;
  return keys.filter(isPublicSigningKey).slice(0, JWKS_MAX_KEYS);
}

function isPublicSigningKey(key: unknown): key is JWK {
  if (typeof key !== "object" || key === null || !("kty" in key)) return false;
  if (key.kty !== "RSA" && key.kty !== "EC" && key.kty !== "OKP") return false;
  return !("d" in key) && !("k" in key) && !("use" in key && key.use !== "sig");
}
