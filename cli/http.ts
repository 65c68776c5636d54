/**
 * One HTTP request over a route, with a deadline: `*.localhost` is dialled at 127.0.0.1 with the
 * Host header kept (RFC 6761 §6.3, M19). No redirects, no cookies, no retries.
 */
import { Agent, type IncomingHttpHeaders, type IncomingMessage, request } from "node:http";
import { Agent as TlsAgent, request as tlsRequest } from "node:https";
import { isLocalhostName } from "../core/localhost.ts";
import { READY_PATH } from "../protocol/paths.ts";
import type { EdgeRoute } from "./edge-route.ts";
import { errorCode, Failure } from "./failure.ts";

export interface HttpRequest {
  readonly method: string;
  /** Origin-form, with query. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
  /** For the whole exchange, the answer's body included. */
  readonly deadlineMs: number;
  /** Gives it up before. */
  readonly signal?: AbortSignal;
}

export interface HttpAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
}

/** Largest answer of the API that is read: bounds memory against whatever answers at the URL. */
const MAX_ANSWER_BYTES = 64 * 1024 * 1024;

/** Sends and resolves with the answer's head; its body is the caller's to read. Rejects with Failure. */
export function send(route: EdgeRoute, asked: HttpRequest): Promise<IncomingMessage> {
  const { origin, authorities, proxyEnvironment } = route;
  const secure = origin.protocol === "https:";
  const host = origin.hostname.replace(/^\[|\]$/g, "");
  const proxied = proxyEnvironment === undefined ? {} : { proxyEnv: { ...proxyEnvironment } };
  const body = asked.body === undefined ? undefined : Buffer.from(asked.body);
  const options = {
    host: isLocalhostName(host) ? "127.0.0.1" : host,
    port: Number(origin.port) || (secure ? 443 : 80),
    method: asked.method,
    path: asked.path,
    setHost: false,
    headers: {
      host: origin.host,
      "user-agent": "postern-cli",
      ...asked.headers,
      ...(body === undefined ? {} : { "content-length": String(body.length) }),
    },
    signal: AbortSignal.any([AbortSignal.timeout(asked.deadlineMs), ...(asked.signal === undefined ? [] : [asked.signal])]),
  };
  return new Promise((done, fail) => {
    const call = secure
      ? tlsRequest({ ...options, ca: [...authorities], agent: new TlsAgent({ ...proxied }), ...(isLocalhostName(host) ? { servername: host } : {}) })
      : request({ ...options, agent: new Agent({ ...proxied }) });
    call.once("response", done);
    call.once("error", (error: Error) => fail(diagnose(error, route)));
    call.end(body);
  });
}

/** Sends and reads the whole answer as text. Rejects with Failure. */
export async function exchange(route: EdgeRoute, asked: HttpRequest): Promise<HttpAnswer> {
  const answer = await send(route, asked);
  const parts: Buffer[] = [];
  let size = 0;
  try {
    for await (const part of answer as AsyncIterable<Buffer>) {
      size += part.length;
      if (size > MAX_ANSWER_BYTES) throw new Failure("answer_too_large", `the answer of ${route.origin.host} is too large`, `it has more than ${MAX_ANSWER_BYTES} bytes`, ["check that the URL is your edge's"]);
      parts.push(part);
    }
  } catch (error) {
    throw error instanceof Failure ? error : diagnose(error, route);
  }
  return { status: answer.statusCode ?? 0, headers: answer.headers, text: Buffer.concat(parts).toString("utf8") };
}

/** What a broken exchange means. Only the system's code of the error is shown. */
export function diagnose(error: unknown, { origin }: EdgeRoute): Failure {
  const code = errorCode(error) ?? (error instanceof Error ? error.name : "unknown");
  const where = origin.origin;
  if (code === "ABORT_ERR" || code === "AbortError" || code === "TimeoutError" || code === "ETIMEDOUT") {
    return new Failure("edge_timeout", `${where} did not answer in time`, "the network drops what is sent, or the edge is overloaded; a change that was asked for may still complete", [`curl -sS ${where}${READY_PATH}`]);
  }
  if (code === "ENOTFOUND" || code === "EAI_AGAIN") {
    return new Failure("edge_name", `there is no address for ${origin.hostname}`, `the name does not resolve (${code})`, ["check --edge or POSTERN_EDGE, and that the DNS name exists"]);
  }
  if (code === "ECONNREFUSED" || code === "EHOSTUNREACH" || code === "ENETUNREACH") {
    return new Failure("edge_unreachable", `${where} cannot be reached`, `nothing accepts the connection (${code})`, ["check --edge or POSTERN_EDGE; on your own machine: npm start"]);
  }
  if (/CERT|TLS|SSL|ISSUER|SIGNATURE/.test(code)) {
    return new Failure("edge_tls", `the certificate of ${where} was not accepted`, `${code}; nothing was sent`, ["if your network inspects TLS or the edge uses a private authority: --ca FILE"]);
  }
  return new Failure("edge_broken", `the exchange with ${where} broke`, `the system says ${code}; a change that was asked for may still complete`, ["try again; every change is recorded, see postern history"]);
}
