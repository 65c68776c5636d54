/**
 * Everything that can go wrong between us and an identity provider, as data. `reason`,
 * `providerCode` and `skewSeconds` may be shown to the person who signs in; `cause` is for the
 * operator's record. Neither ever holds a token, a code, a secret or text that a caller chose.
 */
export type OidcProblemCode =
  /** No answer, an answer too slow or too big, or a 5xx. */
  | "provider_unreachable"
  /** Settings or metadata that cannot work until an operator changes them. */
  | "provider_misconfigured"
  /** The provider refused for a reason of its own; `providerCode` names it. */
  | "provider_error"
  /** A callback that is not one: repeated or missing parameters. */
  | "callback_invalid"
  /** A callback of another browser, attempt or provider. */
  | "callback_mismatch"
  /** The code was used before, or is too old for the provider. */
  | "callback_replayed"
  | "login_expired"
  | "consent_denied"
  /** Our clock and the provider's differ by more than the tolerance. */
  | "clock_wrong"
  | "token_invalid"
  /** The provider did not prove the fresh or stronger authentication that was demanded. */
  | "step_up_unmet";

export interface OidcProblem {
  readonly code: OidcProblemCode;
  /** Provider id, as in the policy document. */
  readonly provider: string;
  /** One of our own fixed words, for the page's explanation. */
  readonly reason?: string;
  /** The provider's own error code, reduced to [a-z_] and 64 characters. */
  readonly providerCode?: string;
  /** How far our clock is ahead of the provider's, in seconds. */
  readonly skewSeconds?: number;
  /** For operators only: where it failed. */
  readonly cause: string;
}

export function oidcProblem(
  provider: string,
  code: OidcProblemCode,
  cause: string,
  shown: Pick<OidcProblem, "reason" | "providerCode" | "skewSeconds"> = {},
): OidcProblem {
  return { code, provider, cause, ...shown };
}

const PROVIDER_CODE = /^[a-z_]{1,64}$/;

/** The provider's error code if it is one that may be shown, else "other". */
export function safeProviderCode(code: string): string {
  return PROVIDER_CODE.test(code) ? code : "other";
}

/** What a token of our own can be refused for. One word each, safe to show and to count. */
export type TokenProblem =
  | "too_large"
  | "malformed"
  | "header_refused"
  | "unknown_key"
  | "bad_signature"
  | "claims_refused"
  | "expired"
  | "not_yet_valid"
  | "not_for_us";
