/**
 * One HTTP exchange on a stream: the request's body up, the answer's body down, both under
 * credit, both held while the lane may not pass them (M4). A broken transfer is an error at
 * both ends, never a short success. Not the decision and not the headers.
 */
import { concat } from "../../core/bytes.ts";
import { BODY_IDLE_MS } from "../../protocol/deadlines.ts";
import { HeadReader, type AnswerHead, parseAnswerHead } from "../../protocol/head.ts";
import { MIN_BULK_BYTES } from "../../protocol/limits.ts";
import type { BulkTickets } from "./bulk.ts";
import { BulkAnswer } from "./bulk-answer.ts";
import type { ConnectorLink } from "./connector-link.ts";
import type { Deadlines } from "./deadlines.ts";
import { HttpUpload } from "./http-upload.ts";
import { BROKEN_OFF, type LateEnds } from "./late-ends.ts";
import type { CutReason, LiveStream, StreamEnd } from "./live-stream.ts";
import type { StreamSink } from "./stream-sink.ts";
import type { WaitingUp } from "./waiting-up.ts";

/** What a relay asks of its lane. */
export interface Lane {
  readonly deadlines: Deadlines;
  readonly waitingUp: WaitingUp;
  readonly ends: LateEnds;
  /** May a byte of this stream pass now? A few comparisons (M4). */
  passes(stream: LiveStream, now: number): boolean;
  /** Renews what ran out and decides again; false when the stream was cut. */
  renew(stream: LiveStream): Promise<boolean>;
  /** Renews ahead what lets a body pass that nothing can hold, and cuts it in time; the answer stops it. `up`: the user's own bytes. */
  guard(stream: LiveStream, up: boolean): () => void;
  readonly tickets: BulkTickets;
  noteUserByte(stream: LiveStream, now: number): void;
  /** `socket`: the client's, when the stream was on one. */
  finished(stream: LiveStream, how: StreamEnd, socket?: WebSocket): void;
}

export type Answer = AnswerHead | { readonly broken: CutReason | "reset" | "protocol" };

/** An event stream gets a comment when it was quiet for this long, which shows whether the client is there. */
export const HEARTBEAT_MS = 20_000;
const HEARTBEAT = new TextEncoder().encode(": \n\n");

export class HttpRelay implements StreamSink {
  readonly #answer: Promise<Answer | undefined>;
  #settle: (answer: Answer | undefined) => void = () => undefined;
  readonly #lane: Lane;
  readonly #link: ConnectorLink;
  #number = 0;
  #stream: LiveStream | undefined;
  readonly #head = new HeadReader("answer");
  #answered = false;
  readonly #queue: Uint8Array[] = [];
  #handedOver = 0;
  #ended = false;
  #over = false;
  #brokenBy: Answer | undefined;
  #wakeDown: (() => void) | undefined;
  #controller: ReadableStreamDefaultController<Uint8Array> | undefined;
  /** The answer's body, if it may leave the mux. */
  #bulk: BulkAnswer | undefined;
  #upload: HttpUpload | undefined;
  #heartbeat = false;
  #atBoundary = false;
  #idleMs = BODY_IDLE_MS;

