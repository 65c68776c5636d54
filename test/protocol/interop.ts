/**
 * Our end of an interoperability test: a mux that sends files, or echoes what it is sent, under
 * flow control, to a foreign yamux over a stream of bytes; and the adapter that cuts such a
 * stream into messages of whole frames. Not a test.
 */
import { createHash } from "node:crypto";
import { Flag, FrameType, HEADER_BYTES, encodeFrame, readU32 } from "../../protocol/frames.ts";
import { MAX_MESSAGE_BYTES } from "../../protocol/limits.ts";
import { Mux } from "../../protocol/mux.ts";
import { join, opened } from "./wire.ts";

export const sha256 = (parts: readonly Uint8Array[]): string => parts.reduce((hash, part) => hash.update(part), createHash("sha256")).digest("hex");

/** Bytes that differ from file to file and do not repeat at any window or frame size. */
export function file(seed: number, size: number): Uint8Array {
  let state = seed | 1;
  return new Uint8Array(size).map(() => (state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0) >>> 16);
}

/** Cuts a foreign byte stream into messages: one frame each, long data frames as several. */
export class Reframer {
  #held: Uint8Array = new Uint8Array(0);

  feed(chunk: Uint8Array): Uint8Array[] {
    this.#held = join([this.#held, chunk]);
    const messages: Uint8Array[] = [];
    let at = 0;
    while (this.#held.length - at >= HEADER_BYTES) {
      const [type, flags, id, length] = [this.#held[at + 1] ?? 0, this.#held[at + 3] ?? 0, readU32(this.#held, at + 4), readU32(this.#held, at + 8)];
      const end = at + HEADER_BYTES + (type === FrameType.data ? length : 0);
      if (end > this.#held.length) break;
      if (end - at <= MAX_MESSAGE_BYTES) messages.push(this.#held.slice(at, end));
      else {
        for (let from = at + HEADER_BYTES, first = flags & ~Flag.fin; from < end; first = 0) {
          const to = Math.min(end, from + MAX_MESSAGE_BYTES - HEADER_BYTES);
          messages.push(encodeFrame(type, first | (to === end ? flags & Flag.fin : 0), id, 0, this.#held.subarray(from, to)));
          from = to;
        }
      }
      at = end;
    }
    this.#held = this.#held.subarray(at);
    return messages;
  }
}

interface Stream {
  /** Bytes to write, and whether each is credited back when it is written (an echo). */
  readonly queue: Uint8Array[];
  readonly echo: boolean;
  readonly received: Uint8Array[];
  ending: boolean;
  readonly done: PromiseWithResolvers<string>;
}

export class OurEnd {
  readonly mux: Mux;
  readonly #send: (bytes: Uint8Array) => void;
  readonly #reframer = new Reframer();
  readonly #streams = new Map<number, Stream>();

  constructor(role: "connector" | "edge", send: (bytes: Uint8Array) => void) {
    // Foreign peers widen their windows as they like, and ping.
    this.mux = new Mux({ role, now: () => performance.now(), maxCreditBytes: 16 * 1024 * 1024 });
    this.#send = send;
  }

  /** Sends a file on a stream of its own; resolves with the SHA-256 of what came back until the peer ended. */
  exchange(content: Uint8Array): Promise<string> {
    const id = opened(this.mux);
    const stream = this.#add(id, false);
    for (let at = 0; at < content.length; at += 50_000) stream.queue.push(content.subarray(at, at + 50_000));
    stream.ending = true;
    this.#pump(id, stream);
    this.#flush();
    return stream.done.promise;
  }

  receive(chunk: Uint8Array): void {
    for (const message of this.#reframer.feed(chunk)) this.#message(message);
    this.#flush();
  }

  #add(id: number, echo: boolean): Stream {
    const stream: Stream = { queue: [], echo, received: [], ending: false, done: Promise.withResolvers() };
    this.#streams.set(id, stream);
    return stream;
  }

  #message(message: Uint8Array): void {
    for (const event of this.mux.receive(message)) {
      if (event.type === "fatal") throw new Error(event.reason);
      if (event.type === "goaway") continue;
      const stream = event.type === "open" ? this.#add(event.id, true) : this.#streams.get(event.id);
      if (stream === undefined) continue;
      if (event.type === "reset") stream.done.reject(new Error(`reset: ${event.cause}`));
      if (event.type === "data" && stream.echo) stream.queue.push(event.bytes);
      else if (event.type === "data") {
        stream.received.push(event.bytes);
        this.mux.consumed(event.id, event.bytes.length);
      }
      if (event.type === "end" && stream.echo) stream.ending = true;
      else if (event.type === "end") stream.done.resolve(sha256(stream.received));
      this.#pump(event.id, stream);
    }
  }

  #pump(id: number, stream: Stream): void {
    for (let next = stream.queue[0]; next !== undefined; next = stream.queue[0]) {
      const taken = this.mux.write(id, next);
      if (stream.echo) this.mux.consumed(id, taken);
      if (taken < next.length) {
        stream.queue[0] = next.subarray(taken);
        return;
      }
      stream.queue.shift();
    }
    if (stream.ending) this.mux.end(id);
  }

  #flush(): void {
    for (const message of this.mux.takeOutput()) this.#send(message.slice());
  }
}
