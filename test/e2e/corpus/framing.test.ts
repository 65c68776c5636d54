/**
 * Class J over raw sockets: messages whose length, end or upgrade two servers may see differently,
 * and heads that are too large. The app sees exactly one request, framed by us, or none. Where the
 * runtime's own parser answers first, the row says so by having no code of ours.
 */
import { createHash } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { MAX_HEADERS_BYTES } from "../../../protocol/limits.ts";
import { MAX_URL_BYTES } from "../../../worker/canonical.ts";
import { bytesOf, type Expected, expectRecorded, judge, type Outcome, type Passed, send } from "./corpus.ts";
import { type EdgeUnderTest, edgeUnderTest } from "./edge-under-test.ts";
import { sendRaw, valuesOf } from "./raw-client.ts";
import { type RecordingOrigin, recordingOrigin, valuesAt } from "./recording-origin.ts";

let origin: RecordingOrigin;
let edge: EdgeUnderTest;
const passed: Passed[] = [];

beforeAll(async () => {
  origin = await recordingOrigin();
  const upstream = `site: office, upstream: "http://127.0.0.1:${origin.port}"`;
  edge = await edgeUnderTest({
    apps: `  - { id: open, ${upstream} }\n  - { id: get-only, ${upstream} }`,
    policies: `  - { id: all, effect: allow, apps: [open], when: { service: [probe] } }
  - { id: get, effect: allow, apps: [get-only], when: { service: [probe] }, http: { methods: [GET] } }`,
  });
});
afterAll(async () => {
  await edge?.stop();
  await origin?.close();
});

const BAD: Expected = { refused: 400, code: "bad_request" };
/** The runtime's own parser answers. */
const RUNTIME_400: Expected = { refused: 400 };
const sha256 = (text: string): string => createHash("sha256").update(Buffer.from(text, "latin1")).digest("hex");
/** What a smuggler hides behind the first request. */
const HIDDEN = "GET /smuggled HTTP/1.1\r\nHost: open.postern.localhost\r\n\r\n";

type Row = readonly [title: string, headers: readonly string[], body: string, expected: Expected | { readonly body: string }];

async function check(headers: readonly string[], body: string, expected: Row[3]): Promise<Outcome> {
  const bytes = bytesOf(edge, { line: "POST /x", headers, body });
  if (!("body" in expected)) return judge(edge, origin, bytes, expected, passed);
  const outcome = await judge(edge, origin, bytes, { passes: "POST /x" }, passed);
  expect(outcome.hits[0]).toMatchObject({ bodyBytes: expected.body.length, bodyDigest: sha256(expected.body) });
  return outcome;
}

