/**
 * Sample apps that give back what they get: a WebSocket echo with a page to try it, and a TCP
 * echo. They show that message boundaries and bytes survive the way.
 */
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import { createServer, type Server as TcpServer } from "node:net";
import { WebSocketServer } from "ws";
import { page } from "./demo-pages.ts";

/** Largest message echoed. */
const MAX_MESSAGE_BYTES = 1024 * 1024;
/** Idle time after which a TCP echo hangs up, so that abandoned sockets do not pile up. */
const TCP_IDLE_MS = 15 * 60_000;

const SCRIPT = `
const log = document.querySelector("pre"), form = document.querySelector("form"), input = form.elements.text;
const say = (line) => { log.textContent += line + "\\n"; };
const socket = new WebSocket((location.protocol === "https:" ? "wss://" : "ws://") + location.host + "/socket");
socket.onopen = () => say("open");
socket.onmessage = (event) => say("back: " + event.data);
socket.onclose = (event) => say("closed " + event.code + " " + event.reason);
form.onsubmit = (event) => { event.preventDefault(); socket.send(input.value); input.value = ""; };`;

const PAGE = page(
  "WebSocket echo",
  `<h1>WebSocket echo</h1><p>Each line you send comes back through the tunnel.</p>
<form><label>Text <input name="text" autocomplete="off" autofocus></label><button>Send</button></form><pre role="log" aria-live="polite"></pre><script>${SCRIPT}</script>`,
);

/** Serves the page, and echoes every WebSocket message on any path of `server`. */
export function echoApp(server: Server): void {
  const sockets = new WebSocketServer({ noServer: true, maxPayload: MAX_MESSAGE_BYTES, perMessageDeflate: false });
  server.on("request", (request: IncomingMessage, response: ServerResponse) => {
    request.resume();
    response.writeHead(200, { "content-type": "text/html; charset=utf-8", "cache-control": "no-store" }).end(PAGE);
  });
  server.on("upgrade", (request, socket, head) => {
    sockets.handleUpgrade(request, socket, head, (peer) => {
      peer.on("message", (data: Buffer, binary: boolean) => peer.send(data, { binary }));
      peer.on("error", () => peer.terminate());
    });
  });
}

/** A TCP server that sends every byte back; what the peer does not read is not read from it either. */
export function tcpEcho(): TcpServer {
  return createServer({ allowHalfOpen: true }, (socket) => {
    socket.setTimeout(TCP_IDLE_MS, () => socket.destroy());
    socket.on("error", () => socket.destroy());
    socket.pipe(socket);
  });
}
