/**
 * The connector's state directory: key.json (its Ed25519 key, 0600), connector.json (who it is,
 * which edge, what it may dial) and runtime.json (the running process). Replaced whole and
 * synced, so that a crash leaves the old or the new file. Not for caches.
 */
import { closeSync, fsyncSync, mkdirSync, openSync, readFileSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { replacePrivately } from "../channel/private-file.ts";
import type { Json } from "../core/json.ts";
import { parseConnectorId, parseSiteId } from "../core/ids.ts";
import type { ConnectorId, SiteId } from "../core/ids.ts";
import { parseEndpoint } from "./allow-list.ts";
import type { AllowRule, Endpoint } from "./allow-list.ts";
import { Failure } from "./failure.ts";

/** Raised when the meaning of the files changes; an unknown version is refused, never guessed at. */
const STATE_VERSION = 1;

export interface ConnectorState {
  readonly edge: URL;
  readonly connector: ConnectorId;
  readonly site: SiteId;
  readonly lanes: number;
  readonly allow: AllowRule;
  /** The edge's signed key set, as last accepted: the pin for every later one. */
  readonly keySet: string;
  readonly createdAt: string;
}

const FILES = { connector: "connector.json", key: "key.json", runtime: "runtime.json" } as const;
type StateFile = keyof typeof FILES;

/** Where state lives unless --state says otherwise: systemd's directory, else XDG's. */
export function defaultStateDirectory(environment: Readonly<Record<string, string | undefined>>): string {
  const fromSystemd = environment["STATE_DIRECTORY"]?.split(":")[0];
  if (fromSystemd !== undefined && fromSystemd !== "") return fromSystemd;
  const base = environment["XDG_STATE_HOME"] ?? join(environment["HOME"] ?? ".", ".local", "state");
  return join(base, "postern-connector");
}

/** Writes one file of the directory atomically: temporary file, fsync, rename, fsync of the directory. Mode 0600 in 0700. */
export function writeStateFile(directory: string, file: StateFile, content: Json): void {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const path = join(directory, FILES[file]);
  replacePrivately(path, `${JSON.stringify(content, undefined, 2)}\n`);
  const folder = openSync(directory, "r");
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}

export function removeStateFile(directory: string, file: StateFile): void {
  rmSync(join(directory, FILES[file]), { force: true });
}

/** The parsed JSON of a state file; undefined if it does not exist; a Failure if it cannot be read as JSON. */
export function readStateFile(directory: string, file: StateFile): unknown {
  const path = join(directory, FILES[file]);
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
    throw new Failure("state_unreadable", `${path} cannot be read`, "permissions, or not a file", `ls -l ${directory}`);
  }
  try {
    return JSON.parse(text);
  } catch {
    throw damaged(path);
  }
}

/** Refuses a key that other users of the machine can read (class L). */
export function requirePrivate(directory: string, file: StateFile): void {
  const path = join(directory, FILES[file]);
  const found = statSync(path, { throwIfNoEntry: false });
  if (found === undefined) throw damaged(path);
  if (process.platform !== "win32" && (found.mode & 0o077) !== 0) {
    throw new Failure("key_exposed", `${path} can be read by other users`, "a private key must be readable by its owner only",
      `chmod 600 ${path}, or better: revoke this connector and enrol anew`);
  }
}

/** connector.json as it is stored. */
export function serializeState(state: ConnectorState): Json {
  return {
    version: STATE_VERSION,
    edge: state.edge.origin,
    connector: state.connector,
    site: state.site,
    lanes: state.lanes,
    allow: state.allow.kind === "site_config" ? "site-config" : state.allow.endpoints.map(({ host, port }) => ({ host, port })),
    keySet: state.keySet,
    createdAt: state.createdAt,
  };
}

/** Reads connector.json; every field is checked, because a damaged allow-list must never become a wide one. */
export function loadState(directory: string): ConnectorState {
  const path = join(directory, FILES.connector);
  const stored = readStateFile(directory, "connector");
  if (stored === undefined) {
    throw new Failure("not_enrolled", `${path} does not exist`, "this connector is not enrolled", "postern-connector enroll URL --token-file FILE --state DIR --allow HOST:PORT");
  }
  const record = typeof stored === "object" && stored !== null ? (stored as Readonly<Record<string, unknown>>) : {};
  if (record["version"] !== STATE_VERSION) {
    throw new Failure("state_version", `${path} is of an unknown version`, `this program reads version ${STATE_VERSION}`, "update the connector, or enrol anew with --replace");
  }
  const { edge, connector, site, lanes, allow, keySet, createdAt } = record;
  const url = typeof edge === "string" ? URL.parse(edge) : null;
  const id = typeof connector === "string" ? parseConnectorId(connector) : undefined;
  const siteId = typeof site === "string" ? parseSiteId(site) : undefined;
  const rule = parseAllow(allow);
  if (url === null || id === undefined || siteId === undefined || rule === undefined) throw damaged(path);
  if (typeof lanes !== "number" || typeof keySet !== "string" || typeof createdAt !== "string") throw damaged(path);
  return { edge: url, connector: id, site: siteId, lanes, allow: rule, keySet, createdAt };
}

function parseAllow(value: unknown): AllowRule | undefined {
  if (value === "site-config") return { kind: "site_config" };
  if (!Array.isArray(value)) return undefined;
  const endpoints: Endpoint[] = [];
  for (const entry of value as readonly unknown[]) {
    if (typeof entry !== "object" || entry === null || !("host" in entry) || !("port" in entry)) return undefined;
    if (typeof entry.host !== "string" || typeof entry.port !== "number") return undefined;
    const endpoint = parseEndpoint(entry.host.includes(":") ? `[${entry.host}]:${entry.port}` : `${entry.host}:${entry.port}`);
    if (endpoint === undefined) return undefined;
    endpoints.push(endpoint);
  }
  return { kind: "list", endpoints };
}

function damaged(path: string): Failure {
  return new Failure("state_damaged", `${path} is damaged`, "it does not hold what enroll wrote", "enrol anew: postern-connector enroll … --replace");
}
