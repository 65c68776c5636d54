/**
 * The apps of the newest signed configuration, each with its origins. Replaced app by app when a
 * newer configuration comes, so that an unchanged app keeps its sockets. Shared by all lanes.
 */
import type { AppId } from "../core/ids.ts";
import { isNamed } from "./allow-list.ts";
import type { AllowRule } from "./allow-list.ts";
import type { Resolver } from "./dial.ts";
import { Origin } from "./origin.ts";
import type { App } from "./site-config.ts";

export interface AppEntry {
  readonly app: App;
  /** Only those that the local rule names; may be empty, and then nothing of the app is reachable. */
  readonly origins: readonly Origin[];
}

export class AppDirectory {
  readonly #rule: AllowRule;
  readonly #resolve: Resolver;
  #entries = new Map<AppId, AppEntry>();
  /** Called after each change with what is served now. */
  onChange: (entries: ReadonlyMap<AppId, AppEntry>) => void = () => undefined;
  /** The newest version seen; an older one never comes back. */
  version = 0;

  constructor(rule: AllowRule, resolve: Resolver) {
    this.#rule = rule;
    this.#resolve = resolve;
  }

  get(id: AppId): AppEntry | undefined {
    return this.#entries.get(id);
  }

  entries(): ReadonlyMap<AppId, AppEntry> {
    return this.#entries;
  }

  /** Serves these apps from now on. Streams under way keep the origin that they have; the edge cuts them if it must. */
  replace(version: number, apps: ReadonlyMap<AppId, App>): void {
    if (version < this.version) return;
    this.version = version;
    const old = this.#entries;
    this.#entries = new Map();
    for (const [id, app] of apps) {
      const before = old.get(id);
      if (before?.app.source === app.source) {
        this.#entries.set(id, before);
        old.delete(id);
        continue;
      }
      const origins = app.upstreams.filter(({ endpoint }) => isNamed(this.#rule, endpoint)).map((upstream) => new Origin(app, upstream, this.#rule, this.#resolve));
      this.#entries.set(id, { app, origins });
    }
    for (const { origins } of old.values()) for (const origin of origins) origin.retire();
    this.onChange(this.#entries);
  }

  retireAll(): void {
    for (const { origins } of this.#entries.values()) for (const origin of origins) origin.retire();
    this.#entries = new Map();
  }
}

/** The first healthy origin; if none is, the first, so that the answer says what is wrong with it. */
export function chooseOrigin(entry: AppEntry): Origin | undefined {
  return entry.origins.find(({ healthy }) => healthy) ?? entry.origins[0];
}
