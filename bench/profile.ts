/**
 * `node bench/profile.ts [small|download|upload] [seconds]`: the product under one load, with a CPU profile of edge and
 * connector: time by function per request or megabyte on standard output, the whole profiles in
 * bench/results/*.cpuprofile.tmp for Chromium's DevTools. The edge is built with its names kept. Measures nothing: a
 * profiler slows what it looks at.
 */
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { httpOf } from "./cases/case.ts";
import { startGround } from "./ground.ts";
import type { ClosedLoad, LoadResult } from "./load/closed-load.ts";
import { downloadRequest, smallRequests, uploadRequest } from "./load/requests.ts";
import type { TransferResult } from "./load/transfer-load.ts";
import { type CpuProfile, type FunctionTime, inspected, profiled, timeByFunction } from "./measure/cpu-profile.ts";
import { cpuMicroseconds } from "./measure/proc.ts";
import { runProgram } from "./program.ts";
import { startPostern } from "./systems/postern.ts";
import type { System } from "./systems/system.ts";

const PROJECT = join(import.meta.dirname, "..");
/** Where Node's inspector listens after SIGUSR1. */
const NODE_INSPECTOR_PORT = 9229;
const SHOWN_COUNT = 45;
const MB = 1_000_000;
const BULK_BYTES = 200 * MB;
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
  const target = httpOf(system);
  if (load === "small") {
    const settings: ClosedLoad = { port: target.port, requests: smallRequests(target), connections: CONNECTIONS_COUNT, seconds: lasting };
    return (await runProgram<LoadResult>("closed-load.ts", settings).done).requests;
  }
  const direction = load === "upload" ? "up" : "down";
  const request = (direction === "up" ? uploadRequest : downloadRequest)(target, BULK_BYTES);
  return (await runProgram<TransferResult>("transfer-load.ts", { port: target.port, direction, bytes: BULK_BYTES, parallel: 1, request }).done).bytes / MB;
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

const wranglerConfig = await readableConfig();
const { ground, stop } = await startGround(SESSIONS_COUNT, (line) => void process.stderr.write(`${line}\n`));
try {
  const inspectorPort = 20_000 + (process.pid % 10_000);
  const system = await startPostern(ground, { wranglerConfig, workerdArguments: [`--inspector-addr=127.0.0.1:${inspectorPort}`] });
  try {
    const [edge, connector] = system.parts();
    if (edge === undefined || connector === undefined) throw new Error("a part is missing");
    process.kill(connector.pid, "SIGUSR1");
    const [edgeAddress = ""] = await inspected(inspectorPort);
    const [connectorAddress = ""] = await inspected(NODE_INSPECTOR_PORT);
    await run(system, 2);
    let count = 0;
    const cpu = [edge.pid, connector.pid].map(cpuMicroseconds);
    let connectorProfile: CpuProfile | undefined;
    const edgeProfile = await profiled(edgeAddress, async () => {
      connectorProfile = await profiled(connectorAddress, async () => {
        count = await run(system, Number(seconds));
      });
    });
    await mkdir(join(PROJECT, "bench/results"), { recursive: true });
    for (const [part, pid, before, profile] of [["edge", edge.pid, cpu[0], edgeProfile], ["connector", connector.pid, cpu[1], connectorProfile]] as const) {
      if (profile === undefined) continue;
      await writeFile(join(PROJECT, `bench/results/${part}.cpuprofile.tmp`), JSON.stringify(profile));
      show(part, profile, count, cpuMicroseconds(pid) - (before ?? 0));
    }
  } finally {
    await system.stop();
  }
} finally {
  await stop();
  await rm(wranglerConfig, { force: true });
}
