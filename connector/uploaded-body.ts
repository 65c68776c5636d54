/**
 * A request's body on its way from the edge: from the mux, and once there is a ticket and enough
 * to come, the rest as the answer to a request of the connector's own (M15). The edge ends the
 * mux's part before the rest begins; both together are as long as the client announced.
 */
import type { ClientRequest, IncomingMessage } from "node:http";
import { BODY_IDLE_MS, BULK_ACCEPT_MS, BULK_IDLE_MS } from "../protocol/deadlines.ts";
import { MIN_BULK_BYTES } from "../protocol/limits.ts";
import { breakOff } from "./dial.ts";
import { SocketReads } from "./socket-reads.ts";
import type { TunnelStream } from "../channel/tunnel-stream.ts";
import type { Ticket } from "../protocol/bulk.ts";
import type { SegmentRequests } from "./segment-requests.ts";

interface Sink {
  /** `done` once the bytes are handed on. */
  upload(bytes: Uint8Array, done: () => void): void;
  /** The body is complete. */
  end(): void;
  /** The rest broke: the request cannot be completed. */
  broken(): void;
}

/** Bytes given to the origin's socket and not taken by the system, above which the edge waits; lent memory has bounds of its own. */
const MAX_UNSENT_BYTES = 512 * 1024;

export class UploadedBody {
  readonly #stream: TunnelStream;
  readonly #segments: SegmentRequests | undefined;
  readonly #length: number | undefined;
  readonly #idleMs: number;
  readonly #sink: Sink;
  /** Bytes that came on the mux. */
  #received = 0;
  #muxEnded = false;
  #request: ClientRequest | undefined;
  #rest: IncomingMessage | undefined;
  #reading = false;
  #unsent = 0;
  #movedAt = 0;
  #timer: NodeJS.Timeout | undefined;
  #over = false;
  #destroyed = false;

  constructor(stream: TunnelStream, segments: SegmentRequests | undefined, length: number | undefined, idleMs: number | undefined, sink: Sink) {
    this.#stream = stream;
    this.#segments = segments;
    this.#length = length;
    this.#idleMs = idleMs ?? BULK_IDLE_MS;
    this.#sink = sink;
  }

  /** Bytes on the mux. */
  data(bytes: Uint8Array): void {
    this.#received += bytes.length;
    this.#sink.upload(bytes, () => this.#stream.consumed(bytes.length));
  }

  /** The mux brings no more. */
  end(): void {
    this.#muxEnded = true;
    if (this.#request === undefined || this.#over || this.#received === this.#length) return this.#end();
    this.#read();
  }

  ticket({ ticket, at }: Ticket): void {
    const length = this.#length;
    const segments = this.#segments;
    const { id } = this.#stream;
    if (this.#over || this.#muxEnded || this.#request !== undefined || length === undefined || segments === undefined) return;
    if (length - this.#received <= MIN_BULK_BYTES || !segments.way.isOpen) return;
    const request = segments.request({ ticket, stream: id, direction: "up", offset: 0, length }, at);
    this.#request = request;
    const failed = (reason: string): void => {
      if (this.#request === request) this.#failed(reason);
    };
    request.on("response", (rest) => {
      if (rest.statusCode === 204) {
        // All of it is on the mux, or on its way there; that this request closes is no failure.
        this.#request = undefined;
        rest.resume();
        if (this.#muxEnded) this.#break();
      } else if (rest.statusCode !== 200) failed(`status ${rest.statusCode}`);
      else {
        clearTimeout(this.#timer);
        // What came with the head is parsed after this event.
        process.nextTick(() => {
          this.#rest = rest;
          if (!this.#over) this.#read();
        });
      }
    });
    request.on("error", () => failed("connection"));
    request.on("close", () => failed("closed"));
    request.end();
  }

  /** Ends what is under way at once; nothing is told. */
  destroy(): void {
    this.#destroyed ||= !this.#over;
    this.#over = true;
    clearTimeout(this.#timer);
    const request = this.#request;
    this.#request = undefined;
    breakOff(request?.socket);
    request?.destroy();
  }

  #end(): void {
    if (this.#over) return;
    this.#over = true;
    this.destroy();
    this.#sink.end();
  }

  /** The rest, once all that came before it is here. */
  #read(): void {
    const rest = this.#rest;
    if (!this.#muxEnded || this.#reading) return;
    // The edge turned to the segment; if its answer does not come, the body cannot be completed.
    if (rest === undefined) return this.#arm(BULK_ACCEPT_MS, () => this.#break());
    this.#reading = true;
    const length = Number(rest.headers["content-length"]);
    if (this.#received + length !== this.#length) return this.#break();
    const { socket } = rest;
    const reads = SocketReads.of(socket);
    this.#movedAt = performance.now();
    this.#arm(this.#idleMs, () => {
      if (this.#unsent > 0 || performance.now() - this.#movedAt > BODY_IDLE_MS) this.#break();
      else this.#timer?.refresh();
    });
    const take = (bytes: Uint8Array): boolean => {
      const release = reads?.hold();
      this.#unsent += bytes.length;
      this.#sink.upload(bytes, () => {
        this.#unsent -= bytes.length;
        this.#movedAt = performance.now();
        this.#timer?.refresh();
        release?.();
        if (reads === undefined && this.#unsent < MAX_UNSENT_BYTES) rest.resume();
      });
      return this.#unsent < MAX_UNSENT_BYTES;
    };
    const end = (): void => {
      if (this.#over) return;
      this.#segments?.way.carried("up", length);
      this.destroy();
      this.#sink.end();
    };
    const left = length - rest.readableLength - socket.readableLength;
    if (reads === undefined || left <= 0) {
      rest.on("data", (bytes: Uint8Array) => take(bytes) || rest.pause());
      rest.on("end", () => rest.complete && end());
      return;
    }
    // What was read already comes first, by the parser.
    while (socket.readableLength > 0 && socket.read() !== null);
    for (let bytes: unknown; (bytes = rest.read()) !== null; ) take(bytes as Uint8Array);
    reads.divert(left, take, (overrun) => (overrun ? this.#break() : end()));
  }

  #failed(reason: string): void {
    if (this.#over) return;
    if (this.#muxEnded || this.#reading) return this.#break();
    // The edge never turned to it: the mux brings all of it.
    clearTimeout(this.#timer);
    this.#request = undefined;
    this.#segments?.way.failed("up", reason, () => this.#destroyed);
  }

  #break(): void {
    if (this.#over) return;
    this.destroy();
    this.#sink.broken();
  }

  #arm(ms: number, late: () => void): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(late, ms);
  }
}
