/**
 * How long anybody may trust what it was told (M9). A lease is a duration, never an instant:
 * who asked counts from before it asked, who answered waits from after it answered, so that
 * no clock is compared with another.
 */
import { bucket } from "./bindings.ts";

/** What the holder trusts, counted from when it sent its question. Bounds: DESIGN §3 promise 3. */
export const LEASE_HOLD_MS = 25_000;
/**
 * Up to so much less of what is trusted about a session, always the same for one. Sessions that were
 * asked about together, after a pause or a deploy, would be asked about together ever after: each
 * costs as much as several requests, and all others would wait for all of them.
 */
export const SESSION_SPREAD_MS = 5_000;
export const spreadOf = (sid: string): number => bucket(sid, SESSION_SPREAD_MS);
/** What the grantor waits for when a holder does not confirm, counted from its answer. */
export const LEASE_WAIT_MS = 30_000;
/** One attempt to reach a holder before it is tried again within the lease; longer than a holder waits for its connectors. */
export const PUSH_ATTEMPT_MS = 12_000;
/** How long a lane waits for a session: what it trusted may be over, and what depends on it ends within what the session waits for. */
export const ASK_ATTEMPT_MS = 5_000;
/** What is in use is asked for anew this long before it runs out, by whoever uses it, and again this often until it is answered. */
export const RENEW_AHEAD_MS = 8_000;
export const RENEW_RETRY_MS = 1_000;
/** Pause between attempts to reach a holder. */
export const PUSH_RETRY_MS = 500;
