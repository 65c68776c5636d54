/** What a question for access, and a grant, may be like: how long, and with what words. */
import { DAY_MS } from "../core/time.ts";

/** The longest grant; a policy's `max` (24 h without one) is what it counts for. */
export const MAX_GRANT_MS = 30 * DAY_MS;
/** Somebody's own words for an operator: bounds what is stored of them. */
export const MAX_REASON_CHARS = 500;

/** Undefined for none, and for too many. */
export function reasonOf(said: unknown): string | undefined {
  const reason = typeof said === "string" ? said.trim() : "";
  return reason === "" || reason.length > MAX_REASON_CHARS ? undefined : reason;
}
