/**
 * The edge as a plain workerd process: writes its configuration, starts it, learns its port.
 * Not `wrangler dev`: no proxy stands in between, so what is measured is the engine.
 */
import { cp, mkdir, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { createConnection } from "node:net";
import { join, resolve } from "node:path";
import type { Readable } from "node:stream";
import { ASSETS_FOLDER, edgeBundle } from "./edge-bundle.ts";
import { type Child, logTail, plainEnvironment, type Processes } from "./processes.ts";
import { StartError } from "./start-error.ts";
import { workerdConfig } from "./workerd-config.ts";

/** Longest wait for workerd to listen. */
const LISTEN_TIMEOUT_MS = 30_000;

export interface WorkerdOptions {
  readonly processes: Processes;
  /** Folder that workerd may own: configuration, modules and the objects' storage go below it. */
  readonly stateDirectory: string;
  /** The wrangler.toml to run. */
  readonly configPath: string;
  /** Where bundles are kept between starts. */
  readonly cacheDirectory: string;
  /** TCP port on 127.0.0.1; 0 lets the system choose. */
  readonly port: number;
  readonly vars?: Readonly<Record<string, string>>;
  /** Values by name; they reach the Worker through workerd's environment only. */
  readonly secrets: Readonly<Record<string, string>>;
  readonly factsHeader?: string;
  /** More arguments of workerd; for profiling. */
  readonly workerdArguments?: readonly string[];
  /** Flags of V8 besides ours; for tests of what only optimised code does. */
  readonly v8Flags?: readonly string[];
}

export interface RunningWorkerd {
  readonly child: Child;
  readonly port: number;
}

/** Something else listens on the port that was asked for. */
export class PortTakenError extends StartError {
  constructor(port: number) {
    super(`port ${port} is in use by another program`, "end that program, or choose another port: npm start -- --port 0");
  }
}

const projectRequire = createRequire(import.meta.url);

/** The workerd binary that wrangler itself pins, so that bundle and engine always match. */
function workerdBinary(): string {
  const fromWrangler = createRequire(projectRequire.resolve("wrangler/package.json"));
  return (fromWrangler("workerd") as { default: string }).default;
}

/** Whether something accepts connections on a loopback port. */
export function isListening(port: number): Promise<boolean> {
  return new Promise((answer) => {
    const socket = createConnection({ host: "127.0.0.1", port });
    socket.once("connect", () => {
      socket.destroy();
      answer(true);
    });
    socket.once("error", () => answer(false));
  });
}

/** Resolves with the port that workerd reports on its control descriptor; never when it says nothing. */
function reportedPort(control: Readable): Promise<number> {
  return new Promise((found) => {
    let text = "";
    control.setEncoding("utf8");
    control.on("data", (chunk: string) => {
      text += chunk;
      const lines = text.split("\n");
      text = lines.pop() ?? "";
      for (const line of lines) {
        const message = JSON.parse(line) as { event?: unknown; socket?: unknown; port?: unknown };
        if (message.event === "listen" && message.socket === "http" && typeof message.port === "number") found(message.port);
      }
    });
  });
}

/** Builds (or reuses) the bundle and starts workerd; resolves once it listens, throws StartError when it cannot. */
export async function startWorkerd(options: WorkerdOptions): Promise<RunningWorkerd> {
  const state = resolve(options.stateDirectory);
  if (options.port !== 0 && (await isListening(options.port))) throw new PortTakenError(options.port);
  const bundle = await edgeBundle(options.configPath, options.cacheDirectory);
  const modules = join(state, "edge");
  const objects = join(state, "objects");
  await rm(modules, { recursive: true, force: true });
  await mkdir(modules, { recursive: true });
  await mkdir(objects, { recursive: true, mode: 0o700 });
  await Promise.all(bundle.modules.map(({ name }) => cp(join(bundle.directory, name), join(modules, name))));
  await cp(join(bundle.directory, ASSETS_FOLDER), join(modules, ASSETS_FOLDER), { recursive: true });
  const configFile = join(state, "workerd.capnp");
  const text = workerdConfig({
    bundle,
    modulesFolder: "edge",
    objectsFolder: objects,
    assetsFolder: join(modules, ASSETS_FOLDER),
    vars: { POSTERN_EDGE_KIND: "local", POSTERN_BATCHING: "on", ...options.vars },
    secretNames: Object.keys(options.secrets),
    ...(options.factsHeader === undefined ? {} : { factsHeader: options.factsHeader }),
    ...(options.v8Flags === undefined ? {} : { v8Flags: options.v8Flags }),
  });
  await writeFile(configFile, text, { mode: 0o600 });
  const child = options.processes.start({
    name: "edge",
    argv: [workerdBinary(), "serve", configFile, "config", "--experimental", "--control-fd=3", `--socket-addr=http=127.0.0.1:${options.port}`, ...(options.workerdArguments ?? [])],
    env: { ...plainEnvironment(), ...options.secrets },
    channel: "pipe",
  });
  const control = child.process.stdio[3] as Readable;
  let timer: NodeJS.Timeout | undefined;
  const silent = new Promise<"silent">((say) => {
    timer = setTimeout(() => say("silent"), LISTEN_TIMEOUT_MS);
  });
  const outcome = await Promise.race([reportedPort(control), child.exited.then(() => "ended" as const), silent]);
  clearTimeout(timer);
  if (typeof outcome === "number") return { child, port: outcome };
  const tail = await logTail(child);
  await child.stop(0);
  if (/Address already in use/i.test(tail)) throw new PortTakenError(options.port);
  throw new StartError(`workerd ${outcome === "ended" ? "ended at once" : "did not listen in time"}:\n${tail}`, `read ${child.logFile}`);
}

