/** Heads: framing in any pieces, caps, shapes, the MAC, and one message for head and small body. */
import { createHmac } from "node:crypto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { toHex } from "../../core/bytes.ts";
import { parseAppId, parseRequestId } from "../../core/ids.ts";
import { HeadReader, encodeAnswerHead, frameOpenHead, isHeaderField, openHeadJson, parseAnswerHead, parseOpenHead } from "../../protocol/head.ts";
import type { AnswerHead, HeadRead, OpenHead } from "../../protocol/head.ts";
import { MAX_HEADERS_BYTES, MAX_HEADERS_COUNT, MAX_HEAD_BYTES, MAX_PATH_BYTES } from "../../protocol/limits.ts";
import { StreamOpenVerifier, signStreamOpen, streamMacInput } from "../../protocol/stream-mac.ts";
import { bytes, join, opened, pair } from "./wire.ts";

const app = parseAppId("wiki");
const req = parseRequestId(`r_${"a".repeat(22)}`);
if (app === undefined || req === undefined) throw new Error("ids");

const OPEN: OpenHead = { v: 1, kind: "http", app, admission: "d".repeat(43), n: 2, req, method: "POST", path: "/a/b?c=d", headers: [["Host", "wiki.example"], ["X-Name", "Zoë\t1"]], body: "stream", length: 5 };
const ANSWER: AnswerHead = { v: 1, status: 200, reason: "OK", headers: [["Content-Type", "text/plain"], ["Set-Cookie", "a=1"], ["Set-Cookie", "b=2"]], body: "stream" };
const MAC = new Uint8Array(32).map((_, i) => i);

const must = <T>(result: { ok: true; value: T } | { ok: false; error: string }): T => {
  if (!result.ok) throw new Error(result.error);
  return result.value;
};
const json = (value: unknown): Uint8Array => bytes(JSON.stringify(value));

/** Feeds pieces until the reader has made up its mind; `rest` includes what was not fed. */
function read(kind: "open" | "answer", pieces: readonly Uint8Array[]): HeadRead {
  const reader = new HeadReader(kind);
  for (const [i, piece] of pieces.entries()) {
    const result = reader.feed(piece);
    if (result.type === "head") return { ...result, rest: join([result.rest, ...pieces.slice(i + 1)]) };
    if (result.type === "error") return result;
  }
  return { type: "more" };
}

const cut = (whole: Uint8Array, points: readonly number[]): Uint8Array[] => {
  const at = [0, ...points.map((point) => point % (whole.length + 1)).sort((a, b) => a - b), whole.length];
  return at.slice(1).map((to, i) => whole.subarray(at[i], to));
};

