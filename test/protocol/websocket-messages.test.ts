/** Relayed WebSocket messages: boundaries kept in any pieces, caps, and the close. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { toHex } from "../../core/bytes.ts";
import { MAX_WEBSOCKET_MESSAGE_BYTES } from "../../protocol/limits.ts";
import { Opcode, WebSocketMessageReader, encodeWebSocketMessage, messageHeader } from "../../protocol/websocket-messages.ts";
import type { WebSocketMessage, WebSocketRead } from "../../protocol/websocket-messages.ts";
import { bytes, join } from "./wire.ts";

const readAll = (whole: Uint8Array, max?: number): WebSocketRead[] => new WebSocketMessageReader(max).feed(whole);
const shown = (reads: readonly WebSocketRead[]): unknown[] => reads.map((read) => ("bytes" in read ? { ...read, bytes: toHex(read.bytes) } : read));

describe("messages", () => {
  const layouts: readonly [string, WebSocketMessage, string][] = [
    ["text", { type: "text", text: "hé" }, "01 00000003 68c3a9"],
    ["empty text", { type: "text", text: "" }, "01 00000000"],
    ["binary", { type: "binary", bytes: new Uint8Array([0, 255]) }, "02 00000002 00ff"],
    ["close", { type: "close", code: 4403, reason: "no" }, "08 00000004 11336e6f"],
    ["ping", { type: "ping", bytes: bytes("p") }, "09 00000001 70"],
    ["pong", { type: "pong", bytes: bytes("q") }, "0a 00000001 71"],
  ];
  it.each(layouts)("WS1: %s has its layout and is read back", (_title, message, hex) => {
    const encoded = encodeWebSocketMessage(message);
    expect(toHex(encoded)).toBe(hex.replaceAll(" ", ""));
    expect(shown(readAll(encoded))).toEqual(shown([message]));
  });

  it("WS1: a header written apart from its payload is the same message", () => {
    const payload = new Uint8Array(1000).fill(3);
    expect(join([messageHeader(Opcode.binary, 1000), payload])).toEqual(encodeWebSocketMessage({ type: "binary", bytes: payload }));
  });

  it("WS1: any messages in any pieces", () => {
    const message = fc.oneof(
      fc.record({ type: fc.constant("text" as const), text: fc.string({ unit: "grapheme", maxLength: 40 }) }),
      fc.record({ type: fc.constant("binary" as const), bytes: fc.uint8Array({ maxLength: 600 }) }),
      fc.record({ type: fc.constantFrom("ping" as const, "pong" as const), bytes: fc.uint8Array({ maxLength: 125 }) }),
    );
    fc.assert(
      fc.property(fc.array(message, { maxLength: 10 }), fc.array(fc.integer({ min: 1, max: 300 }), { minLength: 1, maxLength: 20 }), (messages, sizes) => {
        const whole = join(messages.map(encodeWebSocketMessage));
        const reader = new WebSocketMessageReader();
        const out: unknown[] = [];
        for (let at = 0, i = 0; at < whole.length; i++) {
          const size = sizes[i % sizes.length] ?? 1;
          out.push(...shown(reader.feed(whole.subarray(at, at + size))));
          at += size;
        }
        expect(out).toEqual(shown(messages));
      }),
    );
  });

  it("WS2: 1 MiB is read, one byte more is 1009 before its payload arrives", () => {
    expect(readAll(encodeWebSocketMessage({ type: "binary", bytes: new Uint8Array(MAX_WEBSOCKET_MESSAGE_BYTES) }))).toHaveLength(1);
    for (const opcode of [Opcode.text, Opcode.binary]) {
      expect(readAll(messageHeader(opcode, MAX_WEBSOCKET_MESSAGE_BYTES + 1))).toEqual([{ type: "error", code: 1009, reason: "message too large" }]);
    }
    expect(readAll(messageHeader(Opcode.binary, 11), 10)).toMatchObject([{ code: 1009 }]);
  });

  it("WS3: text that is not UTF-8 is 1007, and a byte order mark is kept", () => {
    for (const bad of [[0xff], [0xc3], [0xed, 0xa0, 0x80], [0xc0, 0xaf]]) {
      expect(readAll(join([messageHeader(Opcode.text, bad.length), new Uint8Array(bad)]))).toMatchObject([{ type: "error", code: 1007 }]);
    }
    expect(readAll(encodeWebSocketMessage({ type: "text", text: "\ufeffx" }))).toEqual([{ type: "text", text: "\ufeffx" }]);
  });

  it.each([0, 3, 7, 11, 255])("WS4: opcode %i is 1002", (opcode) => {
    expect(readAll(messageHeader(opcode, 0))).toMatchObject([{ type: "error", code: 1002 }]);
  });

  it.each([Opcode.close, Opcode.ping, Opcode.pong])("WS4: a control message of opcode %i above 125 bytes is 1002", (opcode) => {
    expect(readAll(messageHeader(opcode, 126))).toMatchObject([{ type: "error", code: 1002 }]);
    expect(readAll(messageHeader(opcode, 125))).toEqual([]);
  });

  const closes: readonly [string, string, unknown][] = [
    ["empty", "", { type: "close", code: 1000, reason: "" }],
    ["1001 bye", "03e9627965", { type: "close", code: 1001, reason: "bye" }],
    ["1005, which cannot be sent", "03ed", { type: "close", code: 1000, reason: "" }],
    ["code 7", "0007", { type: "close", code: 1000, reason: "" }],
    ["one byte", "03", { type: "error", code: 1002, reason: "protocol error" }],
    ["a reason that is not UTF-8", "03e8ff", { type: "error", code: 1002, reason: "protocol error" }],
  ];
  it.each(closes)("WS5: close %s", (_title, hex, expected) => {
    const payload = new Uint8Array(hex.match(/../g)?.map((pair) => Number.parseInt(pair, 16)) ?? []);
    expect(readAll(join([messageHeader(Opcode.close, payload.length), payload]))).toEqual([expected]);
  });

  it("WS5: a long reason is cut to 123 bytes, and a code that cannot be sent becomes 1000", () => {
    const encoded = encodeWebSocketMessage({ type: "close", code: 1006, reason: "é".repeat(200) });
    expect(encoded.length).toBe(5 + 2 + 122);
    expect(readAll(encoded)).toEqual([{ type: "close", code: 1000, reason: "é".repeat(61) }]);
  });

  it("WS5: nothing is read after a close or an error", () => {
    const text = encodeWebSocketMessage({ type: "text", text: "late" });
    for (const last of [encodeWebSocketMessage({ type: "close", code: 1000, reason: "" }), messageHeader(99, 0)]) {
      const reader = new WebSocketMessageReader();
      expect(reader.feed(join([text, last, text]))).toHaveLength(2);
      expect(reader.feed(text)).toEqual([]);
    }
  });

  it("WS1: arbitrary bytes never throw", () => {
    fc.assert(fc.property(fc.array(fc.uint8Array({ maxLength: 40 })), (chunks) => chunks.reduce((reader, chunk) => (reader.feed(chunk), reader), new WebSocketMessageReader()) !== undefined));
  });
});
