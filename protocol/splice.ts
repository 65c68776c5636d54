/**
 * A spliced stream: frames of one socket that go on another under another id, so that credit
 * runs from end to end and the one in the middle holds nothing (M11). What is policed here is
 * what would otherwise hurt the peer that the frames go to: bytes beyond the credit that was
 * seen to pass, bytes after the end, credit without measure. Sans-I/O; whose the sockets are,
 * and whether a byte may pass at all, is the tunnel object's.
 */
import { Flag, type FrameFault, type FrameHeader, FrameType, INITIAL_WINDOW_BYTES, readHeader, writeU32 } from "./frames.ts";
import { HELD_FRAME_BYTES, MAX_CREDIT_BYTES } from "./limits.ts";

/** One direction, as far as its frames passed. */
interface Half {
  /** Bytes that its sender may still send. */
  credit: number;
  /** Bytes that passed and for which no credit came back, and the data frames they came in, about. */
  sent: number;
  frames: number;
  ended: boolean;
}

export interface Splice {
  /** From the opener (the agent), and towards it. */
  readonly up: Half;
  readonly down: Half;
  /** Credit that comes back for the stream-open, of which the opener knows nothing (FC6). */
  swallow: number;
  /** The opener's SYN was seen, and the other side's ACK. */
  begun: boolean;
  acked: boolean;
}

/**
 * pass: on it goes, rewritten but for its id · idle: it says nothing, drop it · reset: its sender
 * ends the stream · else: the rule that it broke.
 */
export type SpliceVerdict = "pass" | "idle" | "reset" | "overrun" | "after_end" | "reused_id" | "credit";

const NOTHING = new Uint8Array(0);

const newHalf = (): Half => ({ credit: INITIAL_WINDOW_BYTES, sent: 0, frames: 0, ended: false });

/** `swallow`: the bytes that the stream-open took. */
export const newSplice = (swallow: number): Splice => ({ up: newHalf(), down: newHalf(), swallow, begun: false, acked: false });

/** What a stream weighs against the caps: what may wait on its way to the connector. What the opener reads is told by more than its credit. */
export const spliceWeight = ({ up }: Splice): number => up.sent + up.frames * HELD_FRAME_BYTES;

export const isSpliceDone = ({ up, down }: Splice): boolean => up.ended && down.ended;

/** Judges a frame of the stream, keeps the books, and rewrites it in place for the other side. */
export function spliceFrame(splice: Splice, from: "up" | "down", { type, flags, length }: FrameHeader, message: Uint8Array, at: number): SpliceVerdict {
  const forth = splice[from];
  const back = from === "up" ? splice.down : splice.up;
  if ((flags & Flag.rst) !== 0) return "reset";
  if ((flags & Flag.syn) !== 0) {
    if (from === "down" || splice.begun) return "reused_id";
    splice.begun = true;
  }
  let says = length > 0;
  if (type === FrameType.data) {
    if (says && forth.ended) return "after_end";
    if (length > forth.credit) return "overrun";
    forth.credit -= length;
    forth.sent += length;
    if (says) forth.frames++;
  } else {
    let granted = length;
    if (from === "down" && splice.swallow > 0) {
      granted = Math.max(0, length - splice.swallow);
      splice.swallow -= length - granted;
      writeU32(message, at + 8, granted);
      says = granted > 0;
    }
    if (back.credit + granted > MAX_CREDIT_BYTES) return "credit";
    back.credit += granted;
    const left = Math.max(0, back.sent - granted);
    back.frames = left === 0 ? 0 : Math.ceil((back.frames * left) / back.sent);
    back.sent = left;
  }
  // SYN went with the stream-open; an ACK is the connector's to give, once.
  let kept = from === "down" && !splice.acked ? flags & Flag.ack : 0;
  if (kept !== 0) splice.acked = true;
  if ((flags & Flag.fin) !== 0 && !forth.ended) {
    forth.ended = true;
    kept |= Flag.fin;
  }
  if (!says && kept === 0) return "idle";
  message[at + 3] = kept;
  return "pass";
}

/** Where whole frames go on, as they are. */
export interface FrameSink {
  pass(frames: Uint8Array): void;
}

/** Who says where a frame goes on; undefined: nowhere. Not a function: one is asked for every frame of a bulk stream. */
export interface FrameRouter {
  route(header: FrameHeader, message: Uint8Array, at: number): FrameSink | undefined;
}

/** Cuts messages of one socket into runs of frames that go the same way, without copying, and hands each on. */
export class FrameRuns {
  #message: Uint8Array = NOTHING;
  /** What goes to `#to` and is not handed on yet stands in [#from, #at). */
  #from = 0;
  #at = 0;
  #to: FrameSink | undefined;

  /** A fault ends it; `rest` is where. */
  pass(message: Uint8Array, router: FrameRouter): { readonly fault: FrameFault; readonly rest: number } | undefined {
    let fault: FrameFault | undefined;
    this.#message = message;
    this.#from = this.#at = 0;
    this.#to = undefined;
    while (this.#at < message.length) {
      const header = readHeader(message, this.#at);
      if (typeof header === "string") {
        fault = header;
        break;
      }
      const next = router.route(header, message, this.#at);
      if (next !== this.#to) {
        this.hand();
        this.#to = next;
      }
      this.#at = header.end;
    }
    this.hand();
    this.#message = NOTHING;
    return fault === undefined ? undefined : { fault, rest: this.#at };
  }

  /** Hands on what stands before the frame that is being routed: whoever ends a stream of this socket asks for it first, so that the end overtakes nothing. */
  hand(): void {
    const from = this.#from;
    if (from === this.#at) return;
    this.#from = this.#at;
    this.#to?.pass(from === 0 && this.#at === this.#message.length ? this.#message : this.#message.subarray(from, this.#at));
  }
}