describe("framing", () => {
  it("HD1: a stream-open is length, MAC, JSON; an answer is length, JSON", () => {
    const body = must(openHeadJson(OPEN));
    expect(toHex(frameOpenHead(body, MAC))).toBe(`${body.length.toString(16).padStart(8, "0")}${toHex(MAC)}${toHex(body)}`);
    const answer = must(encodeAnswerHead(ANSWER));
    expect(toHex(answer.subarray(0, 4))).toBe((answer.length - 4).toString(16).padStart(8, "0"));
    expect(JSON.parse(new TextDecoder().decode(answer.subarray(4)))).toEqual(ANSWER);
  });

  it.each(["open", "answer"] as const)("HD2: %s heads are read in any pieces, and what follows is the body", (kind) => {
    const head = kind === "open" ? frameOpenHead(must(openHeadJson(OPEN)), MAC) : must(encodeAnswerHead(ANSWER));
    fc.assert(
      fc.property(fc.array(fc.nat(2000), { maxLength: 8 }), fc.uint8Array({ maxLength: 50 }), (points, body) => {
        const result = read(kind, cut(join([head, body]), points));
        if (result.type !== "head") throw new Error(result.type);
        expect([toHex(result.mac), toHex(result.rest)]).toEqual([kind === "open" ? toHex(MAC) : "", toHex(body)]);
        expect(kind === "open" ? must(parseOpenHead(result.json)) : must(parseAnswerHead(result.json))).toEqual(kind === "open" ? OPEN : ANSWER);
      }),
    );
  });

  it("HD2: one byte at a time, no head before its last byte", () => {
    const head = must(encodeAnswerHead(ANSWER));
    const reader = new HeadReader("answer");
    for (const byte of head.subarray(0, -1)) expect(reader.feed(new Uint8Array([byte]))).toEqual({ type: "more" });
    expect(reader.feed(head.subarray(-1)).type).toBe("head");
  });

  it("HD3: a length of 0 or above the cap is an error before any JSON arrives", () => {
    expect(new HeadReader("answer").feed(new Uint8Array(4))).toEqual({ type: "error", error: "head_empty" });
    const prefix = (n: number): Uint8Array => new Uint8Array([n >>> 24, n >>> 16, n >>> 8, n]);
    expect(new HeadReader("open").feed(prefix(MAX_HEAD_BYTES))).toEqual({ type: "more" });
    expect(new HeadReader("open").feed(prefix(MAX_HEAD_BYTES + 1))).toEqual({ type: "error", error: "head_too_large" });
    expect(new HeadReader("open").feed(prefix(2 ** 32 - 1))).toEqual({ type: "error", error: "head_too_large" });
  });

  it("HD2: an announced length costs nothing until the bytes arrive", () => {
    const readers = Array.from({ length: 2000 }, () => new HeadReader("open"));
    const before = process.memoryUsage().arrayBuffers;
    for (const reader of readers) reader.feed(new Uint8Array([0, 3, 0, 0, 1]));
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(2000 * 4096);
    expect(readers).toHaveLength(2000);
  });

  it("HD8: head, small body and end travel in one message", () => {
    const { edge, connector } = pair();
    const id = opened(edge);
    edge.write(id, frameOpenHead(must(openHeadJson(OPEN)), MAC));
    edge.write(id, bytes("hello"));
    edge.end(id);
    const out = edge.takeOutput();
    expect(out).toHaveLength(1);
    expect(connector.receive(out[0] ?? new Uint8Array(0)).map((event) => event.type)).toEqual(["open", "data", "end"]);
    connector.write(id, must(encodeAnswerHead(ANSWER)));
    connector.write(id, bytes("answer"));
    connector.end(id);
    expect(connector.takeOutput()).toHaveLength(1);
  });
});

