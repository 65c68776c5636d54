/**
 * The first handler of every stream: gathers the stream-open, has it judged, and gives way to
 * the origin's handler. What comes meanwhile is held, at most the stream's window.
 */
import type { Result } from "../core/result.ts";
import type { UpstreamErrorCode } from "../protocol/head.ts";
import { HeadReader } from "../protocol/head.ts";
import type { Ticket } from "../protocol/bulk.ts";
import { HEAD_MS } from "../protocol/deadlines.ts";
import { refuseStream, serveHttp } from "./http-origin.ts";
import type { Finished } from "./http-origin.ts";
import type { SegmentRequests } from "./segment-requests.ts";
import type { Permit, Refusal, StreamGate } from "./stream-gate.ts";
import { serveTcp } from "./tcp-origin.ts";
import type { TcpParts } from "./tcp-origin.ts";
import type { Carrier } from "./tcp-streams.ts";
import type { StreamHandler, TunnelStream } from "../channel/tunnel-stream.ts";
import { serveWebSocket } from "./websocket-origin.ts";

export interface OpeningReports {
  refused(refusal: Refusal): void;
  opened(permit: Permit): void;
  finished(permit: Permit, failure: UpstreamErrorCode | undefined): void;
}

/** What a tcp stream needs besides its permit. */
export interface TcpService {
  readonly parts: TcpParts;
  readonly carrier: Carrier;
}

export class StreamOpening implements StreamHandler {
  readonly #stream: TunnelStream;
  readonly #gate: StreamGate;
  readonly #reports: OpeningReports;
  readonly #tcp: TcpService;
  readonly #segments: SegmentRequests | undefined;
  readonly #reader = new HeadReader("open");
  #timer: NodeJS.Timeout | undefined;
  #judging = false;
  #held: Uint8Array[] = [];
  #ended = false;
  #gone = false;
  #ticket: Ticket | undefined;

  constructor(stream: TunnelStream, gate: StreamGate, reports: OpeningReports, tcp: TcpService, segments?: SegmentRequests) {
    this.#segments = segments;
    this.#tcp = tcp;
    this.#stream = stream;
    this.#gate = gate;
    this.#reports = reports;
  }

  /** The message that opened the stream is read: what is missing of the head must come soon. Nearly always nothing is. */
  waits(): void {
    if (!this.#judging && !this.#gone) this.#timer = setTimeout(() => this.#refuse({ code: "bad_open", reason: "head_timeout" }), HEAD_MS);
  }

  data(bytes: Uint8Array): void {
    if (this.#judging) {
      this.#held.push(bytes);
      return;
    }
    const read = this.#reader.feed(bytes);
    if (read.type === "more") return this.#stream.consumed(bytes.length);
    clearTimeout(this.#timer);
    if (read.type === "error") {
      this.#stream.consumed(bytes.length);
      return this.#refuse({ code: "bad_open", reason: read.error });
    }
    const head = this.#gate.authenticate(read.json, read.mac);
    // The head must not weigh on the body's window; the rest is consumed by whoever takes it. An agent knows of no head (FC6).
    this.#stream.consumed(bytes.length - read.rest.length, head.ok && head.value.kind === "tcp" ? "now" : undefined);
    this.#judging = true;
    if (read.rest.length > 0) this.#held.push(read.rest);
    if (!head.ok) return this.#refuse(head.error);
    const failed = (): void => this.#refuse({ code: "bad_open", reason: "internal" });
    try {
      const permit = this.#gate.admit(head.value);
      if (permit instanceof Promise) permit.then((settled) => this.#judged(settled)).catch(failed);
      else this.#judged(permit);
    } catch {
      failed();
    }
  }

  #judged(permit: Result<Permit, Refusal>): void {
    if (this.#gone) return;
    if (permit.ok) this.#serve(permit.value);
    else this.#refuse(permit.error);
  }

  end(): void {
    this.#ended = true;
    if (!this.#judging) this.#refuse({ code: "bad_open", reason: "head_missing" });
  }

  gone(): void {
    this.#gone = true;
    clearTimeout(this.#timer);
    this.#held = [];
  }

  drained(): void {}

  /** Comes right after the head, while it is judged. */
  ticket(ticket: Ticket): void {
    this.#ticket = ticket;
  }

  #serve(permit: Permit): void {
    this.#reports.opened(permit);
    let over = false;
    const finished: Finished = (failure) => {
      if (over) return;
      over = true;
      this.#reports.finished(permit, failure);
    };
    const { head, app, origin } = permit;
    if (head.kind === "tcp") return this.#handOver(serveTcp(this.#stream, permit, this.#tcp.parts, this.#tcp.carrier, finished));
    if (head.kind === "http") return this.#handOver(serveHttp(this.#stream, head, app, origin, finished, this.#segments));
    this.#handOver(serveWebSocket(this.#stream, head, app, origin, finished));
  }

  #refuse(refusal: Refusal): void {
    clearTimeout(this.#timer);
    this.#gone = true;
    this.#reports.refused(refusal);
    refuseStream(this.#stream, refusal.code, refusal.reason);
    this.#handOver(this.#stream.handler ?? this);
  }

  /** A refusal may already have put its own handler in place; that one wins. */
  #handOver(next: StreamHandler): void {
    const handler = this.#stream.handler === this ? next : (this.#stream.handler ?? next);
    this.#stream.handler = handler;
    const held = this.#held;
    this.#held = [];
    if (this.#ticket !== undefined) handler.ticket?.(this.#ticket);
    for (const bytes of held) handler.data(bytes);
    if (this.#ended) handler.end();
  }
}
