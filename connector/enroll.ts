/**
 * `postern-connector enroll`: makes the key here, spends the one-time token and stores who this
 * connector is. The private key never leaves the machine, the token is never stored or printed.
 */
import { existsSync, readFileSync } from "node:fs";
import { request } from "node:http";
import { hostname } from "node:os";
import { join } from "node:path";
import { createHash } from "node:crypto";
import { toBase64Url } from "../core/bytes.ts";
import { parseConnectorId, parseSiteId } from "../core/ids.ts";
import { MAX_LANES_COUNT } from "../core/site-config.ts";
import { at } from "../core/time.ts";
import { generateConnectorKey } from "../identity/connector-proof.ts";
import type { ConnectorKey } from "../identity/connector-proof.ts";
import { ENROLL_PROOF_TYPE } from "../identity/enroll-proof.ts";
import { signStrict } from "../identity/strict-jws.ts";
import { ENROLL_PATH, READY_PATH } from "../protocol/paths.ts";
import type { AllowRule } from "./allow-list.ts";
import { formatEndpoint } from "./allow-list.ts";
import { diagnose, diagnoseClock } from "./diagnose.ts";
import { dialEdge } from "./edge-dial.ts";
import type { EdgeRoute } from "./edge-dial.ts";
import { edgeRoute, parseEdgeUrl } from "./edge-route.ts";
import { Failure, usageFailure } from "./failure.ts";
import { pinKeySet } from "./pinned-keys.ts";
import { fingerprintOf } from "./status.ts";
import { serializeState, writeStateFile } from "./state.ts";
import type { ConnectorState } from "./state.ts";

export interface EnrollRequest {
  readonly url: string;
  readonly tokenFile: string;
  readonly allow: AllowRule;
  readonly name: string | undefined;
  readonly replace: boolean;
  readonly state: string;
  readonly ca: string | undefined;
}

/** Bounds the answer of whatever answers at the URL. */
const MAX_ANSWER_BYTES = 64 * 1024;
const ENROLL_MS = 20_000;
/** Bounds what is read as a token. */
const MAX_TOKEN_CHARS = 512;

/** Enrols and returns what was stored. Throws Failure; nothing is written unless the edge said yes. */
export async function enroll(asked: EnrollRequest, environment: Readonly<Record<string, string | undefined>>, now: () => number): Promise<{ readonly state: ConnectorState; readonly key: ConnectorKey }> {
  const edge = parseEdgeUrl(asked.url);
  if (!asked.replace && existsSync(join(asked.state, "connector.json"))) {
    throw new Failure("already_enrolled", `${asked.state} already holds an enrolment`, "a second one would orphan the first connector", "use another --state DIR, or --replace");
  }
  const token = readToken(asked.tokenFile);
  const key = await generateConnectorKey(crypto.subtle);
  const name = (asked.name ?? hostname()).slice(0, 63);
  const body = JSON.stringify({ token, public_key: key.publicJwk, name, proof: await proveKey(token, key, now()) });
  const route = edgeRoute(edge, environment, asked.ca);
  const answer = await post(route, ENROLL_PATH, body).catch((error: unknown) => {
    throw diagnose(error, edge, route.proxy !== undefined);
  });
  const record = parseObject(answer.text);
  if (answer.status !== 200) throw refusal(answer.status, record, answer.date, now());
  const connector = typeof record["connector"] === "string" ? parseConnectorId(record["connector"]) : undefined;
  const site = typeof record["site"] === "string" ? parseSiteId(record["site"]) : undefined;
  const { lanes, keys } = record;
  if (connector === undefined || site === undefined || typeof keys !== "string" || typeof lanes !== "number" || !Number.isInteger(lanes) || lanes < 1 || lanes > MAX_LANES_COUNT) {
    throw new Failure("odd_answer", "the edge's answer is not what an enrolment answers", "the URL may be another site, or the edge is of another version", "check the URL; update the connector");
  }
  await pinKeySet(keys);
  const state: ConnectorState = { edge: ownEdge(record["edge"], edge), connector, site, lanes, allow: asked.allow, keySet: keys, createdAt: new Date(now()).toISOString() };
  // The key first: a connector.json without its key would claim an identity that nobody can prove.
  writeStateFile(asked.state, "key", { ...key.privateJwk });
  writeStateFile(asked.state, "connector", serializeState(state));
  return { state, key };
}

