/**
 * Opens the agent's WebSocket to the edge: directly or through a proxy, `*.localhost` at
 * 127.0.0.1. A refusal of the edge comes back in its own words. Nothing is said on it here.
 */
import type { IncomingMessage } from "node:http";
import { Agent as TlsAgent } from "node:https";
import { WebSocket } from "ws";
import type { AppId } from "../core/ids.ts";
import { isLocalhostName } from "../core/localhost.ts";
import { terminalText } from "../core/terminal-text.ts";
import { AGENT_SUBPROTOCOL } from "../protocol/agent-link.ts";
import { MAX_CONTROL_BYTES } from "../protocol/limits.ts";
import { AGENT_PATH, READY_PATH } from "../protocol/paths.ts";
import { AgentFailure } from "./agent-failure.ts";

/** Where the edge is and how to get there. */
export interface EdgeAddress {
  /** Scheme, host and port only. */
  readonly origin: URL;
  /** PEM; empty for http. */
  readonly authorities: readonly string[];
  /** Variables that name proxies; undefined: dial directly. */
  readonly proxyEnvironment: Readonly<Record<string, string | undefined>> | undefined;
}

/** Dialling, TLS and the answer to the upgrade: bounds a silent middle box. */
const UPGRADE_MS = 20_000;
/** Close frame to "close": it is the frame that counts. */
const CLOSE_WAIT_MS = 50;
/** A refusal is one small JSON object. */
const MAX_REFUSAL_BYTES = 64 * 1024;

/** An open socket for streams to an app's site, paused. Rejects with AgentFailure. */
export async function openAgentSocket(edge: EdgeAddress, app: AppId, token: string): Promise<WebSocket> {
  const socket = await openSocket(edge, `${AGENT_PATH}?app=${app}`, [AGENT_SUBPROTOCOL], token);
  if (socket.protocol === AGENT_SUBPROTOCOL) return socket;
  socket.terminate();
  throw notPostern(edge.origin);
}

/** An open socket to an app at its own address, as a browser's page would have one; paused. Rejects with AgentFailure. */
export const openAppSocket = (app: EdgeAddress, path: string, token: string): Promise<WebSocket> => openSocket(app, path, [], token);

function openSocket({ origin, authorities, proxyEnvironment }: EdgeAddress, path: string, subprotocols: readonly string[], token: string): Promise<WebSocket> {
  const secure = origin.protocol === "https:";
  const host = origin.hostname.replace(/^\[|\]$/g, "");
  const local = isLocalhostName(host);
  const url = new URL(path, origin);
  url.protocol = secure ? "wss:" : "ws:";
  if (local) url.hostname = "127.0.0.1";
  return new Promise((done, fail) => {
    const socket = new WebSocket(url, [...subprotocols], {
      perMessageDeflate: false,
      maxPayload: MAX_CONTROL_BYTES,
      handshakeTimeout: UPGRADE_MS,
      followRedirects: false,
      ...{ closeTimeout: CLOSE_WAIT_MS },
      // Masks protect cleartext intermediaries (RFC 6455 §10.3): none within TLS, and http is for loopback only.
      generateMask: (mask: Buffer) => void mask.fill(0),
      headers: { host: origin.host, authorization: `Bearer ${token}`, "user-agent": "postern-agent" },
      ...(secure && {
        ca: [...authorities],
        ...(local && { servername: host }),
        ...(proxyEnvironment !== undefined && { agent: new TlsAgent({ ca: [...authorities], proxyEnv: { ...proxyEnvironment } } as ConstructorParameters<typeof TlsAgent>[0]) }),
      }),
    });
    socket.once("unexpected-response", (request, response) => {
      void refusalOf(response, origin).then((failure) => {
        // The connection as well: a pool would keep it, and with it the process.
        request.socket?.destroy();
        request.destroy();
        fail(failure);
      });
    });
    // Stays for the socket's life: a late error must never be unhandled; "close" follows it.
    socket.on("error", (error) => fail(unreachable(error, origin)));
    socket.once("open", () => {
      // Whoever takes it may not listen yet.
      socket.pause();
      done(socket);
    });
  });
}

const notPostern = ({ origin }: URL): AgentFailure => new AgentFailure("not_postern", `${origin} answered, not as a Postern edge does`, "a proxy answered, or the URL is another site", [`curl -sS ${origin}${READY_PATH}`]);

async function refusalOf(response: IncomingMessage, { origin }: URL): Promise<AgentFailure> {
  const parts: Buffer[] = [];
  let size = 0;
  try {
    for await (const part of response as AsyncIterable<Buffer>) {
      size += part.length;
      if (size > MAX_REFUSAL_BYTES) break;
      parts.push(part);
    }
  } catch {
    // What has come so far may be enough.
  }
  const status = response.statusCode ?? 0;
  const error = errorOf(Buffer.concat(parts).toString("utf8"));
  if (error === undefined) {
    return new AgentFailure("not_postern", `${origin} answered ${status}, not as a Postern edge does`, "a proxy answered or does not let WebSockets through, or the URL is another site", [`curl -sS ${origin}${READY_PATH}`], { isPassing: status >= 500 });
  }
  const { code, message, fix, request_id: requestId } = error;
  const signIn = status === 401 ? ["postern login"] : [];
  return new AgentFailure(words(code) || "refused", `the edge refuses (${status})`, words(message) || "it gave no reason", [...(Array.isArray(fix) ? fix.map(words) : []), ...signIn], {
    requestId: words(requestId) || undefined,
    isPassing: status >= 500,
  });
}

function errorOf(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value = JSON.parse(text) as { readonly error?: unknown } | null;
    return typeof value?.error === "object" && value.error !== null ? (value.error as Readonly<Record<string, unknown>>) : undefined;
  } catch {
    return undefined;
  }
}

/** Text of the outside, safe for a terminal. */
function words(value: unknown): string {
  return typeof value === "string" ? terminalText(value, 400) : "";
}

function unreachable(error: Error, { origin }: URL): AgentFailure {
  const code = "code" in error && typeof error.code === "string" ? error.code : error.name;
  if (/CERT|TLS|SSL|ISSUER|SIGNATURE/.test(code)) {
    return new AgentFailure("edge_tls", `the certificate of ${origin} was not accepted`, `${code}; nothing was sent`, ["if your network inspects TLS or the edge uses a private authority: --ca FILE"]);
  }
  return new AgentFailure("edge_unreachable", `${origin} cannot be reached`, `the system says ${code}`, ["check --edge or POSTERN_EDGE, and the network; on your own machine: npm start"], { isPassing: true });
}
