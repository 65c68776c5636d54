/**
 * What the connectors of this lane say of the apps behind them: facts of the app, which decisions
 * look at where a policy names them (`target`). Said on a socket, and gone with it; kept for a
 * wake (M3). Not the decision.
 */
import type { AppId } from "../../core/ids.ts";
import { at } from "../../core/time.ts";
import type { Fact, Facts } from "../../policy/facts.ts";
import type { ConnectorMessage } from "../../protocol/control.ts";
import { within } from "../within.ts";
import type { ConnectorLink } from "./connector-link.ts";
import type { ConnectorLinks } from "./connector-links.ts";
import type { PolicyHold } from "./policy-hold.ts";

/** What a connector says of an app. */
export type TargetReport = Extract<ConnectorMessage, { readonly t: "health" | "target" }>;
type Known = Facts["known"];

/** In the object's storage: `target/<link>/<app>`. */
const PREFIX = "target/";
const HEALTHY = "target.healthy";
const FROM_FILE = ["version", "digest", "critical", "high"] as const;
/** A connector that was just welcomed says what it knows at once: a decision waits this long for it. */
const FIRST_REPORT_MS = 1_000;

interface Kept {
  list(options: { prefix: string }): Iterable<[string, unknown]>;
  put(key: string, value: unknown): void;
  delete(key: string): unknown;
}
const keptName = (link: ConnectorLink, app: AppId): string => PREFIX + `${link.id}/${app}`;

export class Targets {
  readonly #kept: Kept;
  readonly #links: ConnectorLinks;
  readonly #policy: PolicyHold;
  readonly #changed: (app: AppId) => void;
  #said: Map<string, Known> | undefined;
  /** Counts what was said: who waited on the way to a stream looks again (M1). */
  revision = 0;
  #news = Promise.withResolvers<void>();

  /** `changed`: what lives of this app must be decided again. */
  constructor(kept: Kept, links: ConnectorLinks, policy: PolicyHold, changed: (app: AppId) => void) {
    this.#kept = kept;
    this.#links = links;
    this.#policy = policy;
    this.#changed = changed;
  }

  /** A stream's own facts, and those of its app if some policy about it looks at them. */
  beside(connection: Known, app: AppId): Known {
    return this.#reads(app).length === 0 ? connection : { ...connection, ...this.of(app) };
  }

  /** What every connector that serves now says in the same words; of an older and a newer observation the older counts. */
  of(app: AppId): Known {
    const newcomers = this.#newcomers(app, this.#reads(app));
    const [first = {}, ...others] = this.#serving(newcomers).map((link) => this.#saidOn(link, app));
    const agreed: Record<string, Fact> = {};
    for (const name in first) {
      // Nobody checks it any more: what was said of it last is not so now.
      if (name === HEALTHY && this.#policy.compiled?.app(app)?.health === undefined) continue;
      const facts = [first, ...others].map((known) => known[name]);
      const oldest = facts.reduce((one, other) => (one === undefined || other === undefined || other.value !== one.value ? undefined : other.observedAt < one.observedAt ? other : one));
      if (oldest !== undefined) agreed[name] = oldest;
    }
    return agreed;
  }

  /** The same for the edge, by the newest policy and without who is dead. */
  async told(app: AppId): Promise<Known> {
    await this.#policy.fresh(Date.now);
    this.#links.sweep();
    await this.settled(app);
    return this.of(app);
  }

  /** Waits for the first word of who was welcomed a moment ago, if a policy wants it. */
  async settled(app: AppId): Promise<void> {
    const reads = this.#reads(app);
    if (reads.length === 0) return;
    for (;;) {
      const due = Math.max(0, ...this.#newcomers(app, reads).map(({ welcomedAt }) => welcomedAt + FIRST_REPORT_MS)) - Date.now();
      if (due <= 0) return;
      await within(due, this.#news.promise);
    }
  }

  hear(link: ConnectorLink, report: TargetReport): void {
    const { app } = report;
    if (this.#policy.compiled?.app(app) === undefined) return;
    const name = keptName(link, app);
    const before = this.#saidOn(link, app);
    const now = Date.now();
    const source = `connector:${link.connector}`;
    const known: Record<string, Fact> = {};
    const healthy = report.t === "target" || before[HEALTHY]?.value === report.up ? before[HEALTHY] : { value: report.up, source, observedAt: at(now) };
    if (healthy !== undefined) known[HEALTHY] = healthy;
    for (const one of FROM_FILE) {
      const value = report.t === "target" ? report[one] : undefined;
      const fact = report.t === "health" ? before[`target.${one}`] : value === undefined ? undefined : { value, source, observedAt: at(Math.min(report.at, now)) };
      if (fact !== undefined) known[`target.${one}`] = fact;
    }
    if (JSON.stringify(known) === JSON.stringify(before)) return;
    this.#all().set(name, known);
    this.#kept.put(keptName(link, app), known);
    this.revision++;
    this.#news.resolve();
    this.#news = Promise.withResolvers();
    if (this.#reads(app).length > 0) this.#changed(app);
  }

  /** Its socket is gone. What is then still agreed on allows no less than before. */
  forget({ id }: ConnectorLink): void {
    for (const name of this.#all().keys()) if (name.startsWith(`${PREFIX}${id}/`)) this.#drop(name);
  }

  #drop(name: string): void {
    this.#said?.delete(name);
    this.#kept.delete(name);
  }

  #reads(app: AppId): readonly string[] {
    return this.#policy.compiled?.plan(app)?.readsTarget ?? [];
  }

  #saidOn(link: ConnectorLink, app: AppId): Known {
    return this.#all().get(keptName(link, app)) ?? {};
  }

  /** Welcomed a moment ago, and about to say what is wanted. */
  #newcomers(app: AppId, reads: readonly string[]): readonly ConnectorLink[] {
    const since = Date.now() - FIRST_REPORT_MS;
    return this.#links.all().filter((link) => !link.draining && link.welcomedAt > since && !reads.every((name) => name in this.#saidOn(link, app)));
  }

  /** Who new streams go to; while all are leaving, they. What lives does not end because one more came: no stream opens before that has spoken. */
  #serving(newcomers: readonly ConnectorLink[]): readonly ConnectorLink[] {
    const known = this.#links.all().filter((link) => !newcomers.includes(link));
    const staying = known.filter(({ draining }) => !draining);
    return staying.length > 0 ? staying : known;
  }

  /** After a wake from storage, without what was said on sockets that went meanwhile. */
  #all(): Map<string, Known> {
    if (this.#said !== undefined) return this.#said;
    this.#said = new Map();
    for (const [name, known] of [...this.#kept.list({ prefix: PREFIX })]) {
      if (this.#links.byId(name.slice(PREFIX.length).split("/", 1)[0] ?? "") === undefined) this.#drop(name);
      else this.#said.set(name, known as Known);
    }
    return this.#said;
  }
}
