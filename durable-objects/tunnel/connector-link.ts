/**
 * One connector's welcomed socket on this lane: its mux, the streams on it and the cuts that wait
 * for an acknowledgement. Not the handshake (handshake.ts) and not what a stream carries (the relays).
 */
import { createHmac } from "node:crypto";
import { fromBase64Url } from "../../core/bytes.ts";
import type { AppId, ConnectorId, SessionId } from "../../core/ids.ts";
import { type ConnectorMessage, type ControlRead, type EdgeMessage, encodeControl, readConnectorMessage } from "../../protocol/control.ts";
import { CLOSE_CODES } from "../../protocol/close-codes.ts";
import type { FrameHeader } from "../../protocol/frames.ts";
import { frameOpenHead, type OpenHead, openHeadJson } from "../../protocol/head.ts";
import { MARK_BYTES, MAX_AGENT_BYTES, MAX_CREDIT_BYTES, MAX_CUT_IDS_COUNT, MAX_LINK_OPENS_BURST_COUNT, MAX_LINK_OPENS_PER_SECOND_COUNT, MAX_MESSAGE_BYTES, MAX_SPLICED_STREAMS_COUNT, MAX_UNKNOWN_CONTROL_COUNT, STREAM_ID_BLOCK_COUNT } from "../../protocol/limits.ts";
import { Mux } from "../../protocol/mux.ts";
import { type Fatal, flood, tooLarge, violation } from "../../protocol/mux-guard.ts";
import type { StreamSnapshot } from "../../protocol/mux-stream.ts";
import { type FrameRouter, FrameRuns, type FrameSink } from "../../protocol/splice.ts";
import { type Hmac, signStreamOpen } from "../../protocol/stream-mac.ts";
import { TokenBucket } from "../../protocol/token-bucket.ts";
import { LEASE_WAIT_MS } from "../lease-terms.ts";
import type { ConnectorAttachment } from "./attachments.ts";
import { closeSocket } from "./close-socket.ts";
import { mostStalled } from "./most-stalled.ts";
import { PendingCuts } from "./pending-cuts.ts";
import type { SplicedSink, StreamSink } from "./stream-sink.ts";
import type { TargetReport } from "./targets.ts";

/** From here on admissions that ran out are forgotten. */
const MAX_ADMISSIONS_COUNT = 1_024;
/** Received and not yet taken by clients, per connector: an isolate has 128 MB for all its lanes (M11). */
const MAX_LINK_BUFFERED_BYTES = 16 * 1024 * 1024;

export class ConnectorLink implements FrameRouter, FrameSink {
  readonly socket: WebSocket;
  readonly mux: Mux;
  readonly runs = new FrameRuns();
  draining = false;
  /** The policy version whose site configuration it was sent last; 0 after a wake: the next one goes to all. */
  configuredVersion = 0;
  #gathering = false;
  #flushing = false;
  /** When the connector last sent anything but a keep-alive, which the runtime answers without waking us. */
  heardAt: number;
  #attachment: ConnectorAttachment;
  readonly #mac: Uint8Array;
  readonly #clock: () => number;
  readonly #said: (link: ConnectorLink, report: TargetReport) => void;
  readonly #sinks = new Map<number, StreamSink>();
  readonly #spliced = new Map<number, SplicedSink>();
  readonly #own: FrameSink = { pass: (frames) => void (this.#fatal ??= this.#receive(frames)) };
  #fatal: Fatal | undefined;
  readonly #begun = new TokenBucket(MAX_LINK_OPENS_BURST_COUNT, MAX_LINK_OPENS_PER_SECOND_COUNT);
  #left = 0;
  #asking = false;
  readonly #cuts = new PendingCuts();
  /** Digests that were sent on this socket, and when: an admission is named only while it is valid. */
  readonly #admissions = new Map<string, number>();
  #unknown = 0;

