/**
 * Asks each upstream that has a health check how it is, and reports an app when that is known and when it changed (P25).
 * A failing upstream is passed over, not forbidden: if none is healthy the first one is tried.
 */
import type { AppId } from "../core/ids.ts";
import type { AppEntry } from "./app-directory.ts";
import { HttpExchange } from "./http-exchange.ts";
import type { Metrics } from "./metrics.ts";
import type { Origin } from "./origin.ts";
import type { App, HealthCheck } from "./site-config.ts";

interface HealthReport {
  readonly app: AppId;
  readonly up: boolean;
  readonly detail: string;
}

export class HealthChecks {
  readonly #report: (report: HealthReport) => void;
  readonly #metrics: Metrics;
  readonly #timers = new Map<App, NodeJS.Timeout>();
  readonly #known = new Map<AppId, HealthReport>();

  constructor(report: (report: HealthReport) => void, metrics: Metrics) {
    this.#report = report;
    this.#metrics = metrics;
  }

  /** What a newly welcomed tunnel must be told. */
  now(): Iterable<HealthReport> {
    return this.#known.values();
  }

  /** Checks these apps from now on. */
  follow(entries: ReadonlyMap<AppId, AppEntry>): void {
    const wanted = new Set([...entries.values()].map(({ app }) => app));
    for (const [app, timer] of this.#timers) {
      if (wanted.has(app)) continue;
      clearInterval(timer);
      this.#timers.delete(app);
      this.#known.delete(app.id);
    }
    for (const entry of entries.values()) {
      const { app } = entry;
      if (app.health === undefined || this.#timers.has(app)) continue;
      const check = app.health;
      this.#timers.set(app, setInterval(() => void this.#round(entry, check), check.everyMs).unref());
      void this.#round(entry, check);
    }
  }

  stop(): void {
    for (const timer of this.#timers.values()) clearInterval(timer);
    this.#timers.clear();
  }

  async #round({ app, origins }: AppEntry, check: HealthCheck): Promise<void> {
    const results = await Promise.all(origins.map((origin) => ask(app, origin, check)));
    if (!this.#timers.has(app)) return;
    for (const [index, origin] of origins.entries()) {
      origin.healthy = results[index] === undefined;
      this.#metrics.gauge("postern_connector_upstream_healthy", origin.healthy ? 1 : 0, { app: app.id, upstream: String(index) });
    }
    const up = origins.some(({ healthy }) => healthy);
    if (up === this.#known.get(app.id)?.up) return;
    const detail = up ? "ok" : (results.find((result) => result !== undefined) ?? "no_upstream");
    const report = { app: app.id, up, detail };
    this.#known.set(app.id, report);
    this.#report(report);
  }
}

/** Undefined if the upstream is well, else why not. */
function ask(app: App, origin: Origin, check: HealthCheck): Promise<string | undefined> {
  if (origin.upstream.scheme === "tcp") {
    return origin.dial().then(
      (socket) => void socket.destroy(),
      () => "unreachable",
    );
  }
  return new Promise((done) => {
    const host = typeof app.host === "object" ? app.host.literal : origin.authority;
    const exchange = new HttpExchange(
      { method: "GET", path: check.path, headers: [["Host", host], ["User-Agent", "postern-connector health"]], body: { kind: "none" } },
      { agent: origin.agent, dial: () => origin.dial(), timeouts: { firstByteMs: Math.min(app.firstByteMs, check.everyMs), idleMs: check.everyMs } },
      {
        head: (status) => {
          exchange.destroy();
          done(check.expect.includes(status) ? undefined : `status_${status}`);
        },
        body: () => true,
        end: () => undefined,
        failed: (failure) => done(failure.kind === "dial" ? failure.error.failure : failure.kind),
      },
    );
    exchange.start();
  });
}
