/**
 * `npm run bench:revoke`: signals against live connections of every protocol, receipt after receipt,
 * and parts that cannot be reached. Follow it from `run`; what is measured is cases.ts, the bounds are rows.ts.
 */
import { join } from "node:path";
import { commit, machine, Progress, type Row, writeResults } from "../measure/results.ts";
import { checkNames, matches } from "../names.ts";
import { casesOf, type Stages } from "./cases.ts";
import { parseRevokeOptions, type RevokeOptions, USAGE } from "./options.ts";
import { brokenBounds } from "./rows.ts";
import { type Stage, startStage } from "./stage.ts";
import { type StallingStage, startStallingStage } from "./stalling-stage.ts";

const RESULTS = join(import.meta.dirname, "../results");
/** A whole run ends by then: receipts are left out as time runs short, then cases, and the next run goes on with those. */
const MOST_MS = { all: 24 * 60_000, quick: 4.75 * 60_000, tiny: Number.POSITIVE_INFINITY };

const say = (line: string): void => void process.stderr.write(`${line}\n`);

/** Stages, started when first asked for. */
class RunningStages implements Stages {
  #plain: Promise<Stage> | undefined;
  readonly #stalling = new Map<number, Promise<StallingStage>>();

  readonly plain = (): Promise<Stage> => (this.#plain ??= startStage({ say }));
  readonly stalling = (number: number): Promise<StallingStage> => {
    const started = this.#stalling.get(number) ?? startStallingStage(number, say);
    this.#stalling.set(number, started);
    return started;
  };

  async stop(): Promise<void> {
    const started = [this.#plain, ...this.#stalling.values()];
    this.#plain = undefined;
    this.#stalling.clear();
    for (const one of started) await (await one?.catch(() => undefined))?.stop();
  }
}

/** A case as it is seen while it runs: receipts in one line, each part that was taken away in another. */
function shown(name: string, rows: readonly Row[]): string {
  const value = (of: string, metric: string): string => String(rows.find((row) => row.case === of && row.metric === metric)?.value ?? "–");
  const parts = [...new Set(rows.filter(({ metric }) => metric === "end_worst_ms").map((row) => row.case))];
  if (parts.length > 0) return parts.map((part) => `${part}: over after ${value(part, "end_client_ms")} ms at the client, ${value(part, "end_app_ms")} at the app; last byte after ${value(part, "last_byte_ms")} ms`).join("\n");
  return `${name}: p50 ${value(name, "receipt_p50_ms")} p99 ${value(name, "receipt_p99_ms")} worst ${value(name, "receipt_worst_ms")} ms, clients ${value(name, "client_end_worst_ms")} ms, after ${value(name, "bytes_after_receipt")} B, in flight ${value(name, "bytes_in_flight_at_cut")} B, edge CPU ${value(name, "cpu_ms_per_receipt_edge")} ms, n ${rows[0]?.n}, foreign cores ${value(name, "foreign_cores")}`;
}

async function run(options: RevokeOptions): Promise<number> {
  const { size, only } = options;
  const all = casesOf(size);
  checkNames("case", only, all.map(({ name }) => name));
  const asked = all.filter(({ name }) => matches(name, only));
  const isPart = only.length > 0 || size === "tiny";
  const out = options.out ?? join(RESULTS, isPart ? "revoke-part.json.tmp" : "revoke.json");
  const head = { machine: machine({}), commit: commit(), date: new Date().toISOString() };
  const progress = new Progress(`${out.replace(/\.tmp$/, "")}.run.tmp`, JSON.stringify([head.machine, head.commit, size]));
  if (!options.fresh) await progress.load();
  const endMs = performance.now() + MOST_MS[size];
  const stages = new RunningStages();
  const stop = (): void => void stages.stop().finally(() => process.exit(130));
  process.once("SIGINT", stop);
  process.once("SIGTERM", stop);
  const rows: Row[] = [];
  const leftOut: string[] = [];
  try {
    for (const [i, one] of asked.entries()) {
      const known = progress.rows(one.name);
      if (known === undefined && !isPart && performance.now() > endMs) {
        leftOut.push(one.name);
        continue;
      }
      // Its share of the time that is left. A part takes as long as it takes.
      const left = asked.slice(i).filter(({ name }) => progress.rows(name) === undefined).reduce((sum, other) => sum + other.seconds, 0);
      const untilMs = isPart ? Number.POSITIVE_INFINITY : performance.now() + ((endMs - performance.now()) * one.seconds) / left;
      const found = known ?? (await one.run(stages, { untilMs, say }));
      if (known === undefined) await progress.add(one.name, found);
      rows.push(...found);
      process.stdout.write(`${shown(one.name, found)}${known === undefined ? "" : " (of the run that was broken off)"}\n`);
      // One product at a time: the other's stage is over.
      if (asked[i + 1]?.stage !== one.stage) await stages.stop();
    }
  } finally {
    await stages.stop();
  }
  await writeResults(out, { ...head, rows });
  if (leftOut.length === 0) await progress.forget();
  const broken = size === "tiny" ? brokenBounds(rows.filter(({ metric }) => metric === "faults" || metric === "bytes_after_receipt")) : brokenBounds(rows);
  for (const line of broken) process.stdout.write(`BROKEN ${line}\n`);
  if (leftOut.length > 0) process.stdout.write(`left out, for the time was up: ${leftOut.join(", ")}; the same command goes on with them\n`);
  process.stdout.write(`${rows.length} rows in ${out}\n`);
  return broken.length === 0 ? 0 : 1;
}

try {
  const options = parseRevokeOptions(process.argv.slice(2));
  if (options.help) process.stdout.write(USAGE);
  else process.exitCode = await run(options);
} catch (cause) {
  say(cause instanceof Error ? (process.env["DEBUG"] === undefined ? `error: ${cause.message}` : (cause.stack ?? "")) : "unknown error");
  process.exitCode = 1;
}
