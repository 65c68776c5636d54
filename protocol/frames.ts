/**
 * yamux frames: the 12-byte header, its numbers, and the walk over one WebSocket message of
 * whole frames. Knows nothing of streams or credit (mux.ts). The numbers are the public yamux
 * specification's, not ours; what we chose ourselves is in limits.ts.
 *
 *   offset 0    version   u8      always 0
 *   offset 1    type      u8      0 data, 1 window update, 2 ping, 3 go away
 *   offset 2    flags     u16be   1 SYN, 2 ACK, 4 FIN, 8 RST
 *   offset 4    streamId  u32be   0 is the session; connector odd, edge even
 *   offset 8    length    u32be   data: payload bytes; window update: credit in bytes;
 *                                 ping: opaque value; go away: reason
 *   offset 12   payload           data frames only
 */
import { err, ok } from "../core/result.ts";
import type { Result } from "../core/result.ts";

export const HEADER_BYTES = 12;
export const FRAME_VERSION = 0;
export const FrameType = { data: 0, windowUpdate: 1, ping: 2, goAway: 3 } as const;
export const Flag = { syn: 1, ack: 2, fin: 4, rst: 8 } as const;
/** Every flag that yamux names; a frame with another bit set is malformed (FR4). */
export const KNOWN_FLAGS = 15;
export const GoAwayCode = { normal: 0, protocolError: 1, internalError: 2 } as const;
/** What a stream may carry in each direction before any window update. Both sides assume it. */
export const INITIAL_WINDOW_BYTES = 256 * 1024;

/** Why a message cannot be read as whole frames. */
export type FrameFault = "short_header" | "version" | "type" | "flags" | "length" | "session_id";

/** A header read at some offset; `end` is the offset of the next frame in the same message. */
export interface FrameHeader {
  readonly type: number;
  readonly flags: number;
  readonly streamId: number;
  readonly length: number;
  readonly end: number;
}

/** A whole frame. `payload` is a view into the message, empty for all but data. */
export interface Frame {
  readonly type: number;
  readonly flags: number;
  readonly streamId: number;
  readonly length: number;
  readonly payload: Uint8Array;
}

/** Reads a big-endian u32; bytes beyond the end read as 0. */
export function readU32(bytes: Uint8Array, at: number): number {
  return (((bytes[at] ?? 0) << 24) | ((bytes[at + 1] ?? 0) << 16) | ((bytes[at + 2] ?? 0) << 8) | (bytes[at + 3] ?? 0)) >>> 0;
}

/** Writes a big-endian u32. */
export function writeU32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 24;
  bytes[at + 1] = value >>> 16;
  bytes[at + 2] = value >>> 8;
  bytes[at + 3] = value;
}

/** Writes a 12-byte header at an offset; flags stay below 256, so their high byte is 0. */
export function writeHeader(into: Uint8Array, at: number, type: number, flags: number, streamId: number, length: number): void {
  into[at] = FRAME_VERSION;
  into[at + 1] = type;
  into[at + 2] = 0;
  into[at + 3] = flags;
  writeU32(into, at + 4, streamId);
  writeU32(into, at + 8, length);
}

/**
 * Reads and checks the header at an offset of one message: version, type, flags, that ping and
 * go-away name stream 0 and the others do not, and that a payload ends inside the message (FR2-FR6).
 */
export function readHeader(message: Uint8Array, at: number): FrameHeader | FrameFault {
  if (message.length - at < HEADER_BYTES) return "short_header";
  if (message[at] !== FRAME_VERSION) return "version";
  const type = message[at + 1] ?? 255;
  if (type > FrameType.goAway) return "type";
  const flags = message[at + 3] ?? 0;
  if (message[at + 2] !== 0 || flags > KNOWN_FLAGS) return "flags";
  const streamId = readU32(message, at + 4);
  if ((streamId === 0) !== type >= FrameType.ping) return "session_id";
  const length = readU32(message, at + 8);
  const end = at + HEADER_BYTES + (type === FrameType.data ? length : 0);
  if (end > message.length) return "length";
  return { type, flags, streamId, length, end };
}

/** All frames of one message in order, payloads as views; or the first fault. */
export function decodeFrames(message: Uint8Array): Result<Frame[], FrameFault> {
  const frames: Frame[] = [];
  for (let at = 0; at < message.length; ) {
    const header = readHeader(message, at);
    if (typeof header === "string") return err(header);
    const { type, flags, streamId, length, end } = header;
    frames.push({ type, flags, streamId, length, payload: message.subarray(at + HEADER_BYTES, end) });
    at = end;
  }
  return ok(frames);
}

/** One frame as bytes of its own; `length` is taken from the payload for data frames. */
export function encodeFrame(type: number, flags: number, streamId: number, length: number, payload?: Uint8Array): Uint8Array<ArrayBuffer> {
  const body = type === FrameType.data ? payload : undefined;
  const bytes = new Uint8Array(HEADER_BYTES + (body?.length ?? 0));
  writeHeader(bytes, 0, type, flags, streamId, body?.length ?? (type === FrameType.data ? 0 : length));
  if (body !== undefined) bytes.set(body, HEADER_BYTES);
  return bytes;
}