describe("shapes", () => {
  const goodOpens: readonly [string, Partial<OpenHead>][] = [
    ["http without a body", { body: "none", method: "GET", length: undefined as never }],
    ["http of unknown length", { length: undefined as never }],
    ["a websocket", { kind: "websocket", method: "GET", length: undefined as never }],
    ["tcp", { kind: "tcp", method: "CONNECT", path: "/", headers: [], length: undefined as never }],
    ["the longest path", { path: `/${"a".repeat(MAX_PATH_BYTES - 1)}` }],
    ["as many headers as may be", { headers: Array.from({ length: MAX_HEADERS_COUNT }, (_, i) => [`x-${i}`, "1"] as const) }],
    ["as large headers as may be", { headers: [["x", "v".repeat(MAX_HEADERS_BYTES - 1)]] }],
  ];
  it.each(goodOpens)("HD4 HD7: %s is read as it was written", (_title, change) => {
    const head = JSON.parse(JSON.stringify({ ...OPEN, ...change })) as OpenHead;
    expect(must(parseOpenHead(must(openHeadJson(head))))).toEqual(head);
  });

  const badOpens: readonly [string, { readonly [field: string]: unknown }][] = [
    ["another version", { v: 2 }],
    ["a version as text", { v: "1" }],
    ["an unknown kind", { kind: "udp" }],
    ["an app that is no label", { app: "Wiki/../" }],
    ["an admission that is no digest", { admission: "a b" }],
    ["counter 0", { n: 0 }],
    ["a counter beyond exact numbers", { n: 2 ** 53 }],
    ["a fractional counter", { n: 1.5 }],
    ["a request id of another kind", { req: "u_1" }],
    ["a method with a space", { method: "GET /x" }],
    ["an empty method", { method: "" }],
    ["an absolute path", { path: "http://x/" }],
    ["a path with a space", { path: "/a b" }],
    ["a path with a fragment", { path: "/a#b" }],
    ["a path with a backslash", { path: "/a\\b" }],
    ["a path with CRLF", { path: "/a\r\nX: y" }],
    ["a path with a raw letter above ASCII", { path: "/ä" }],
    ["a path too long", { path: `/${"a".repeat(MAX_PATH_BYTES)}` }],
    ["headers as an object", { headers: { host: "x" } }],
    ["a header of three", { headers: [["a", "b", "c"]] }],
    ["a header value that is a number", { headers: [["a", 1]] }],
    ["too many headers", { headers: Array.from({ length: MAX_HEADERS_COUNT + 1 }, () => ["a", ""]) }],
    ["too large headers", { headers: [["x", "v".repeat(MAX_HEADERS_BYTES)]] }],
    ["an unknown body", { body: "chunked" }],
    ["a length without a body", { body: "none", length: 0 }],
    ["a negative length", { length: -1 }],
    ["a websocket that is not GET", { kind: "websocket", length: undefined }],
    ["a websocket without a body", { kind: "websocket", method: "GET", body: "none", length: undefined }],
    ["tcp with headers", { kind: "tcp", method: "CONNECT", path: "/", length: undefined }],
    ["tcp with a path", { kind: "tcp", method: "CONNECT", headers: [], length: undefined }],
  ];
  it.each(badOpens)("HD4 HD7: a stream-open with %s is head_shape, read or written", (_title, change) => {
    const head = { ...OPEN, ...change };
    expect(parseOpenHead(json(head))).toEqual({ ok: false, error: "head_shape" });
    expect(openHeadJson(head as unknown as OpenHead)).toEqual({ ok: false, error: "head_shape" });
  });
  it.each(Object.keys(OPEN).filter((key) => key !== "length"))("HD4: a stream-open without %s is head_shape", (key) => {
    const { [key as keyof OpenHead]: _left, ...rest } = OPEN;
    expect(parseOpenHead(json(rest))).toEqual({ ok: false, error: "head_shape" });
  });

  const answers: readonly [string, unknown, boolean][] = [
    ["an error", { v: 1, error: "upstream_refused", detail: "connect 10.0.0.5:80" }, true],
    ["an error without detail", { v: 1, error: "bad_admission" }, true],
    ["a switch", { v: 1, status: 101, headers: [], body: "stream" }, true],
    ["an answer without a body", { v: 1, status: 304, headers: [], body: "none" }, true],
    ["an unknown error", { v: 1, error: "oops" }, false],
    ["status 100", { v: 1, status: 100, headers: [], body: "none" }, false],
    ["status 101 without a body", { v: 1, status: 101, headers: [], body: "none" }, false],
    ["status 600", { v: 1, status: 600, headers: [], body: "none" }, false],
    ["status as text", { v: 1, status: "200", headers: [], body: "none" }, false],
    ["a reason with CR", { v: 1, status: 200, reason: "a\rb", headers: [], body: "none" }, false],
    ["a reason with half a character", { v: 1, status: 200, reason: "a\ud800", headers: [], body: "none" }, false],
    ["a length without a body", { v: 1, status: 200, headers: [], body: "none", length: 3 }, false],
    ["neither status nor error", { v: 1, headers: [], body: "none" }, false],
    ["an array", [], false],
    ["null", null, false],
  ];
  it.each(answers)("HD4: %s", (_title, value, good) => {
    expect(parseAnswerHead(json(value))).toEqual(good ? { ok: true, value } : { ok: false, error: "head_shape" });
    expect(encodeAnswerHead(value as AnswerHead).ok).toBe(good);
  });

  it("HD4: an error answer has no other field, and unknown fields are dropped", () => {
    expect(parseAnswerHead(json({ v: 1, error: "overloaded", status: 200, extra: 1 }))).toEqual({ ok: true, value: { v: 1, error: "overloaded" } });
    expect(parseAnswerHead(bytes('{"v":1,"status":204,"headers":[],"body":"none","__proto__":{"x":1}}'))).toEqual({ ok: true, value: { v: 1, status: 204, headers: [], body: "none" } });
  });

  it.each([["not JSON", bytes("{")], ["not UTF-8", new Uint8Array([0x22, 0xff, 0x22])], ["a BOM", bytes("\ufeff{}")]])("HD4: %s is head_not_json", (_title, content) => {
    expect(parseOpenHead(content)).toEqual({ ok: false, error: "head_not_json" });
    expect(parseAnswerHead(content)).toEqual({ ok: false, error: "head_not_json" });
  });

  const fields: readonly [string, string, boolean][] = [
    ["X-Ok", "", true],
    ["x_1!#$%&'*+.^`|~", "a\tb ~", true],
    ["x", "Zoë €", true],
    ["", "x", false],
    ["a b", "x", false],
    ["a:", "x", false],
    ["é", "x", false],
    ["x", "a\r\nSet-Cookie: y", false],
    ["x", "a\nb", false],
    ["x", "a\0b", false],
    ["x", "a\x7fb", false],
    ["x", "\x1b[0m", false],
    ["x", "\ud800", false],
    ["x\n", "y", false],
  ];
  it.each(fields)("HD7: header %j with value %j", (name, value, good) => {
    expect(isHeaderField(name, value)).toBe(good);
  });
});

