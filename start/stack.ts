/**
 * The whole product on one machine: edge, demo parts, setup, connectors, in the order in which
 * each needs the one before. Used by `npm start` and by the end-to-end tests. Prints nothing.
 */
import { randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { READY_PATH } from "../protocol/paths.ts";
import { startDemoParts } from "./demo-parts.ts";
import { DEMO_PASSWORD, DEMO_USERS } from "./demo-users.ts";
import { type LocalDocument, localDocument } from "./document.ts";
import { edgeApi, untilReady } from "./edge-api.ts";
import { EDGE_CACHE } from "./edge-bundle.ts";
import { documentPath, keptDemoDocument, writeDocument } from "./kept-document.ts";
import { canStart, type LocalConnector, startConnector } from "./local-connector.ts";
import { bringLive } from "./local-setup.ts";
import { type Child, createProcesses, type Processes } from "./processes.ts";
import { StartError } from "./start-error.ts";
import { keptSecret, lockFolder, privateFolder, readText, writePrivate } from "./state-files.ts";
import { PortTakenError, type RunningWorkerd, startWorkerd } from "./workerd.ts";

const PROJECT = resolve(import.meta.dirname, "..");
/** Longest wait for the edge to answer its readiness probe. */
const EDGE_READY_TIMEOUT_MS = 20_000;

export interface StackOptions {
  /** Folder that survives restarts. */
  readonly stateDirectory: string;
  /** 0 lets the system choose, once per state folder while the choice stays free. */
  readonly port: number;
  /** A policy document of one's own; absent: the demo. */
  readonly documentFile?: string;
  /** Where secrets named in the document are looked up; absent names are an error. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Let test traffic set request.cf through a header of random name. */
  readonly testFacts?: boolean;
  /** Another Worker than the project's; for tests of the start itself. */
  readonly wranglerConfig?: string;
  /** More arguments of workerd; for profiling. */
  readonly workerdArguments?: readonly string[];
  /** Flags of V8 besides ours; for tests of what only optimised code does. */
  readonly v8Flags?: readonly string[];
  /** More arguments of every connector's `run`; for tests of what it is told there. */
  readonly connectorArguments?: readonly string[];
  /** Sites for which no connector is started; for tests that start their own. */
  readonly withoutConnectors?: boolean;
  /** Gives the start up: what runs is ended and the promise rejects. Without effect once it has resolved. */
  readonly signal?: AbortSignal;
  /** Told what is being done, one short line each. */
  readonly onProgress?: (line: string) => void;
}

export interface Stack {
  readonly launcher: string;
  readonly port: number;
  readonly apps: readonly { readonly id: string; readonly url: string; readonly protocol: "http" | "tcp" }[];
  /** Issuer of the first provider, with its real address. */
  readonly issuer: string;
  readonly users: readonly { readonly name: string; readonly password: string }[];
  readonly redirectUris: readonly string[];
  readonly connectors: readonly LocalConnector[];
  readonly tokenFile: string;
  /** What a person should know about this start: a changed document, a missing token. */
  readonly notices: readonly string[];
  /** The document that is live, as it was applied. */
  readonly documentFile: string;
  readonly factsHeader?: string;
  readonly processes: Processes;
  readonly stateDirectory: string;
  /** The workerd process; a new one after restartEdge. */
  readonly edge: () => Child;
  /** Kills workerd (SIGKILL) and starts it again on the same port and storage. */
  readonly restartEdge: () => Promise<void>;
  /** Ends every process; safe to call twice. */
  readonly stop: () => Promise<void>;
}

/** An origin without the default port. */
const origin = (host: string, port: number): string => `http://${host}${port === 80 ? "" : `:${port}`}`;

async function loadDocument(options: StackOptions, state: string): Promise<LocalDocument> {
  const kept = options.documentFile === undefined ? await keptDemoDocument(state) : undefined;
  if (kept !== undefined) return kept;
  const file = options.documentFile ?? join(import.meta.dirname, "demo.yaml");
  const text = await readFile(file, "utf8").catch(() => undefined);
  if (text === undefined) throw new StartError(`${file} cannot be read`, "give the path of a policy document: --config FILE", 2);
  return localDocument(text, file);
}

/** The value of every secret that the document names. The demo provider's own is made here. */
async function documentSecrets(document: LocalDocument, options: StackOptions, state: string): Promise<Record<string, string>> {
  const demoSecret = document.demoParts.includes("idp") ? document.providers.find((one) => one.issuer.includes("idp.demo.localhost"))?.secretName : undefined;
  const secrets: Record<string, string> = {};
  const missing: string[] = [];
  for (const name of document.secretNames) {
    const given = options.environment[name];
    if (given !== undefined && given !== "") secrets[name] = given;
    else if (name === demoSecret) secrets[name] = await keptSecret(join(state, "demo-client-secret"));
    else missing.push(name);
  }
  if (missing.length > 0) throw new StartError(`the document names secrets that have no value: ${missing.join(", ")}`, "set them in the environment or in a file given with --env-file");
  return secrets;
}

/** Starts everything and resolves once all of it answers; on failure ends what it had started and rejects with StartError. */
export async function startStack(options: StackOptions): Promise<Stack> {
  const state = await privateFolder(resolve(options.stateDirectory));
  const document = await loadDocument(options, state);
  const release = await lockFolder(state);
  const processes = createProcesses(await privateFolder(join(state, "logs")));
  let stopping: Promise<void> | undefined;
  const stop = (): Promise<void> => (stopping ??= processes.stopAll().then(release));
  const giveUp = (): void => void stop();
  options.signal?.addEventListener("abort", giveUp);
  try {
    return await assemble(options, { state, document, processes, stop });
  } catch (cause) {
    await stop();
    throw cause;
  } finally {
    options.signal?.removeEventListener("abort", giveUp);
  }
}

/** Port 0 means the one of last time while it is free, so that addresses, cookies and enrolments go on being good. */
async function startOnPort(asked: number, portFile: string, run: (port: number) => Promise<RunningWorkerd>): Promise<RunningWorkerd> {
  const last = asked === 0 ? Number(await readText(portFile)) : Number.NaN;
  if (!Number.isInteger(last) || last <= 0) return run(asked);
  return run(last).catch((cause: unknown) => {
    if (cause instanceof PortTakenError) return run(0);
    throw cause;
  });
}

interface Ground {
  readonly state: string;
  readonly document: LocalDocument;
  readonly processes: Processes;
  readonly stop: () => Promise<void>;
}

async function assemble(options: StackOptions, { state, document, processes, stop }: Ground): Promise<Stack> {
  const progress = options.onProgress ?? (() => undefined);
  const factsHeader = options.testFacts === true ? `x-facts-${randomBytes(12).toString("hex")}` : undefined;
  const setupKey = await keptSecret(join(state, "setup-key"));
  const secrets = await documentSecrets(document, options, state);
  const runEdge = (port: number): Promise<RunningWorkerd> =>
    startWorkerd({
      processes,
      stateDirectory: state,
      configPath: options.wranglerConfig ?? join(PROJECT, "wrangler.toml"),
      cacheDirectory: EDGE_CACHE,
      port,
      secrets: { ...secrets, POSTERN_SETUP_KEY: setupKey },
      ...(factsHeader === undefined ? {} : { factsHeader }),
      ...(options.workerdArguments === undefined ? {} : { workerdArguments: options.workerdArguments }),
      ...(options.v8Flags === undefined ? {} : { v8Flags: options.v8Flags }),
    });
  progress("starting the edge (the first start builds it)");
  const portFile = join(state, "port");
  let edge = await startOnPort(options.port, portFile, runEdge);
  const { port } = edge;
  await writePrivate(portFile, `${port}\n`);
  const launcher = origin(document.domain, port);
  const ready = (): Promise<void> => untilReady(`${launcher}${READY_PATH}`, "the edge", EDGE_READY_TIMEOUT_MS, edge.child.ended);

  progress("starting the parts that the document names");
  const ports = await startDemoParts({ processes, document, stateDirectory: state, launcher, secrets });
  await ready();

  progress("bringing the document live");
  const text = document.render(ports);
  const documentFile = documentPath(state);
  const notices: string[] = [];
  await writeDocument(state, options.documentFile === undefined ? "demo" : "config", text, ports, (line) => notices.push(line));
  const api = edgeApi(launcher);
  const operator = await bringLive({ api, stateDirectory: state, setupKey, text, documentFile, namesLocalOperator: document.namesLocalOperator, isDemo: ports.idp !== undefined });
  notices.push(...operator.notices);

  progress("starting the connectors");
  const wanted = (options.withoutConnectors === true ? [] : document.sites).map((site) => ({ processes, api, operatorToken: operator.token, site, stateDirectory: join(state, "connectors", site), canaryPort: document.canarySites.includes(site) ? ports.canary : undefined, more: options.connectorArguments ?? [] }));
  const startable = await Promise.all(wanted.map(canStart));
  const left = wanted.filter((_one, index) => startable[index] !== true).map((one) => one.site);
  if (left.length > 0) notices.push(`no connector runs for ${left.join(", ")}: enrolling one needs an operator token`);
  const connectors = await Promise.all(wanted.filter((_one, index) => startable[index] === true).map(startConnector));

  const isDemo = ports.idp !== undefined;
  return {
    launcher,
    port,
    apps: document.apps.map((app) => ({ id: app.id, url: origin(app.host, port), protocol: app.protocol })),
    issuer: isDemo ? `http://127.0.0.1:${ports.idp}` : (document.providers[0]?.issuer ?? ""),
    users: isDemo ? DEMO_USERS.map((user) => ({ name: user.name, password: DEMO_PASSWORD })) : [],
    redirectUris: [`${launcher}/.postern/callback`],
    connectors,
    tokenFile: operator.tokenFile,
    notices,
    documentFile,
    ...(factsHeader === undefined ? {} : { factsHeader }),
    processes,
    stateDirectory: state,
    edge: () => edge.child,
    restartEdge: async () => {
      await edge.child.stop(0);
      edge = await runEdge(port);
      await ready();
    },
    stop,
  };
}
