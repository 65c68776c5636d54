/**
 * One end of a stream that outlives its connections (M18): what was written and not acknowledged
 * is kept and sent again from where the other end came to; what was received is acknowledged when
 * it was handed over. The same code at agent and connector. Sans-I/O; who may attach, and how long
 * an end waits for it, is decided elsewhere.
 *
 * Offsets count the data of one direction from 0; the end of the direction counts one more.
 */
import { ByteQueue } from "./byte-queue.ts";
import { MAX_RESUME_DATA_BYTES, RESUME_WINDOW_BYTES } from "./limits.ts";
import { dataHeader, encodeResumeFrame } from "./resume-frames.ts";
import type { ResumeFrame } from "./resume-frames.ts";

/** Acknowledged when this share of the window was handed over: 1/4. */
const ACK_SHARE = 4;

export type ResumeFault = "out_of_order" | "overrun" | "after_end" | "wrong_total" | "bad_offset";

export type ResumeEvent =
  /** Bytes in order, each once; give them to `consumed` when they were handed over. */
  | { readonly type: "data"; readonly bytes: Uint8Array }
  /** The other end wrote no more than this; call `endConsumed` when that was handed over. */
  | { readonly type: "end" }
  /** `write` said false before; it takes more now. */
  | { readonly type: "room" }
  /** The other end gave the stream up. */
  | { readonly type: "aborted"; readonly code: string }
  /** The other end broke the rules: give the stream up. */
  | { readonly type: "fault"; readonly fault: ResumeFault };

export class Resumable {
  readonly #window: number;
  // What is written here.
  readonly #replay = new ByteQueue();
  /** Offset of the first byte in the replay buffer: everything before it is acknowledged. */
  #acked = 0;
  /** Up to where the connection that is attached was given data; the end counts one more. */
  #sent = 0;
  #written = 0;
  #ended = false;
  #full = false;
  // What is received here.
  #received = 0;
  #consumed = 0;
  #ackSent = 0;
  /** Total length of the other end's direction, once its end was received. */
  #total: number | undefined;
  #endConsumed = false;
  /** Up to where `ask` asked for an ack of what was sent. */
  #asked = 0;
  /** The other end waits for an ack of what came up to here. */
  #awaited = 0;
  #attached = false;

  constructor(windowBytes: number = RESUME_WINDOW_BYTES) {
    this.#window = windowBytes;
  }

  /** Offset up to which this end received; what it says when it attaches. */
  get received(): number {
    return this.#received + (this.#total === undefined ? 0 : 1);
  }

  /** Bytes kept for sending again, and bytes received that were not handed over. */
  get heldBytes(): number {
    return this.#replay.length + (this.#received - this.#consumed);
  }

  /** Bytes kept for sending again. */
  get keptBytes(): number {
    return this.#replay.length;
  }

  /** Both directions ended, and both ends know: nothing is ever sent again. */
  get isDone(): boolean {
    return this.isOver && this.#acked === this.#written + 1;
  }

  /** Both directions ended and everything was handed over here; the other end may not know that yet. */
  get isOver(): boolean {
    return this.#ended && this.#endConsumed;
  }

  get isEndConsumed(): boolean {
    return this.#endConsumed;
  }

  /** Whether `write` would say true. */
  get hasRoom(): boolean {
    return !this.#full;
  }

