/**
 * The private app of the benchmark, as a process: HTTP (1 KiB, N bytes, uploads), a WebSocket
 * echo and a TCP service, each on a port of its own that it reports to its parent. Written on raw
 * sockets, so that it is never what limits. Not a general server: it trusts who calls it.
 */
import { createServer as createHttpServer } from "node:http";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { WebSocketServer } from "ws";
import { SMALL_BODY_BYTES } from "./load/requests.ts";

/** Written again and again for a download: one block, never copied by us. */
const BLOCK = Buffer.alloc(1024 * 1024, "postern ");
const END_OF_HEAD = Buffer.from("\r\n\r\n");
const answerOf = (body: Buffer): Buffer => Buffer.concat([Buffer.from(`HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: ${body.length}\r\n\r\n`), body]);
const SMALL = answerOf(Buffer.alloc(SMALL_BODY_BYTES, "x"));

/** Writes `bytes` as fast as the other end takes them. */
function send(socket: Socket, bytes: number, done: () => void): void {
  let left = bytes;
  const more = (): void => {
    while (left > 0 && !socket.destroyed) {
      const part = left >= BLOCK.length ? BLOCK : BLOCK.subarray(0, left);
      left -= part.length;
      if (!socket.write(part)) return void socket.once("drain", more);
    }
    done();
  };
  more();
}

/** One connection: heads in order, an upload's body counted and dropped. */
function serve(socket: Socket): void {
  socket.setNoDelay(true);
  let head: Buffer = Buffer.alloc(0);
  let bodyLeft = 0;
  let bodyBytes = 0;
  let busy = false;
  const received = (): void => void socket.write(answerOf(Buffer.from(JSON.stringify({ received: bodyBytes }))));
  const take = (chunk: Buffer): void => {
    let data = chunk;
    while (data.length > 0) {
      if (bodyLeft > 0) {
        const part = Math.min(bodyLeft, data.length);
        bodyLeft -= part;
        data = data.subarray(part);
        if (bodyLeft === 0) received();
        continue;
      }
      head = head.length === 0 ? data : Buffer.concat([head, data]);
      const end = head.indexOf(END_OF_HEAD);
      if (end < 0 || busy) return;
      const text = head.toString("latin1", 0, end);
      data = head.subarray(end + END_OF_HEAD.length);
      head = Buffer.alloc(0);
      const path = text.slice(text.indexOf(" ") + 1, text.indexOf(" HTTP/"));
      if (path.startsWith("/bytes/")) {
        const bytes = Number(path.slice("/bytes/".length).split("?")[0]);
        const rest = data;
        busy = true;
        head = Buffer.alloc(0);
        socket.write(`HTTP/1.1 200 OK\r\ncontent-type: application/octet-stream\r\ncontent-length: ${bytes}\r\n\r\n`);
        send(socket, bytes, () => {
          busy = false;
          if (rest.length > 0) take(rest);
        });
        return;
      }
      if (path.startsWith("/stall")) return void socket.pause();
      if (path.startsWith("/upload")) {
        bodyBytes = bodyLeft = Number(/\r\ncontent-length: *([0-9]+)/i.exec(text)?.[1] ?? 0);
        if (/\r\nexpect:/i.test(text)) socket.write("HTTP/1.1 100 Continue\r\n\r\n");
        if (bodyLeft === 0) received();
      } else socket.write(SMALL);
    }
  };
  socket.on("data", take);
  socket.on("error", () => socket.destroy());
}

/** TCP: the first byte says what: `e` echoes, `d` + u32 sends so many bytes, `u` + u32 counts so many and answers one byte. */
function serveTcp(socket: Socket): void {
  socket.setNoDelay(true);
  socket.on("error", () => socket.destroy());
  let head: Buffer = Buffer.alloc(0);
  const begin = (chunk: Buffer): void => {
    head = Buffer.concat([head, chunk]);
    const what = String.fromCharCode(head[0] ?? 0);
    if (what !== "e" && head.length < 5) return;
    socket.off("data", begin);
    if (what === "e") {
      if (head.length > 1) socket.write(head.subarray(1));
      socket.pipe(socket);
    } else if (what === "d") send(socket, head.readUInt32BE(1), () => socket.end());
    else {
      let left = head.readUInt32BE(1) - (head.length - 5);
      socket.on("data", (bytes) => {
        left -= bytes.length;
        if (left <= 0) socket.end("k");
      });
    }
  };
  socket.on("data", begin);
}

/** On loopback, unless an address is given: of a network that only the benchmark is in. */
const [address = "127.0.0.1"] = process.argv.slice(2);
const listen = (server: Server): Promise<number> => new Promise((ready) => server.listen(0, address, () => ready((server.address() as AddressInfo).port)));

const upgrades = createHttpServer((_request, response) => response.end());
new WebSocketServer({ server: upgrades, perMessageDeflate: false, skipUTF8Validation: true }).on("connection", (socket) => {
  socket.on("message", (data, binary) => socket.send(data, { binary }));
  socket.on("error", () => socket.terminate());
});
const [http, websocket, tcp] = await Promise.all([listen(createServer(serve)), listen(upgrades), listen(createServer(serveTcp))]);
process.send?.({ http, websocket, tcp });
process.on("disconnect", () => process.exit(0));
