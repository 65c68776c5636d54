/**
 * One stream of a mux: its credit both ways and how it stands, and the few numbers that let it
 * survive hibernation (M3). Not its bytes: they belong to whoever writes and consumes them.
 */
import { INITIAL_WINDOW_BYTES } from "./frames.ts";
import { CREDIT_SHARE, HELD_FRAME_BYTES } from "./limits.ts";

/** Invariant: window + held + owed + enlarge = the mux's window and what the stream's is wider (FC2). */
export interface MuxStream {
  /** Bytes that the peer still lets us send. */
  credit: number;
  /** Bytes sent for which credit has not come back. */
  sent: number;
  /** Bytes that the peer may still send. */
  window: number;
  /** Bytes handed to the application and not consumed. */
  held: number;
  /** Data frames that the held bytes came in, about. */
  heldFrames: number;
  /** Bytes consumed and not granted back. */
  owed: number;
  /** What the mux's window exceeds yamux's initial one by, until the first window update announces it. */
  enlarge: number;
  /** What this stream's window exceeds the mux's by. */
  wider: number;
  localEnded: boolean;
  remoteEnded: boolean;
  /** Opened here and not announced: the first frame carries SYN. */
  synDue: boolean;
  /** Opened by the peer and not acknowledged: the next frame carries ACK. */
  ackDue: boolean;
  /** Opened here and not acknowledged by the peer. */
  unacknowledged: boolean;
}

/** A stream as stored in an attachment: plain numbers. `flags`: 1 we ended, 2 the peer ended, 4 SYN due, 8 ACK due, 16 unacknowledged. */
export interface StreamSnapshot {
  readonly credit: number;
  readonly window: number;
  readonly held: number;
  readonly flags: number;
}

/** A stream that has carried nothing. */
export function newStream(windowBytes: number, opener: "us" | "peer"): MuxStream {
  return {
    credit: INITIAL_WINDOW_BYTES,
    sent: 0,
    window: INITIAL_WINDOW_BYTES,
    held: 0,
    heldFrames: 0,
    owed: 0,
    enlarge: windowBytes - INITIAL_WINDOW_BYTES,
    wider: 0,
    localEnded: false,
    remoteEnded: false,
    synDue: opener === "us",
    ackDue: opener === "peer",
    unacknowledged: opener === "us",
  };
}

/** What a stream weighs against the cap of its mux, in bytes. */
export function weight(stream: MuxStream): number {
  return stream.held + stream.heldFrames * HELD_FRAME_BYTES;
}

/** The stream that weighs most; undefined if there is none. */
export function heaviest(streams: ReadonlyMap<number, MuxStream>): { readonly id: number; readonly stream: MuxStream } | undefined {
  let found: { readonly id: number; readonly stream: MuxStream } | undefined;
  for (const [id, stream] of streams) {
    if (found === undefined || weight(stream) > weight(found.stream)) found = { id, stream };
  }
  return found;
}

/** Takes `bytes` off what is held; frames shrink in proportion, so that tiny frames stay heavy. */
export function consume(stream: MuxStream, bytes: number): void {
  const left = stream.held - bytes;
  stream.heldFrames = left === 0 ? 0 : Math.ceil((stream.heldFrames * left) / stream.held);
  stream.held = left;
  stream.owed += bytes;
}

/** True once enough is owed to be worth a window update (FC4). */
export function isCreditDue(stream: MuxStream, windowBytes: number): boolean {
  return !stream.remoteEnded && stream.owed * CREDIT_SHARE >= windowBytes + stream.wider - stream.enlarge;
}

/** Gives all that is owed back to the peer, and returns it: the length of the window update. */
export function grant(stream: MuxStream): number {
  const bytes = stream.owed + stream.enlarge;
  stream.window += bytes;
  stream.owed = 0;
  stream.enlarge = 0;
  return bytes;
}

/** Lets the peer send `bytes` more, from the next grant on. */
export function widen(stream: MuxStream | undefined, bytes: number): void {
  if (stream === undefined || bytes <= 0) return;
  stream.wider = bytes;
  stream.enlarge += bytes;
}

/** Both directions have ended; only bytes that are still held keep the stream. */
export function isDone(stream: MuxStream): boolean {
  return stream.localEnded && stream.remoteEnded;
}

export function snapshotOf(stream: MuxStream): StreamSnapshot {
  const flags =
    (stream.localEnded ? 1 : 0) |
    (stream.remoteEnded ? 2 : 0) |
    (stream.synDue ? 4 : 0) |
    (stream.ackDue ? 8 : 0) |
    (stream.unacknowledged ? 16 : 0);
  return { credit: stream.credit, window: stream.window, held: stream.held, flags };
}

/** A stream from its snapshot. What is neither window nor held is owed, whatever the window was when it was stored. */
export function fromSnapshot(snapshot: StreamSnapshot, windowBytes: number): MuxStream {
  const { credit, window, held, flags } = snapshot;
  return {
    credit,
    sent: Math.max(0, INITIAL_WINDOW_BYTES - credit),
    window,
    held,
    heldFrames: held === 0 ? 0 : 1,
    owed: Math.max(0, windowBytes - window - held),
    enlarge: 0,
    wider: 0,
    localEnded: (flags & 1) !== 0,
    remoteEnded: (flags & 2) !== 0,
    synDue: (flags & 4) !== 0,
    ackDue: (flags & 8) !== 0,
    unacknowledged: (flags & 16) !== 0,
  };
}
