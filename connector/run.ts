/**
 * `postern-connector run`: one Lane per lane of the site, the local server, health checks, and an
 * orderly end on SIGTERM or SIGINT. Wires; each part is a file of its own.
 */
import { randomBytes } from "node:crypto";
import type { AppId } from "../core/ids.ts";
import { verifySiteConfig } from "../identity/signed-document.ts";
import { type Endpoint, withCanary } from "./allow-list.ts";
import { AppDirectory } from "./app-directory.ts";
import { Canary } from "./canary.ts";
import { systemResolver } from "./dial.ts";
import type { Resolver } from "./dial.ts";
import { edgeRoute } from "./edge-route.ts";
import { ownKey } from "./endorse.ts";
import { Failure } from "./failure.ts";
import type { Identity } from "./handshake.ts";
import { HealthChecks } from "./health-checks.ts";
import { Lane } from "./lane.ts";
import type { LocalServer } from "./local-server.ts";
import { startLocalServer } from "./local-server.ts";
import type { Log } from "./log.ts";
import { createMetrics } from "./metrics.ts";
import { Endorsements } from "./endorsements.ts";
import { PinnedKeys, pinKeySet } from "./pinned-keys.ts";
import { readSiteConfig } from "./site-config.ts";
import type { ConnectorState } from "./state.ts";
import { TargetFiles } from "./target-files.ts";
import { TcpStreams } from "./tcp-streams.ts";
import { secureContext } from "../channel/secure-stream.ts";
import { loadState, removeStateFile, serializeState, writeStateFile } from "./state.ts";

export interface RunOptions {
  readonly state: string;
  readonly metricsPort: number;
  readonly ca: string | undefined;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly log: Log;
  /** Files that say of an app what it is (docs/connector.md). */
  readonly targets?: ReadonlyMap<AppId, string>;
  /** Where this connector's own canary listens; absent: it has none. */
  readonly canary?: Endpoint | undefined;
  /** Milliseconds since 1970, and a number in [0, 1). */
  readonly now: () => number;
  readonly random: () => number;
  readonly resolve?: Resolver;
}

export interface Running {
  /** `http://127.0.0.1:PORT` of the local server. */
  readonly metrics: string;
  /** Resolves when drained; rejects with Failure when the edge refuses for good. */
  readonly ended: Promise<void>;
  /** Starts the orderly end. */
  drain(): void;
}

