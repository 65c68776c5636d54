/** One sample: what the processes of a system used while something ran, and how quiet the machine was. */
import type { Part } from "../systems/system.ts";
import { cpuMicroseconds, machineMicroseconds, ownMicroseconds, peakResidentMB, resetPeak, residentMB, withDescendants } from "./proc.ts";

export interface Used {
  /** Microseconds of CPU by part, those that it started among it. */
  readonly cpuUs: ReadonlyMap<string, number>;
  /** Peak resident set by part while it ran, and how much that is above where it began. */
  readonly peakMB: ReadonlyMap<string, number>;
  readonly grownMB: ReadonlyMap<string, number>;
  /** Cores that somebody else kept busy meanwhile. */
  readonly foreignCores: number;
}

/** Time between two looks at whether the machine is quiet. */
const LOOK_MS = 200;
const QUIET_CORES = 0.15;

const pause = (ms: number): Promise<void> => new Promise((wake) => setTimeout(wake, ms));
const sum = (values: Iterable<number>): number => [...values].reduce((total, value) => total + value, 0);

interface Process {
  readonly part: string;
  readonly pid: number;
}
const processesOf = (parts: readonly Part[]): Process[] => parts.flatMap((part) => withDescendants(part.pid).map((pid) => ({ part: part.name, pid })));

/** CPU of everything that is ours: this process, its ended children, and whatever runs below it. */
const oursUs = (): number => ownMicroseconds() + sum(withDescendants(process.pid).filter((pid) => pid !== process.pid).map(cpuMicroseconds));

/** Cores that others keep busy during a wait. */
async function foreignDuring(wait: () => Promise<unknown>): Promise<number> {
  const begun = { machine: machineMicroseconds(), ours: oursUs(), at: performance.now() };
  await wait();
  const busy = machineMicroseconds() - begun.machine - (oursUs() - begun.ours);
  return Math.max(0, busy / ((performance.now() - begun.at) * 1000));
}

/** Waits until nobody else keeps the machine busy, at most `mostMs`. */
export async function untilQuiet(mostMs: number): Promise<void> {
  const until = performance.now() + mostMs;
  while (performance.now() < until && (await foreignDuring(() => pause(LOOK_MS))) > QUIET_CORES);
}

/** Runs `work` and says what it cost. */
export async function sampled<T>(parts: readonly Part[], work: () => Promise<T>): Promise<{ readonly result: T; readonly used: Used }> {
  const before = processesOf(parts);
  for (const { pid } of before) resetPeak(pid);
  const rss = new Map(before.map(({ pid }) => [pid, residentMB(pid)]));
  const cpu = new Map(before.map(({ pid }) => [pid, cpuMicroseconds(pid)]));
  let result: T | undefined;
  const foreignCores = await foreignDuring(async () => {
    result = await work();
  });
  const after = processesOf(parts);
  const byPart = (value: (pid: number) => number): Map<string, number> => {
    const values = new Map<string, number>();
    for (const { part, pid } of after) values.set(part, (values.get(part) ?? 0) + value(pid));
    return values;
  };
  const used: Used = {
    cpuUs: byPart((pid) => cpuMicroseconds(pid) - (cpu.get(pid) ?? 0)),
    peakMB: byPart(peakResidentMB),
    grownMB: byPart((pid) => peakResidentMB(pid) - (rss.get(pid) ?? 0)),
    foreignCores,
  };
  return { result: result as T, used };
}
