/**
 * Time as branded numbers, and durations as people write them ("15m").
 * Not a clock: nothing here knows what time it is; `now` is always an argument.
 */
declare const millis: unique symbol;
declare const duration: unique symbol;

/** An instant: milliseconds since 1970-01-01T00:00:00Z. */
export type Millis = number & { readonly [millis]: true };
/** A length of time in milliseconds. */
export type DurationMs = number & { readonly [duration]: true };

export const at = (ms: number): Millis => ms as Millis;
export const lasting = (ms: number): DurationMs => ms as DurationMs;
export const after = (instant: Millis, length: DurationMs): Millis => at(instant + length);

export const SECOND_MS = 1_000;
export const MINUTE_MS = 60 * SECOND_MS;
export const HOUR_MS = 60 * MINUTE_MS;
export const DAY_MS = 24 * HOUR_MS;

const UNITS: Readonly<Record<string, number>> = { s: SECOND_MS, m: MINUTE_MS, h: HOUR_MS, d: DAY_MS };
const DURATION = /^([1-9][0-9]{0,8})(s|m|h|d)$/;

/**
 * Parses "30s", "15m", "8h" or "90d": one positive whole number and one unit.
 * Returns undefined for anything else; "0s", "1h30m" and "1.5h" are refused on purpose.
 */
export function parseDuration(text: string): DurationMs | undefined {
  const match = DURATION.exec(text);
  const unit = match?.[2] === undefined ? undefined : UNITS[match[2]];
  return match === null || unit === undefined ? undefined : lasting(Number(match[1]) * unit);
}

/** The shortest exact way to write a duration: 5400000 → "90m". */
export function formatDuration(length: DurationMs): string {
  for (const unit of ["d", "h", "m", "s"] as const) {
    const size = UNITS[unit] ?? 1;
    if (length >= size && length % size === 0) return `${length / size}${unit}`;
  }
  return `${length}ms`;
}
