/**
 * What a mux tells its shell, and why it refuses: the whole vocabulary between protocol/mux.ts
 * and the two programs that drive it. No behaviour here.
 */

/** Why a stream was reset: the peer said so, or which rule of ours it broke. */
export type ResetCause = "peer" | "overrun" | "after_end" | "reused_id" | "memory";

export type MuxEvent =
  /** The peer opened a stream. */
  | { readonly type: "open"; readonly id: number }
  /** Bytes of a stream, a view that the shell may keep; each must be given to `consumed`, also after `end`. */
  | { readonly type: "data"; readonly id: number; readonly bytes: Uint8Array }
  /** The peer will send no more on this stream. */
  | { readonly type: "end"; readonly id: number }
  /** The stream is gone; drop what is held of it. Nothing needs to be consumed. */
  | { readonly type: "reset"; readonly id: number; readonly cause: ResetCause }
  /** The peer granted `granted` bytes; `credit` may be written in all. */
  | { readonly type: "writable"; readonly id: number; readonly credit: number; readonly granted: number }
  /** The peer opens no more streams and wants none; those that live go on. 0 is orderly. */
  | { readonly type: "goaway"; readonly code: number }
  /** Send what `takeOutput` gives, close the socket with this code; every stream is gone, without further events. */
  | { readonly type: "fatal"; readonly code: number; readonly reason: string };

/** Why no stream can be opened now: the session ends, ids ran out, or a cap is reached. */
export type MuxRefusal = "closed" | "going_away" | "ids_exhausted" | "too_many_streams" | "backlog" | "memory";

/** Counted since the mux was made; for metrics and for tests. */
export interface MuxCounters {
  /** Streams opened here, and opened by the peer. */
  opened: number;
  accepted: number;
  /** Streams of the peer that were refused. */
  refused: number;
  /** Resets that we sent, and that the peer sent. */
  resetSent: number;
  resetReceived: number;
  /** Frames ignored because their stream had just gone, and because they made no sense. */
  late: number;
  ignored: number;
  overruns: number;
  pings: number;
  framesIn: number;
  /** Payload bytes. */
  bytesIn: number;
  bytesOut: number;
}

export function newCounters(): MuxCounters {
  return {
    opened: 0,
    accepted: 0,
    refused: 0,
    resetSent: 0,
    resetReceived: 0,
    late: 0,
    ignored: 0,
    overruns: 0,
    pings: 0,
    framesIn: 0,
    bytesIn: 0,
    bytesOut: 0,
  };
}
