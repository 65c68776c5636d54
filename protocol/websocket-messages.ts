/**
 * WebSocket messages inside a stream: the boundaries, kinds and close of a relayed client
 * socket. Not the framing of the tunnel's own WebSocket, and no masking or fragments: each
 * message is whole. Opcodes are those of RFC 6455 §11.8.
 *
 *   [opcode u8][length u32be][payload]      close payload: [code u16be][reason UTF-8]
 */
import { concat } from "../core/bytes.ts";
import { CLOSE_CODES, closeReason, sendableCloseCode } from "./close-codes.ts";
import { readU32, writeU32 } from "./frames.ts";
import { Gather } from "./gather.ts";
import { MAX_WEBSOCKET_CONTROL_BYTES, MAX_WEBSOCKET_MESSAGE_BYTES } from "./limits.ts";

export const MESSAGE_HEADER_BYTES = 5;
export const Opcode = { text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const;

export type WebSocketMessage =
  | { readonly type: "text"; readonly text: string }
  | { readonly type: "binary"; readonly bytes: Uint8Array }
  | { readonly type: "close"; readonly code: number; readonly reason: string }
  | { readonly type: "ping" | "pong"; readonly bytes: Uint8Array };

/** A message, or why there are no more: close the client's socket with `code` and reset the stream. */
export type WebSocketRead = WebSocketMessage | { readonly type: "error"; readonly code: number; readonly reason: string };

/** The 5 bytes before a payload, for writing a large payload without joining the two. */
export function messageHeader(opcode: number, length: number): Uint8Array<ArrayBuffer> {
  const header = new Uint8Array(MESSAGE_HEADER_BYTES);
  header[0] = opcode;
  writeU32(header, 1, length);
  return header;
}

/** One message as bytes. A close code is mapped to one that may be sent (CL2), its reason cut to 123 bytes. */
export function encodeWebSocketMessage(message: WebSocketMessage): Uint8Array<ArrayBuffer> {
  switch (message.type) {
    case "text":
      return withHeader(Opcode.text, new TextEncoder().encode(message.text));
    case "binary":
      return withHeader(Opcode.binary, message.bytes);
    case "close": {
      const code = sendableCloseCode(message.code);
      const reason = new TextEncoder().encode(closeReason(message.reason));
      return withHeader(Opcode.close, concat([new Uint8Array([code >>> 8, code & 255]), reason]));
    }
    case "ping":
    case "pong":
      return withHeader(Opcode[message.type], message.bytes.subarray(0, MAX_WEBSOCKET_CONTROL_BYTES));
    default:
      return message satisfies never;
  }
}

function withHeader(opcode: number, payload: Uint8Array): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(MESSAGE_HEADER_BYTES + payload.length);
  out[0] = opcode;
  writeU32(out, 1, payload.length);
  out.set(payload, MESSAGE_HEADER_BYTES);
  return out;
}

/** Reads messages out of a stream, however its bytes are cut. After close or error it reads nothing more. */
export class WebSocketMessageReader {
  readonly #maxBytes: number;
  #header = new Gather(MESSAGE_HEADER_BYTES);
  #opcode = 0;
  #payload: Gather | undefined;
  #done = false;

  constructor(maxBytes: number = MAX_WEBSOCKET_MESSAGE_BYTES) {
    this.#maxBytes = maxBytes;
  }

  /** True when no message is half read: only then may what is kept of this reader be forgotten (M3). */
  get isBetweenMessages(): boolean {
    return this.#payload === undefined && this.#header.isEmpty;
  }

  /** Binary payloads may be views of `bytes`: use or copy them before its buffer is reused. */
  feed(bytes: Uint8Array): WebSocketRead[] {
    const reads: WebSocketRead[] = [];
    for (let from = 0; !this.#done; ) {
      if (this.#payload === undefined) {
        const header = this.#header.feed(bytes.subarray(from));
        from += header.taken;
        if (header.bytes === undefined) return reads;
        const length = readU32(header.bytes, 1);
        this.#opcode = header.bytes[0] ?? 0;
        const fault = this.#check(length);
        if (fault !== undefined) return this.#stop(reads, fault);
        this.#payload = new Gather(length);
        this.#header = new Gather(MESSAGE_HEADER_BYTES);
      }
      const payload = this.#payload.feed(bytes.subarray(from));
      from += payload.taken;
      if (payload.bytes === undefined) return reads;
      this.#payload = undefined;
      const read = decode(this.#opcode, payload.bytes);
      if (read.type === "error" || read.type === "close") return this.#stop(reads, read);
      reads.push(read);
    }
    return reads;
  }

  #check(length: number): WebSocketRead | undefined {
    switch (this.#opcode) {
      case Opcode.text:
      case Opcode.binary:
        return length > this.#maxBytes ? fault("message_too_large") : undefined;
      case Opcode.close:
      case Opcode.ping:
      case Opcode.pong:
        return length > MAX_WEBSOCKET_CONTROL_BYTES ? fault("message_protocol") : undefined;
      default:
        return fault("message_protocol");
    }
  }

  #stop(reads: WebSocketRead[], last: WebSocketRead): WebSocketRead[] {
    this.#done = true;
    reads.push(last);
    return reads;
  }
}

const fault = (name: "message_too_large" | "message_protocol" | "message_text"): WebSocketRead => ({
  type: "error",
  code: CLOSE_CODES[name].code,
  reason: CLOSE_CODES[name].meaning,
});

function decode(opcode: number, payload: Uint8Array): WebSocketRead {
  switch (opcode) {
    case Opcode.text: {
      const text = utf8(payload);
      return text === undefined ? fault("message_text") : { type: "text", text };
    }
    case Opcode.binary:
      return { type: "binary", bytes: payload };
    case Opcode.close: {
      if (payload.length === 0) return { type: "close", code: 1000, reason: "" };
      const reason = utf8(payload.subarray(2));
      if (payload.length === 1 || reason === undefined) return fault("message_protocol");
      return { type: "close", code: sendableCloseCode(((payload[0] ?? 0) << 8) | (payload[1] ?? 0)), reason };
    }
    case Opcode.ping:
      return { type: "ping", bytes: payload };
    default:
      return { type: "pong", bytes: payload };
  }
}

function utf8(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return undefined;
  }
}
