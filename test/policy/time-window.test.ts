/** Local time across changes of the clock, against the Temporal polyfill. */
import { Temporal } from "temporal-polyfill";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { timeWindow } from "../../policy/criteria/time-window.ts";
import type { Input } from "../../policy/kleene.ts";
import type { TimeWindowValue } from "../../policy/when.ts";
import { STAFF, WIKI } from "./fixtures.ts";

const test = (window: TimeWindowValue) => {
  const run = timeWindow.compile([window]);
  return (now: number): { answer: unknown; until: number } => {
    const input: Input = { facts: STAFF, app: WIKI.app, now, changesAt: Number.NaN };
    return { answer: run(input), until: input.changesAt };
  };
};

/** P12 by the book, through Temporal. */
function oracle(window: TimeWindowValue, now: number): boolean {
  const local = Temporal.Instant.fromEpochMilliseconds(now).toZonedDateTimeISO(window.zone);
  const minute = local.hour * 60 + local.minute;
  const day = local.dayOfWeek % 7;
  if (window.from < window.to) return window.days.includes(day) && minute >= window.from && minute < window.to;
  return (window.days.includes(day) && minute >= window.from) || (window.days.includes((day + 6) % 7) && minute < window.to);
}

/** Zones with summer time, half hours, a half-hour summer time, and a skipped day. */
const ZONES = ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "Pacific/Apia", "Pacific/Chatham", "UTC"];
const window = fc
  .record({
    days: fc.uniqueArray(fc.nat(6), { minLength: 1 }).map((days) => days.sort((a, b) => a - b)),
    from: fc.nat(1_439),
    to: fc.integer({ min: 1, max: 1_440 }),
    zone: fc.constantFrom(...ZONES),
  })
  .filter(({ from, to }) => from !== to);
/** Half of the instants within two days of a change of the clock. */
const CHANGES = ["2026-03-29T01:00Z", "2026-10-25T01:00Z", "2026-03-08T07:00Z", "2026-11-01T06:00Z", "2011-12-30T10:00Z", "2026-04-04T15:00Z", "2026-10-03T15:30Z"].map((text) => Date.parse(text));
const instant = fc.oneof(
  fc.integer({ min: Date.parse("2024-01-01T00:00Z"), max: Date.parse("2028-01-01T00:00Z") }),
  fc.tuple(fc.constantFrom(...CHANGES), fc.integer({ min: -48 * 3_600_000, max: 48 * 3_600_000 })).map(([change, offset]) => change + offset),
);

describe("time_window (P12, P18)", () => {
  it("is open exactly when the local clock says so", () => {
    fc.assert(fc.property(window, instant, (value, now) => test(value)(now).answer === oracle(value, now)), { numRuns: 500 });
  });

  it("does not change before the instant that it names, and names a later one", () => {
    fc.assert(
      fc.property(window, instant, fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), (value, now, share) => {
        const { answer, until } = test(value)(now);
        expect(until).toBeGreaterThan(now);
        const between = Math.min(until - 1, Math.floor(now + (until - now) * share));
        expect(oracle(value, between)).toBe(answer);
        expect(oracle(value, until - 1)).toBe(answer);
      }),
      { numRuns: 400 },
    );
  });

  it("answers the same whatever was asked before", () => {
    fc.assert(
      fc.property(window, fc.array(instant, { minLength: 2, maxLength: 6 }), (value, instants) => {
        const asked = test(value);
        for (const now of instants) expect(asked(now).answer).toBe(oracle(value, now));
      }),
      { numRuns: 100 },
    );
  });

  it("a night shift in summer time ends at local six, not at UTC six", () => {
    const night = test({ days: [6], from: 22 * 60, to: 6 * 60, zone: "Europe/Berlin" });
    expect(night(Date.parse("2026-03-28T21:30:00Z"))).toEqual({ answer: true, until: expect.any(Number) as number });
    expect(night(Date.parse("2026-03-29T03:59:59Z")).answer).toBe(true);
    expect(night(Date.parse("2026-03-29T04:00:00Z")).answer).toBe(false);
  });
});
