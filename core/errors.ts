/**
 * The one registry of error codes: what the edge, the API, the tunnel and the programs may answer.
 * A code is a promise to scripts (never renamed). Not its words: those are error-texts.ts, which
 * the edge does not carry but reads (docs/decisions/0025).
 */

/** The HTTP status of the answer that carries the code. */
const statuses = {
  // Who may pass. not_found is the blank answer: the same for an unknown host, an unknown app and
  // a forbidden one (POLICY "Explained or blank"), so its words must fit all three.
  not_found: 404,
  sign_in_required: 401,
  denied: 403,
  step_up_required: 401,
  read_only: 403,
  limit_reached: 403,
  origin_not_allowed: 403,
  revoked: 401,
  account_inactive: 403,
  too_many_sessions: 403,
  signed_out: 401,
  form_not_sent: 401,

  // Requests that cannot be passed on as they are.
  bad_request: 400,
  uri_too_long: 414,
  headers_too_large: 431,
  body_too_large: 413,
  method_not_allowed: 405,

  // The way to the app.
  no_connector: 503,
  upstream_refused: 502,
  upstream_timeout: 504,
  upstream_tls: 502,
  upstream_name: 502,
  upstream_reset: 502,
  upstream_protocol: 502,
  overloaded: 503,
  unavailable: 503,
  identity_lost: 503,
  audit_lost: 503,
  control_lost: 503,
  internal: 500,

  // Signing in.
  too_many_bounces: 400,
  cookies_blocked: 400,
  clock_wrong: 400,
  callback_other_browser: 400,
  login_expired: 400,
  callback_replayed: 400,
  consent_denied: 403,
  provider_unreachable: 502,
  provider_error: 502,
  provider_misconfigured: 502,
  passkey_refused: 403,
  token_invalid: 401,
  break_glass_refused: 403,

  // Administration.
  not_operator: 403,
  setup_closed: 403,
  setup_key_wrong: 401,
  document_invalid: 422,
  version_conflict: 409,
  lockout: 409,
  grant_refused: 403,
  own_grant: 403,
  unknown_id: 404,
  bad_argument: 400,

  // Connectors.
  enroll_token_invalid: 401,
  device_barred: 403,
  device_link_over: 400,
  report_refused: 409,
  connector_unknown: 401,
} as const satisfies Record<string, number>;

export type ErrorCode = keyof typeof statuses;

/** Every error code with its status. Total over ErrorCode. */
export const ERROR_STATUS: Readonly<Record<ErrorCode, number>> = statuses;

/** The answer carries `Retry-After` with this many seconds (RFC 9110 §10.2.3). */
export const RETRY_AFTER_SECONDS: Readonly<Partial<Record<ErrorCode, number>>> = { no_connector: 10, overloaded: 5, unavailable: 5, audit_lost: 5, control_lost: 5, identity_lost: 15, provider_unreachable: 15 };

/** Reads a code that arrived as text (a frame of a connector, an answer of the API); undefined if this version has no such code. */
export function parseErrorCode(text: string): ErrorCode | undefined {
  return Object.hasOwn(statuses, text) ? (text as ErrorCode) : undefined;
}
