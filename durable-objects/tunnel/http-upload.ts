/**
 * A request's body on its way to the connector: chunk by chunk on the mux, as far as credit goes,
 * and once the connector asked for the rest by a request of its own, without JavaScript per chunk
 * (M15). A body that breaks off is never a short one. Not the answer (http-relay.ts).
 */
import { MIN_BULK_BYTES } from "../../protocol/limits.ts";
import type { ConnectorLink } from "./connector-link.ts";
import type { Lane } from "./http-relay.ts";
import type { LiveStream } from "./live-stream.ts";
import { Piped } from "./piped.ts";

/** What is read of an upload after the app has answered without it, so that the answer is not lost. */
export const MAX_DISCARD_BYTES = 8 * 1024 * 1024;
/** One read of the client: what a message holds. */
const CHUNK_BYTES = 64 * 1024;

/** The exchange that it belongs to. */
interface Exchange {
  readonly lane: Lane;
  readonly link: ConnectorLink;
  readonly stream: LiveStream;
  /** Nothing more goes to the connector: the exchange is over, or the answer is whole. */
  readonly isOver: () => boolean;
  /** The rest may leave the mux. */
  readonly mayLeaveMux: boolean;
  /** A byte may pass from here on; false when none ever will. */
  readonly mayPass: () => Promise<boolean>;
  /** The client's body is not what it was to be. */
  readonly broken: (detail: "body_broken" | "body_too_large") => void;
  /** The connector did not take it in time. */
  readonly late: () => void;
}

type Turn = (rest: ReadableStream<Uint8Array> | null | undefined) => void;

export class HttpUpload {
  /** All of it is on its way, or dropped. */
  done = false;
  readonly #exchange: Exchange;
  /** The connector asked for the rest; answered with it, or with null when nothing is left. */
  #turn: Turn | undefined;
  #piped: Piped | undefined;
  #withdraw: () => void = () => undefined;
  #wake: (() => void) | undefined;

  constructor(exchange: Exchange) {
    this.#exchange = exchange;
  }

  /** Credit came. */
  writable(): void {
    this.#wake?.();
  }

  /** Nothing more passes. */
  stop(why: Error): void {
    this.#withdraw();
    this.#piped?.end(why);
    this.#turn?.(undefined);
    this.#wake?.();
  }

  /** `length`: as the client announced it. */
  async run(body: ReadableStream<Uint8Array>, maxBytes: number | undefined, length: number | undefined): Promise<void> {
    const { isOver, broken, link, stream, mayLeaveMux } = this.#exchange;
    if (length !== undefined && length > MIN_BULK_BYTES && mayLeaveMux) this.#offer(length);
    let reader = body.getReader({ mode: "byob" });
    let buffer = new ArrayBuffer(CHUNK_BYTES);
    let discarded = 0;
    let total = 0;
    try {
      for (;;) {
        if (this.#turn !== undefined && this.#piped === undefined && length !== undefined && length > total && !isOver()) {
          reader.releaseLock();
          if (await this.#pipe(body, length - total, this.#turn)) break;
          // The connector takes no more: it answers without the rest, or breaks the stream off. What comes is dropped.
          reader = body.getReader({ mode: "byob" });
        }
        const { done, value } = await reader.read(new Uint8Array(buffer));
        if (done) {
          // A client that hung up may look like a clean end.
          if (length !== undefined && total !== length && this.#piped === undefined) broken("body_broken");
          break;
        }
        total += value.length;
        if (maxBytes !== undefined && total > maxBytes) broken("body_too_large");
        if (isOver() || this.#piped !== undefined) {
          discarded += value.length;
          if (discarded > MAX_DISCARD_BYTES) break;
        } else await this.#send(value);
        buffer = value.buffer as ArrayBuffer;
      }
      link.mux.end(stream.number);
      link.flush();
    } catch {
      // The client broke its upload off: the app must not take what came for the whole. Once it was piped, either end
      // may have, and the engine breaks the body with the pipe: the connector knows, and answers or breaks the stream off.
      if (this.#piped === undefined) return broken("body_broken");
    } finally {
      await reader.cancel().catch(() => undefined);
    }
    this.done = true;
    this.#turn?.(null);
  }

  /** Tells the connector that it may ask for the rest by a request of its own. */
  #offer(length: number): void {
    const { lane, link, stream, isOver } = this.#exchange;
    this.#withdraw = lane.tickets.issue(link, stream.number, "up", async (segment) => {
      if (isOver() || segment.length !== length) return undefined;
      return this.done ? null : new Promise((turn) => (this.#turn = turn));
    });
  }

  /** The rest, as the answer to the connector's request; what came before it is all on the mux. False: it takes no more. */
  async #pipe(body: ReadableStream<Uint8Array>, rest: number, turn: Turn): Promise<boolean> {
    const { lane, link, stream, mayPass, late } = this.#exchange;
    if (!(await mayPass())) return false;
    const fixed = new FixedLengthStream(rest);
    const piped = (this.#piped = new Piped(lane.deadlines));
    const unguard = lane.guard(stream, true);
    link.mux.end(stream.number);
    link.flush();
    turn(fixed.readable);
    try {
      await piped.run(body, fixed.writable, { preventCancel: true }, late);
      stream.bytesIn += rest;
      return true;
    } catch {
      return false;
    } finally {
      unguard();
    }
  }

  async #send(value: Uint8Array): Promise<void> {
    const { lane, link, stream, isOver, mayPass } = this.#exchange;
    let rest = value;
    while (rest.length > 0 && !isOver()) {
      if (!(await mayPass())) return;
      const taken = link.write(stream.number, rest);
      link.flush();
      rest = rest.subarray(taken);
      if (taken > 0) {
        stream.bytesIn += taken;
        lane.noteUserByte(stream, Date.now());
      }
      if (rest.length === 0) return;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }
}
