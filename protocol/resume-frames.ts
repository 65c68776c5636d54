/**
 * The frames between agent and connector inside TLS, by which a stream outlives its connections:
 * written and read here, nothing decided (resume.ts).
 *
 *   [type u8][length u24be][payload, length bytes]
 */
import { parseAppId } from "../core/ids.ts";
import type { AppId } from "../core/ids.ts";
import { readU32, writeU32 } from "./frames.ts";
import { Gather } from "./gather.ts";
import { MAX_RESUME_DATA_BYTES } from "./limits.ts";

export const RESUME_HEADER_BYTES = 4;
export const RESUME_SECRET_BYTES = 32;

const TYPE = { open: 1, opened: 2, abort: 3, data: 4, ack: 5, fin: 6, lastData: 7 } as const;
const OFFSET_BYTES = 8;
/** Without the app's id, which is the rest. */
const OPEN_BYTES = 1 + 4 + OFFSET_BYTES + RESUME_SECRET_BYTES;
const MAX_APP_BYTES = 63;
const CODE = /^[a-z][a-z_]{0,63}$/;
const MAX_CODE_BYTES = 64;

/** The agent's first frame: which stream this is, and how far it came. */
export interface ResumeOpen {
  /** Which app the agent means: whoever leads the stream has no say in that. */
  readonly app: AppId;
  /** False: a new stream, whose secret this is from now on. */
  readonly attach: boolean;
  /** Counts the attaches of one stream; a higher one wins (RS9). */
  readonly generation: number;
  /** Offset up to which the agent received. */
  readonly received: number;
  readonly secret: Uint8Array;
}

export type ResumeFrame =
  | { readonly type: "open"; readonly open: ResumeOpen }
  | { readonly type: "opened"; readonly received: number }
  | { readonly type: "abort"; readonly code: string }
  /** A piece of a data frame, as soon as it is there. */
  | { readonly type: "data"; readonly bytes: Uint8Array }
  /** Behind the data of a frame whose sender waits for an ack. */
  | { readonly type: "waiting" }
  | { readonly type: "ack"; readonly offset: number }
  | { readonly type: "fin"; readonly total: number };

/** The header of a data frame; the payload follows it. `waiting`: its sender waits for an ack; it may then be empty. */
export function dataHeader(length: number, waiting = false): Uint8Array {
  const out = new Uint8Array(RESUME_HEADER_BYTES);
  writeU32(out, 0, length);
  out[0] = waiting ? TYPE.lastData : TYPE.data;
  return out;
}

/** Any other frame, whole. */
export function encodeResumeFrame(frame: Exclude<ResumeFrame, { readonly type: "data" | "waiting" }>): Uint8Array {
  switch (frame.type) {
    case "open": {
      const app = new TextEncoder().encode(frame.open.app);
      const out = framed(TYPE.open, OPEN_BYTES + app.length);
      out.set(app, RESUME_HEADER_BYTES + OPEN_BYTES);
      out[RESUME_HEADER_BYTES] = frame.open.attach ? 1 : 0;
      writeU32(out, RESUME_HEADER_BYTES + 1, frame.open.generation);
      writeOffset(out, RESUME_HEADER_BYTES + 5, frame.open.received);
      out.set(frame.open.secret.subarray(0, RESUME_SECRET_BYTES), RESUME_HEADER_BYTES + 5 + OFFSET_BYTES);
      return out;
    }
    case "abort": {
      const code = new TextEncoder().encode(CODE.test(frame.code) ? frame.code : "error");
      const out = framed(TYPE.abort, code.length);
      out.set(code, RESUME_HEADER_BYTES);
      return out;
    }
    case "opened":
      return withOffset(TYPE.opened, frame.received);
    case "ack":
      return withOffset(TYPE.ack, frame.offset);
    case "fin":
      return withOffset(TYPE.fin, frame.total);
    default:
      return frame satisfies never;
  }
}

function framed(type: number, length: number): Uint8Array {
  const out = new Uint8Array(RESUME_HEADER_BYTES + length);
  writeU32(out, 0, length);
  out[0] = type;
  return out;
}

