/** Criterion `time_window`: local wall-clock time in a named zone, [from, to), may cross midnight (P12). */
import * as v from "valibot";
import { MINUTE_MS } from "../../core/time.ts";
import { keys } from "../containers.ts";
import { defineCriterion } from "../criterion.ts";
import type { Test } from "../kleene.ts";
import { any } from "../kleene.ts";
import { matching, oneOrMore, text, toList } from "../shapes.ts";
import { wallClock } from "../wall-clock.ts";
import type { TimeWindowValue } from "../when.ts";

const DAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"] as const;
const DAY = DAYS.join("|");
const DAY_MINUTES = 1_440;
/** A weekly pattern has shown all it can after this. */
const HORIZON_DAYS = 8;

const shape = keys({
  days: v.optional(oneOrMore(matching(new RegExp(`^(?:${DAY})(?:-(?:${DAY}))?$`), "a day such as mon or a range such as mon-fri"))),
  from: v.optional(matching(/^(?:[01][0-9]|2[0-3]):[0-5][0-9]$/, "a time such as 07:00")),
  to: v.optional(matching(/^(?:(?:[01][0-9]|2[0-3]):[0-5][0-9]|24:00)$/, "a time such as 20:00")),
  zone: text,
});

const minutes = (written: string): number => Number(written.slice(0, 2)) * 60 + Number(written.slice(3));

function daysOf(written: readonly string[]): number[] {
  const out = new Set<number>();
  for (const item of written) {
    const [first, last] = item.split("-").map((name) => DAYS.indexOf(name as (typeof DAYS)[number]));
    if (first === undefined) continue;
    for (let day = first; ; day = (day + 1) % 7) {
      out.add(day);
      if (day === (last ?? first)) break;
    }
  }
  return [...out].sort((a, b) => a - b);
}

function readWindow(raw: v.InferOutput<typeof shape>): TimeWindowValue | "empty" | "zone" {
  const from = minutes(raw.from ?? "00:00");
  const to = minutes(raw.to ?? "24:00");
  if (wallClock(raw.zone) === undefined) return "zone";
  if (from === to) return "empty";
  return { days: raw.days === undefined ? [0, 1, 2, 3, 4, 5, 6] : daysOf(toList(raw.days)), from, to, zone: raw.zone };
}

export const timeWindow = defineCriterion({
  name: "time_window",
  kind: "context",
  shape: oneOrMore(shape),
  read: (raw, _names, refuse) => {
    const windows: TimeWindowValue[] = [];
    for (const [i, item] of toList(raw).entries()) {
      const at = Array.isArray(raw) ? [i] : [];
      const window = readWindow(item);
      if (window === "zone") refuse("timezone", `"${item.zone}" is not an IANA time zone`, 'write for example "Europe/Berlin"', [...at, "zone"]);
      else if (window === "empty") refuse("time_window", "from and to are the same", "leave both out for the whole day", at);
      else windows.push(window);
    }
    return windows;
  },
  reads: () => [],
  compile: (value) => any(value.map(testOf)),
});

function testOf(window: TimeWindowValue): Test {
  const clock = wallClock(window.zone);
  if (clock === undefined) {
    return (input) => {
      input.changesAt = Infinity;
      return "unknown";
    };
  }
  const days = new Set(window.days);
  const inside = (instant: number): boolean => {
    const { day, minute } = clock(instant);
    if (window.from < window.to) return days.has(day) && minute >= window.from && minute < window.to;
    return (days.has(day) && minute >= window.from) || (days.has((day + 6) % 7) && minute < window.to);
  };
  // The last answer and the span for which it was worked out: formatting is slow, spans are long.
  let known = { since: Infinity, until: -Infinity, answer: false };
  return (input) => {
    if (!(input.now >= known.since && input.now < known.until)) known = { since: input.now, ...spanFrom(input.now) };
    input.changesAt = known.until;
    return known.answer;
  };

  /** The answer at `now` and an instant up to which it certainly stands. */
  function spanFrom(now: number): { answer: boolean; until: number } {
    const answer = inside(now);
    let at = now;
    for (let step = 0; step < 3 * HORIZON_DAYS; step++) {
      const next = nextBoundary(at);
      at = next.at;
      if (next.shifted || inside(at) !== answer) break;
    }
    return { answer, until: at };
  }

  /** The next local midnight, `from` or `to`; where the clock is put forward or back before it, that instant. */
  function nextBoundary(now: number): { at: number; shifted: boolean } {
    const minute = clock?.(now).minute ?? 0;
    const marks = [window.from, window.to, DAY_MINUTES].map((mark) => (mark > minute ? mark : mark + DAY_MINUTES) - minute);
    const whole = now - (((now % MINUTE_MS) + MINUTE_MS) % MINUTE_MS);
    const wait = Math.min(...marks);
    const guess = whole + wait * MINUTE_MS;
    if (offset(guess) === offset(now)) return { at: guess, shifted: false };
    let low = whole;
    let high = guess;
    while (high - low > MINUTE_MS) {
      const middle = low + Math.floor((high - low) / (2 * MINUTE_MS)) * MINUTE_MS;
      if (offset(middle) === offset(now)) low = middle;
      else high = middle;
    }
    return { at: Math.max(high, now + 1), shifted: true };
  }

  /** Local time minus UTC in minutes, modulo a week. */
  function offset(instant: number): number {
    const { day, minute } = clock?.(instant) ?? { day: 0, minute: 0 };
    const week = 7 * DAY_MINUTES;
    return (((day * DAY_MINUTES + minute - Math.floor(instant / MINUTE_MS)) % week) + week) % week;
  }
}