/** Starts everything. Throws Failure if the state or the settings cannot be used. */
export async function startConnector(options: RunOptions): Promise<Running> {
  const { log, now } = options;
  const stored = new StoredState(options.state, log);
  const identity = await loadIdentity(options.state, stored);
  const { state } = identity;
  const route = edgeRoute(state.edge, options.environment, options.ca);
  const metrics = createMetrics();
  const apps = new AppDirectory(withCanary(state.allow, options.canary), options.resolve ?? systemResolver);
  const streams = new TcpStreams(metrics);
  const endorsements = new Endorsements(options.state);
  const tcp = { streams, context: secureContext(identity.key.privateJwk), endorsements: () => endorsements.current() };
  const lanes: Lane[] = [];
  const health = new HealthChecks(({ app, up, detail }) => {
    log.info("health_changed", { app, up, detail });
    for (const lane of lanes) lane.reportHealth(app, up, detail);
  }, metrics);
  const targets = new TargetFiles(options.targets ?? new Map(), log, (report) => {
    for (const lane of lanes) lane.reportTarget(report);
  });
  await targets.start();
  const canary = options.canary === undefined ? undefined : new Canary(options.canary, log);
  canary?.start();
  apps.onChange = (entries) => health.follow(entries);

  const takeConfig = async (jws: string): Promise<string | undefined> => {
    const verified = await verifySiteConfig(jws, identity.keys.current, { site: state.site, minimumVersion: apps.version });
    if (!verified.ok) return verified.error;
    const read = readSiteConfig(verified.value.config);
    if (read === undefined) return "shape";
    if (read.leftOut > 0) log.error("apps_unreadable", { count: read.leftOut, version: verified.value.version });
    apps.replace(verified.value.version, read.apps);
    if (read.lanes !== undefined && read.lanes !== lanes.length) resize(read.lanes);
    return undefined;
  };

  const makeLane = (lane: number): Lane => new Lane({
    lane, identity, route, apps, log, metrics, tcp, now, random: options.random, takeConfig,
    onWelcome: (welcomed) => {
      for (const { app, up, detail } of health.now()) welcomed.reportHealth(app, up, detail);
      for (const report of targets.now()) welcomed.reportTarget(report);
    },
  });
  const { promise: allEnded, resolve: endWell, reject: endBadly } = Promise.withResolvers<void>();
  let running = 0;
  let draining = false;
  const start = (lane: Lane): void => {
    running++;
    lane.run().then(() => {
      running--;
      if (running === 0) endWell();
    }, endBadly);
  };
  /** The site has more lanes now, or fewer: those that are left over let their streams finish. */
  const resize = (count: number): void => {
    if (draining) return;
    log.info("lanes_changed", { from: lanes.length, to: count });
    stored.change({ lanes: count });
    for (const left of lanes.splice(count)) left.drain();
    while (lanes.length < count) {
      const lane = makeLane(lanes.length);
      lanes.push(lane);
      start(lane);
    }
  };
  while (lanes.length < state.lanes) lanes.push(makeLane(lanes.length));
  const server = await listen(options.metricsPort, metrics, lanes);
  writeStateFile(options.state, "runtime", { pid: process.pid, metrics: server.url, startedAt: new Date(now()).toISOString() });
  log.info("started", { connector: state.connector, site: state.site, lanes: state.lanes, edge: state.edge.host });

  for (const lane of lanes) start(lane);
  const ended = allEnded.finally(() => {
    for (const lane of lanes) lane.destroy();
    streams.destroyAll();
    health.stop();
    targets.stop();
    canary?.stop();
    apps.retireAll();
    server.close();
    removeStateFile(options.state, "runtime");
  });
  return {
    metrics: server.url,
    ended,
    drain: () => {
      log.info("draining");
      draining = true;
      for (const lane of lanes) lane.drain();
    },
  };
}

async function listen(port: number, metrics: ReturnType<typeof createMetrics>, lanes: readonly Lane[]): Promise<LocalServer> {
  try {
    return await startLocalServer(port, metrics, () => lanes.map((lane) => lane.status()));
  } catch {
    throw new Failure("metrics_port", `127.0.0.1:${port} cannot be used for metrics`, "another process listens there", "choose another --metrics-port, or 0 for any free one");
  }
}

/**
 * What enrolment left, with the changes that the edge made since; written whole each time. What a full
 * disk or a folder that nobody may write does not take counts while the process runs: the edge says it again.
 */
class StoredState {
  readonly #directory: string;
  readonly #log: Log;
  #state: ConnectorState;

  constructor(directory: string, log: Log) {
    this.#directory = directory;
    this.#log = log;
    this.#state = loadState(directory);
  }

  get state(): ConnectorState {
    return this.#state;
  }

  change(change: Partial<Pick<ConnectorState, "keySet" | "lanes">>): void {
    this.#state = { ...this.#state, ...change };
    try {
      writeStateFile(this.#directory, "connector", serializeState(this.#state));
    } catch (error) {
      this.#log.error("state_unwritable", { code: (error as NodeJS.ErrnoException).code });
    }
  }
}

async function loadIdentity(directory: string, stored: StoredState): Promise<Identity> {
  const { state } = stored;
  const key = await ownKey(directory);
  const keys = new PinnedKeys(await pinKeySet(state.keySet), (jws) => stored.change({ keySet: jws }));
  return { state, key, keys, instance: randomBytes(24).toString("base64url") };
}
