/**
 * One JSON object a line on stderr. Fields are short facts (ids, codes, counts): never a header
 * value, a token, a key or an error text of the outside. Not an audit record.
 */
type LogFields = Readonly<Record<string, string | number | boolean | undefined>>;

export interface Log {
  info(event: string, fields?: LogFields): void;
  warn(event: string, fields?: LogFields): void;
  error(event: string, fields?: LogFields): void;
}

/** Longest field that is printed: an upstream's or the edge's text cannot flood the log. */
const FIELD_CHARS = 300;

/** A log that writes lines through `write`, stamped by `now` (milliseconds since 1970). */
export function createLog(write: (line: string) => void, now: () => number): Log {
  const line = (level: string, event: string, fields: LogFields = {}): void => {
    const shown: Record<string, unknown> = { time: new Date(now()).toISOString(), level, event };
    for (const [name, value] of Object.entries(fields)) {
      shown[name] = typeof value === "string" && value.length > FIELD_CHARS ? `${value.slice(0, FIELD_CHARS)}…` : value;
    }
    write(`${JSON.stringify(shown)}\n`);
  };
  return {
    info: (event, fields) => line("info", event, fields),
    warn: (event, fields) => line("warn", event, fields),
    error: (event, fields) => line("error", event, fields),
  };
}
