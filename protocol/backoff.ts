/**
 * When to connect again: full jitter under a doubling ceiling, so that a thousand connectors that
 * lost their sockets together do not return together. Not a timer; randomness is an argument.
 */
import type { Retry } from "./close-rules.ts";

/** Ceiling of the first wait. */
export const BACKOFF_BASE_MS = 250;
/** Ceiling of every wait. Bounds how late a tunnel is back after a long outage. */
export const BACKOFF_MAX_MS = 20_000;
/** A connection that lasted this long was good: the next failure starts over. */
export const STABLE_MS = 10_000;

/**
 * The wait before attempt `failures` + 1, in milliseconds: uniform in [0, ceiling), ceiling
 * 250 ms doubled per failure in a row, at most 20 s, so that all who wait are back within 30. `random` is in [0, 1).
 */
export function reconnectDelay(failures: number, random: number): number {
  return Math.floor(random * Math.min(BACKOFF_MAX_MS, BACKOFF_BASE_MS * 2 ** Math.min(failures, 16)));
}

/**
 * Failures in a row after a connection ended that had been welcomed for `welcomedMs` (0 if it
 * never was). An orderly "now" (draining) or a stable connection starts over. Undefined: stop.
 */
export function failuresAfter(failures: number, welcomedMs: number, retry: Retry): number | undefined {
  switch (retry) {
    case "never":
      return undefined;
    case "now":
      return welcomedMs > 0 ? 0 : failures + 1;
    case "later":
      return welcomedMs >= STABLE_MS ? 0 : failures + 1;
    default:
      return retry satisfies never;
  }
}
