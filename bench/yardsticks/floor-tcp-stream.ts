/**
 * Both ends of the TCP floor: streams in frames of floor-frames.ts on one WebSocket, each a Duplex
 * for Node's TLS to run on. A write waits until the kernel has taken it; nothing else is bounded.
 */
import { Duplex } from "node:stream";
import { WebSocket } from "ws";
import { DATA, emptyFrame, END, FRAME_HEADER_BYTES, frameOf, OPEN } from "./floor-frames.ts";

/** The most that one frame carries. */
const MAX_PAYLOAD_BYTES = 64 * 1024;

export class FloorStream extends Duplex {
  readonly #send: (frame: Uint8Array, done: (error?: Error) => void) => void;
  readonly #id: number;

  constructor(id: number, send: (frame: Uint8Array, done: (error?: Error) => void) => void) {
    super({ writableHighWaterMark: 4 * MAX_PAYLOAD_BYTES });
    this.#id = id;
    this.#send = send;
  }

  override _read(): void {}

  override _write(chunk: Buffer, _encoding: string, done: (error?: Error | null) => void): void {
    this._writev([{ chunk }], done);
  }

  override _writev(chunks: readonly { readonly chunk: Buffer }[], done: (error?: Error | null) => void): void {
    let left = chunks.reduce((sum, { chunk }) => sum + chunk.length, 0);
    let index = 0;
    let at = 0;
    while (left > 0) {
      const size = Math.min(left, MAX_PAYLOAD_BYTES);
      const { frame } = emptyFrame(this.#id, DATA, size);
      for (let filled = 0; filled < size; ) {
        const { chunk } = chunks[index] ?? { chunk: Buffer.alloc(0) };
        const part = chunk.subarray(at, at + size - filled);
        frame.set(part, FRAME_HEADER_BYTES + filled);
        filled += part.length;
        at += part.length;
        if (at < chunk.length) continue;
        index++;
        at = 0;
      }
      left -= size;
      this.#send(frame, left === 0 ? done : () => undefined);
    }
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#send(frameOf(this.#id, END, new Uint8Array()), done);
  }
}

export interface FloorLink {
  readonly open: () => FloorStream;
}

/** Connects one end; `accept` is given each stream that the other end opens. */
export function connectFloor(edgePort: number, end: "agent" | "connector", accept: (stream: FloorStream) => void): Promise<FloorLink> {
  const socket = new WebSocket(`ws://127.0.0.1:${edgePort}/${end}`, { perMessageDeflate: false, generateMask: (mask) => void mask.fill(0) });
  const streams = new Map<number, FloorStream>();
  const send = (frame: Uint8Array, done: (error?: Error) => void): void => socket.send(frame, { binary: true, compress: false }, done);
  const add = (id: number): FloorStream => {
    const stream = new FloorStream(id, send);
    streams.set(id, stream);
    stream.once("close", () => streams.delete(id));
    stream.on("error", () => stream.destroy());
    return stream;
  };
  socket.on("message", (message: Buffer) => {
    const id = message.readUInt32BE(0);
    if (message[4] === OPEN) accept(add(id));
    else streams.get(id)?.push(message[4] === END ? null : message.subarray(FRAME_HEADER_BYTES));
  });
  socket.on("close", () => process.exit(0));
  let next = 1;
  const open = (): FloorStream => {
    const stream = add(next);
    send(frameOf(next++, OPEN, new Uint8Array()), () => undefined);
    return stream;
  };
  return new Promise((ready, failed) => socket.once("open", () => ready({ open })).once("error", failed));
}