describe("class J: how long a request is", () => {
  it.each<Row>([
    ["Content-Length beside Transfer-Encoding: the chunks count, the rest is never looked at", ["Content-Length: 5", "Transfer-Encoding: chunked"], `0\r\n\r\n${HIDDEN}`, { body: "" }],
    ["the same in the other order", ["Transfer-Encoding: chunked", "Content-Length: 5"], `3\r\nabc\r\n0\r\n\r\n${HIDDEN}`, { body: "abc" }],
    ["CL.TE with a length that takes in the hidden request", [`Content-Length: ${5 + HIDDEN.length}`, "Transfer-Encoding: chunked"], `0\r\n\r\n${HIDDEN}`, { body: "" }],
    ["TE.CL with a chunk that holds the hidden request", ["Content-Length: 4", "Transfer-Encoding: chunked"], `${HIDDEN.length.toString(16)}\r\n${HIDDEN}\r\n0\r\n\r\n`, { body: HIDDEN }],
    ["TE.TE", ["Transfer-Encoding: xchunked", "Transfer-Encoding: chunked"], `0\r\n\r\n${HIDDEN}`, BAD],
    ["chunked twice", ["Transfer-Encoding: chunked", "Transfer-Encoding: chunked"], "0\r\n\r\n", BAD],
    ["gzip, chunked", ["Transfer-Encoding: gzip, chunked"], "0\r\n\r\n", BAD],
    ["identity", ["Transfer-Encoding: identity", "Content-Length: 3"], "abc", RUNTIME_400],
    ["a vertical tab before chunked", ["Transfer-Encoding: \x0bchunked"], "0\r\n\r\n", RUNTIME_400],
    ["a quoted chunked", ['Transfer-Encoding: "chunked"'], "0\r\n\r\n", RUNTIME_400],
    ["chunked in capitals", ["Transfer-Encoding: Chunked"], "3\r\nabc\r\n0\r\n\r\n", { body: "abc" }],
    ["a folded Transfer-Encoding", ["Transfer-Encoding:\r\n chunked"], "0\r\n\r\n", RUNTIME_400],
    ["a space before the colon of Transfer-Encoding", ["Transfer-Encoding : chunked"], "0\r\n\r\n", RUNTIME_400],
    ["a space before the colon of Content-Length", ["Content-Length : 3"], "abc", RUNTIME_400],
    ["Transfer_Encoding is an ordinary header and dropped", ["Transfer_Encoding: chunked", "Content-Length: 3"], "abc", { body: "abc" }],
    ["Content_Length is an ordinary header and dropped", ["Content_Length: 9", "Content-Length: 3"], "abc", { body: "abc" }],
    ["one length twice", ["Content-Length: 3", "Content-Length: 3"], "abc", { body: "abc" }],
    ["two lengths", ["Content-Length: 3", `Content-Length: ${3 + HIDDEN.length}`], `abc${HIDDEN}`, RUNTIME_400],
    ["a list of lengths", ["Content-Length: 3, 3"], "abc", RUNTIME_400],
    ["a negative length", ["Content-Length: -1"], "", RUNTIME_400],
    ["a length with a plus", ["Content-Length: +3"], "abc", RUNTIME_400],
    ["a hexadecimal length", ["Content-Length: 0x3"], "abc", RUNTIME_400],
    ["a length with a leading zero", ["Content-Length: 03"], "abc", BAD],
    ["a length in words", ["Content-Length: three"], "abc", RUNTIME_400],
    ["a fraction", ["Content-Length: 3.0"], "abc", RUNTIME_400],
    ["a length beyond 2^64", ["Content-Length: 99999999999999999999"], "abc", RUNTIME_400],
    ["a length beyond what a number holds", ["Content-Length: 18446744073709551615"], "abc", { refused: [400, 431] }],
    ["a body shorter than its length", ["Content-Length: 30"], "abc", BAD],
    // 502: its connector had come for the rest already, and found it broken off.
    ["a large body shorter than its length", ["Content-Length: 300000"], "a".repeat(200_000), { refused: [400, 502] }],
    ["a POST without any length", [], "", { body: "" }],
    ["a POST of length 0", ["Content-Length: 0"], "", { body: "" }],
  ])("%s", async (_title, headers, body, expected) => {
    await check(headers, body, expected);
  });
});