describe("the MAC of a stream-open", () => {
  const hmac = (key: Uint8Array, input: Uint8Array): Uint8Array => new Uint8Array(createHmac("sha256", key).update(input).digest());
  const key = new Uint8Array(32).fill(7);
  const head = must(openHeadJson(OPEN));

  it("HD5: covers the label, the counter as u64be and the JSON as it is sent", () => {
    expect(toHex(streamMacInput(2 ** 32 + 5, bytes("{}")))).toBe(`${toHex(bytes("postern stream-open 1\0"))}00000001000000057b7d`);
  });

  it("HD5: one changed bit of MAC or JSON, another counter or another key fails", () => {
    const mac = signStreamOpen(hmac, key, 5, head);
    const flip = (of: Uint8Array, bit: number): Uint8Array => of.map((byte, i) => (i === bit >> 3 ? byte ^ (1 << (bit & 7)) : byte));
    const verify = (n: number, body: Uint8Array, tag: Uint8Array, k = key): string => new StreamOpenVerifier(hmac, k).verify(n, body, tag);
    expect(verify(5, head, mac)).toBe("ok");
    for (let bit = 0; bit < 256; bit += 7) expect(verify(5, head, flip(mac, bit))).toBe("bad_mac");
    for (let bit = 0; bit < head.length * 8; bit += 101) expect(verify(5, flip(head, bit), mac)).toBe("bad_mac");
    expect(verify(6, head, mac)).toBe("bad_mac");
    expect(verify(5, head, mac.subarray(0, 31))).toBe("bad_mac");
    expect(verify(5, head, new Uint8Array(0))).toBe("bad_mac");
    expect(verify(5, head, mac, new Uint8Array(32))).toBe("bad_mac");
    expect(verify(0, head, signStreamOpen(hmac, key, 0, head))).toBe("bad_mac");
  });

  it("HD6: the counter goes up; a repeated or older one fails and a wrong MAC moves nothing", () => {
    const verifier = new StreamOpenVerifier(hmac, key);
    const verify = (n: number): string => verifier.verify(n, head, signStreamOpen(hmac, key, n, head));
    expect([verify(2), verify(4), verify(4), verify(2), verify(3), verify(1_000_000)]).toEqual(["ok", "ok", "replayed", "replayed", "replayed", "ok"]);
    expect(verifier.verify(2_000_000, head, MAC)).toBe("bad_mac");
    expect(verify(1_000_001)).toBe("ok");
  });
});
