/**
 * How long what the edge hands out may live, where no policy says so. Not a session's own life:
 * that is the document's `defaults.session`.
 */
import { DAY_MS, HOUR_MS, lasting, MINUTE_MS } from "../core/time.ts";

/** A sign-in attempt, from the way to the provider to the way back; its cookies live as long. */
export const ATTEMPT_LIFE = lasting(10 * MINUTE_MS);
/** A device code waits this long for a person (RFC 8628 §3.2). */
export const LOGIN_CODE_LIFE_MS = 10 * MINUTE_MS;
/** The longest life of an operator's token (CONTRACT "Administration"), setup's first one too. */
export const OPERATOR_TOKEN_MS = 8 * HOUR_MS;
/** The life of the token that a broken seal gives. */
export const BREAK_GLASS_MS = HOUR_MS;
/** The longest clock of a seal. */
export const MAX_GLASS_DELAY_MS = 7 * DAY_MS;
/** The longest life of a service token: two years. */
export const MAX_SERVICE_TOKEN_MS = 730 * DAY_MS;
