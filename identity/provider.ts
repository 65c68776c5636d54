/**
 * An identity provider as this folder needs it: the policy document's provider with its secret
 * resolved to a value. Not the document's parser, and never written to a log: it holds a secret.
 */
import type { IdentityProvider } from "../core/provider.ts";
import type { DurationMs, Millis } from "../core/time.ts";
import type { ProviderCache } from "./provider-cache.ts";

/** The issuer is compared exactly; the secret is a value. */
export type ProviderSettings = IdentityProvider<string, string>;

/** What talking to a provider needs from outside. */
export interface OidcIo {
  readonly fetch: (url: string, init: RequestInit) => Promise<Response>;
  /** A signal that aborts after this long; the platform's `AbortSignal.timeout` in production. */
  readonly deadline: (length: DurationMs) => AbortSignal;
  /** Resolves after this long, on a timer of the request's own. Absent: nobody waits. */
  readonly pause?: (length: DurationMs) => Promise<void>;
  readonly now: () => Millis;
  readonly cache: ProviderCache;
}

/** Fresh random bytes from the platform's generator. */
export type Random = (length: number) => Uint8Array<ArrayBuffer>;
