/**
 * Ten thousand idle WebSockets over eight lanes, or as many as one process may open: none is
 * dropped, each still echoes at the end, and one costs the edge at most 1.3 times what it costs the
 * engine alone, which the same run measures with a bare object on the same engine (yardsticks/sockets.toml).
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { type Child, createProcesses, plainEnvironment, type Processes } from "../../start/processes.ts";
import { privateFolder } from "../../start/state-files.ts";
import { startWorkerd } from "../../start/workerd.ts";
import { residentMB } from "../measure/proc.ts";
import { waitFor } from "../program.ts";
import { startSite } from "./site.ts";
import { Failures, type Outcome, pause, type Soak, type SoakOptions } from "./soak.ts";
import type { Checked, Opened, Plan } from "./socket-clients.ts";

const SOCKETS_COUNT = 10_000;
const LANES_COUNT = 8;
/** Sessions; a session's sockets are all on one lane. */
const SERVICES_COUNT = 64;
const AT_ONCE_COUNT = 100;
/** The engine takes two descriptors for each connection, and ends when there are none left; the objects' files take some too. */
const FILES_PER_SOCKET_COUNT = 2;
const OTHER_FILES_COUNT = 1_000;
/** Beyond the engine's 10 s: whoever can sleep does, before memory is read. */
const SETTLE_MS = 15_000;
const MAX_RATIO = 1.3;
const YARDSTICK = join(import.meta.dirname, "../yardsticks/sockets.toml");
const CACHE = join(import.meta.dirname, "../../node_modules/.cache/postern-bench/yardsticks");

async function ask<Answer>(clients: Child, question: Plan | "check"): Promise<Answer> {
  const answer = new Promise<unknown>((heard) => clients.process.once("message", heard));
  clients.process.send(question);
  return (await Promise.race([answer, clients.exited.then(() => Promise.reject(new Error("the clients' process ended")))])) as Answer;
}

async function startClients(processes: Processes, name: string): Promise<Child> {
  const clients = processes.start({ name, argv: [process.execPath, join(import.meta.dirname, "socket-clients.ts")], env: plainEnvironment(), channel: "ipc" });
  await waitFor(clients);
  return clients;
}

interface Held {
  readonly opened: Opened;
  readonly checked: Checked;
  /** KiB for each connection, by process. */
  readonly perSocketKB: Readonly<Record<string, number>>;
}

/** Opens them, holds them for a while, and asks each for an echo at the end. */
async function hold(processes: Processes, plan: Plan, parts: Readonly<Record<string, number>>, holdMs: number): Promise<Held> {
  const clients = await startClients(processes, `clients-${plan.port}`);
  const all = { ...parts, clients: clients.pid };
  const before = Object.fromEntries(Object.entries(all).map(([name, pid]) => [name, residentMB(pid)]));
  const opened = await ask<Opened>(clients, plan);
  await pause(SETTLE_MS);
  const grown = Object.entries(all).map(([name, pid]) => [name, ((residentMB(pid) - (before[name] ?? 0)) * 1024) / Math.max(1, opened.opened)] as const);
  await pause(Math.max(0, holdMs - SETTLE_MS));
  const checked = await ask<Checked>(clients, "check");
  await clients.stop(0);
  return { opened, checked, perSocketKB: Object.fromEntries(grown) };
}

function judge(name: string, { opened, checked }: Held, count: number, failures: Failures): void {
  if (opened.opened !== count) failures.add(`${name}: ${opened.opened} of ${count} opened`);
  if (checked.dropped > 0) failures.add(`${name}: ${checked.dropped} were dropped (${JSON.stringify(checked.codes)})`);
  if (checked.echoed !== opened.opened) failures.add(`${name}: ${checked.echoed} of ${opened.opened} echoed at the end`);
}

async function yardstick({ folder, say }: SoakOptions, count: number): Promise<Held> {
  const processes = createProcesses(await privateFolder(join(folder, "yardstick-logs")));
  try {
    const edge = await startWorkerd({ processes, stateDirectory: join(folder, "yardstick"), configPath: YARDSTICK, cacheDirectory: CACHE, port: 0, secrets: {} });
    say(`the engine alone: ${count} sockets`);
    return await hold(processes, { port: edge.port, host: "sockets.localhost", count, atOnce: AT_ONCE_COUNT, tokens: [] }, { edge: edge.child.pid }, SETTLE_MS);
  } finally {
    await processes.stopAll(0);
  }
}

/** As many as a process of this machine can hold, and the wanted number at most. */
function possible(wanted: number, say: (line: string) => void): number {
  const limit = Number(/^Max open files +([0-9]+)/m.exec(readFileSync("/proc/self/limits", "utf8"))?.[1] ?? Number.POSITIVE_INFINITY);
  const most = Math.floor((limit - OTHER_FILES_COUNT) / FILES_PER_SOCKET_COUNT);
  if (most < wanted) say(`${limit} open files allow ${most} sockets in one process, not ${wanted}`);
  return Math.min(wanted, most);
}

async function run(options: SoakOptions): Promise<Outcome> {
  const { minutes, scale, folder, say } = options;
  const count = possible(Math.round(SOCKETS_COUNT * scale), say);
  const failures = new Failures();
  const bare = await yardstick(options, count);
  judge("the engine alone", bare, count, failures);
  const site = await startSite({ folder, lanes: LANES_COUNT, services: SERVICES_COUNT });
  try {
    const connector = site.stack.connectors[0]?.child.pid ?? 0;
    say(`postern: ${count} sockets over ${LANES_COUNT} lanes for ${minutes} minutes`);
    const plan = { port: site.stack.port, host: site.host, count, atOnce: AT_ONCE_COUNT, tokens: site.tokens };
    const held = await hold(site.stack.processes, plan, { edge: site.stack.edge().pid, connector, app: site.app.pid }, minutes * 60_000);
    judge("postern", held, count, failures);
    const ratio = (held.perSocketKB["edge"] ?? 0) / Math.max(1, bare.perSocketKB["edge"] ?? 0);
    if (ratio > MAX_RATIO) failures.add(`a socket costs the edge ${ratio.toFixed(2)} times what it costs the engine`);
    const figures = {
      opened: held.opened.opened,
      open_seconds: held.opened.seconds,
      open_tries_refused: held.opened.refused,
      echo_worst_ms: held.checked.worstMs,
      engine_KB: bare.perSocketKB["edge"] ?? 0,
      edge_KB: held.perSocketKB["edge"] ?? 0,
      connector_KB: held.perSocketKB["connector"] ?? 0,
      app_KB: held.perSocketKB["app"] ?? 0,
      clients_KB: held.perSocketKB["clients"] ?? 0,
      edge_to_engine: ratio,
    };
    return { n: count, failures: failures.lines, figures };
  } finally {
    await site.stop();
  }
}

export const idleSockets: Soak = { name: "idle-sockets", about: "10,000 idle WebSockets, or as many as a process may open, over 8 lanes: none dropped, memory for each", minutes: 10, run };
