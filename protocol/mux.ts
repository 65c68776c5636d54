/**
 * The multiplexer: yamux streams over the messages of one WebSocket, sans-I/O and synchronous.
 * Messages in, events out; writes in, messages out. The tunnel object and the connector drive
 * the same code. Not for heads, control texts or deadlines, and it holds no payload: received
 * bytes are the shell's until it calls `consumed`, and nothing is buffered beyond the credit.
 *
 * After every call that may write (`write`, `end`, `reset`, `consumed`, `goAway`, `receive`)
 * the shell sends what `takeOutput` returns.
 */
import { err, ok } from "../core/result.ts";
import type { Result } from "../core/result.ts";
import { Flag, FrameType, GoAwayCode, HEADER_BYTES, INITIAL_WINDOW_BYTES, readHeader } from "./frames.ts";
import type { FrameHeader } from "./frames.ts";
import * as limits from "./limits.ts";
import { newCounters } from "./mux-events.ts";
import type { MuxCounters, MuxEvent, MuxRefusal, ResetCause } from "./mux-events.ts";
import { MuxGuard, flood, tooLarge, violation } from "./mux-guard.ts";
import type { Fatal } from "./mux-guard.ts";
import { settled } from "./mux-options.ts";
import type { MuxOptions } from "./mux-options.ts";
import { MuxOutput } from "./mux-output.ts";
import { consume, fromSnapshot, grant, heaviest, isCreditDue, isDone, newStream, snapshotOf, weight, widen } from "./mux-stream.ts";
import type { MuxStream, StreamSnapshot } from "./mux-stream.ts";
import { UsedIds } from "./used-ids.ts";

export class Mux {
  readonly counters: MuxCounters = newCounters();
  readonly #parity: number;
  readonly #options: Required<MuxOptions>;
  readonly #streams = new Map<number, MuxStream>();
  readonly #guard = new MuxGuard(this.counters);
  readonly #used = new UsedIds();
  readonly #output: MuxOutput;
  /** Streams of the peer whose ACK waits for company. */
  readonly #ackDue = new Set<number>();
  #nextId: number;
  #buffered = 0;
  #inFlight = 0;
  #backlog = 0;
  #leaving = false;
  #peerLeaving = false;
  #closed = false;

  constructor(options: MuxOptions) {
    this.#parity = options.role === "connector" ? 1 : 0;
    this.#nextId = options.role === "connector" ? 1 : 2;
    this.#options = settled(options);
    this.#output = new MuxOutput(this.#options.allocate);
  }

  /** Streams that count against the cap: open ones, and ended ones with bytes not yet consumed. */
  get streamCount(): number {
    return this.#streams.size;
  }

  /** What received and unconsumed data weighs, in bytes; at most maxBufferedBytes between two calls. */
  get bufferedBytes(): number {
    return this.#buffered;
  }

  /** Bytes sent for which credit has not come back. */
  get inFlightBytes(): number {
    return this.#inFlight;
  }

  /** The id that `open` would reserve next. */
  get nextId(): number {
    return this.#nextId;
  }

  /** Ids of all streams that `streamCount` counts. */
  streams(): IterableIterator<number> {
    return this.#streams.keys();
  }

