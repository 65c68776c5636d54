/**
 * The private app of the long proofs, as a process: a WebSocket echo; GET answers the request's path
 * and how often it was asked; GET /bytes/N?name= answers N bytes of which every line names the
 * request, so that a byte in a wrong stream shows; GET /as/… answers as its path says, in lines that name
 * who asked for what; and a TCP echo. Reports both ports to its parent.
 */
import { createServer } from "node:http";
import { type AddressInfo, createServer as createTcpServer } from "node:net";
import { WebSocketServer } from "ws";
import { answerAsAsked, isAsked } from "./asked.ts";
import { linesOf } from "./named-lines.ts";

const server = createServer((request, response) => {
  const url = new URL(request.url ?? "/", "http://app");
  const bytes = /^\/bytes\/([0-9]+)$/.exec(url.pathname)?.[1];
  request.resume();
  if (isAsked(url.pathname)) return answerAsAsked(request, response);
  if (bytes === undefined) return void response.end(request.url);
  const lines = linesOf(url.searchParams.get("name") ?? "", Number(bytes));
  response.writeHead(200, { "content-type": "text/plain", "content-length": bytes });
  const more = (): void => {
    for (let next = lines.next(); ; next = lines.next()) {
      if (next.done === true) return void response.end();
      if (response.destroyed) return;
      if (!response.write(next.value)) return void response.once("drain", more);
    }
  };
  more();
});
new WebSocketServer({ server, perMessageDeflate: false }).on("connection", (socket) => {
  socket.on("message", (data, isBinary) => socket.send(data, { binary: isBinary }));
  socket.on("error", () => socket.terminate());
});
const echo = createTcpServer({ allowHalfOpen: true }, (socket) => {
  socket.setNoDelay(true);
  socket.on("error", () => socket.destroy());
  socket.pipe(socket);
});
server.listen(0, "127.0.0.1", () => {
  echo.listen(0, "127.0.0.1", () => process.send?.({ port: (server.address() as AddressInfo).port, tcp: (echo.address() as AddressInfo).port }));
});
process.on("disconnect", () => process.exit(0));