describe("class J: chunks", () => {
  const chunked = ["Transfer-Encoding: chunked"];
  it.each<Row>([
    ["plain", chunked, "3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n", { body: "abcd" }],
    ["an extension", chunked, "3;a=b\r\nabc\r\n0\r\n\r\n", { body: "abc" }],
    ["a long extension", chunked, `3;${"a".repeat(10_000)}\r\nabc\r\n0\r\n\r\n`, { body: "abc" }],
    ["a size in capitals", chunked, "A\r\n0123456789\r\n0\r\n\r\n", { body: "0123456789" }],
    ["leading zeros", chunked, "0003\r\nabc\r\n000\r\n\r\n", { body: "abc" }],
    ["a size with 0x", chunked, "0x3\r\nabc\r\n0\r\n\r\n", BAD],
    ["a negative size", chunked, "-3\r\nabc\r\n0\r\n\r\n", BAD],
    ["a size beyond 2^64", chunked, "fffffffffffffffff\r\nabc\r\n0\r\n\r\n", BAD],
    ["a size that wraps to 3", chunked, "10000000000000003\r\nabc\r\n0\r\n\r\n", BAD],
    ["no size", chunked, "\r\nabc\r\n0\r\n\r\n", BAD],
    ["bare LF between chunks", chunked, "3\nabc\n0\n\n", BAD],
    ["a chunk longer than its size", chunked, "3\r\nabcdef\r\n0\r\n\r\n", BAD],
    ["no end of a chunk", chunked, "3\r\nabcXX0\r\n\r\n", BAD],
    ["no last chunk", chunked, "3\r\nabc\r\n", BAD],
    ["trailers are dropped", chunked, "3\r\nabc\r\n0\r\nX-Postern-User: forged\r\nContent-Length: 9\r\n\r\n", { body: "abc" }],
    ["a request hidden after the last chunk is a request of its own, without a credential", chunked, `0\r\n\r\n${HIDDEN}`, { body: "" }],
  ])("%s", async (_title, headers, body, expected) => {
    await check(headers, body, expected);
  });
});

describe("class J: header lines", () => {
  const get = (headers: readonly string[], expected: Expected): Promise<Outcome> => judge(edge, origin, bytesOf(edge, { line: "GET /x", headers }), expected, passed);
  it.each<readonly [title: string, header: string]>([
    ["a space before the colon", "X-A : b"],
    ["obs-fold", "X-A: b\r\n c"],
    ["a tab as fold", "X-A: b\r\n\tX-B: c"],
    ["a bare CR", "X-A: b\rX-B: c"],
    ["a NUL", "X-A: b\0c"],
    ["no colon", "X-A"],
    ["no name", ": b"],
    ["a space in the name", "X A: b"],
    ["a line that begins with a blank", " X-A: b"],
    ["a name above ASCII", "X-\xe9: b"],
  ])("%s is refused by the runtime", async (_title, header) => {
    await get([header], RUNTIME_400);
  });

  it("bare LF instead of CRLF is one request, written anew", async () => {
    const { hits } = await judge(edge, origin, bytesOf(edge, { line: "GET /x", headers: ["X-A: b\nX-B: c"] }).replaceAll("\r\n", "\n"), { passes: "GET /x" }, passed);
    expect(valuesAt(hits[0], "x-a")).toEqual(["b"]);
    expect(valuesAt(hits[0], "x-b")).toEqual(["c"]);
  });

  it("a value of UTF-8 arrives byte for byte; bytes that are none arrive as U+FFFD", async () => {
    const { hits } = await get(["X-Utf8: caf\xc3\xa9 \xe6\x97\xa5", "X-Latin1: caf\xe9"], { passes: "GET /x" });
    expect(valuesAt(hits[0], "x-utf8")).toEqual(["caf\xc3\xa9 \xe6\x97\xa5"]);
    expect(valuesAt(hits[0], "x-latin1")).toEqual(["caf\xef\xbf\xbd"]);
  });

  it("repeated ordinary headers arrive joined", async () => {
    const { hits } = await get(["X-A: 1", "x-a: 2"], { passes: "GET /x" });
    expect(valuesAt(hits[0], "x-a")).toEqual(["1, 2"]);
  });

  it("two requests on one connection are two, each decided by itself", async () => {
    const one = bytesOf(edge, { line: "GET /1" });
    const nobody = bytesOf(edge, { line: "GET /2", signedIn: false });
    const { answers, hits } = await send(edge, origin, one + nobody + one);
    expect(answers.map((answer) => answer.status)).toEqual([200, 401, 200]);
    expect(hits.map((hit) => hit.target)).toEqual(["/1", "/1"]);
  });

  it.each(["GET /x HTTP/1.0", "GET /x HTTP/1.1"])("%s is answered", async (line) => {
    const { answer, hits } = await send(edge, origin, `${line}\r\nHost: ${edge.hostOf("open")}\r\n${edge.bearer}\r\n`);
    expect(answer?.status).toBe(200);
    expect(hits).toHaveLength(1);
  });

  it.each(["GET /x HTTP/2.0", "GET /x HTTP/1.2", "GET /x HTTP/1.1 ", "GET /x HTTX/1.1", "GET /x"])('the line "%s" is refused by the runtime', async (line) => {
    const { answer, hits } = await send(edge, origin, `${line}\r\nHost: ${edge.hostOf("open")}\r\n${edge.bearer}\r\n`);
    expect(answer?.status).toBe(400);
    expect(hits).toEqual([]);
  });
});

