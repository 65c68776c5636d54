/**
 * `npm run bench:profile -- [small|download|upload|tcp] [seconds]`: the product under one load, with a CPU profile of edge,
 * connector and agent: time by function per request or megabyte on standard output, shares in
 * bench/results/profile-*.json for docs/performance.md, the whole profiles in
 * bench/results/*.cpuprofile.tmp for Chromium's DevTools. The edge is built with its names kept. Measures nothing: a
 * profiler slows what it looks at.
 */
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { httpOf } from "./cases/case.ts";
import { startGround } from "./ground.ts";
import type { ClosedLoad, LoadResult } from "./load/closed-load.ts";
import { downloadRequest, placeOf, smallRequests, uploadRequest } from "./load/requests.ts";
import type { TransferResult } from "./load/transfer-load.ts";
import { type CpuProfile, type FunctionTime, inspected, profiled, timeByFunction } from "./measure/cpu-profile.ts";
import { commit } from "./measure/results.ts";
import { cpuMicroseconds } from "./measure/proc.ts";
import { runProgram } from "./program.ts";
import type { TcpLoad, TcpResult } from "./load/tcp-load.ts";
import { startPostern } from "./systems/postern.ts";
import { AGENT_INSPECTOR_PORT } from "./systems/postern-tcp.ts";
import type { System } from "./systems/system.ts";

const PROJECT = join(import.meta.dirname, "..");
/** Where Node's inspector listens after SIGUSR1. */
const NODE_INSPECTOR_PORT = 9229;
const SHOWN_COUNT = 45;
/** Functions of each process that are kept, and digits of their share. */
const KEPT_COUNT = 12;
const SHARE_DIGITS = 3;
const MB = 1_000_000;
const BULK_BYTES = 200 * MB;
const TCP_BYTES = 100 * MB;
const CONNECTIONS_COUNT = 32;
const SESSIONS_COUNT = 50;

const [load = "small", seconds = "6"] = process.argv.slice(2);
const say = (line: string): void => void process.stdout.write(`${line}\n`);

/** The product's own configuration beside itself, without minifying. */
async function readableConfig(): Promise<string> {
  const file = join(PROJECT, "wrangler.profile.tmp.toml");
  const text = await readFile(join(PROJECT, "wrangler.toml"), "utf8");
  await writeFile(file, text.replace(/^minify = true/m, "minify = false").replace(/^keep_names = false/m, "keep_names = true"));
  return file;
}

/** Puts the load on; how many requests or megabytes came of it. */
async function run(system: System, lasting: number): Promise<number> {
  if (load === "tcp") {
    const settings: TcpLoad = { ...placeOf((await system.tcp?.()) ?? { port: 0 }), kind: "down", bytes: TCP_BYTES, parallel: 1, seconds: 0 };
    return (await runProgram<TcpResult>("tcp-load.ts", settings).done).bytes / MB;
  }
  const target = httpOf(system);
  if (load === "small") {
    const settings: ClosedLoad = { ...placeOf(target), requests: smallRequests(target), connections: CONNECTIONS_COUNT, seconds: lasting };
    return (await runProgram<LoadResult>("closed-load.ts", settings).done).requests;
  }
  const direction = load === "upload" ? "up" : "down";
  const request = (direction === "up" ? uploadRequest : downloadRequest)(target, BULK_BYTES);
  return (await runProgram<TransferResult>("transfer-load.ts", { ...placeOf(target), direction, bytes: BULK_BYTES, parallel: 1, request }).done).bytes / MB;
}

function show(part: string, profile: CpuProfile, count: number, cpuUs: number): void {
  const unit = load === "small" ? "request" : "MB";
  const times = timeByFunction(profile);
  say(`\n${part}: ${(cpuUs / count).toFixed(0)} us of CPU per ${unit} (with the profiler on); by function, us per ${unit}:\n    self   total`);
  const line = ({ name, selfUs, totalUs }: FunctionTime): void => say(`${(selfUs / count).toFixed(1).padStart(8)}${(totalUs / count).toFixed(1).padStart(8)}  ${name}`);
  const shown = times.filter((one) => one.name !== "(idle)" && one.name !== "(root)");
  shown.slice(0, SHOWN_COUNT).forEach(line);
  say(`\n${part}, ours with all that they call:`);
  shown.filter((one) => /[.][jt]s:/.test(one.name) && !one.name.includes("node")).sort((a, b) => b.totalUs - a.totalUs).slice(0, SHOWN_COUNT).forEach(line);
}

/** What of its time a process spent in which function, without where that stands in a bundle. */
function shares(profile: CpuProfile): { readonly name: string; readonly share: number }[] {
  const busy = timeByFunction(profile).filter(({ name, selfUs }) => selfUs > 0 && name !== "(idle)" && name !== "(root)");
  const all = busy.reduce((sum, { selfUs }) => sum + selfUs, 0);
  const byName = new Map<string, number>();
  for (const { name, selfUs } of busy) {
    const short = name.replace(/ index\.js:[0-9]+$/, "");
    byName.set(short, (byName.get(short) ?? 0) + selfUs / all);
  }
  return [...byName].sort(([, a], [, b]) => b - a).slice(0, KEPT_COUNT).map(([name, share]) => ({ name, share: Number(share.toFixed(SHARE_DIGITS)) }));
}

const wranglerConfig = await readableConfig();
const { ground, stop } = await startGround(SESSIONS_COUNT, (line) => void process.stderr.write(`${line}\n`));
try {
  const inspectorPort = 20_000 + (process.pid % 10_000);
  const system = await startPostern(ground, { wranglerConfig, workerdArguments: [`--inspector-addr=127.0.0.1:${inspectorPort}`] });
  try {
    const parts = load === "tcp" ? ((await system.tcp?.())?.parts() ?? []) : system.parts();
    const ports: Readonly<Record<string, number>> = { edge: inspectorPort, connector: NODE_INSPECTOR_PORT, agent: AGENT_INSPECTOR_PORT };
    const inspectors = await Promise.all(
      parts.map(async ({ name, pid }) => {
        if (name !== "edge") process.kill(pid, "SIGUSR1");
        return (await inspected(ports[name] ?? 0))[0] ?? "";
      }),
    );
    await run(system, 2);
    let count = 0;
    const before = parts.map(({ pid }) => cpuMicroseconds(pid));
    const profiles: CpuProfile[] = [];
    const all = async (i: number): Promise<void> => {
      const address = inspectors[i];
      if (address === undefined) count = await run(system, Number(seconds));
      else profiles[i] = await profiled(address, () => all(i + 1));
    };
    await all(0);
    await mkdir(join(PROJECT, "bench/results"), { recursive: true });
    const kept = parts.flatMap(({ name }, i) => (profiles[i] === undefined ? [] : [{ part: name, functions: shares(profiles[i]) }]));
    await writeFile(join(PROJECT, `bench/results/profile-${load}.json`), `${JSON.stringify({ load, commit: commit(), date: new Date().toISOString(), parts: kept }, null, 2)}\n`);
    for (const [i, { name, pid }] of parts.entries()) {
      const profile = profiles[i];
      if (profile === undefined) continue;
      await writeFile(join(PROJECT, `bench/results/${name}.cpuprofile.tmp`), JSON.stringify(profile));
      show(name, profile, count, cpuMicroseconds(pid) - (before[i] ?? 0));
    }
  } finally {
    await system.stop();
  }
} finally {
  await stop();
  await rm(wranglerConfig, { force: true });
}
