/**
 * An answer's body of known length that may leave the mux (M15): what the mux brings, and pieces
 * that the connector brings by requests of its own, in the order of their offsets into one stream
 * for the client. Not the decision, which stands for as long as the guard renews it (M4).
 */
import { MIN_BULK_BYTES } from "../../protocol/limits.ts";
import type { Redeem } from "./bulk.ts";
import type { ConnectorLink } from "./connector-link.ts";
import type { Lane } from "./http-relay.ts";
import { BROKEN_OFF } from "./late-ends.ts";
import type { LiveStream } from "./live-stream.ts";
import { Piped } from "./piped.ts";

/** What the runtime moves at once while it pipes: what may be on its way when it is cut, kernels not counted. */
const PIPED_AT_ONCE_BYTES = 64 * 1024;

interface Segment {
  readonly offset: number;
  readonly length: number;
  readonly body: ReadableStream<Uint8Array>;
  /** Null once it is through to the client. */
  readonly settle: (through: null | undefined) => void;
}

/** What it tells the exchange. */
interface Exchange {
  /** A byte may pass from here on; false when none ever will. */
  readonly mayPass: () => Promise<boolean>;
  /** Bytes moved: quiet times begin anew; or a piece is piped, which has a deadline of its own. */
  readonly moved: (piping: boolean) => void;
  /** The whole body is given to the client. */
  readonly finish: () => void;
  /** By either end, or because they do not agree. */
  readonly broken: (byClient: boolean) => void;
}

export class BulkAnswer {
  readonly #readable: ReadableStream<Uint8Array>;
  readonly #writable: WritableStream<Uint8Array>;
  readonly #lane: Lane;
  readonly #link: ConnectorLink;
  readonly #stream: LiveStream;
  readonly #length: number;
  readonly #exchange: Exchange;
  readonly #piped: Piped;
  readonly #queue: Uint8Array[] = [];
  /** Bytes of the body: received (from the mux and by segments), and given to the client. */
  #received = 0;
  #delivered = 0;
  #handedOver = 0;
  #segment: Segment | undefined;
  #writer: WritableStreamDefaultWriter<Uint8Array>;
  #withdraw: () => void = () => undefined;
  #ended = false;
  #over = false;
  #wake: (() => void) | undefined;

  constructor(lane: Lane, link: ConnectorLink, stream: LiveStream, length: number, exchange: Exchange) {
    this.#lane = lane;
    this.#link = link;
    this.#stream = stream;
    this.#length = length;
    this.#exchange = exchange;
    this.#piped = new Piped(lane.deadlines);
    const fixed = new FixedLengthStream(length);
    this.#readable = fixed.readable;
    this.#writable = fixed.writable;
    this.#writer = fixed.writable.getWriter();
  }

  /** Bytes that were handed over and may still be on their way. */
  get handedOver(): number {
    return this.#handedOver;
  }

  /** Begins with what is here already. */
  start(early: readonly Uint8Array[], ended: boolean): ReadableStream<Uint8Array> {
    for (const bytes of early) this.data(bytes);
    this.#ended = ended;
    this.#exchange.moved(false);
    if (this.#length - this.#received > MIN_BULK_BYTES) this.#offer();
    // A chunk that the client has not taken yet was let pass when it was written: what let it must last.
    const unguard = this.#lane.guard(this.#stream, false);
    this.#deliver()
      .catch(() => this.#exchange.broken(true))
      .finally(unguard);
    return this.#readable;
  }

  /** Frames from the connector. */
  data(bytes: Uint8Array): void {
    this.#received += bytes.length;
    // Promised to a segment: they would reach the client twice.
    if (this.#received > (this.#segment?.offset ?? this.#length)) return this.#exchange.broken(false);
    this.#queue.push(bytes);
    this.#wake?.();
  }

  end(): void {
    this.#ended = true;
    this.#wake?.();
  }

  /** Nothing passes any more. */
  stop(): void {
    this.#over = true;
    this.#withdraw();
    this.#wake?.();
    // Whoever waits for the pipe ends the client then.
    if (!this.#piped.end(BROKEN_OFF)) this.#fail(() => this.#writer.abort(BROKEN_OFF));
  }

  /** An error to the client, and the connector's own request let go. */
  #fail(abort: () => Promise<void>): void {
    this.#lane.ends.do(() => {
      // Fails when the client is gone.
      abort().catch(() => undefined);
      this.#segment?.settle(undefined);
    });
  }

  #offer(): void {
    this.#withdraw = this.#lane.tickets.issue(this.#link, this.#stream.number, "down", this.#redeem);
  }

  /** A piece of the body by the connector's own request; settled once it is through. */
  readonly #redeem: Redeem = async ({ offset, length }, body) => {
    if (body === null || this.#over || this.#ended || this.#segment !== undefined || offset < this.#received || length < 1 || offset + length > this.#length) return undefined;
    const through = new Promise<null | undefined>((settle) => {
      this.#segment = { offset, length, body, settle };
    });
    // The next ticket tells the connector that this one is taken.
    this.#offer();
    this.#wake?.();
    return through;
  };

  async #deliver(): Promise<void> {
    while (!this.#over) {
      const chunk = this.#queue[0];
      if (chunk !== undefined) {
        if (!(await this.#exchange.mayPass())) return;
        this.#queue.shift();
        this.#handedOver = chunk.length;
        this.#stream.bytesOut += chunk.length;
        await this.#writer.write(chunk);
        this.#delivered += chunk.length;
        this.#link.mux.consumed(this.#stream.number, chunk.length);
        this.#link.flush();
        this.#exchange.moved(false);
      } else if (this.#segment !== undefined && this.#segment.offset === this.#delivered) {
        await this.#pipe(this.#segment);
      } else if (this.#ended) {
        if (this.#delivered !== this.#length) return this.#exchange.broken(false);
        this.#withdraw();
        // Fails when a segment was shorter than it said.
        return await this.#writer.close().then(this.#exchange.finish, () => this.#exchange.broken(false));
      } else {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
    }
  }

  async #pipe({ length, body, settle }: Segment): Promise<void> {
    if (!(await this.#exchange.mayPass())) return;
    this.#handedOver = Math.min(length, PIPED_AT_ONCE_BYTES);
    this.#exchange.moved(true);
    this.#writer.releaseLock();
    const broken = (): void => this.#exchange.broken(false);
    await this.#piped.run(body, this.#writable, { preventClose: true, preventAbort: true }, broken).catch((cause: unknown) => {
      // Whoever broke it, half a body is no answer that is done.
      broken();
      this.#fail(() => this.#writable.abort(BROKEN_OFF));
      throw cause;
    });
    this.#writer = this.#writable.getWriter();
    this.#stream.bytesOut += length;
    this.#received += length;
    this.#delivered += length;
    this.#segment = undefined;
    this.#exchange.moved(false);
    settle(null);
  }
}
