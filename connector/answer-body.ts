/**
 * An answer's body on its way to the edge: on the mux, and once there is a ticket and enough is
 * left, in segments by requests of the connector's own (M15). Every byte goes exactly one way, in
 * order: a segment names its offset, and what the edge did not take is still here for the mux.
 */
import type { ClientRequest } from "node:http";
import { BODY_IDLE_MS, BULK_ACCEPT_MS, BULK_IDLE_MS } from "../protocol/deadlines.ts";
import { MAX_SEGMENT_BYTES, MIN_BULK_BYTES } from "../protocol/limits.ts";
import { breakOff } from "./dial.ts";
import type { TunnelStream } from "../channel/tunnel-stream.ts";
import type { Ticket } from "../protocol/bulk.ts";
import type { SegmentRequests } from "./segment-requests.ts";

/** What the body's source does for it. */
interface Source {
  /** Brings the rest in lent memory, if it can; that must be held until it was written. */
  divert(): void;
  /** Keeps what was brought last until the answer is called; undefined where it need not be. */
  hold(): (() => void) | undefined;
  resume(): void;
  /** A segment broke: the answer cannot be completed. */
  broken(): void;
}

interface Piece {
  readonly bytes: Uint8Array;
  readonly release: (() => void) | undefined;
}

interface Running {
  readonly request: ClientRequest;
  readonly length: number;
  readonly startedAt: number;
  sent: number;
  /** The edge took it: its bytes may go. */
  taken: boolean;
}

/** A segment should take about this long: what is counted of a body, and looked at anew, is whole segments. */
const SEGMENT_AIM_MS = 4_000;
/** The first, before it is known how fast they go: little enough for a slow client, since what lies in kernels on the way moves unseen. */
const FIRST_SEGMENT_BYTES = 1024 * 1024;
const MIN_SEGMENT_BYTES = 256 * 1024;
/** What a body that may leave goes on the mux with at first: the beginning must not wait for the ticket, the rest is cheaper with it. */
const BEGINNING_BYTES = 64 * 1024;
/** How long the rest waits for a ticket, once; where none comes, later bodies do not wait. */
const TICKET_WAIT_MS = 100;
/** Bytes given to a segment's socket and not taken by the system, above which the origin waits; lent memory has bounds of its own. */
const MAX_UNSENT_BYTES = 512 * 1024;

export class AnswerBody {
  readonly #stream: TunnelStream;
  readonly #segments: SegmentRequests | undefined;
  readonly #source: Source;
  readonly #idleMs: number;
  readonly #queue: Piece[] = [];
  /** Bytes that are not handed on yet; infinite while the origin has not said how many there are. */
  #left = Number.POSITIVE_INFINITY;
  #offset = 0;
  #ticket: Ticket | undefined;
  #segment: Running | undefined;
  #segmentBytes = FIRST_SEGMENT_BYTES;
  #timer: NodeJS.Timeout | undefined;
  /** A ticket is on its way. */
  #waiting: NodeJS.Timeout | undefined;
  #unsent = 0;
  #movedAt = 0;
  /** The mux took less than it was given. */
  #full = false;
  #ended: (() => void) | undefined;
  #gone = false;
  #destroyed = false;

  constructor(stream: TunnelStream, segments: SegmentRequests | undefined, idleMs: number | undefined, source: Source) {
    this.#stream = stream;
    this.#segments = segments;
    this.#idleMs = idleMs ?? BULK_IDLE_MS;
    this.#source = source;
  }

