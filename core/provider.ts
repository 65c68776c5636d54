/**
 * An identity provider as the policy document describes it and as signing in needs it. The two
 * differ in what stands for its secret alone: a name in the document, a value where it is used.
 */
export interface IdentityProvider<Id extends string, Secret> {
  readonly id: Id;
  /** https, or http on loopback; exactly what its discovery document and tokens say, to the last slash. */
  readonly issuer: string;
  readonly clientId: string;
  readonly clientSecret?: Secret;
  /** RFC 7591 names; all but "none" need clientSecret. */
  readonly clientAuth: "client_secret_basic" | "client_secret_post" | "none";
  readonly scopes: readonly string[];
  /** The ID-token claim that lists groups; absent: this provider's groups are unknown. */
  readonly groupsClaim?: string;
  /** Lower-case domains for which this provider's word about an address counts (P14); empty: for none. */
  readonly emailDomains: readonly string[];
  /** Takes an address as verified although the provider sends no `email_verified` (Entra). */
  readonly trustEmail: boolean;
  /** Sent on step-up; an ID token whose `acr` is one of these was multi-factor. */
  readonly acrValues: readonly string[];
  /** Audiences whose ID tokens may be exchanged for a bearer (RFC 8693). */
  readonly tokenAudiences: readonly string[];
}