  constructor(socket: WebSocket, attachment: ConnectorAttachment, clock: () => number, said: (link: ConnectorLink, report: TargetReport) => void) {
    this.socket = socket;
    this.#attachment = attachment;
    this.#mac = fromBase64Url(attachment.mac) ?? new Uint8Array();
    this.mux = new Mux({ role: "edge", now: clock, accept: false, maxBufferedBytes: MAX_LINK_BUFFERED_BYTES });
    this.mux.reserveIds(attachment.idsUsed);
    // After a wake the runtime's answers to its pings say when it was last heard.
    this.heardAt = attachment.welcomedAt;
    this.draining = attachment.draining ?? false;
    this.#clock = clock;
    this.#said = said;
  }

  get id(): string {
    return this.#attachment.link;
  }
  get connector(): ConnectorId {
    return this.#attachment.connector;
  }
  get thumbprint(): string {
    return this.#attachment.thumbprint;
  }
  get welcomedAt(): number {
    return this.#attachment.welcomedAt;
  }
  get wakes(): number {
    return this.#attachment.wakes ?? 0;
  }
  get streams(): number {
    return this.#sinks.size;
  }
  /** Its connector carries bulk by requests of its own (M15). */
  get takesBulk(): boolean {
    return this.#attachment.bulk === true;
  }

  /** Whether a MAC was made with this socket's key. */
  proves(isOf: ((hmac: Hmac, key: Uint8Array) => boolean) | undefined): boolean {
    return isOf?.(hmacSha256, this.#mac) === true;
  }

  /** Reserves a stream; undefined when the link takes no more. Nothing is sent yet. */
  reserve(sink: StreamSink): number | undefined {
    let opened = this.mux.open();
    while (!opened.ok && opened.error === "memory") {
      const stalled = mostStalled(this.mux);
      if (stalled === undefined) break;
      const former = this.#sinks.get(stalled);
      this.resetStream(stalled);
      former?.reset(true);
      opened = this.mux.open();
    }
    if (!opened.ok) {
      if (opened.error === "ids_exhausted") this.#leave();
      return undefined;
    }
    const id = opened.value;
    if (id >= this.#attachment.idsUsed) {
      // A block of ids is spent before its first is used, so that a wake never uses one twice (M3).
      this.#store({ idsUsed: id + 2 * STREAM_ID_BLOCK_COUNT });
    }
    this.#sinks.set(id, sink);
    return id;
  }

  /** Nothing new goes to this connector, which is told after the last stream that it was sent (FR7). */
  #leave(): void {
    this.draining = true;
    this.mux.goAway(0);
    this.#store({ draining: true });
    this.flush();
  }