  /** The body's length, if the origin said it; before its first byte. */
  announced(length: number | undefined): void {
    if (length === undefined) return;
    this.#left = length;
    const way = this.#segments?.way;
    if (length <= MIN_BULK_BYTES || way?.isOpen !== true || !way.ticketsCome) return;
    this.#waiting = setTimeout(() => {
      way.ticketsCome = false;
      this.#waitNoMore();
      this.#drain();
      this.#goOn();
    }, TICKET_WAIT_MS);
  }

  #waitNoMore(): void {
    clearTimeout(this.#waiting);
    this.#waiting = undefined;
  }

  /** The next bytes. False: bring no more until `resume`. */
  write(bytes: Uint8Array): boolean {
    const release = this.#source.hold();
    this.#queue.push({ bytes, release });
    this.#drain();
    // Lent memory stops its reader by itself, and must not wait in a stream between.
    return release !== undefined || !this.#isBehind;
  }

  get #isBehind(): boolean {
    return this.#queue.length > 0 || this.#full || this.#unsent > MAX_UNSENT_BYTES;
  }

  /** The body is whole; `done` once all of it is on its way. */
  end(done: () => void): void {
    this.#ended = done;
    this.#drain();
  }

  ticket(ticket: Ticket): void {
    this.#ticket = ticket;
    if (this.#segments !== undefined) this.#segments.way.ticketsCome = true;
    this.#waitNoMore();
    const segment = this.#segment;
    if (segment !== undefined && !segment.taken) {
      segment.taken = true;
      this.#source.divert();
      this.#watch();
    }
    this.#drain();
    this.#goOn();
  }

  /** The mux has room again. */
  drained(): void {
    this.#full = false;
    this.#drain();
    this.#goOn();
  }

  /** Ends what is under way at once; nothing is told. */
  destroy(): void {
    // What has ended was not broken off.
    this.#destroyed ||= !this.#gone;
    this.#gone = true;
    clearTimeout(this.#timer);
    this.#waitNoMore();
    for (const { release } of this.#queue.splice(0)) release?.();
    const request = this.#segment?.request;
    this.#segment = undefined;
    breakOff(request?.socket);
    request?.destroy();
  }

  #drain(): void {
    while (!this.#gone) {
      if (this.#segment === undefined && this.#mayLeave()) this.#ask();
      const piece = this.#queue[0];
      if (piece === undefined) break;
      if (this.#segment === undefined ? !this.#toMux(piece) : !this.#toSegment(piece, this.#segment)) return;
    }
    if (this.#ended !== undefined && this.#segment === undefined && !this.#gone) {
      this.#gone = true;
      this.#stream.end();
      this.#ended();
    }
  }

  #mayLeave(): boolean {
    return this.#ticket !== undefined && this.#left > MIN_BULK_BYTES && this.#left < Number.POSITIVE_INFINITY && this.#segments?.way.isOpen === true;
  }

  #toMux({ bytes, release }: Piece): boolean {
    if (this.#full || (this.#waiting !== undefined && this.#offset >= BEGINNING_BYTES)) return false;
    this.#queue.shift();
    this.#handed(bytes.length);
    // What the mux does not take at once it keeps: lent memory will not last that long.
    this.#full = !this.#stream.write(release === undefined ? bytes : Buffer.from(bytes));
    release?.();
    return !this.#full;
  }

  #toSegment({ bytes, release }: Piece, segment: Running): boolean {
    const room = segment.length - segment.sent;
    if (!segment.taken || room === 0) return false;
    this.#queue.shift();
    const part = bytes.length > room ? bytes.subarray(0, room) : bytes;
    if (part !== bytes) this.#queue.unshift({ bytes: bytes.subarray(room), release });
    segment.sent += part.length;
    this.#handed(part.length);
    this.#unsent += part.length;
    segment.request.write(part, () => {
      if (part === bytes) release?.();
      this.#unsent -= part.length;
      this.#movedAt = performance.now();
      if (this.#segment === segment) this.#timer?.refresh();
      this.#goOn();
    });
    if (segment.sent === segment.length) segment.request.end();
    return true;
  }

  #handed(bytes: number): void {
    this.#offset += bytes;
    this.#left -= bytes;
  }

  #ask(): void {
    const segments = this.#segments;
    const { id } = this.#stream;
    const ticket = this.#ticket;
    if (segments === undefined || ticket === undefined) return;
    this.#ticket = undefined;
    const length = Math.min(this.#left, this.#segmentBytes);
    const request = segments.request({ ticket: ticket.ticket, stream: id, direction: "down", offset: this.#offset, length }, ticket.at);
    const segment: Running = { request, length, startedAt: performance.now(), sent: 0, taken: false };
    this.#segment = segment;
    const failed = (reason: string): void => this.#failed(segment, reason);
    request.on("response", (answer) => {
      answer.resume();
      if (answer.statusCode === 204 && segment.sent === length) answer.once("end", () => this.#through(segment));
      else failed(`status ${answer.statusCode}`);
    });
    request.on("error", () => failed("connection"));
    request.on("close", () => failed("closed"));
    request.flushHeaders();
    this.#arm(BULK_ACCEPT_MS, () => failed("not taken in time"));
  }

  /** The edge has handed the whole segment to the client. */
  #through(segment: Running): void {
    if (this.#segment !== segment) return;
    clearTimeout(this.#timer);
    this.#segment = undefined;
    this.#segments?.way.carried("down", segment.length);
    const rate = segment.length / (performance.now() - segment.startedAt);
    this.#segmentBytes = Math.floor(Math.min(MAX_SEGMENT_BYTES, Math.max(MIN_SEGMENT_BYTES, rate * SEGMENT_AIM_MS)));
    this.#drain();
    this.#goOn();
  }

  #failed(segment: Running, reason: string): void {
    if (this.#segment !== segment) return;
    if (segment.taken) return this.#break();
    clearTimeout(this.#timer);
    this.#segment = undefined;
    segment.request.destroy();
    this.#segments?.way.failed("down", reason, () => this.#destroyed);
    this.#drain();
    this.#goOn();
  }

  #break(): void {
    if (this.#gone) return;
    this.destroy();
    this.#source.broken();
  }

  #goOn(): void {
    if (!this.#isBehind && !this.#gone) this.#source.resume();
  }

  /** A client that takes nothing is given up soon, since a vanished one looks the same; an app that says nothing may have its time. */
  #watch(): void {
    this.#movedAt = performance.now();
    this.#arm(this.#idleMs, () => {
      const waitsForClient = this.#unsent > 0 || this.#segment?.sent === this.#segment?.length;
      if (waitsForClient || performance.now() - this.#movedAt > BODY_IDLE_MS) this.#break();
      else this.#timer?.refresh();
    });
  }

  #arm(ms: number, late: () => void): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(late, ms);
  }
}