function withOffset(type: number, offset: number): Uint8Array {
  const out = framed(type, OFFSET_BYTES);
  writeOffset(out, RESUME_HEADER_BYTES, offset);
  return out;
}

function writeOffset(out: Uint8Array, at: number, offset: number): void {
  writeU32(out, at, Math.floor(offset / 2 ** 32));
  writeU32(out, at + 4, offset % 2 ** 32);
}

/** Undefined above 2^53: no stream is that long. */
function readOffset(bytes: Uint8Array, at: number): number | undefined {
  const offset = readU32(bytes, at) * 2 ** 32 + readU32(bytes, at + 4);
  return Number.isSafeInteger(offset) ? offset : undefined;
}

/** Reads frames out of bytes however they are cut (RS1). After a fault it reads nothing more. */
export class ResumeReader {
  #header = new Gather(RESUME_HEADER_BYTES);
  /** What is missing of the data frame that is being read. */
  #data = 0;
  #isLast = false;
  #small: { readonly type: number; readonly gather: Gather } | undefined;
  #broken = false;

  /** The frames that these bytes complete; undefined if they break the rules. */
  feed(bytes: Uint8Array): ResumeFrame[] | undefined {
    const frames: ResumeFrame[] = [];
    for (let at = 0; at < bytes.length && !this.#broken; ) {
      if (this.#data > 0) {
        const piece = bytes.subarray(at, at + this.#data);
        this.#data -= piece.length;
        at += piece.length;
        frames.push({ type: "data", bytes: piece });
        if (this.#data === 0 && this.#isLast) frames.push({ type: "waiting" });
      } else if (this.#small === undefined) {
        const read = this.#header.feed(bytes.subarray(at));
        at += read.taken;
        if (read.bytes === undefined) continue;
        const length = readU32(read.bytes, 0) % 2 ** 24;
        this.#begin(read.bytes[0] ?? 0, length);
        if (this.#isLast && length === 0) frames.push({ type: "waiting" });
      } else {
        const { type, gather } = this.#small;
        const read = gather.feed(bytes.subarray(at));
        at += read.taken;
        if (read.bytes === undefined) continue;
        this.#small = undefined;
        const frame = parse(type, read.bytes);
        if (frame === undefined) this.#broken = true;
        else frames.push(frame);
      }
    }
    return this.#broken ? undefined : frames;
  }

  #begin(type: number, length: number): void {
    this.#header = new Gather(RESUME_HEADER_BYTES);
    if (type === TYPE.data || type === TYPE.lastData) {
      this.#data = length;
      this.#isLast = type === TYPE.lastData;
      this.#broken = (length === 0 && !this.#isLast) || length > MAX_RESUME_DATA_BYTES;
      return;
    }
    const fits = type === TYPE.open ? length > OPEN_BYTES && length <= OPEN_BYTES + MAX_APP_BYTES : type === TYPE.abort ? length > 0 && length <= MAX_CODE_BYTES : length === OFFSET_BYTES;
    this.#broken = type < TYPE.open || type > TYPE.fin || !fits;
    this.#small = { type, gather: new Gather(length) };
  }
}

function parse(type: number, bytes: Uint8Array): ResumeFrame | undefined {
  if (type === TYPE.abort) {
    const code = String.fromCharCode(...bytes);
    return CODE.test(code) ? { type: "abort", code } : undefined;
  }
  if (type === TYPE.open) {
    const received = readOffset(bytes, 5);
    const attach = bytes[0];
    const app = parseAppId(String.fromCharCode(...bytes.subarray(OPEN_BYTES)));
    if (received === undefined || app === undefined || (attach !== 0 && attach !== 1)) return undefined;
    return { type: "open", open: { app, attach: attach === 1, generation: readU32(bytes, 1), received, secret: bytes.slice(5 + OFFSET_BYTES, OPEN_BYTES) } };
  }
  const offset = readOffset(bytes, 0);
  if (offset === undefined) return undefined;
  if (type === TYPE.opened) return { type: "opened", received: offset };
  return type === TYPE.ack ? { type: "ack", offset } : { type: "fin", total: offset };
}