  /** Reserves a stream id. Nothing is sent: the first data, or `end`, carries SYN (ST1). */
  open(): Result<number, MuxRefusal> {
    if (this.#closed) return err("closed");
    if (this.#nextId >= limits.LAST_STREAM_ID) {
      this.goAway(GoAwayCode.normal);
      return err("ids_exhausted");
    }
    if (this.#leaving || this.#peerLeaving) return err("going_away");
    if (this.#streams.size >= this.#options.maxStreams) return err("too_many_streams");
    if (this.#backlog >= this.#options.maxBacklog) return err("backlog");
    if (this.#buffered > this.#options.maxBufferedBytes * limits.REFUSE_SHARE || this.#inFlight > this.#options.maxBufferedBytes) return err("memory");
    const id = this.#nextId;
    this.#nextId += 2;
    this.#streams.set(id, newStream(this.#options.windowBytes, "us"));
    this.#backlog += 1;
    this.counters.opened += 1;
    return ok(id);
  }

  /**
   * Takes as many bytes as the peer's credit allows and returns how many; the caller keeps the
   * rest until a `writable` event. 0 for a stream that is gone or was ended here. Bytes are copied.
   */
  write(id: number, bytes: Uint8Array): number {
    const stream = this.#streams.get(id);
    if (stream === undefined || stream.localEnded) return 0;
    const taken = Math.min(bytes.length, stream.credit);
    if (taken === 0) return 0;
    this.#output.data(id, this.#openingFlags(id, stream), taken === bytes.length ? bytes : bytes.subarray(0, taken));
    stream.credit -= taken;
    stream.sent += taken;
    this.#inFlight += taken;
    this.counters.bytesOut += taken;
    return taken;
  }

  /** Bytes that `write` would take now; 0 for a stream that is gone or was ended here. */
  writable(id: number): number {
    const stream = this.#streams.get(id);
    return stream === undefined || stream.localEnded ? 0 : stream.credit;
  }

  /** Sends no more on this stream. The other direction goes on until the peer ends it too. */
  end(id: number): void {
    const stream = this.#streams.get(id);
    if (stream === undefined || stream.localEnded) return;
    this.#output.fin(id, this.#openingFlags(id, stream));
    stream.localEnded = true;
    this.#forgetIfDone(id, stream);
  }

  /** Ends both directions at once and forgets the stream. Harmless for a stream that is gone. */
  reset(id: number): void {
    const stream = this.#streams.get(id);
    if (stream === undefined) return;
    if (!stream.synDue && !isDone(stream)) this.#sendReset(id, stream.remoteEnded ? 0 : stream.window, this.#options.maxCreditBytes - stream.credit);
    this.#forget(id, stream);
  }

  /** The application has taken `bytes` of what it was given. Credit goes back once a quarter of the window is owed, or at once with "now" (FC6). */
  consumed(id: number, bytes: number, when: "batched" | "now" = "batched"): void {
    const stream = this.#streams.get(id);
    if (stream === undefined) return;
    const before = weight(stream);
    consume(stream, Math.min(Math.max(0, bytes), stream.held));
    this.#buffered += weight(stream) - before;
    const due = when === "now" ? stream.owed > 0 && !stream.remoteEnded : isCreditDue(stream, this.#options.windowBytes);
    if (due) this.#output.control(FrameType.windowUpdate, this.#openingFlags(id, stream), id, grant(stream));
    this.#forgetIfDone(id, stream);
  }

  /** Enlarges one stream's receive window, if it lives; the peer hears of it with the next window update (FC5). */
  widen(id: number, windowBytes: number): void {
    widen(this.#streams.get(id), windowBytes - this.#options.windowBytes);
  }

  /** Tells the peer to open no more streams; those that live go on. 0 is orderly (GoAwayCode). */
  goAway(code: number): void {
    if (this.#leaving || this.#closed) return;
    this.#leaving = true;
    this.#output.control(FrameType.goAway, 0, 0, code);
  }

  /** Messages to send, in order, at most 64 KiB each: views to be sent or copied before the next write. "full": those that nothing more fits into, if any. */
  takeOutput(which: "all" | "full" = "all"): readonly Uint8Array[] {
    if (which === "all" && this.#ackDue.size > 0 && (this.#ackDue.size >= limits.ACK_BATCH_COUNT || !this.#output.isEmpty)) {
      for (const id of this.#ackDue) {
        const stream = this.#streams.get(id);
        if (stream !== undefined) stream.ackDue = false;
        this.#output.control(FrameType.windowUpdate, Flag.ack, id, 0);
      }
      this.#ackDue.clear();
    }
    return this.#output.take(which);
  }

  /**
   * Reads one WebSocket message and returns what it means, in order. Never throws. After a
   * `fatal` event, which comes last, the mux takes and gives nothing more.
   */
  receive(message: Uint8Array): MuxEvent[] {
    const events: MuxEvent[] = [];
    if (this.#closed) return events;
    const now = this.#options.now();
    let fatal: Fatal | undefined;
    if (message.length > limits.MAX_MESSAGE_BYTES) fatal = tooLarge();
    else if (message.length === 0) fatal = this.#guard.ignore(now);
    for (let at = 0; at < message.length && fatal === undefined; ) {
      const header = readHeader(message, at);
      if (typeof header === "string") {
        fatal = violation(`malformed frame: ${header}`);
        break;
      }
      this.counters.framesIn += 1;
      fatal = header.streamId === 0 ? this.#onSessionFrame(header, events, now) : this.#onStreamFrame(header, message.subarray(at + HEADER_BYTES, header.end), events, now);
      at = header.end;
    }
    if (fatal === undefined && this.#output.queuedControl > limits.MAX_QUEUED_CONTROL_COUNT) fatal = flood("control frames queued");
    if (fatal !== undefined) this.#close(fatal, events);
    return events;
  }

  /** What must be stored for a stream to survive hibernation; undefined if it is gone. */
  snapshot(id: number): StreamSnapshot | undefined {
    const stream = this.#streams.get(id);
    return stream === undefined ? undefined : snapshotOf(stream);
  }

  /** Lets a stream that is here go without a frame: from now on its shell splices it (splice.ts), and says `gone` at its end. */
  detach(id: number, stream = this.#streams.get(id)): void {
    if (stream !== undefined) this.#forget(id, stream);
  }

  /** A spliced stream is gone: what the peer may still send on it, and whether a reset tells it. */
  gone(id: number, data: number, credit: number, tell: boolean): void {
    if (tell) this.#sendReset(id, data, credit);
    else this.#guard.gone(id, data, credit);
  }

  /** Puts a stream back after a wake, before the first `receive`. Its id is not reserved again. */
  restore(id: number, snapshot: StreamSnapshot): void {
    const former = this.#streams.get(id);
    if (former !== undefined) this.#forget(id, former);
    const stream = fromSnapshot(snapshot, this.#options.windowBytes);
    this.#streams.set(id, stream);
    this.#buffered += weight(stream);
    this.#inFlight += stream.sent;
    if (stream.unacknowledged) this.#backlog += 1;
    if (stream.ackDue) this.#ackDue.add(id);
    if (this.#isOurs(id)) this.reserveIds(id + 2);
    else this.#used.claim(id);
  }

  /** Reserves no id below `next` from now on (M3): the high-water mark that was stored before it was used. */
  reserveIds(next: number): void {
    const own = next % 2 === this.#parity ? next : next + 1;
    this.#nextId = Math.max(this.#nextId, own);
  }

  #isOurs(id: number): boolean {
    return id % 2 === this.#parity;
  }

  #openingFlags(id: number, stream: MuxStream): number {
    if (stream.synDue) {
      stream.synDue = false;
      return Flag.syn;
    }
    if (!stream.ackDue) return 0;
    stream.ackDue = false;
    this.#ackDue.delete(id);
    return Flag.ack;
  }

  #onSessionFrame({ type, flags, length }: FrameHeader, events: MuxEvent[], now: number): Fatal | undefined {
    if (type === FrameType.goAway) {
      if (this.#peerLeaving) return this.#guard.ignore(now);
      this.#peerLeaving = true;
      events.push({ type: "goaway", code: length });
      return undefined;
    }
    if ((flags & Flag.syn) === 0) return this.#guard.ignore(now);
    this.#output.control(FrameType.ping, Flag.ack, 0, length);
    return this.#guard.ping(now);
  }

  #onStreamFrame(header: FrameHeader, payload: Uint8Array, events: MuxEvent[], now: number): Fatal | undefined {
    const { type, flags, streamId: id, length } = header;
    let stream = this.#streams.get(id);
    if ((flags & Flag.syn) !== 0) {
      if (stream !== undefined) return this.#breakStream(id, "reused_id", events, now);
      if (this.#isOurs(id)) return this.#guard.ignore(now);
      if ((flags & Flag.rst) !== 0) return this.#guard.reset(now);
      if (!this.#used.claim(id) || this.#refusesStreams()) return this.#refuse(id, flags, payload.length, now);
      stream = this.#acceptStream(id, events);
    }
    if (stream === undefined) return this.#guard.strayFrame(header, now);
    if ((flags & Flag.rst) !== 0) {
      if (isDone(stream)) return this.#guard.ignore(now);
      this.counters.resetReceived += 1;
      this.#forget(id, stream);
      events.push({ type: "reset", id, cause: "peer" });
      return this.#guard.reset(now);
    }
    if ((flags & Flag.ack) !== 0) this.#acknowledge(stream);
    if (type === FrameType.windowUpdate) {
      if (length > 0) {
        if (stream.credit + length > this.#options.maxCreditBytes) return violation("credit overflow");
        this.#credit(id, stream, length, events);
      }
    } else if (length > 0) {
      if (stream.remoteEnded) return this.#breakStream(id, "after_end", events, now);
      if (length > stream.window) return this.#breakStream(id, "overrun", events, now);
      this.#hold(id, stream, payload, events);
      if (this.#buffered > this.#options.maxBufferedBytes) {
        const fatal = this.#shed(events, now);
        if (fatal !== undefined || !this.#streams.has(id)) return fatal;
      }
    }
    if ((flags & Flag.fin) !== 0) {
      if (stream.remoteEnded) return this.#guard.ignore(now);
      stream.remoteEnded = true;
      events.push({ type: "end", id });
      this.#forgetIfDone(id, stream);
      return undefined;
    }
    return length === 0 && flags === 0 ? this.#guard.ignore(now) : undefined;
  }

  #refusesStreams(): boolean {
    if (!this.#options.accept || this.#leaving || this.#streams.size >= this.#options.maxStreams) return true;
    return this.#buffered > this.#options.maxBufferedBytes * limits.REFUSE_SHARE;
  }

  #refuse(id: number, flags: number, bytes: number, now: number): Fatal | undefined {
    this.counters.refused += 1;
    const due = (flags & Flag.fin) === 0 ? Math.max(0, INITIAL_WINDOW_BYTES - bytes) : 0;
    this.#sendReset(id, due, this.#options.maxCreditBytes - INITIAL_WINDOW_BYTES);
    return this.#guard.reset(now);
  }

  #acceptStream(id: number, events: MuxEvent[]): MuxStream {
    const stream = newStream(this.#options.windowBytes, "peer");
    this.#streams.set(id, stream);
    this.#ackDue.add(id);
    this.counters.accepted += 1;
    events.push({ type: "open", id });
    return stream;
  }

  #acknowledge(stream: MuxStream): void {
    if (!stream.unacknowledged) return;
    stream.unacknowledged = false;
    this.#backlog -= 1;
  }

  #credit(id: number, stream: MuxStream, granted: number, events: MuxEvent[]): void {
    const back = Math.min(granted, stream.sent);
    stream.sent -= back;
    this.#inFlight -= back;
    stream.credit += granted;
    if (!stream.localEnded) events.push({ type: "writable", id, credit: stream.credit, granted });
  }

  #hold(id: number, stream: MuxStream, payload: Uint8Array, events: MuxEvent[]): void {
    const size = payload.length;
    stream.window -= size;
    stream.held += size;
    stream.heldFrames += 1;
    this.#buffered += size + limits.HELD_FRAME_BYTES;
    this.counters.bytesIn += size;
    const pinsMuch = size * limits.COPY_SHARE < payload.buffer.byteLength;
    events.push({ type: "data", id, bytes: pinsMuch ? payload.slice() : payload });
  }

  /** Above the cap: resets the heaviest stream until what is held fits (FC8). */
  #shed(events: MuxEvent[], now: number): Fatal | undefined {
    while (this.#buffered > this.#options.maxBufferedBytes) {
      const found = heaviest(this.#streams);
      if (found === undefined) return undefined;
      const fatal = this.#breakStream(found.id, "memory", events, now);
      if (fatal !== undefined) return fatal;
    }
    return undefined;
  }

  /** Resets a stream because of what the peer did to it; the session goes on unless that is a habit. */
  #breakStream(id: number, cause: ResetCause, events: MuxEvent[], now: number): Fatal | undefined {
    if (cause === "overrun") this.counters.overruns += 1;
    this.reset(id);
    events.push({ type: "reset", id, cause });
    return this.#guard.reset(now);
  }

  #sendReset(id: number, dueData: number, dueCredit: number): void {
    this.#output.control(FrameType.windowUpdate, Flag.rst, id, 0);
    this.counters.resetSent += 1;
    this.#guard.gone(id, dueData, dueCredit);
  }

  #forgetIfDone(id: number, stream: MuxStream): void {
    if (!isDone(stream) || stream.held > 0) return;
    this.#guard.gone(id, 0, this.#options.maxCreditBytes - stream.credit);
    this.#forget(id, stream);
  }

  #forget(id: number, stream: MuxStream): void {
    this.#streams.delete(id);
    this.#ackDue.delete(id);
    this.#buffered -= weight(stream);
    this.#inFlight -= stream.sent;
    this.#acknowledge(stream);
  }

  #close(fatal: Fatal, events: MuxEvent[]): void {
    this.goAway(GoAwayCode.protocolError);
    this.#closed = true;
    this.#streams.clear();
    this.#ackDue.clear();
    this.#buffered = 0;
    this.#inFlight = 0;
    this.#backlog = 0;
    events.push({ type: "fatal", ...fatal });
  }
}
