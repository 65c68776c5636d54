/** What processes of the product take of the machine, from /proc: no figure that a busy machine changes. */
import { readFileSync, writeFileSync } from "node:fs";

/** Kernel clock ticks, as Linux shows them to programs. */
const MS_PER_TICK = 10;
/** Resets the peak of the resident set (proc(5), clear_refs). */
const RESET_PEAK = "5";

const megabytes = (pid: number, field: "VmRSS" | "VmHWM"): number => Number(new RegExp(`^${field}:\\s+([0-9]+) kB`, "m").exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) / 1024;
export const residentMB = (pid: number): number => megabytes(pid, "VmRSS");
export const peakResidentMB = (pid: number): number => megabytes(pid, "VmHWM");
/** The peak counts from now. */
export const resetPeak = (pid: number): void => writeFileSync(`/proc/${pid}/clear_refs`, RESET_PEAK);

/** The processor's time that a process has used, its threads' among it. */
export function workedMs(pid: number): number {
  const line = readFileSync(`/proc/${pid}/stat`, "utf8");
  // Behind the name, which may hold spaces, the first is field 3 of proc(5): 14 is user, 15 is system.
  const fields = line.slice(line.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) * MS_PER_TICK;
}
