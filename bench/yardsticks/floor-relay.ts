/**
 * The relay of the floor, as a process: frames of floor-frames.ts to raw sockets at the origin and
 * back. Settings come on standard input; "ready" goes to the parent once the WebSocket is open.
 * Not the connector: it checks nothing and bounds nothing.
 */
import { connect, type Socket } from "node:net";
import { text } from "node:stream/consumers";
import { WebSocket } from "ws";
import { ANSWER, BINARY, DATA, emptyFrame, END, FRAME_HEADER_BYTES, frameOf, HEAD, OPEN, OPEN_WEBSOCKET, OPEN_WITH_BODY, TEXT } from "./floor-frames.ts";

interface Settings {
  readonly edgePort: number;
  readonly http: number;
  readonly websocket: number;
}

/** An answer whose body is at most this long goes in one message. */
const WHOLE_ANSWER_BYTES = 64 * 1024;
const END_OF_HEAD = Buffer.from("\r\n\r\n");

const settings = JSON.parse(await text(process.stdin)) as Settings;
const edge = new WebSocket(`ws://127.0.0.1:${settings.edgePort}/floor-relay`, { perMessageDeflate: false, generateMask: (mask) => void mask.fill(0) });
const send = (frame: Uint8Array): void => edge.send(frame, { binary: true, compress: false });

const idle: Exchange[] = [];
const uploads = new Map<number, Exchange>();
const clients = new Map<number, WebSocket>();

/** One keep-alive connection to the origin, and the exchange that is on it. */
class Exchange {
  readonly #socket: Socket;
  #stream = 0;
  #left = 0;
  #inBody = false;
  #kept: Buffer = Buffer.alloc(0);

  constructor() {
    this.#socket = connect(settings.http, "127.0.0.1");
    this.#socket.setNoDelay(true);
    this.#socket.on("data", (bytes) => this.#take(bytes));
    this.#socket.on("error", () => process.exit(1));
  }

  start(stream: number, method: string, path: string, length: string): void {
    this.#stream = stream;
    this.#socket.write(`${method} ${path} HTTP/1.1\r\nHost: origin\r\n${method === "GET" ? "" : `Content-Length: ${length}\r\n`}\r\n`);
  }

  write(bytes: Uint8Array): void {
    this.#socket.write(bytes);
  }

  #take(chunk: Buffer): void {
    if (this.#inBody) return this.#body(chunk);
    const data = this.#kept.length === 0 ? chunk : Buffer.concat([this.#kept, chunk]);
    const end = data.indexOf(END_OF_HEAD);
    const head = end < 0 ? "" : data.toString("latin1", 0, end);
    const length = Number(/\r\ncontent-length: ([0-9]+)/.exec(head)?.[1] ?? 0);
    const rest = data.subarray(end + END_OF_HEAD.length);
    if (end < 0 || (length <= WHOLE_ANSWER_BYTES && rest.length < length)) {
      this.#kept = data;
      return;
    }
    this.#kept = Buffer.alloc(0);
    const status = Number(head.slice(9, 12));
    if (rest.length === length) {
      const { frame, view } = emptyFrame(this.#stream, ANSWER, 2 + length);
      view.setUint16(FRAME_HEADER_BYTES, status);
      frame.set(rest, FRAME_HEADER_BYTES + 2);
      send(frame);
      idle.push(this);
      return;
    }
    const { frame, view } = emptyFrame(this.#stream, HEAD, 10);
    view.setUint16(FRAME_HEADER_BYTES, status);
    view.setFloat64(FRAME_HEADER_BYTES + 2, length);
    send(frame);
    this.#left = length;
    this.#inBody = true;
    this.#body(rest);
  }

  #body(bytes: Buffer): void {
    if (bytes.length > 0) send(frameOf(this.#stream, DATA, bytes));
    this.#left -= bytes.length;
    if (this.#left > 0) return;
    send(frameOf(this.#stream, END, new Uint8Array()));
    this.#inBody = false;
    idle.push(this);
  }
}

function open(stream: number, payload: Buffer): Exchange {
  const [method = "", path = "", length = ""] = payload.toString("latin1").split("\n");
  const exchange = idle.pop() ?? new Exchange();
  exchange.start(stream, method, path, length);
  return exchange;
}

function openWebSocket(stream: number, path: string): void {
  const client = new WebSocket(`ws://127.0.0.1:${settings.websocket}${path}`, { perMessageDeflate: false, skipUTF8Validation: true, generateMask: (mask) => void mask.fill(0) });
  clients.set(stream, client);
  client.on("error", () => client.terminate());
  client.on("message", (data, binary) => send(frameOf(stream, binary ? BINARY : TEXT, data as Buffer)));
  client.on("open", () => {
    const { frame, view } = emptyFrame(stream, HEAD, 10);
    view.setUint16(FRAME_HEADER_BYTES, 101);
    send(frame);
  });
}

edge.on("message", (message: Buffer) => {
  const stream = message.readUInt32BE(0);
  const payload = message.subarray(FRAME_HEADER_BYTES);
  const type = message[4] ?? 0;
  switch (type) {
    case OPEN:
      return void open(stream, payload);
    case OPEN_WITH_BODY:
      return void uploads.set(stream, open(stream, payload));
    case OPEN_WEBSOCKET:
      return openWebSocket(stream, payload.toString("latin1"));
    case DATA:
      return uploads.get(stream)?.write(payload);
    case TEXT:
    case BINARY:
      return clients.get(stream)?.send(payload, { binary: type === BINARY });
    case END:
      clients.get(stream)?.close();
      clients.delete(stream);
      return void uploads.delete(stream);
  }
});
edge.on("error", () => process.exit(1));
edge.on("close", () => process.exit(0));
edge.on("open", () => process.send?.("ready"));
process.on("disconnect", () => process.exit(0));
