/**
 * One local connector of a site: enrolled once, then run from its state folder. Uses the same
 * program and commands as any other machine; nothing restarts it when it is killed.
 */
import { existsSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { type EdgeApi, untilReady } from "./edge-api.ts";
import { type Child, logTail, plainEnvironment, type Processes } from "./processes.ts";
import { StartError } from "./start-error.ts";
import { privateFolder, readPrivateJson } from "./state-files.ts";

/** Longest wait for a connector to hold all its lanes. */
const READY_TIMEOUT_MS = 20_000;
const POLL_MS = 50;

const PROGRAM = join(import.meta.dirname, "../bin/postern-connector.mjs");
const Enrolled = z.looseObject({ connector: z.string(), edge: z.string() });
const Running = z.looseObject({ metrics: z.string(), pid: z.number() });

export interface LocalConnector {
  readonly site: string;
  readonly id: string;
  readonly child: Child;
  readonly stateDirectory: string;
  /** Origin of its own listener on loopback: /metrics, /healthz, /ready. */
  readonly metrics: string;
}

export interface ConnectorOptions {
  readonly processes: Processes;
  readonly api: EdgeApi;
  /** Enrols a connector that is not yet; without one it cannot be. */
  readonly operatorToken: string | undefined;
  readonly site: string;
  readonly stateDirectory: string;
  /** PEM file of the authority that an https edge's certificate is from. */
  readonly caFile?: string;
  /** Port on loopback of its canary; absent: it has none. */
  readonly canaryPort?: number | undefined;
  /** More arguments of its `run`. */
  readonly more?: readonly string[];
}

const authority = ({ caFile }: ConnectorOptions): readonly string[] => (caFile === undefined ? [] : ["--ca", caFile]);
const canary = ({ canaryPort }: ConnectorOptions): readonly string[] => (canaryPort === undefined ? [] : ["--canary", `127.0.0.1:${canaryPort}`]);

const failed = async (child: Child, what: string): Promise<StartError> => new StartError(`${what}:\n${await logTail(child)}`, `read ${child.logFile}`);

async function enrolledId(options: ConnectorOptions): Promise<string | undefined> {
  const record = Enrolled.safeParse(await readPrivateJson(join(options.stateDirectory, "connector.json")));
  return record.success && record.data.edge === options.api.launcher ? record.data.connector : undefined;
}

/** Whether the connector can be started: it is enrolled, or a token is there to do it with. */
export async function canStart(options: ConnectorOptions): Promise<boolean> {
  return options.operatorToken !== undefined || (await enrolledId(options)) !== undefined;
}

/** Once; answers its id. */
export async function enroll(options: ConnectorOptions): Promise<string> {
  const { api, processes, site, stateDirectory } = options;
  await privateFolder(stateDirectory);
  const known = await enrolledId(options);
  if (known !== undefined) return known;
  if (options.operatorToken === undefined) throw new StartError(`the connector of site ${site} is not enrolled`, "enrolling it needs an operator token");
  const token = await api.enrollToken(options.operatorToken, site);
  const again = existsSync(join(stateDirectory, "connector.json")) ? ["--replace"] : [];
  const child = processes.start({
    name: `enroll-${site}`,
    argv: [process.execPath, PROGRAM, "enroll", api.launcher, "--token-file", "-", "--allow-site-config", "--name", `local-${site}`, "--state", stateDirectory, ...authority(options), ...again],
    env: plainEnvironment(),
    input: `${token}\n`,
  });
  const { code } = await child.exited;
  const id = await enrolledId(options);
  if (code !== 0 || id === undefined) throw await failed(child, `the connector of site ${site} could not enrol`);
  return id;
}

/** Resolves with the connector's own origin once it has written where it listens. */
async function listening(child: Child, runtimeFile: string): Promise<string> {
  const deadline = performance.now() + READY_TIMEOUT_MS;
  while (performance.now() < deadline && !child.ended()) {
    const running = Running.safeParse(await readPrivateJson(runtimeFile));
    if (running.success && running.data.pid === child.pid) return running.data.metrics;
    await new Promise((wake) => setTimeout(wake, POLL_MS));
  }
  throw await failed(child, "the connector did not start");
}

/** Enrols (once) and runs the connector of a site; resolves when all its lanes are up. */
export async function startConnector(options: ConnectorOptions): Promise<LocalConnector> {
  const { processes, site, stateDirectory } = options;
  const id = await enroll(options);
  const runtimeFile = join(stateDirectory, "runtime.json");
  await rm(runtimeFile, { force: true });
  const child = processes.start({
    name: `connector-${site}`,
    argv: [process.execPath, PROGRAM, "run", "--state", stateDirectory, ...authority(options), ...canary(options), ...(options.more ?? [])],
    env: plainEnvironment(),
  });
  const metrics = await listening(child, runtimeFile);
  await untilReady(`${metrics}/ready`, `the connector of site ${site}`, READY_TIMEOUT_MS, child.ended).catch(async (cause: unknown) => {
    throw cause instanceof StartError ? await failed(child, cause.message) : cause;
  });
  return { site, id, child, stateDirectory, metrics };
}
