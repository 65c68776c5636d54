/**
 * Yardstick `floor`: worker → object → WebSocket → Node relay → origin, with nothing on the way
 * that is not needed to get the bytes there. No identity, no policy, no headers, no credit: what
 * is queued towards a slow client is queued without a bound. Never deploy it.
 */
import { DurableObject } from "cloudflare:workers";
import { ANSWER, BINARY, DATA, END, FRAME_HEADER_BYTES, HEAD, OPEN, OPEN_WEBSOCKET, OPEN_WITH_BODY, TEXT, frameOf } from "./floor-frames.ts";

interface Env {
  readonly FLOOR: DurableObjectNamespace;
}

interface Stream {
  readonly answer: (response: Response) => void;
  body?: WritableStreamDefaultWriter<Uint8Array>;
  client?: WebSocket;
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();

export class Floor extends DurableObject {
  readonly #streams = new Map<number, Stream>();
  #relay: WebSocket | undefined;
  #next = 1;

  override fetch(request: Request): Promise<Response> | Response {
    const path = request.url.slice(request.url.indexOf("/", 8));
    if (path === "/floor-relay") {
      const pair = new WebSocketPair();
      // Without hibernation, which costs nothing here: a floor that slept would have forgotten its streams.
      pair[1].accept();
      pair[1].binaryType = "arraybuffer";
      pair[1].addEventListener("message", ({ data }) => this.#fromRelay(data as ArrayBuffer));
      this.#relay = pair[1];
      return new Response(null, { status: 101, webSocket: pair[0] });
    }
    const relay = this.#relay;
    if (relay === undefined) return new Response(null, { status: 503 });
    const id = this.#next++;
    return new Promise((answer) => {
      this.#streams.set(id, { answer });
      if (request.headers.get("upgrade") !== null) {
        relay.send(frameOf(id, OPEN_WEBSOCKET, encoder.encode(path)));
      } else if (request.body === null) {
        relay.send(frameOf(id, OPEN, encoder.encode(`${request.method}\n${path}\n0`)));
      } else {
        relay.send(frameOf(id, OPEN_WITH_BODY, encoder.encode(`${request.method}\n${path}\n${request.headers.get("content-length")}`)));
        void upload(relay, id, request.body);
      }
    });
  }

  #fromRelay(message: ArrayBuffer): void {
    const view = new DataView(message);
    const id = view.getUint32(0);
    const stream = this.#streams.get(id);
    if (stream === undefined) return;
    switch (view.getUint8(4)) {
      case ANSWER:
        this.#streams.delete(id);
        return stream.answer(new Response(new Uint8Array(message, FRAME_HEADER_BYTES + 2), { status: view.getUint16(FRAME_HEADER_BYTES) }));
      case HEAD:
        return this.#head(stream, view);
      case DATA:
        void stream.body?.write(new Uint8Array(message, FRAME_HEADER_BYTES));
        return;
      case END:
        this.#streams.delete(id);
        void stream.body?.close();
        return;
      case TEXT:
        return stream.client?.send(decoder.decode(new Uint8Array(message, FRAME_HEADER_BYTES)));
      case BINARY:
        return stream.client?.send(new Uint8Array(message, FRAME_HEADER_BYTES));
    }
  }

  #head(stream: Stream, view: DataView): void {
    const status = view.getUint16(FRAME_HEADER_BYTES);
    if (status === 101) {
      const pair = new WebSocketPair();
      this.#client(pair[1], view.getUint32(0));
      stream.client = pair[1];
      return stream.answer(new Response(null, { status, webSocket: pair[0] }));
    }
    const fixed = new FixedLengthStream(view.getFloat64(FRAME_HEADER_BYTES + 2));
    stream.body = fixed.writable.getWriter();
    stream.answer(new Response(fixed.readable, { status }));
  }

  #client(socket: WebSocket, id: number): void {
    socket.accept();
    socket.binaryType = "arraybuffer";
    socket.addEventListener("message", ({ data }) => this.#relay?.send(typeof data === "string" ? frameOf(id, TEXT, encoder.encode(data)) : frameOf(id, BINARY, new Uint8Array(data as ArrayBuffer))));
    socket.addEventListener("close", () => {
      socket.close(1000);
      this.#streams.delete(id);
      this.#relay?.send(frameOf(id, END, new Uint8Array()));
    });
  }
}

async function upload(relay: WebSocket, id: number, body: ReadableStream<Uint8Array>): Promise<void> {
  for await (const bytes of body) relay.send(frameOf(id, DATA, bytes));
  relay.send(frameOf(id, END, new Uint8Array()));
}

export default {
  fetch(request: Request, env: Env): Promise<Response> {
    return env.FLOOR.getByName("one").fetch(request);
  },
};