  /** Takes all bytes. False: enough is held, write no more until `room`. */
  write(bytes: Uint8Array): boolean {
    if (this.#ended) return true;
    this.#replay.push(bytes);
    this.#written += bytes.length;
    this.#full = this.#replay.length >= this.#window;
    return !this.#full;
  }

  /** Nothing more will be written. */
  end(): void {
    this.#ended = true;
  }

  /** Bytes that `data` brought were handed over. */
  consumed(bytes: number): void {
    this.#consumed += bytes;
  }

  /** The end that `end` told of was handed over. */
  endConsumed(): void {
    this.#endConsumed = true;
  }

  /**
   * A connection stands, whose other end received up to `peerReceived`: sending goes on from there
   * (RS4). False if that is before what it acknowledged, or after what was written here.
   */
  attach(peerReceived: number): boolean {
    if (peerReceived < this.#acked || peerReceived > this.#written + (this.#ended ? 1 : 0)) return false;
    this.#sent = peerReceived;
    this.#attached = true;
    // What was acknowledged on the connection before may not have arrived.
    this.#ackSent = 0;
    this.#asked = 0;
    return true;
  }

  /** The connection is gone; everything that is not acknowledged stays. */
  detach(): void {
    this.#attached = false;
  }

  /** What one frame of the attached connection means. */
  receive(frame: ResumeFrame): ResumeEvent[] {
    switch (frame.type) {
      case "data":
        return this.#onData(frame.bytes);
      case "waiting":
        this.#awaited = this.#received;
        return [];
      case "fin":
        return this.#onFin(frame.total);
      case "ack":
        return this.#onAck(frame.offset);
      case "abort":
        return [{ type: "aborted", code: frame.code }];
      case "open":
      case "opened":
        return [{ type: "fault", fault: "out_of_order" }];
      default:
        return frame satisfies never;
    }
  }

  /** What to write to the attached connection now, in order: at most `share` bytes that are not acknowledged. */
  takeOutput(share: number = this.#window): Uint8Array[] {
    if (!this.#attached) return [];
    const out: Uint8Array[] = [];
    const acknowledged = this.#consumed + (this.#endConsumed ? 1 : 0);
    const isAwaited = this.#endConsumed || (this.#awaited > this.#ackSent && acknowledged >= this.#awaited);
    const due = isAwaited ? acknowledged > this.#ackSent : (acknowledged - this.#ackSent) * ACK_SHARE >= this.#window;
    if (due) {
      this.#ackSent = acknowledged;
      out.push(encodeResumeFrame({ type: "ack", offset: acknowledged }));
    }
    const full = this.#acked + Math.min(share, this.#window);
    const limit = Math.min(this.#written, full);
    while (this.#sent < limit) {
      const size = Math.min(limit - this.#sent, MAX_RESUME_DATA_BYTES);
      out.push(dataHeader(size, this.#sent + size === full), ...this.#replay.peek(this.#sent - this.#acked, size));
      this.#sent += size;
    }
    if (this.#ended && this.#sent === this.#written) {
      this.#sent += 1;
      out.push(encodeResumeFrame({ type: "fin", total: this.#written }));
    }
    return out;
  }

  /** Asks for an ack of all that was sent, sooner than it is due (RS6); undefined if that was done or there is nothing. */
  ask(): Uint8Array | undefined {
    if (!this.#attached || this.#sent <= Math.max(this.#acked, this.#asked) || this.#sent > this.#written) return undefined;
    this.#asked = this.#sent;
    return dataHeader(0, true);
  }

  #onData(bytes: Uint8Array): ResumeEvent[] {
    if (this.#total !== undefined) return [{ type: "fault", fault: "after_end" }];
    // The other end counts from what was acknowledged; that is never more than what was handed over.
    if (this.#received + bytes.length - this.#consumed > this.#window) return [{ type: "fault", fault: "overrun" }];
    this.#received += bytes.length;
    return [{ type: "data", bytes }];
  }

  #onFin(total: number): ResumeEvent[] {
    if (this.#total !== undefined) return [{ type: "fault", fault: "after_end" }];
    if (total !== this.#received) return [{ type: "fault", fault: "wrong_total" }];
    this.#total = total;
    return [{ type: "end" }];
  }

  #onAck(offset: number): ResumeEvent[] {
    if (offset > this.#sent) return [{ type: "fault", fault: "bad_offset" }];
    // After an attach the other end repeats what it said before.
    if (offset <= this.#acked) return [];
    this.#replay.drop(Math.min(offset, this.#written) - this.#acked);
    this.#acked = offset;
    if (!this.#full || this.#replay.length >= this.#window) return [];
    this.#full = false;
    return [{ type: "room" }];
  }
}
