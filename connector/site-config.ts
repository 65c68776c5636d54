/**
 * Reads the signed site configuration into what the connector acts on. An app that cannot be
 * read is left out and logged: it is then unreachable, never half-configured. Signatures and
 * versions are identity/signed-document.ts.
 */
import { parseAppId } from "../core/ids.ts";
import type { AppId } from "../core/ids.ts";
import { MAX_LANES_COUNT } from "../core/site-config.ts";
import type { SiteAppTls } from "../core/site-config.ts";
import { HOUR_MS } from "../core/time.ts";
import { flag, list, maybe, object, text, whole } from "../protocol/shape.ts";
import type { Shape } from "../protocol/shape.ts";
import { parseUpstream } from "./upstream.ts";
import type { Upstream } from "./upstream.ts";

/** P25's defaults in milliseconds. */
const CONNECT_MS = 5_000;
const FIRST_BYTE_MS = 60_000;
/** Apps of one site: bounds what a configuration makes a connector hold. */
const MAX_APPS_COUNT = 10_000;
const MAX_UPSTREAMS_COUNT = 16;
const MAX_PINS_COUNT = 64;
/** All statuses there are. */
const MAX_EXPECTED_COUNT = 500;
const MAX_PEM_CHARS = 64 * 1024;

export interface HealthCheck {
  readonly path: string;
  readonly everyMs: number;
  /** Any of them is well. */
  readonly expect: readonly number[];
}

/** As the site says, with the pins as a list; none: any certificate that is verified. */
export interface AppTls extends Omit<SiteAppTls, "pin"> {
  readonly pins: readonly string[];
}

export interface App {
  readonly id: AppId;
  readonly upstreams: readonly Upstream[];
  readonly host: "forwarded" | "upstream" | { readonly literal: string };
  readonly tls: AppTls;
  readonly connectMs: number;
  readonly firstByteMs: number;
  readonly idleMs: number | undefined;
  readonly health: HealthCheck | undefined;
  /** The JSON that this was read from: equal text means that nothing changed. */
  readonly source: string;
}

const named: Shape<AppId> = (value) => (typeof value === "string" ? parseAppId(value) : undefined);
const upstream: Shape<Upstream> = (value) => (typeof value === "string" ? parseUpstream(value) : undefined);
/** One value or a list that is not empty: an empty one would forbid nothing, or everything. */
const oneOrMore =
  <T extends string | number>(item: Shape<T>, max: number): Shape<readonly T[]> =>
  (value) => {
    const values = Array.isArray(value) ? list(item, max)(value) : list(item, 1)([value]);
    return values?.length === 0 ? undefined : values;
  };
const HOST = /^[A-Za-z0-9._-]+(?::[0-9]{1,5})?$/;
const literalHost = object({ literal: text(255, HOST) });
const hostRule: Shape<App["host"]> = (value) => (value === "forwarded" || value === "upstream" ? value : literalHost(value));

const appShape = object({
  id: named,
  upstreams: list(upstream, MAX_UPSTREAMS_COUNT),
  host: maybe(hostRule),
  tls: maybe(object({ server_name: maybe(text(253)), ca: maybe(text(MAX_PEM_CHARS)), pin: maybe(oneOrMore(text(64, /^[A-Za-z0-9+/]{43}=$/), MAX_PINS_COUNT)), verify: maybe(flag) })),
  timeouts: maybe(object({ connect: maybe(whole(1, HOUR_MS)), first_byte: maybe(whole(1, HOUR_MS)), idle: maybe(whole(1, 24 * HOUR_MS)) })),
  health: maybe(object({ path: text(2_048, /^\/[\x21-\x7e]*$/), every: whole(1_000, HOUR_MS), expect: maybe(oneOrMore(whole(100, 599), MAX_EXPECTED_COUNT)) })),
});

const bodyShape = object({ lanes: maybe(whole(1, MAX_LANES_COUNT)), apps: list((value: unknown) => value ?? null, MAX_APPS_COUNT) });

export interface ReadSiteConfig {
  /** How many lanes the site has; absent from an edge that does not say it. */
  readonly lanes: number | undefined;
  readonly apps: ReadonlyMap<AppId, App>;
  /** Apps that could not be read. */
  readonly leftOut: number;
}

/** The readable apps by id; undefined if it is no configuration at all. */
export function readSiteConfig(config: unknown): ReadSiteConfig | undefined {
  const body = bodyShape(config);
  if (body === undefined) return undefined;
  const apps = new Map<AppId, App>();
  let leftOut = 0;
  for (const value of body.apps) {
    const read = readApp(value);
    if (read === undefined || apps.has(read.id)) leftOut += 1;
    else apps.set(read.id, read);
  }
  return { lanes: body.lanes, apps, leftOut };
}

function readApp(value: unknown): App | undefined {
  const app = appShape(value);
  const first = app?.upstreams[0];
  if (app === undefined || first === undefined) return undefined;
  // An app speaks one protocol: TCP and HTTP upstreams do not stand in for each other.
  if (app.upstreams.some(({ scheme }) => (scheme === "tcp") !== (first.scheme === "tcp"))) return undefined;
  return {
    id: app.id,
    upstreams: app.upstreams,
    host: app.host ?? "forwarded",
    tls: readTls(app.tls),
    connectMs: app.timeouts?.connect ?? CONNECT_MS,
    firstByteMs: app.timeouts?.first_byte ?? FIRST_BYTE_MS,
    idleMs: app.timeouts?.idle,
    health: app.health === undefined ? undefined : { path: app.health.path, everyMs: app.health.every, expect: app.health.expect ?? [200] },
    source: JSON.stringify(value),
  };
}

function readTls({ pin = [], ...tls }: Omit<SiteAppTls, "pin"> & { readonly pin?: readonly string[] } = {}): AppTls {
  return { ...tls, pins: pin };
}