describe("class J: upgrades", () => {
  const KEY = ["Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="];
  const UPGRADE = ["Upgrade: websocket", "Connection: Upgrade"];
  it.each([
    ["POST with a body", "POST /x", [...UPGRADE, "Content-Length: 3"], "abc"],
    ["POST with a body and a key", "POST /x", [...UPGRADE, ...KEY, "Content-Length: 3"], "abc"],
    ["POST with chunks and a key", "POST /x", [...UPGRADE, ...KEY, "Transfer-Encoding: chunked"], "3\r\nabc\r\n0\r\n\r\n"],
    ["POST with a key and no body", "POST /x", [...UPGRADE, ...KEY], ""],
    ["DELETE with a key", "DELETE /x", [...UPGRADE, ...KEY], ""],
    ["GET without a key", "GET /x", [...UPGRADE, "Sec-WebSocket-Version: 13"], ""],
    ["GET with a key that is none", "GET /x", [...UPGRADE, "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: x"], ""],
    ["GET with two keys", "GET /x", [...UPGRADE, ...KEY, "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="], ""],
    ["GET of an old version", "GET /x", [...UPGRADE, "Sec-WebSocket-Version: 8", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="], ""],
    ["GET with a body", "GET /x", [...UPGRADE, ...KEY, "Content-Length: 3"], "abc"],
    ["GET in capitals with a body", "GET /x", ["UPGRADE: WebSocket", "Connection: upgrade", ...KEY, "Content-Length: 3"], "abc"],
  ] as const)("%s is no WebSocket handshake", async (_title, line, headers, body) => {
    for (const app of ["open", "get-only"]) {
      const before = origin.hits.length;
      const { answers } = await sendRaw(edge.port, bytesOf(edge, { line, headers, body, app }));
      expect(answers[0]?.status).toBe(400);
      expect(answers[0]?.body).toContain('"code":"bad_request"');
      expect(origin.hits).toHaveLength(before);
    }
  });

  it.each(["h2c", "TLS/1.0", "websocketx", "foo, bar"])("Upgrade: %s is dropped, the request passes as what it is", async (protocol) => {
    const headers = [`Upgrade: ${protocol}`, "Connection: Upgrade, HTTP2-Settings", "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA"];
    const { hits } = await judge(edge, origin, bytesOf(edge, { line: "GET /x", headers }), { passes: "GET /x" }, passed);
    expect(valuesAt(hits[0], "upgrade")).toEqual([]);
    expect(valuesAt(hits[0], "http2-settings")).toEqual([]);
  });

  it.each(["websocket\r\nX-Postern-User: forged", "websocket\nX-Postern-User: forged", "h2c\rX-Postern-User: forged"])("a line end in the value %j gives the client no header of ours", async (protocol) => {
    const { hits } = await send(edge, origin, bytesOf(edge, { line: "GET /x", headers: [`Upgrade: ${protocol}`] }));
    expect(JSON.stringify(hits)).not.toContain("forged");
  });
});

describe("class J: Expect", () => {
  it("100-continue is answered by the edge, and the app gets the body", async () => {
    const bytes = bytesOf(edge, { line: "POST /x", headers: ["Expect: 100-continue", "Content-Length: 3"], body: "abc" });
    const before = origin.hits.length;
    const { interim, answers } = await sendRaw(edge.port, bytes);
    expect(interim).toEqual([100]);
    expect(answers[0]?.status).toBe(200);
    expect(origin.hits.slice(before)).toMatchObject([{ bodyBytes: 3 }]);
    expect(valuesAt(origin.hits[before], "expect")).toEqual([]);
  });
  it("anything else is dropped", async () => {
    const { hits } = await judge(edge, origin, bytesOf(edge, { line: "POST /x", headers: ["Expect: 200-ok", "Content-Length: 3"], body: "abc" }), { passes: "POST /x" }, passed);
    expect(valuesAt(hits[0], "expect")).toEqual([]);
  });
});

describe("class K: heads that are too large reach nobody", () => {
  const padded = (bytes: number): string => `X-Pad: ${"a".repeat(bytes)}`;
  const prefix = (): number => `http://${edge.hostOf("open")}/`.length;

  it("a URL of exactly 16 KiB passes, one byte more is 414", async () => {
    const path = "a".repeat(MAX_URL_BYTES - prefix());
    await judge(edge, origin, bytesOf(edge, { line: `GET /${path}` }), { passes: `GET /${path}` }, passed);
    await judge(edge, origin, bytesOf(edge, { line: `GET /${path}a` }), { refused: 414, code: "uri_too_long" }, passed);
    await judge(edge, origin, bytesOf(edge, { line: `GET /?${path}` }), { refused: 414, code: "uri_too_long" }, passed);
  });

  // The runtime's own limit for a head is near 128 KiB and ours is not far: both say the same.
  it.each([100_000, 120_000, 127_000])("a URL of %i bytes is 414, whoever answers", async (bytes) => {
    await judge(edge, origin, bytesOf(edge, { line: `GET /${"a".repeat(bytes)}` }), { refused: 414 }, passed);
  });

  it("headers of 100 KB pass", async () => {
    const { hits } = await judge(edge, origin, bytesOf(edge, { line: "GET /x", headers: [padded(100_000)] }), { passes: "GET /x" }, passed);
    expect(valuesAt(hits[0], "x-pad")[0]).toHaveLength(100_000);
  });

  it.each([MAX_HEADERS_BYTES - 300, MAX_HEADERS_BYTES, MAX_HEADERS_BYTES + 200, 200_000, 1_000_000])("headers of %i bytes and the credential are 431", async (bytes) => {
    await judge(edge, origin, bytesOf(edge, { line: "GET /x", headers: [padded(bytes)] }), { refused: 431 }, passed);
  });

  it.each([
    ["300 headers", Array.from({ length: 300 }, (_, i) => `X-${i}: 1`)],
    ["300 cookies", [`Cookie: ${Array.from({ length: 300 }, (_, i) => `c${i}=1`).join("; ")}`]],
    ["a cookie of 64 KiB", [`Cookie: c=${"1".repeat(64 * 1024)}`]],
  ] as const)("%s are 431 headers_too_large", async (_title, headers) => {
    await judge(edge, origin, bytesOf(edge, { line: "GET /x", headers }), { refused: 431, code: "headers_too_large" }, passed);
  });

  it("a claimed number of cookie parts means nothing", async () => {
    await judge(edge, origin, bytesOf(edge, { line: "GET /x", headers: ["Cookie: s_chunks=999999999"] }), { passes: "GET /x" }, passed);
  });
});

describe("what reached an app", () => {
  it("was framed in one way only", () => expect(origin.complaints).toEqual([]));
  it("never was the hidden request", () => expect(origin.hits.filter((hit) => hit.target.includes("smuggled"))).toEqual([]));
  it("carries the framing that we wrote", () => {
    for (const hit of origin.hits) {
      const framed = [...valuesAt(hit, "content-length"), ...valuesAt(hit, "transfer-encoding")];
      expect(framed.length).toBeLessThanOrEqual(1);
      expect(valuesOf({ status: 0, reason: "", headers: hit.headers, body: "", complete: true }, "host")).toHaveLength(1);
    }
  });
  it("is on record with the same method and path (promise 2)", () => expectRecorded(edge, passed.slice(0, 20)));
});
