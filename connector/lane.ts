/**
 * One lane: connects, shakes hands, serves, and connects anew with full jitter when it ends,
 * unless the edge said "never". A drained tunnel goes on serving while its successor starts.
 */
import type { WebSocket } from "ws";
import type { AppId } from "../core/ids.ts";
import { HANDSHAKE_MS } from "../protocol/deadlines.ts";
import { failuresAfter, reconnectDelay } from "../protocol/backoff.ts";
import { CLOSE_CODES } from "../protocol/close-codes.ts";
import { closeName, type Retry, retryAfterClose } from "../protocol/close-rules.ts";
import { CONNECT_PATH } from "../protocol/paths.ts";
import { AdmissionStore } from "./admission-store.ts";
import type { AppDirectory } from "./app-directory.ts";
import { UpgradeRefused, diagnose, diagnoseClock } from "./diagnose.ts";
import type { EdgeRoute } from "./edge-dial.ts";
import { openEdgeSocket } from "./edge-socket.ts";
import { Failure } from "./failure.ts";
import { shakeHands } from "./handshake.ts";
import type { Identity } from "./handshake.ts";
import type { LaneStatus } from "./local-server.ts";
import type { Log } from "./log.ts";
import type { Metrics } from "./metrics.ts";
import { BulkWay, SegmentRequests } from "./segment-requests.ts";
import { HandshakeClosed, SocketInbox } from "./socket-inbox.ts";
import { StreamGate } from "./stream-gate.ts";
import type { TargetReport } from "./target-files.ts";
import type { TcpParts } from "./tcp-origin.ts";
import { Tunnel } from "./tunnel.ts";

interface LaneParts {
  readonly lane: number;
  readonly identity: Identity;
  readonly route: EdgeRoute;
  readonly apps: AppDirectory;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly tcp: TcpParts;
  readonly now: () => number;
  readonly random: () => number;
  /** Verifies and takes a site configuration; resolves to the problem's name, or undefined. */
  readonly takeConfig: (jws: string) => Promise<string | undefined>;
  /** Called for each tunnel that was welcomed. */
  readonly onWelcome: (lane: Lane) => void;
}

/** The edge's answers to an upgrade that will not change: unknown or revoked, gone, no common version. */
const FINAL_STATUSES: ReadonlySet<number> = new Set([401, 410, 426]);

export class Lane {
  readonly #parts: LaneParts;
  readonly #stop = new AbortController();
  #state: LaneStatus["state"] = "connecting";
  #failure: string | undefined;
  #tunnel: Tunnel | undefined;
  readonly #draining = new Set<Tunnel>();
  /** Outlives each tunnel: what is detached waits for the next. */
  readonly #contact = { at: performance.now() };
  readonly #bulk: BulkWay;

  constructor(parts: LaneParts) {
    this.#parts = parts;
    this.#bulk = new BulkWay(parts.route, parts.lane, parts.log, parts.metrics);
  }