/** What to tell the person who enrolled. */
export function describeEnrolment(state: ConnectorState, key: ConnectorKey, directory: string): string {
  const allowed = state.allow.kind === "site_config" ? "whatever the site's signed configuration names" : state.allow.endpoints.map(formatEndpoint).join(", ");
  return `enrolled ${state.connector} in site ${state.site}; it may dial ${allowed}\nits public key is ${key.publicJwk.x}, fingerprint ${fingerprintOf(key)}\nnext: postern-connector run --state ${directory}\n`;
}

/** The edge may name another origin of itself, but only on the same scheme: never a downgrade to http. */
function ownEdge(named: unknown, asked: URL): URL {
  const url = typeof named === "string" ? URL.parse(named) : null;
  return url !== null && url.protocol === asked.protocol ? new URL(url.origin) : new URL(asked.origin);
}

function readToken(file: string): string {
  let text: string;
  try {
    text = readFileSync(file === "-" ? 0 : file, "utf8");
  } catch {
    throw new Failure("token_unreadable", `the token file ${file} cannot be read`, "it was named by --token-file or POSTERN_TOKEN_FILE", "postern enroll-token SITE, and save the token in a file");
  }
  const token = text.trim();
  if (token === "" || token.length > MAX_TOKEN_CHARS || /[^\x21-\x7e]/.test(token)) {
    throw usageFailure("the token file does not hold one token", "it must hold the token and nothing else");
  }
  return token;
}

/** Compact JWS (EdDSA) over {token_hash, thumbprint, iat}: whoever sends the token holds this key now. */
function proveKey(token: string, key: ConnectorKey, now: number): Promise<string> {
  const claims = { token_hash: toBase64Url(createHash("sha256").update(token).digest()), thumbprint: key.thumbprint, iat: Math.floor(now / 1000) };
  const { privateJwk, publicJwk, thumbprint } = key;
  return signStrict(ENROLL_PROOF_TYPE, claims, { kid: thumbprint, alg: "EdDSA", use: "admission", privateJwk, publicJwk, createdAt: at(now) });
}

function refusal(status: number, record: Readonly<Record<string, unknown>>, date: number | undefined, now: number): Failure {
  const clock = date === undefined ? undefined : diagnoseClock(date, now);
  if (clock !== undefined) return clock;
  const error = typeof record["error"] === "object" && record["error"] !== null ? (record["error"] as Readonly<Record<string, unknown>>) : undefined;
  if (error === undefined) {
    return new Failure("not_postern", `the URL answered ${status}, not as a Postern edge does`, "a proxy answered, or the URL is another site", `check the URL: curl -sS URL${READY_PATH}`);
  }
  const text = (value: unknown): string => printable(typeof value === "string" ? value : "");
  const fix = Array.isArray(error["fix"]) ? text(error["fix"][0]) : text(error["fix"]);
  return new Failure(text(error["code"]) || "refused", `the edge refuses this enrolment (${status})`, text(error["message"]) || "it gave no reason", fix || "postern enroll-token SITE gives a fresh token");
}

/** Text of the outside, safe to print on a terminal. */
function printable(text: string): string {
  return text.replace(/[^\x20-\x7e]/g, "?").slice(0, 300);
}

function parseObject(text: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? (value as Readonly<Record<string, unknown>>) : {};
  } catch {
    return {};
  }
}

function post(route: EdgeRoute, path: string, body: string): Promise<{ status: number; text: string; date: number | undefined }> {
  return new Promise((done, fail) => {
    const asked = request(
      {
        method: "POST",
        path,
        setHost: false,
        headers: { host: route.edge.host, "content-type": "application/json", "content-length": Buffer.byteLength(body), accept: "application/json", "user-agent": "postern-connector" },
        signal: AbortSignal.timeout(ENROLL_MS),
        createConnection: (_options, ready) => {
          dialEdge(route).then((socket) => ready(null, socket), (error: Error) => ready(error, undefined as never));
          return undefined;
        },
      },
      (answer) => {
        const parts: Buffer[] = [];
        let size = 0;
        answer.on("data", (part: Buffer) => {
          size += part.length;
          if (size > MAX_ANSWER_BYTES) asked.destroy(Object.assign(new Error("answer too large"), { code: "answer_too_large" }));
          else parts.push(part);
        });
        answer.once("error", fail);
        answer.once("end", () => {
          const date = Date.parse(answer.headers.date ?? "");
          done({ status: answer.statusCode ?? 0, text: Buffer.concat(parts).toString("utf8"), date: Number.isNaN(date) ? undefined : date });
        });
      },
    );
    asked.once("error", fail);
    asked.end(body);
  });
}
