/**
 * Opens the socket to the edge: directly, or by CONNECT through a forward proxy, with TLS for
 * https edges. `*.localhost` goes to 127.0.0.1 and is never resolved. Not for origins (dial.ts).
 */
import { request } from "node:http";
import { request as requestTls } from "node:https";
import { connect as connectTcp, isIP } from "node:net";
import type { Socket } from "node:net";
import { checkServerIdentity, connect as connectTls } from "node:tls";
import { isLocalhostName } from "./address-guard.ts";
import type { Proxy } from "./proxy.ts";
import { SocketReads } from "./socket-reads.ts";

/** Longest wait for a socket to the edge, proxy and TLS included: bounds a black-holed network. */
export const EDGE_DIAL_MS = 15_000;

export interface EdgeRoute {
  /** http: or https:, without path. */
  readonly edge: URL;
  readonly proxy: Proxy | undefined;
  readonly authorities: readonly string[];
}

/** The proxy answered CONNECT with something other than 2xx. */
export class ProxyRefused extends Error {
  readonly status: number;
  constructor(status: number) {
    super(`proxy answered ${status}`);
    this.name = "ProxyRefused";
    this.status = status;
  }
}

/** A connected socket to the edge, ready for an HTTP request. Rejects with the system's error or ProxyRefused. */
export async function dialEdge(route: EdgeRoute): Promise<Socket> {
  const deadline = AbortSignal.timeout(EDGE_DIAL_MS);
  const bare = route.edge.hostname.replace(/^\[|\]$/g, "");
  const port = Number(route.edge.port) || (route.edge.protocol === "https:" ? 443 : 80);
  const secured = route.edge.protocol === "https:";
  const reads = new SocketReads();
  const direct = { host: isLocalhostName(bare) ? "127.0.0.1" : bare, port, noDelay: true, onread: reads.onread };
  // SNI takes names only (RFC 6066 §3).
  const tls = { ca: [...route.authorities], ALPNProtocols: ["http/1.1"], ...(isIP(bare) === 0 && { servername: bare }) };
  if (route.proxy === undefined) {
    if (!secured) return ready(reads.attach(connectTcp(direct)), "connect", deadline);
    return ready(reads.attach(connectTls({ ...tls, ...direct, checkServerIdentity: (_host, certificate) => checkServerIdentity(bare, certificate) })), "secureConnect", deadline);
  }
  const socket = await connectThrough(route.proxy, route.edge.hostname, port, route.authorities, deadline);
  if (!secured) return socket;
  try {
    // With a ready socket, tls verifies against `host`.
    return await ready(connectTls({ ...tls, socket, host: bare }), "secureConnect", deadline);
  } catch (error) {
    socket.destroy();
    throw error;
  }
}

function ready<T extends Socket>(socket: T, event: "connect" | "secureConnect", deadline: AbortSignal): Promise<T> {
  return new Promise((done, fail) => {
    const settle = (): void => {
      deadline.removeEventListener("abort", late);
      socket.off("error", failed);
      socket.off("close", closed);
    };
    const failed = (error: Error): void => {
      settle();
      socket.destroy();
      fail(error);
    };
    const closed = (): void => failed(Object.assign(new Error("closed"), { code: "ECONNRESET" }));
    const late = (): void => failed(Object.assign(new Error("timed out"), { code: "ETIMEDOUT" }));
    if (deadline.aborted) return late();
    deadline.addEventListener("abort", late);
    socket.once("error", failed);
    socket.once("close", closed);
    socket.once(event, () => {
      settle();
      done(socket);
    });
  });
}

/** RFC 9110 §9.3.6. Bytes that arrive with the answer belong to the tunnel and are put back. */
function connectThrough(proxy: Proxy, host: string, port: number, authorities: readonly string[], signal: AbortSignal): Promise<Socket> {
  const target = `${host}:${port}`;
  return new Promise((done, fail) => {
    const options = {
      host: proxy.host,
      port: proxy.port,
      method: "CONNECT",
      path: target,
      agent: false as const,
      signal,
      headers: { host: target, ...(proxy.authorization !== undefined && { "proxy-authorization": proxy.authorization }) },
    };
    const asked = proxy.tls ? requestTls({ ...options, ca: [...authorities] }) : request(options);
    asked.once("error", fail);
    asked.once("response", (answer) => {
      answer.destroy();
      fail(new ProxyRefused(answer.statusCode ?? 0));
    });
    asked.once("connect", (answer, socket: Socket, early) => {
      const status = answer.statusCode ?? 0;
      if (status < 200 || status > 299) {
        socket.destroy();
        fail(new ProxyRefused(status));
        return;
      }
      if (early.length > 0) socket.unshift(early);
      done(socket);
    });
    asked.end();
  });
}