  status(): LaneStatus {
    const streams = (this.#tunnel?.streamCount ?? 0) + [...this.#draining].reduce((sum, tunnel) => sum + tunnel.streamCount, 0);
    return { lane: this.#parts.lane, state: this.#state, streams, failure: this.#failure };
  }

  /** Runs until drained; throws Failure when the edge refuses this connector for good. */
  async run(): Promise<void> {
    let failures = 0;
    while (!this.#stop.signal.aborted) {
      const { retry, welcomedMs, failure } = await this.#serveOnce();
      if (this.#stop.signal.aborted) break;
      if (failure !== undefined) this.#failure = failure.code;
      const next = failuresAfter(failures, welcomedMs, retry);
      if (next === undefined) {
        this.#set("stopped");
        throw failure ?? new Failure("stopped", "the edge ended this connector's tunnel for good", "it said not to come back", "see `postern connectors` and `postern edge-status`");
      }
      failures = next;
      this.#set("waiting");
      await sleep(reconnectDelay(failures, this.#parts.random()), this.#stop.signal);
    }
    await Promise.all([this.#tunnel?.ended, ...[...this.#draining].map((tunnel) => tunnel.ended)]);
    this.#set("stopped");
  }

  /** No new streams; open ones may finish. `run` resolves when they have, at most 30 s later. */
  drain(): void {
    this.#stop.abort();
    if (this.#state === "ready") this.#set("draining");
    this.#tunnel?.drain();
    for (const tunnel of this.#draining) tunnel.drain();
  }

  /** Ends everything at once. */
  destroy(): void {
    this.#stop.abort();
    this.#tunnel?.destroy();
    for (const tunnel of this.#draining) tunnel.destroy();
    this.#bulk.destroy();
  }

  reportHealth(app: AppId, up: boolean, detail: string): void {
    this.#tunnel?.reportHealth(app, up, detail);
  }

  reportTarget(report: TargetReport): void {
    this.#tunnel?.reportTarget(report);
  }

  async #serveOnce(): Promise<{ retry: Retry; welcomedMs: number; failure?: Failure }> {
    const { lane, log, metrics } = this.#parts;
    this.#set("connecting");
    let tunnel: Tunnel;
    try {
      tunnel = await this.#connectUnlessStopped();
    } catch (error) {
      const { retry, failure } = this.#explain(error);
      if (this.#stop.signal.aborted) return { retry, welcomedMs: 0 };
      metrics.count("postern_connector_connects_total", { outcome: failure.code });
      // The same failure again and again is one line, until it changes.
      if (failure.code !== this.#failure) log.error("connect_failed", { lane, code: failure.code, what: failure.message, why: failure.why, next: failure.next });
      return { retry, welcomedMs: 0, failure };
    }
    const since = performance.now();
    metrics.count("postern_connector_connects_total", { outcome: "welcomed" });
    this.#failure = undefined;
    this.#tunnel = tunnel;
    this.#set("ready");
    log.info("lane_ready", { lane });
    if (this.#stop.signal.aborted) tunnel.drain();
    this.#parts.onWelcome(this);
    await tunnel.left;
    const settled = await Promise.race([tunnel.ended, Promise.resolve(undefined)]);
    const welcomedMs = performance.now() - since;
    if (settled === undefined && !this.#stop.signal.aborted) {
      // The edge drains: this tunnel finishes by itself while the next one starts.
      this.#draining.add(tunnel);
      void tunnel.ended.then(() => this.#draining.delete(tunnel));
      return { retry: "now", welcomedMs };
    }
    const { code, retry } = settled ?? (await tunnel.ended);
    log.info("lane_closed", { lane, code, meaning: closeName(code) });
    return { retry, welcomedMs, ...(retry === "never" && { failure: closedForGood(code) }) };
  }

  /** A connection that is still under way when the process is told to stop is not waited for. */
  async #connectUnlessStopped(): Promise<Tunnel> {
    const connecting = this.#connect();
    const { signal } = this.#stop;
    const stopped = Promise.withResolvers<never>();
    const stop = (): void => stopped.reject(new Failure("stopped", "stopped while connecting", "the process was told to end", "nothing to do"));
    signal.addEventListener("abort", stop);
    try {
      return await Promise.race([connecting, stopped.promise]);
    } catch (error) {
      if (signal.aborted) connecting.then((tunnel) => tunnel.destroy(), () => undefined);
      throw error;
    } finally {
      signal.removeEventListener("abort", stop);
    }
  }

  async #connect(): Promise<Tunnel> {
    const { lane, identity, route, apps, log, metrics } = this.#parts;
    // Nobody waits for what the edge pushes: whatever becomes of it is a line, and never the end of the process.
    const say = (event: string, outcome: Promise<string | undefined>): void =>
      void outcome.catch(() => "internal").then((problem) => problem !== undefined && log.warn(event, { lane, problem }));
    const socket = await openEdgeSocket(route, `${CONNECT_PATH}?connector=${identity.state.connector}&lane=${lane}`);
    const timer = setTimeout(() => socket.close(CLOSE_CODES.handshake_timeout.code, CLOSE_CODES.handshake_timeout.meaning), HANDSHAKE_MS);
    const inbox = new SocketInbox(socket);
    try {
      const { macKey, clock, config } = await shakeHands(inbox, lane, identity, this.#parts.now);
      const problem = await this.#parts.takeConfig(config);
      // An edge that was restored from a backup: what is known stays, and somebody should look.
      if (problem === "older_version") log.warn("config_older", { lane });
      else if (problem !== undefined) throw new Failure("site_config", `the site's configuration cannot be used (${problem})`, "it is not signed by a pinned key, or not for this site", "see the edge's logs");
      if (socket.readyState !== socket.OPEN) throw new HandshakeClosed(1006);
      const admissions = new AdmissionStore(identity.keys, clock, identity.key.thumbprint, identity.state.site);
      const tunnel = new Tunnel({
        socket,
        lane,
        admissions,
        gate: new StreamGate(macKey, admissions, apps),
        segments: new SegmentRequests(this.#bulk, macKey),
        log,
        metrics,
        tcp: this.#parts.tcp,
        contact: this.#contact,
        onConfig: (jws) => say("config_refused", this.#parts.takeConfig(jws)),
        onKeys: (jws) => say("keys_refused", identity.keys.accept(jws)),
      });
      inbox.attach(tunnel);
      return tunnel;
    } catch (error) {
      abandon(socket);
      throw error;
    } finally {
      clearTimeout(timer);
    }
  }

  #explain(error: unknown): { retry: Retry; failure: Failure } {
    const { route, now } = this.#parts;
    if (error instanceof HandshakeClosed) {
      const retry = retryAfterClose(error.closeCode);
      if (retry === "never") return { retry, failure: closedForGood(error.closeCode) };
      const name = closeName(error.closeCode) ?? "closed";
      return { retry, failure: new Failure(name, `the edge closed the tunnel during the handshake (${error.closeCode})`, CLOSE_CODES[closeName(error.closeCode) ?? "internal"].meaning, "the connector tries again by itself; see `postern edge-status`") };
    }
    if (error instanceof UpgradeRefused) {
      const clock = error.fromEdge && error.date !== undefined ? diagnoseClock(error.date, now()) : undefined;
      const gone = error.fromEdge && FINAL_STATUSES.has(error.status);
      return { retry: gone ? "never" : "later", failure: clock ?? diagnose(error, route.edge, route.proxy !== undefined) };
    }
    return { retry: "later", failure: diagnose(error, route.edge, route.proxy !== undefined) };
  }

  #set(state: LaneStatus["state"]): void {
    this.#state = state;
    this.#parts.metrics.gauge("postern_connector_lane_up", state === "ready" ? 1 : 0, { lane: String(this.#parts.lane) });
  }
}

function closedForGood(code: number): Failure {
  switch (closeName(code)) {
    case "connector_revoked":
      return new Failure("revoked", "this connector was revoked", "an operator revoked it; its key is worth nothing any more", "to enrol anew: postern enroll-token SITE, then postern-connector enroll … --replace");
    case "superseded":
      return new Failure("superseded", "another process connected with this connector's key and took its place", "the newest connection of a connector wins; a copied state directory does this", "stop one of the two; for a replica enrol a second connector");
    case "version_unsupported":
      return new Failure("version", "the edge does not speak this connector's protocol version", "the edge serves the two newest versions", "update the connector");
    default:
      return new Failure("refused", `the edge ended the tunnel for good (${code})`, CLOSE_CODES[closeName(code) ?? "not_allowed"].meaning, "see `postern connectors` and `postern edge-status`");
  }
}

function abandon(socket: WebSocket): void {
  if (socket.readyState === socket.OPEN) socket.close(CLOSE_CODES.handshake_refused.code, CLOSE_CODES.handshake_refused.meaning);
  else socket.terminate();
}

function sleep(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((done) => {
    const timer = setTimeout(finish, ms);
    function finish(): void {
      clearTimeout(timer);
      signal.removeEventListener("abort", finish);
      done();
    }
    if (signal.aborted) finish();
    else signal.addEventListener("abort", finish);
  });
}
