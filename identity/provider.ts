/**
 * An identity provider as this folder needs it: the policy document's provider with its secret
 * resolved to a value. Not the document's parser, and never written to a log: it holds a secret.
 */
import type { DurationMs, Millis } from "../core/time.ts";
import type { ProviderCache } from "./provider-cache.ts";

export interface ProviderSettings {
  readonly id: string;
  /** Exactly what the provider's discovery document and tokens say, to the last slash. */
  readonly issuer: string;
  readonly clientId: string;
  readonly clientSecret?: string;
  /** RFC 7591 names; all but "none" need clientSecret. */
  readonly clientAuth: "client_secret_basic" | "client_secret_post" | "none";
  readonly scopes: readonly string[];
  /** The ID-token claim that lists groups; absent: this provider's groups are unknown. */
  readonly groupsClaim?: string;
  /** Lower-case domains for which this provider's word about an address counts (P14). */
  readonly emailDomains: readonly string[];
  /** Takes an address as verified although the provider sends no `email_verified` (Entra). */
  readonly trustEmail: boolean;
  /** Sent on step-up; an ID token whose `acr` is one of these was multi-factor. */
  readonly acrValues: readonly string[];
  /** Audiences whose ID tokens may be exchanged for a bearer (RFC 8693). */
  readonly tokenAudiences: readonly string[];
}

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
