/**
 * Opens the WebSocket of one lane. Ends when the upgrade is answered: what is said on the socket
 * is handshake.ts and tunnel.ts. Compression is off: it mixes secrets and costs CPU (class K).
 */
import { WebSocket } from "ws";
import { SUBPROTOCOL } from "../protocol/hello.ts";
import { MAX_CONTROL_BYTES } from "../protocol/limits.ts";
import { UpgradeRefused } from "./diagnose.ts";
import { EDGE_DIAL_MS, dialEdge } from "./edge-dial.ts";
import type { EdgeRoute } from "./edge-dial.ts";

/** Longest wait for the answer to the upgrade, dialling included: bounds a silent middle box. */
const UPGRADE_MS = EDGE_DIAL_MS + 10_000;
/** Close frame to "close" event: the edge's FIN comes some 10 s after its Close frame, and it is the frame that counts. */
const CLOSE_WAIT_MS = 50;

/** An open socket at `path`; no message is lost, because it starts paused. Rejects with what diagnose() explains. */
export function openEdgeSocket(route: EdgeRoute, path: string): Promise<WebSocket> {
  const url = new URL(path, route.edge);
  // Masks protect cleartext intermediaries (RFC 6455 §10.3); within TLS and on loopback there are
  // none (plain http goes nowhere else), and masking costs a copy of every byte.
  const maskless = route.edge.protocol === "https:" || route.proxy === undefined;
  url.protocol = route.edge.protocol === "https:" ? "wss:" : "ws:";
  return new Promise((done, fail) => {
    const socket = new WebSocket(url, [SUBPROTOCOL], {
      perMessageDeflate: false,
      maxPayload: MAX_CONTROL_BYTES,
      handshakeTimeout: UPGRADE_MS,
      followRedirects: false,
      ...{ closeTimeout: CLOSE_WAIT_MS },
      ...(maskless && { generateMask: (mask: Buffer) => void mask.fill(0) }),
      headers: { "user-agent": "postern-connector" },
      createConnection: ((_options: unknown, ready: (error: Error | null, socket?: unknown) => void) => {
        dialEdge(route).then(
          (raw) => ready(null, raw),
          (error: Error) => ready(error),
        );
      }) as never,
    });
    const timer = setTimeout(() => socket.terminate(), UPGRADE_MS);
    socket.once("unexpected-response", (request, response) => {
      const date = Date.parse(response.headers.date ?? "");
      const fromEdge = response.headers["postern-request-id"] !== undefined;
      clearTimeout(timer);
      request.destroy();
      fail(new UpgradeRefused(response.statusCode ?? 0, Number.isNaN(date) ? undefined : date, fromEdge));
    });
    // Stays for the socket's life: a late error must never be unhandled; "close" follows it.
    socket.on("error", (error) => {
      clearTimeout(timer);
      fail(error);
    });
    socket.once("close", () => {
      clearTimeout(timer);
      fail(Object.assign(new Error("closed"), { code: "ECONNRESET" }));
    });
    socket.once("open", () => {
      clearTimeout(timer);
      socket.pause();
      if (socket.protocol === SUBPROTOCOL) return done(socket);
      socket.terminate();
      fail(new UpgradeRefused(101, undefined, false));
    });
  });
}
