/**
 * Local weekday and minute of an instant in an IANA time zone, through Intl. Not a clock: the
 * instant is given. Formatters are slow to make and are kept by zone, which is all they depend on.
 */
export interface WallTime {
  /** 0 = Sunday. */
  readonly day: number;
  /** Minutes after local midnight. */
  readonly minute: number;
}

export type WallClock = (instant: number) => WallTime;

const WEEKDAYS = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
/** There are about 600 zone names; bounds what hostile documents can leave behind. */
const MAX_CLOCKS = 1_000;
const clocks = new Map<string, WallClock>();

/** The clock of a zone; undefined if the platform does not know it. Offsets such as "+01:00" are no zones. */
export function wallClock(zone: string): WallClock | undefined {
  const kept = clocks.get(zone);
  if (kept !== undefined) return kept;
  if (!/^[A-Za-z][A-Za-z0-9_+/-]{1,63}$/.test(zone)) return undefined;
  let format: Intl.DateTimeFormat;
  try {
    format = new Intl.DateTimeFormat("en-US", { timeZone: zone, weekday: "short", hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
  } catch {
    return undefined;
  }
  const clock: WallClock = (instant) => {
    let day = -1;
    let minute = 0;
    for (const { type, value } of format.formatToParts(instant)) {
      if (type === "weekday") day = WEEKDAYS.indexOf(value);
      else if (type === "hour") minute += 60 * Number(value);
      else if (type === "minute") minute += Number(value);
    }
    return { day, minute };
  };
  if (clocks.size < MAX_CLOCKS) clocks.set(zone, clock);
  return clock;
}
