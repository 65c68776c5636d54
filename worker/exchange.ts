/**
 * One request on its way through the edge: what every step needs and nobody recomputes. Built
 * once in app.ts; not a place for decisions.
 */
import { toBase64Url } from "../core/bytes.ts";
import type { RequestId } from "../core/ids.ts";
import type { CompiledPolicy } from "../policy/compile.ts";
import type { CanonicalRequest, Framing } from "./canonical.ts";
import type { ConnectionFacts } from "./connection-facts.ts";
import type { Env } from "./env.ts";

export interface Exchange {
  readonly id: RequestId;
  readonly request: Request;
  /** Its headers, read once: walking them costs the runtime a call for each. */
  readonly fields: readonly (readonly [string, string])[];
  readonly method: string;
  readonly env: Env;
  readonly now: number;
  readonly url: CanonicalRequest;
  readonly framing: Framing;
  readonly connection: ConnectionFacts;
  /** Undefined before a first document is live. */
  readonly policy: CompiledPolicy | undefined;
  /** The launcher's origin, "https://access.example.com"; this host's own before a document is live. */
  readonly launcher: string;
  /** An agent asks for its socket, for this app: another's host, and no credential that a browser sends by itself. */
  readonly agentFor?: string;
  readonly later: (work: Promise<unknown>) => void;
}

const ID_BYTES = 16;
/** Random bytes drawn for many ids at once, each used for one: a draw costs the same for one id as for all. */
const drawn = { bytes: new Uint8Array(ID_BYTES * 64), used: ID_BYTES * 64 };

/** 128 random bits: the decision id that `postern explain` takes. */
export function newRequestId(): RequestId {
  if (drawn.used === drawn.bytes.length) {
    crypto.getRandomValues(drawn.bytes);
    drawn.used = 0;
  }
  return `r_${toBase64Url(drawn.bytes.subarray(drawn.used, (drawn.used += ID_BYTES)))}` as RequestId;
}

/** The origin of the host that was asked, as a browser writes it. */
export const originOf = (url: CanonicalRequest): string => `${url.scheme}://${url.host}${url.port}`;

/**
 * A person's browser opening a page (CONTRACT "Answers"); everything else is an API call and is
 * never redirected.
 */
export function isNavigation(request: Request): boolean {
  const mode = request.headers.get("sec-fetch-mode");
  if (mode !== null) return mode === "navigate";
  return request.method === "GET" && (request.headers.get("accept") ?? "").includes("text/html");
}
