/** The break-glass account in a line for people, and the warning that it is in use. */
import type { BreakGlassAnswer } from "../protocol/admin-api.ts";
import { printable } from "./printable.ts";

export function breakGlassText(one: BreakGlassAnswer): string {
  const seal = one.people === 2 ? "for two people" : `behind a clock of ${one.delay_ms / 60_000} min`;
  const made = one.people === 0 ? "no seal" : `a seal ${seal}, made ${printable(one.sealed_at ?? "")} by ${printable(one.sealed_by ?? "")}`;
  return `break-glass: ${[made, ...alarms(one)].join("; ")}`;
}

/** What an operator must not miss; undefined if nothing is the matter. */
export function breakGlassAlarm(one: BreakGlassAnswer | undefined): string | undefined {
  return one === undefined ? undefined : alarmText(alarms(one));
}

const alarmText = (all: readonly string[]): string | undefined =>
  all.length === 0 ? undefined : `warning: the break-glass account: ${all.join("; ")}\nfix: postern break-glass status; to end it: postern break-glass close, or cancel while it counts down\n`;

/** The same of the words beside the list of sessions. */
export function toldAlarm(told: string | undefined): string | undefined {
  const [state, until = ""] = told?.split(" ") ?? [];
  return state === undefined ? undefined : alarmText(alarms({ opens_at: state === "open" ? null : until, open_until: state === "open" ? until : null }));
}

const alarms = (one: Pick<BreakGlassAnswer, "opens_at" | "open_until">): string[] => [
  ...(one.opens_at === null ? [] : [`COUNTING DOWN, its code opens it from ${printable(one.opens_at)}`]),
  ...(one.open_until === null ? [] : [`OPEN until ${printable(one.open_until)}`]),
];
