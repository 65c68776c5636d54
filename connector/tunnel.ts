/**
 * One welcomed tunnel: frames to streams, controls to deeds, until the socket closes. Not the
 * handshake before it and not the reconnecting after it (lane.ts).
 */
import type { WebSocket } from "ws";
import type { AppId } from "../core/ids.ts";
import { CLOSE_CODES, closeReason } from "../protocol/close-codes.ts";
import { type Retry, retryAfterClose } from "../protocol/close-rules.ts";
import type { EdgeMessage } from "../protocol/control.ts";
import { KEEP_ALIVE_PING, encodeControl, readEdgeMessage } from "../protocol/control.ts";
import { DRAIN_ANSWER_MS, DRAIN_MS, HALF_CLOSED_MS, KEEP_ALIVE_DEAD_MS, KEEP_ALIVE_MS } from "../protocol/deadlines.ts";
import { MAX_UNKNOWN_CONTROL_COUNT } from "../protocol/limits.ts";
import { newCounters } from "../protocol/mux-events.ts";
import type { MuxCounters } from "../protocol/mux-events.ts";
import { Mux } from "../protocol/mux.ts";
import type { AdmissionStore } from "./admission-store.ts";
import type { Log } from "./log.ts";
import type { Metrics } from "./metrics.ts";
import type { InboxReader } from "./socket-inbox.ts";
import type { SegmentRequests } from "./segment-requests.ts";
import { StreamOpening } from "./stream-opening.ts";
import type { OpeningReports } from "./stream-opening.ts";
import type { StreamGate } from "./stream-gate.ts";
import type { TargetReport } from "./target-files.ts";
import type { TcpParts } from "./tcp-origin.ts";
import type { EdgeContact } from "./tcp-streams.ts";
import { MessageMemory } from "../channel/message-memory.ts";
import { MuxOutlet } from "../channel/mux-outlet.ts";
import { TunnelStream } from "../channel/tunnel-stream.ts";
import type { StreamOwner } from "../channel/tunnel-stream.ts";

/** Of the mux's counters, those that show a peer that misbehaves, or a cap that was met (class K). */
const COUNTED = ["refused", "resetSent", "resetReceived", "late", "ignored", "overruns", "pings"] as const;

interface TunnelParts {
  readonly socket: WebSocket;
  readonly lane: number;
  readonly gate: StreamGate;
  readonly admissions: AdmissionStore;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly tcp: TcpParts;
  /** The lane's; this tunnel keeps it. */
  readonly contact: EdgeContact;
  /** A newer site configuration or key set came; verified by whoever holds the keys. */
  readonly onConfig: (jws: string) => void;
  readonly onKeys: (jws: string) => void;
  /** How bulk bodies leave the mux; absent: they do not. */
  readonly segments?: SegmentRequests;
}

interface TunnelEnd {
  readonly code: number;
  readonly retry: Retry;
}

export class Tunnel implements StreamOwner, InboxReader {
  readonly #parts: TunnelParts;
  readonly #mux: Mux;
  readonly #outlet: MuxOutlet;
  readonly #streams = new Map<number, TunnelStream>();
  /** Opened by the message that is being read. */
  readonly #opened: StreamOpening[] = [];
  /** Of opened streams, by app and kind: as many as the site's configuration has apps. */
  readonly #labels = new Map<string, Readonly<Record<string, string>>>();
  /** Streams done on this side and not on the edge's, with the moment; swept now and then. */
  readonly #halfClosed = new Map<TunnelStream, number>();
  readonly #keepAlive: NodeJS.Timeout;
  #silence: NodeJS.Timeout | undefined;
  readonly #stopReporting: () => void;
  /** What of the mux's counters the metrics have. */
  #reported: Readonly<MuxCounters> = newCounters();
  readonly #stopFollowing: (() => void) | undefined;
  #heardAt = performance.now();
  #unknown = 0;
  #leaving = false;
  #away = false;
  #leave: () => void = () => undefined;
  #closed = false;
  /** Resolves when the edge asks to connect anew, or the tunnel closes. */
  readonly left: Promise<void>;
  readonly ended: Promise<TunnelEnd>;

