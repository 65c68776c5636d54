/** CPU time and memory of processes, from /proc. Linux only; the numbers of a process that is gone are 0. */
import { readFileSync, readdirSync, writeFileSync } from "node:fs";

/** Kernel clock ticks a second, as Linux shows them to programs on every architecture of ours. */
const TICKS_PER_SECOND = 100;
const US_PER_TICK = 1_000_000 / TICKS_PER_SECOND;
/** Resets the peak of the resident set (proc(5), clear_refs). */
const RESET_PEAK = "5";

function read(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

/** Fields of a stat line after the name, which may hold spaces. The first is field 3 of proc(5). */
function statFields(pid: number | "self"): number[] {
  const line = read(`/proc/${pid}/stat`);
  return line.slice(line.lastIndexOf(")") + 2).split(" ").map(Number);
}

const ticks = (fields: readonly number[], ...numbers: readonly number[]): number => numbers.reduce((sum, number) => sum + (fields[number - 3] ?? 0), 0);

/** Microseconds of CPU that a process has used, user and system, its threads among it. */
export function cpuMicroseconds(pid: number): number {
  // By thread in nanoseconds where the kernel says it; ticks of 10 ms otherwise.
  try {
    let ns = 0;
    for (const task of readdirSync(`/proc/${pid}/task`)) ns += Number(read(`/proc/${pid}/task/${task}/schedstat`).split(" ")[0] ?? 0);
    if (ns > 0) return ns / 1000;
  } catch {
    return 0;
  }
  return ticks(statFields(pid), 14, 15) * US_PER_TICK;
}

/** The same of this process and of its children that have ended. */
export const ownMicroseconds = (): number => ticks(statFields("self"), 14, 15, 16, 17) * US_PER_TICK;

/** What the whole machine has spent not idling, steal among it. */
export function machineMicroseconds(): number {
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0, steal = 0] = (read("/proc/stat").split("\n")[0] ?? "").split(/\s+/).slice(1).map(Number);
  return (user + nice + system + irq + softirq + steal) * US_PER_TICK;
}

const megabytes = (pid: number, field: "VmRSS" | "VmHWM"): number => Number(new RegExp(`^${field}:\\s+([0-9]+) kB`, "m").exec(read(`/proc/${pid}/status`))?.[1] ?? 0) / 1024;
export const residentMB = (pid: number): number => megabytes(pid, "VmRSS");
export const peakResidentMB = (pid: number): number => megabytes(pid, "VmHWM");

/** The peak counts from now. */
export function resetPeak(pid: number): void {
  try {
    writeFileSync(`/proc/${pid}/clear_refs`, RESET_PEAK);
  } catch {
    // Another user's process: its peak counts from its start.
  }
}

/** A process and all that it started. */
export function withDescendants(root: number): number[] {
  const children = new Map<number, number[]>();
  for (const entry of readdirSync("/proc")) {
    if (!/^[0-9]+$/.test(entry)) continue;
    const parent = statFields(Number(entry))[1] ?? 0;
    children.set(parent, [...(children.get(parent) ?? []), Number(entry)]);
  }
  const found: number[] = [];
  const waiting = [root];
  for (let pid = waiting.pop(); pid !== undefined; pid = waiting.pop()) {
    found.push(pid);
    waiting.push(...(children.get(pid) ?? []));
  }
  return found;
}
