/**
 * `npm run bench`: every case on every system, one sample after the other in turn, medians, a table
 * with ratios, and the rows in a file. Follow it from `run`; what is measured is cases/.
 */
import { join } from "node:path";
import { CASES } from "./cases/all.ts";
import type { Case, Pace } from "./cases/case.ts";
import { GOALS } from "./goals.ts";
import { type RunningGround, startGround } from "./ground.ts";
import { wrkVersion } from "./load/wrk.ts";
import type { Metrics } from "./measure/metrics.ts";
import { commit, machine, Progress, type Row, rowsOf, writeResults } from "./measure/results.ts";
import { untilQuiet } from "./measure/sample.ts";
import { checkNames, matches } from "./names.ts";
import { type BenchOptions, parseBenchOptions, USAGE } from "./options.ts";
import { SYSTEMS } from "./systems/registry.ts";
import type { System } from "./systems/system.ts";
import { caseTable, goalTable, verdicts } from "./table.ts";

const RESULTS = join(import.meta.dirname, "results");
const BENCH = "tunnel";
const ROUNDS = { all: 5, quick: 3, tiny: 1 };
const SECONDS = { all: 4, quick: 2 };
/** Of a case without a goal in a quick run. */
const SHORT_SECONDS = 1;
/** A whole run ends by then: rounds are left out as time runs short, then cases, and the next run goes on with those. */
const MOST_MS = { all: 38 * 60_000, quick: 7.5 * 60_000 };
/** A case with a goal gets so many times the share of one without. */
const GOAL_WEIGHT = 4;
const SESSIONS_COUNT = { all: 50, tiny: 3 };
/** Longest wait for a quiet machine before a sample. */
const QUIET_WAIT_MS = { all: 3_000, quick: 500 };

const say = (line: string): void => void process.stderr.write(`${line}\n`);

async function paceOf(options: BenchOptions): Promise<{ readonly pace: Pace; readonly generator: string }> {
  const size = options.tiny ? "tiny" : options.quick ? "quick" : "all";
  const wrk = options.generator === "node" || options.tiny ? undefined : await wrkVersion();
  if (options.generator === "wrk" && wrk === undefined) throw new Error("wrk is not installed");
  return {
    pace: { rounds: options.rounds ?? ROUNDS[size], seconds: options.quick || options.tiny ? SECONDS.quick : SECONDS.all, hasWrk: wrk !== undefined, tiny: options.tiny },
    generator: wrk ?? "node (bench/load/closed-load.ts)",
  };
}

const hasGoal = ({ name }: Case): boolean => GOALS.some((goal) => goal.case === name);
/** A case whose goal is a ratio needs more samples than one that a bound is put on. */
const weight = (one: Case): number => (GOALS.some((goal) => goal.case === one.name && goal.beside !== undefined) ? GOAL_WEIGHT : 1);

/** The samples of one case, the systems in turn; whoever is first in one round is last in the next. */
async function measure(one: Case, ground: RunningGround, options: BenchOptions, given: Pace, untilMs: number): Promise<Row[]> {
  const pace = options.quick && !hasGoal(one) ? { ...given, seconds: SHORT_SECONDS } : given;
  const systems: { readonly name: string; readonly system: System; readonly samples: Metrics[] }[] = [];
  for (const name of Object.keys(SYSTEMS)) {
    if (!one.systems.includes(name) || !matches(name, options.systems)) continue;
    const system = await ground.system(name);
    if (system !== undefined) systems.push({ name, system, samples: [] });
  }
  for (let round = 0; round < Math.min(pace.rounds, one.mostRounds ?? pace.rounds); round++) {
    if (round > 0 && performance.now() > untilMs) break;
    for (const { name, system, samples } of round % 2 === 0 ? systems : systems.toReversed()) {
      await one.warmUp?.(system, pace);
      if (!pace.tiny) await untilQuiet(options.quick ? QUIET_WAIT_MS.quick : QUIET_WAIT_MS.all);
      const metrics = await one.sample(system, pace);
      if (metrics === undefined) continue;
      samples.push(metrics);
      if ((metrics["errors"] ?? 0) > 0) say(`${one.name} ${name}: ${metrics["errors"]} errors`);
    }
  }
  return systems.flatMap(({ name, samples }) => rowsOf(BENCH, one.name, name, samples));
}

async function run(options: BenchOptions): Promise<void> {
  checkNames("case", options.only, CASES.map((one) => one.name));
  checkNames("system", options.systems, Object.keys(SYSTEMS));
  const { pace, generator } = await paceOf(options);
  const isPart = options.only.length > 0 || options.systems.length > 0 || options.tiny;
  const out = options.out ?? join(RESULTS, isPart ? "part.json.tmp" : "latest.json");
  const head = { machine: machine({ generator }), commit: commit(), date: new Date().toISOString() };
  const progress = new Progress(`${out.replace(/\.tmp$/, "")}.run.tmp`, JSON.stringify([head.machine, head.commit, options.quick, options.systems, pace]));
  if (!options.fresh) await progress.load();
  const endMs = performance.now() + MOST_MS[options.quick ? "quick" : "all"];
  const ground = await startGround(SESSIONS_COUNT[options.tiny ? "tiny" : "all"], say);
  const stop = (): void => void ground.stop().finally(() => process.exit(130));
  process.once("SIGINT", stop);
  process.once("SIGTERM", stop);
  const rows: Row[] = [];
  const leftOut: string[] = [];
  try {
    const asked = CASES.filter(({ name }) => matches(name, options.only));
    for (const [i, one] of asked.entries()) {
      const known = progress.rows(one.name);
      if (known === undefined && !isPart && performance.now() > endMs) {
        leftOut.push(one.name);
        continue;
      }
      // Its share of the time that is left. A part takes as long as it takes.
      const left = asked.slice(i).filter(({ name }) => progress.rows(name) === undefined).reduce((sum, other) => sum + weight(other), 0);
      const untilMs = isPart ? Number.POSITIVE_INFINITY : performance.now() + ((endMs - performance.now()) * weight(one)) / left;
      const found = known ?? (await measure(one, ground, options, pace, untilMs));
      if (known === undefined) await progress.add(one.name, found);
      rows.push(...found);
      if (found.length > 0) process.stdout.write(`${caseTable(found)}${known === undefined ? "" : "\n(of the run that was broken off)"}\n\n`);
    }
  } finally {
    await ground.stop();
  }
  await writeResults(out, { ...head, rows });
  if (leftOut.length === 0) await progress.forget();
  if (!options.tiny) process.stdout.write(`${goalTable(verdicts(rows))}\n\n`);
  for (const [name, why] of ground.absent) process.stdout.write(`absent: ${name} (${why})\n`);
  if (leftOut.length > 0) process.stdout.write(`left out, for the time was up: ${leftOut.join(", ")}; the same command goes on with them\n`);
  process.stdout.write(`generator: ${generator}; rows in ${out}\n`);
}

try {
  const options = parseBenchOptions(process.argv.slice(2));
  if (options.help) process.stdout.write(USAGE);
  else await run(options);
} catch (cause) {
  say(cause instanceof Error ? (process.env["DEBUG"] === undefined ? `error: ${cause.message}` : (cause.stack ?? "")) : "unknown error");
  process.exitCode = 1;
}