  constructor(parts: TunnelParts) {
    this.#parts = parts;
    const memory = new MessageMemory();
    this.#mux = new Mux({ role: "connector", now: () => performance.now(), allocate: memory.allocate });
    this.#outlet = new MuxOutlet(parts.socket, this.#mux, memory);
    this.#keepAlive = setInterval(() => this.#ping(), KEEP_ALIVE_MS);
    this.#watch(KEEP_ALIVE_DEAD_MS);
    this.#stopReporting = parts.metrics.onScrape(() => this.#reportCounters());
    this.left = new Promise((done) => (this.#leave = done));
    parts.socket.on("pong", () => this.#heard());
    parts.socket.on("ping", () => this.#heard());
    this.ended = new Promise((done) => {
      parts.socket.once("close", (code) => {
        parts.metrics.count("postern_connector_tunnels_closed_total", { code: String(code) });
        this.#onClose();
        done({ code, retry: retryAfterClose(code) });
      });
    });
    this.#stopFollowing = parts.segments?.way.follow((on) => this.#send(encodeControl({ t: "bulk", on })));
    // Closed between the handshake and now: the event will not come again.
    if (parts.socket.readyState === parts.socket.CLOSED) parts.socket.emit("close", 1006, Buffer.alloc(0));
  }

  get streamCount(): number {
    return this.#streams.size;
  }

  /**
   * Asks for no more streams. What the edge opened before it heard of it is served still; its go-away
   * says that nothing more comes (FR7). What lives has until `DRAIN_MS`, then the socket closes with 1001.
   */
  drain(): void {
    if (this.#leaving || this.#closed) return;
    this.#leaving = true;
    this.#send(encodeControl({ t: "count", opened: this.#mux.counters.accepted }));
    this.#send(encodeControl({ t: "draining" }));
    setTimeout(() => this.#goAway(), DRAIN_ANSWER_MS).unref();
    setTimeout(() => this.close(CLOSE_CODES.going_away.code, "drained"), DRAIN_MS).unref();
  }

  /** From here on streams are refused, and the socket closes with the last that lives. */
  #goAway(): void {
    if (this.#away || this.#closed) return;
    this.#leaving = true;
    this.#away = true;
    this.#mux.goAway(0);
    this.#outlet.flush();
    this.#closeIfDrained();
  }

  close(code: number, reason: string): void {
    this.#outlet.flush();
    this.#parts.socket.close(code, closeReason(reason));
  }

  /** Ends at once, every origin socket with it. */
  destroy(): void {
    this.#parts.socket.terminate();
    this.#onClose();
  }

  reportHealth(app: AppId, up: boolean, detail: string): void {
    this.#send(encodeControl({ t: "health", app, up, detail }));
  }

  reportTarget(report: TargetReport): void {
    this.#send(encodeControl({ t: "target", ...report }));
  }

  text(text: string): void {
    this.#heard();
    const read = readEdgeMessage(text);
    switch (read.type) {
      case "keep_alive":
        return;
      case "message":
        return this.#onControl(read.message);
      case "unknown":
        this.#unknown += 1;
        if (this.#unknown > MAX_UNKNOWN_CONTROL_COUNT) this.close(CLOSE_CODES.flood.code, "unknown controls");
        return;
      case "malformed":
        return this.close(CLOSE_CODES.protocol_error.code, `control ${read.reason}`);
      case "too_large":
        return this.close(CLOSE_CODES.too_large.code, CLOSE_CODES.too_large.meaning);
      default:
        read satisfies never;
    }
  }

  binary(bytes: Uint8Array): void {
    this.#heard();
    this.#outlet.came(bytes.length);
    for (const event of this.#mux.receive(bytes)) {
      const stream = event.type === "goaway" || event.type === "fatal" ? undefined : this.#streams.get(event.id);
      switch (event.type) {
        case "open":
          this.#open(event.id);
          break;
        case "data":
          stream?.handler?.data(event.bytes);
          break;
        case "end":
          stream?.onEnd();
          break;
        case "reset":
          stream?.onGone();
          if (stream !== undefined) this.forget(stream);
          break;
        case "writable":
          stream?.onWritable();
          break;
        case "goaway":
          this.#leave();
          this.#goAway();
          break;
        case "fatal":
          this.#parts.log.warn("tunnel_fatal", { lane: this.#parts.lane, code: event.code, reason: event.reason });
          this.close(event.code, event.reason);
          this.#destroyStreams();
          return;
        default:
          event satisfies never;
      }
    }
    for (const opening of this.#opened.splice(0)) opening.waits();
    this.touched();
  }

  touched(): void {
    this.#outlet.touched();
  }

  isCongested(stream: TunnelStream): boolean {
    return this.#outlet.isCongested(stream);
  }

  forget(stream: TunnelStream): void {
    this.#streams.delete(stream.id);
    this.#outlet.forget(stream);
    this.#halfClosed.delete(stream);
    this.#closeIfDrained();
  }

  #open(id: number): void {
    const stream = new TunnelStream(id, this.#mux, this);
    this.#streams.set(id, stream);
    const opening = new StreamOpening(stream, this.#parts.gate, this.#reports(stream), { parts: this.#parts.tcp, carrier: { tunnel: this, stream: id, contact: this.#parts.contact } }, this.#parts.segments);
    stream.handler = opening;
    this.#opened.push(opening);
  }

  #reports(stream: TunnelStream): OpeningReports {
    const { log, metrics, lane } = this.#parts;
    return {
      refused: ({ code, reason }) => {
        metrics.count("postern_connector_streams_refused_total", { code, reason });
        log.warn("stream_refused", { lane, stream: stream.id, code, reason });
      },
      opened: ({ head, app }) => metrics.count("postern_connector_streams_total", this.#labelsOf(app.id, head.kind)),
      finished: ({ head, app }, failure) => {
        if (failure !== undefined) {
          metrics.count("postern_connector_upstream_errors_total", { app: app.id, code: failure });
          log.warn("upstream_failed", { lane, stream: stream.id, app: app.id, request: head.req, code: failure });
        }
        // The answer is whole but the edge may never end its half.
        if (this.#streams.get(stream.id) === stream) this.#halfClosed.set(stream, performance.now());
      },
    };
  }

  /** The same object for the same app and kind, which the metrics then write once. */
  #labelsOf(app: AppId, kind: string): Readonly<Record<string, string>> {
    const key = `${app} ${kind}`;
    const labels = this.#labels.get(key) ?? { app, kind };
    this.#labels.set(key, labels);
    return labels;
  }

  #onControl(message: EdgeMessage): void {
    const { lane, log } = this.#parts;
    switch (message.t) {
      case "admission":
        void this.#parts.admissions.add(message.jws).then((problem) => {
          if (problem !== undefined) log.warn("admission_refused", { lane, problem });
        });
        return;
      case "config":
        return this.#parts.onConfig(message.jws);
      case "keys":
        return this.#parts.onKeys(message.jws);
      case "cut":
        return this.#cut(message);
      case "bulk":
        return this.#streams.get(message.stream)?.handler?.ticket?.(message);
      case "drain":
        log.info("edge_drains", { lane });
        this.#leave();
        return this.drain();
      case "challenge":
      case "welcome":
      case "refuse":
        return this.close(CLOSE_CODES.protocol_error.code, `${message.t} after the handshake`);
      default:
        message satisfies never;
    }
  }

  /** M2: destroyed first, acknowledged after. */
  #cut(message: Extract<EdgeMessage, { readonly t: "cut" }>): void {
    this.#parts.admissions.cut(message.sessions);
    for (const id of message.streams) {
      const stream = this.#streams.get(id);
      if (stream === undefined) continue;
      stream.onGone();
      this.#mux.reset(id);
      this.forget(stream);
    }
    // Also what a reset before this message left without a connection.
    this.#parts.tcp.streams.cut({ tunnel: this, contact: this.#parts.contact }, message.streams, message.sessions, message.apps);
    this.#outlet.flush();
    this.#send(encodeControl({ t: "cut_ack", id: message.id }));
    // Of nothing: the edge asks only whether all that it sent has come (AG8).
    if (message.streams.length + message.sessions.length + (message.apps?.length ?? 0) === 0) return;
    this.#parts.metrics.count("postern_connector_cuts_total");
    this.#parts.log.info("cut", { lane: this.#parts.lane, cut: message.id, streams: message.streams.length, sessions: message.sessions.length });
  }

  #reportCounters(): void {
    const { metrics } = this.#parts;
    metrics.gauge("postern_connector_streams_open", this.#streams.size, { lane: String(this.#parts.lane) });
    const [now, before] = [{ ...this.#mux.counters }, this.#reported];
    this.#reported = now;
    metrics.count("postern_connector_bytes_total", { direction: "in" }, now.bytesIn - before.bytesIn);
    metrics.count("postern_connector_bytes_total", { direction: "out" }, now.bytesOut - before.bytesOut);
    for (const kind of COUNTED) metrics.count("postern_connector_frames_total", { kind }, now[kind] - before[kind]);
  }

  #send(text: string): void {
    if (this.#parts.socket.readyState === this.#parts.socket.OPEN) this.#parts.socket.send(text);
  }

  #heard(): void {
    this.#heardAt = performance.now();
    this.#parts.contact.at = this.#heardAt;
  }

  /** To the moment, and not with the next ping: a receipt that names this connector says until when it may hold anything (M2). */
  #watch(ms: number): void {
    this.#silence = setTimeout(() => {
      const left = KEEP_ALIVE_DEAD_MS - (performance.now() - this.#heardAt);
      if (left > 0) return this.#watch(left);
      this.#parts.log.warn("edge_silent", { lane: this.#parts.lane });
      this.destroy();
    }, ms);
  }

  #ping(): void {
    for (const [stream, since] of this.#halfClosed) if (performance.now() - since > HALF_CLOSED_MS) stream.reset();
    this.#send(KEEP_ALIVE_PING);
    if (this.#parts.socket.readyState === this.#parts.socket.OPEN) this.#parts.socket.ping();
  }

  #closeIfDrained(): void {
    if (this.#away && this.#streams.size === 0) this.#closeSoon();
  }

  /** The last stream's end must leave before the close frame. */
  #closeSoon(): void {
    setImmediate(() => {
      if (this.#streams.size === 0 && !this.#closed) this.close(CLOSE_CODES.going_away.code, "drained");
    });
  }

  #onClose(): void {
    if (this.#closed) return;
    this.#closed = true;
    clearInterval(this.#keepAlive);
    clearTimeout(this.#silence);
    this.#stopReporting();
    this.#stopFollowing?.();
    this.#reportCounters();
    this.#destroyStreams();
    this.#leave();
  }

  #destroyStreams(): void {
    const streams = [...this.#streams.values()];
    this.#streams.clear();
    this.#outlet.clear();
    this.#halfClosed.clear();
    for (const stream of streams) stream.onGone();
    this.#parts.metrics.gauge("postern_connector_streams_open", 0, { lane: String(this.#parts.lane) });
  }
}