  constructor(lane: Lane, link: ConnectorLink) {
    this.#lane = lane;
    this.#link = link;
    this.#answer = new Promise((resolve) => {
      this.#settle = resolve;
    });
  }

  /** What broke it off, even after its head was there. */
  get brokenBy(): Answer | undefined {
    return this.#brokenBy;
  }

  /** The app's head. Undefined when it took longer than `ms`; an upload may take as long as it moves, and the time counts from its end. */
  head(ms: number): Promise<Answer | undefined> {
    if (!this.#answered && !this.#over) {
      const late = (): void => (this.#upload?.done !== false ? this.#settle(undefined) : this.#lane.deadlines.set(this, ms, late));
      this.#lane.deadlines.set(this, ms, late);
    }
    return this.#answer;
  }

  bind(stream: LiveStream, number: number, idleMs: number | undefined): void {
    this.#stream = stream;
    this.#number = number;
    if (idleMs !== undefined) this.#idleMs = idleMs;
  }

  /** Frames from the connector. */
  data(bytes: Uint8Array): void {
    if (this.#bulk !== undefined) return this.#bulk.data(bytes);
    if (this.#answered) {
      this.#queue.push(bytes);
      this.#wakeDown?.();
      return;
    }
    const read = this.#head.feed(bytes);
    if (read.type === "more") return this.#link.mux.consumed(this.#number, bytes.length);
    const head = read.type === "head" ? parseAnswerHead(read.json) : undefined;
    if (read.type !== "head" || head?.ok !== true) return this.#break({ broken: "protocol" }, "broken");
    this.#link.mux.consumed(this.#number, bytes.length - read.rest.length);
    this.#answered = true;
    this.#lane.deadlines.clear(this);
    if (read.rest.length > 0) this.#queue.push(read.rest);
    this.#settle(head.value);
  }

  end(): void {
    this.#ended = true;
    if (!this.#answered) return this.#break({ broken: "protocol" }, "broken");
    this.#bulk?.end();
    this.#wakeDown?.();
  }

  reset(forced = false): void {
    // The whole answer is here; that its connector went afterwards takes nothing from it.
    if (!this.#ended || forced) this.giveUp();
  }

  /** Nobody wants the answer any more, whole or not: whatever the relay holds is let go. */
  giveUp(): void {
    this.#break({ broken: "reset" }, "broken");
  }

  writable(): void {
    this.#upload?.writable();
  }

  cut(why: CutReason): number {
    const inFlight = this.#bulk?.handedOver ?? this.#handedOver;
    this.#break({ broken: why }, why);
    return inFlight;
  }

  /** The stream becomes a WebSocket: hands over what came after the head, and lets go. */
  handOver(): Uint8Array[] {
    this.#over = true;
    return this.#queue.splice(0);
  }

  /** The connector's direction has ended. */
  get hasEnded(): boolean {
    return this.#ended;
  }

  /** No body will follow: the exchange is complete. */
  finishWithoutBody(): void {
    this.#finish();
  }

  /** All of the answer's body is here; without a length that was announced, its end is. */
  isWhole(length: number | undefined): boolean {
    return length === undefined ? this.#ended : this.#here() === length;
  }

  #here(): number {
    let total = 0;
    for (const chunk of this.#queue) total += chunk.length;
    return total;
  }

  /** Waits for the rest of a small body, a moment at most; not for one that is larger than `maxBytes`. */
  async gather(length: number | undefined, maxBytes: number, ms: number): Promise<void> {
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      this.#wakeDown?.();
    }, ms);
    while (!late && !this.#over && !this.isWhole(length) && this.#here() <= maxBytes) {
      await new Promise<void>((resolve) => {
        this.#wakeDown = resolve;
      });
    }
    clearTimeout(timer);
  }

  /** The answer's body if all of it is here and may pass now: most small answers are, and need no stream. Completes the exchange. */
  whole(length: number | undefined, maxBytes = Number.POSITIVE_INFINITY): Uint8Array | undefined {
    const stream = this.#stream;
    const total = this.#here();
    if (!this.isWhole(length) || total > maxBytes || stream === undefined || this.#over || !this.#lane.passes(stream, Date.now())) return undefined;
    const parts = this.#queue.splice(0);
    stream.bytesOut += total;
    this.#link.mux.consumed(this.#number, total);
    this.#finish();
    return parts.length === 1 ? parts[0] : concat(parts);
  }

  /** The answer's body for the client if it may leave the mux (M15). */
  bulk(length: number | undefined): ReadableStream<Uint8Array> | undefined {
    const stream = this.#stream;
    if (length === undefined || length <= MIN_BULK_BYTES || stream === undefined || this.#over || !this.#mayLeaveMux(stream)) return undefined;
    const bulk = (this.#bulk = new BulkAnswer(this.#lane, this.#link, stream, length, {
      mayPass: () => this.mayPass(),
      moved: (piping) => (piping ? this.#lane.deadlines.clear(this) : this.#rearm()),
      finish: () => this.#finish(),
      broken: (byClient) => this.#break({ broken: byClient ? "reset" : "protocol" }, byClient ? "done" : "broken"),
    }));
    return bulk.start(this.#queue.splice(0), this.#ended);
  }

  /** The answer's body for the client. `eventStream`: quiet times are filled with comments. */
  body(eventStream: boolean): ReadableStream<Uint8Array> {
    this.#heartbeat = eventStream;
    this.#atBoundary = eventStream;
    this.#rearm();
    return new ReadableStream<Uint8Array>(
      {
        start: (controller) => {
          this.#controller = controller;
        },
        pull: (controller) => this.#pull(controller),
        cancel: () => this.#break({ broken: "reset" }, "done"),
      },
      { highWaterMark: 0 },
    );
  }

  async #pull(controller: ReadableStreamDefaultController<Uint8Array>): Promise<void> {
    this.#handedOver = 0;
    for (;;) {
      // An error was put on the controller when the exchange broke.
      if (this.#over) return;
      const chunk = this.#queue[0];
      if (chunk === undefined) {
        if (this.#ended) {
          this.#finish();
          controller.close();
          return;
        }
        await new Promise<void>((resolve) => {
          this.#wakeDown = resolve;
        });
        continue;
      }
      if (!(await this.mayPass())) return;
      this.#queue.shift();
      this.#handedOver = chunk.length;
      if (this.#heartbeat) this.#atBoundary = endsEvent(chunk);
      if (this.#stream !== undefined) this.#stream.bytesOut += chunk.length;
      controller.enqueue(chunk);
      this.#link.mux.consumed(this.#number, chunk.length);
      this.#link.flush();
      this.#rearm();
      return;
    }
  }

  /** Bytes that are piped cannot be counted against a limit while they are. */
  #mayLeaveMux(stream: LiveStream): boolean {
    return this.#link.takesBulk && stream.limits.maxBytes === undefined;
  }

  /** The request's body. `length`: as the client announced it. */
  upload(body: ReadableStream<Uint8Array>, maxBytes: number | undefined, length: number | undefined): void {
    const stream = this.#stream;
    if (stream === undefined) return;
    this.#upload = new HttpUpload({
      lane: this.#lane,
      link: this.#link,
      stream,
      isOver: () => this.#over || this.#ended,
      mayLeaveMux: this.#mayLeaveMux(stream),
      mayPass: () => this.mayPass(),
      broken: (detail) => this.#break({ v: 1, error: "upstream_protocol", detail }, "broken"),
      late: () => this.giveUp(),
    });
    void this.#upload.run(body, maxBytes, length);
  }

  /** Waits until the next byte may pass, either way (M4); false when it never will, and the stream is over. */
  async mayPass(): Promise<boolean> {
    const stream = this.#stream;
    if (stream === undefined || this.#over) return false;
    while (!this.#lane.passes(stream, Date.now())) {
      stream.held = true;
      const allowed = await this.#lane.renew(stream);
      stream.held = false;
      if (!allowed || this.#over) return false;
    }
    return true;
  }

  #finish(): void {
    if (this.#over) return;
    this.#over = true;
    this.#lane.deadlines.clear(this);
    // Bytes that nobody takes would hold the stream's place for ever.
    if (this.#upload?.done === false || this.#queue.length > 0) this.#link.mux.reset(this.#number);
    this.#link.mux.end(this.#number);
    this.#link.flush();
    this.#link.release(this.#number);
    this.#upload?.stop(new Error("the app has answered"));
    if (this.#stream !== undefined) this.#lane.finished(this.#stream, "done");
  }

  #break(answer: Answer, how: "done" | "broken" | CutReason): void {
    if (this.#over) return;
    this.#over = true;
    this.#brokenBy = answer;
    this.#lane.deadlines.clear(this);
    this.#queue.length = 0;
    this.#link.resetStream(this.#number);
    this.#settle(answer);
    this.#bulk?.stop();
    this.#upload?.stop(BROKEN_OFF);
    const controller = this.#controller;
    if (controller !== undefined && how !== "done") this.#lane.ends.do(() => controller.error(BROKEN_OFF));
    this.#wakeDown?.();
    if (this.#stream !== undefined) this.#lane.finished(this.#stream, how);
  }

  #rearm(): void {
    if (this.#over) return;
    const idle = this.#heartbeat ? HEARTBEAT_MS : this.#idleMs;
    const stands = (this.#stream?.redecideAt ?? Number.POSITIVE_INFINITY) - Date.now();
    this.#lane.deadlines.set(this, Math.min(idle, Math.max(0, stands)), () => (stands < idle ? void this.#stillAllowed() : this.#quiet()));
  }

  /** Quiet or not: what let it live ran out (P18). */
  async #stillAllowed(): Promise<void> {
    if (await this.mayPass()) this.#rearm();
  }

  #quiet(): void {
    // It is not the app that is silent.
    if (this.#stream?.frozenAt !== undefined) return this.#rearm();
    if (!this.#heartbeat) return this.giveUp();
    // Between two events only: a comment inside one would change it.
    if (this.#atBoundary && this.#queue.length === 0) {
      try {
        this.#controller?.enqueue(HEARTBEAT);
      } catch {
        return this.#break({ broken: "reset" }, "done");
      }
    }
    this.#rearm();
  }
}

/** True when the chunk ends an event (a blank line). */
function endsEvent(chunk: Uint8Array): boolean {
  const last = chunk.at(-1);
  const before = chunk.at(-2);
  return last === 10 && (before === 10 || (before === 13 && chunk.at(-3) === 10));
}
