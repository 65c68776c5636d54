/**
 * The connector's own small HTTP server on 127.0.0.1: /metrics, /healthz and /ready. Reads
 * nothing, changes nothing, and answers only requests whose Host is loopback (DNS rebinding).
 */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { Metrics } from "./metrics.ts";

export interface LaneStatus {
  readonly lane: number;
  readonly state: "connecting" | "ready" | "waiting" | "draining" | "stopped";
  readonly streams: number;
  /** The code of the last failure, if the lane is not ready. */
  readonly failure: string | undefined;
}

export interface LocalServer {
  /** `http://127.0.0.1:PORT` */
  readonly url: string;
  close(): void;
}

const LOOPBACK_HOST = /^(?:127\.0\.0\.1|localhost|\[::1\])(?::[0-9]+)?$/;

/** Starts it on `port` (0 picks one). */
export function startLocalServer(port: number, metrics: Metrics, lanes: () => readonly LaneStatus[]): Promise<LocalServer> {
  const server = createServer((request, response) => {
    const answer = (status: number, type: string, body: string): void => {
      response.writeHead(status, { "content-type": type, "cache-control": "no-store" }).end(request.method === "HEAD" ? undefined : body);
    };
    if (!LOOPBACK_HOST.test(request.headers.host ?? "")) return answer(403, "text/plain", "this server answers loopback names only\n");
    if (request.method !== "GET" && request.method !== "HEAD") return answer(405, "text/plain", "GET or HEAD\n");
    switch (request.url) {
      case "/metrics":
        return answer(200, "text/plain; version=0.0.4", metrics.text());
      case "/healthz":
        return answer(200, "application/json", '{"alive":true}\n');
      case "/ready": {
        const all = lanes();
        const ready = all.length > 0 && all.every(({ state }) => state === "ready");
        return answer(ready ? 200 : 503, "application/json", `${JSON.stringify({ ready, lanes: all })}\n`);
      }
      default:
        return answer(404, "text/plain", "/metrics, /healthz or /ready\n");
    }
  });
  server.requestTimeout = 5_000;
  server.maxConnections = 64;
  return new Promise((done, fail) => {
    server.once("error", fail);
    server.listen(port, "127.0.0.1", () => {
      server.unref();
      done({
        url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
        close: () => {
          server.close();
          server.closeAllConnections();
        },
      });
    });
  });
}