  /** From now on the stream's frames go to another relay. */
  hand(id: number, sink: StreamSink): void {
    if (this.#sinks.has(id)) this.#sinks.set(id, sink);
  }

  restore(id: number, snapshot: StreamSnapshot, sink: StreamSink): void {
    this.mux.restore(id, snapshot);
    this.#sinks.set(id, sink);
  }

  /** Sends the admission, once per socket, and the stream-open that names it. Answers its bytes; 0 when the head is not one. */
  sendHead(id: number, head: OpenHead, admission: string): number {
    const json = openHeadJson(head);
    if (!json.ok) return 0;
    if (!this.#admissions.has(head.admission)) {
      this.#remember(head.admission);
      this.tell({ t: "admission", jws: admission });
    }
    const mac = signStreamOpen(hmacSha256, this.#mac, head.n, json.value);
    const frame = frameOpenHead(json.value, mac);
    return this.mux.write(id, frame) === frame.length ? frame.length : 0;
  }

  /** From now on the stream's frames pass by the mux. */
  splice(id: number, sink: SplicedSink): void {
    this.mux.detach(id);
    this.#spliced.set(id, sink);
    this.#sinks.set(id, sink);
  }

  /** A spliced stream ends. `tell`: the connector hears of it by a reset, which leaves with the next flush, or by a cut. */
  unsplice(id: number, data: number, credit: number, tell: "reset" | "cut" | "nothing"): void {
    // Whatever credit it holds out: an agent that opens and resets at once must not make its answers look like garbage.
    this.mux.gone(id, data, MAX_CREDIT_BYTES, tell === "reset");
    this.#left += credit;
    if (this.#left > MARK_BYTES && !this.#asking) void this.#askWhatCame();
    this.#spliced.delete(id);
    this.#sinks.delete(id);
    // Many at once are named by the cut that ends them all (cut-streams.ts).
    if (tell === "cut" && !this.#gathering) void this.#mustCut(id);
    this.flush();
  }

  /** What ended spliced streams left on their way: a cut of nothing is answered once it all came. */
  async #askWhatCame(): Promise<void> {
    this.#asking = true;
    while (this.#left > MARK_BYTES) {
      const left = this.#left;
      // A slow line answers late: it is asked again, and nothing that an agent sends ends the socket (AG6). A silent one is given up by itself (KA2).
      if (await this.cut([], [])) this.#left -= left;
    }
    this.#asking = false;
  }

  /** A cut that no receipt waits for: unanswered, what it was to destroy goes with the socket (M2). */
  async #mustCut(id: number): Promise<void> {
    if (await this.cut([id], [])) return;
    this.draining = true;
    closeSocket(this.socket, CLOSE_CODES.internal.code, "a cut was not acknowledged");
    this.lost();
  }

  /** A cut is under way that no receipt waited for. */
  get isCutting(): boolean {
    return this.#cuts.isWaiting;
  }

  /** No room for a spliced stream: too many, or too much is on its way for streams that ended. */
  get full(): boolean {
    return this.#spliced.size >= MAX_SPLICED_STREAMS_COUNT || this.#left > MAX_AGENT_BYTES;
  }

  /** Counts a stream that an agent begins; false when so many began lately that their resets could end this socket. */
  begins(): boolean {
    return this.#begun.take(this.#clock());
  }

  pass(frames: Uint8Array): void {
    this.#send(frames);
  }

  #remember(digest: string): void {
    const now = this.#clock();
    if (this.#admissions.size >= MAX_ADMISSIONS_COUNT) {
      for (const [sent, at] of this.#admissions) if (now - at > LEASE_WAIT_MS) this.#admissions.delete(sent);
    }
    this.#admissions.set(digest, now);
  }

  write(id: number, bytes: Uint8Array): number {
    return this.mux.write(id, bytes);
  }

  /** Sends what the mux has queued. Called once an event is dealt with, so that a batch is one message. */
  flush(): void {
    if (this.#gathering) return;
    for (const message of this.mux.takeOutput()) this.#send(message);
  }

  /** As flush, once what is ready in this turn is written: requests that came together leave in one message. */
  flushSoon(): void {
    if (this.#flushing) return;
    this.#flushing = true;
    // Not queueMicrotask, which costs the engine twenty times as much.
    void Promise.resolve().then(() => {
      this.#flushing = false;
      this.flush();
    });
  }

  /** What `work` makes streams say leaves afterwards, in as few messages as it fits in. */
  gather(work: () => void): void {
    this.#gathering = true;
    try {
      work();
    } finally {
      this.#gathering = false;
      this.flush();
    }
  }

  release(id: number): void {
    this.#sinks.delete(id);
  }

  resetStream(id: number): void {
    this.mux.reset(id);
    this.#sinks.delete(id);
    this.flush();
  }

  /** A binary message. Answers the reason when the peer broke the protocol and the link must go. */
  receive(message: ArrayBuffer): Fatal | undefined {
    this.heardAt = this.#clock();
    const bytes = new Uint8Array(message);
    if (this.#spliced.size === 0 || bytes.length === 0 || bytes.length > MAX_MESSAGE_BYTES) return this.#receive(bytes);
    this.#fatal = undefined;
    const fault = this.runs.pass(bytes, this);
    // What cannot be read is the mux's to answer.
    return this.#fatal ?? (fault === undefined ? undefined : this.#receive(bytes.subarray(fault.rest)));
  }

  /** Frames of spliced streams go to their agents, all others to the mux. */
  route(header: FrameHeader, message: Uint8Array, at: number): FrameSink | undefined {
    const spliced = this.#spliced.get(header.streamId);
    return spliced === undefined ? this.#own : spliced.fromConnector(header, message, at);
  }

  #receive(bytes: Uint8Array): Fatal | undefined {
    for (const event of this.mux.receive(bytes)) {
      switch (event.type) {
        case "data":
          this.#sinks.get(event.id)?.data(event.bytes);
          break;
        case "end":
          this.#sinks.get(event.id)?.end();
          break;
        case "reset": {
          const sink = this.#sinks.get(event.id);
          this.#sinks.delete(event.id);
          sink?.reset();
          break;
        }
        case "writable":
          this.#sinks.get(event.id)?.writable();
          break;
        case "goaway":
          this.#leave();
          break;
        case "open":
          break;
        case "fatal":
          this.flush();
          return { code: event.code, reason: event.reason };
        default:
          event satisfies never;
      }
    }
    this.flush();
    return undefined;
  }

  /** A text message after the handshake. Answers as `receive` does. */
  receiveText(raw: string): Fatal | undefined {
    this.heardAt = this.#clock();
    const read = readConnectorMessage(raw);
    if (read.type === "message") this.#take(read.message);
    return textFault(read, () => ++this.#unknown);
  }

  #take(message: ConnectorMessage): void {
    switch (message.t) {
      case "cut_ack":
        return this.#cuts.acknowledged(message.id);
      case "draining":
        return this.#leave();
      case "bulk":
        return this.#store({ bulk: message.on });
      case "health":
      case "target":
        return this.#said(this, message);
      // Nobody reads counts yet; a second hello says nothing.
      case "count":
      case "hello":
        return;
      default:
        message satisfies never;
    }
  }

  /**
   * Tells the connector to destroy the origin sockets of these streams and to forget these
   * sessions' admissions and what it keeps for these apps; true once it acknowledged (M2).
   */
  async cut(streams: readonly number[], sessions: readonly SessionId[], apps: readonly AppId[] = []): Promise<boolean> {
    const parts = Math.max(1, Math.ceil(Math.max(streams.length, sessions.length) / MAX_CUT_IDS_COUNT));
    const of = <T>(all: readonly T[], part: number): T[] => all.slice(part * MAX_CUT_IDS_COUNT, (part + 1) * MAX_CUT_IDS_COUNT);
    const confirmed = this.#cuts.ask(parts, (id, part) => this.tell({ t: "cut", id, streams: of(streams, part), sessions: of(sessions, part), ...(apps.length === 0 ? {} : { apps }) }));
    if (sessions.length > 0) this.#admissions.clear();
    return confirmed;
  }

  configure(config: string, version: number): void {
    this.configuredVersion = version;
    this.tell({ t: "config", jws: config });
  }

  tell(message: EdgeMessage): void {
    // What was queued before leaves before: a stream-open never overtakes its admission.
    this.flush();
    this.#send(encodeControl(message));
  }

  #store(change: Partial<ConnectorAttachment>): void {
    this.#attachment = { ...this.#attachment, ...change };
    this.socket.serializeAttachment(this.#attachment);
  }

  /** The socket is gone: every stream on it is. A cut that waited was not acknowledged. */
  lost(): void {
    const sinks = [...this.#sinks.values()];
    this.#sinks.clear();
    this.#spliced.clear();
    this.#left = 0;
    this.#cuts.lost();
    for (const sink of sinks) sink.reset();
  }

  #send(message: string | Uint8Array): void {
    try {
      this.socket.send(message);
    } catch {
      // The socket is closing; webSocketClose ends its streams.
    }
  }
}

/** Why a socket ends because of a text on it, whichever link it is; undefined when it goes on. */
export function textFault(read: ControlRead<unknown>, unknown: () => number): Fatal | undefined {
  if (read.type === "unknown") return unknown() > MAX_UNKNOWN_CONTROL_COUNT ? flood("unknown messages") : undefined;
  if (read.type === "malformed") return violation(`control ${read.reason}`);
  return read.type === "too_large" ? tooLarge() : undefined;
}

function hmacSha256(key: Uint8Array, bytes: Uint8Array): Uint8Array {
  return createHmac("sha256", key).update(bytes).digest();
}
