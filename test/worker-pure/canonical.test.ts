/** The canonical request (DESIGN §7, classes A, B, J): what is made one, what is refused, and that once is enough. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { MAX_URL_BYTES, canonicalHost, canonicalise, headerBytes, readFraming } from "../../worker/canonical.ts";

const at = (rest: string): string => `https://wiki.example.com${rest}`;
const pathOf = (rest: string, relaxed: Parameters<typeof canonicalise>[1] = []): string | undefined => {
  const made = canonicalise(at(rest), relaxed);
  return made.ok ? made.value.path : undefined;
};

describe("canonicalise: the path", () => {
  it.each([
    ["", "/"],
    ["/", "/"],
    ["/a/", "/a/"],
    ["/%61%2D%2e%5f%7E", "/a-._~"],
    ["/%c3%a4", "/%C3%A4"],
    ["/a%20b", "/a%20b"],
    ["/a;b=c/d;e", "/a;b=c/d;e"],
    ["/..a/a../...", "/..a/a../..."],
    ["/100%25", "/100%25"],
    ["/a%2541", "/a%2541"],
  ])("%s becomes %s", (raw, path) => expect(pathOf(raw)).toBe(path));

  it.each(["/.", "/..", "/a/../b", "/a/./b", "/%2e%2e/b", "/.%2E/b", "/a/%2e", "/..;x/b", "/.%3bx/b", "/;x", "/a//b", "//", "/a%2fb", "/a%5cb", "/a\\b", "/a%00", "/a%1F", "/a%7f", "/a%0d%0a", "/a%", "/a%4", "/a%g0", "/a%252e", "/a%252F", "/a%255C", "/a%2500", "/a%253b", "/a%25%32%65", "/a%25%32e", "/a%252%66b", "/a%25%35%63", "/a%252525", "/a#b", "/a b", "/\u00e4"])(
    "%j is refused",
    (raw) => expect(canonicalise(at(raw))).toMatchObject({ ok: false, error: { code: "bad_request" } }),
  );

  it.each([
    ["/a%2Fb", "/a%2Fb"],
    ["/a//b", "/a//b"],
    ["/a%2F..%2Fb", undefined],
    ["/a%2F%2e/b", undefined],
    ["/a/../b", undefined],
    ["/a%5Cb", undefined],
  ])("insecure_paths (P24) makes %s %s", (raw, path) => expect(pathOf(raw, ["encoded_slash", "double_slash"])).toBe(path));

  it("relaxes nothing that was not named", () => {
    expect(pathOf("/a//b", ["encoded_slash"])).toBeUndefined();
    expect(pathOf("/a%2Fb", ["double_slash"])).toBeUndefined();
  });
});

describe("canonicalise: query, host, length", () => {
  it.each([
    ["?a=%2e%2e/..//%zz", "?a=%2e%2e/..//%zz"],
    ["?", "?"],
    ["?a\\b", "?a%5Cb"],
    ["?a?b", "?a?b"],
  ])("the query %s leaves as %s", (query, out) => expect(canonicalise(at(`/${query}`))).toMatchObject({ value: { path: "/", query: out } }));

  it.each(["?a#b", "?a b", "?\u0000", "?\u00e4", "?a\nb"])("the query %j is refused", (query) => expect(canonicalise(at(`/${query}`)).ok).toBe(false));

  it.each([
    ["Wiki.Example.COM", "wiki.example.com", ""],
    ["wiki.example.com.", "wiki.example.com", ""],
    ["wiki.example.com.:8787", "wiki.example.com", ":8787"],
  ])("the host %s", (written, host, port) => expect(canonicalHost(written)).toEqual({ host, port }));

  it.each(["", ".", "..", "a..b", "-a.b", "a-.b", "a_b", "u@a", "a:", "a:x", "a:123456", "a/b", "a?b", "a#b", "a b", "[::1]", "a,b", "a%2eb", "\u00e4", "a".repeat(254)])("the host %j is none", (written) => expect(canonicalHost(written)).toBeUndefined());

  it("bounds the whole URL", () => {
    const fits = at(`/${"a".repeat(MAX_URL_BYTES - at("/").length)}`);
    expect(canonicalise(fits).ok).toBe(true);
    expect(canonicalise(`${fits}a`)).toMatchObject({ ok: false, error: { code: "uri_too_long" } });
  });
});

describe("canonicalise: properties", () => {
  const piece = fc.constantFrom("a", "B", "/", "//", ".", "..", "%2e", "%2E", "%2f", "%5c", "%25", "%61", "%00", ";", "%3b", "\\", "#", "?", "~", "%", "%c3%a4", ":", "@", "%32", "%35", "%65", "%66", "%63", "2", "e", "f");
  const url = fc.array(piece, { maxLength: 12 }).map((parts) => at(`/${parts.join("")}`));
  it("is idempotent: what it made, it leaves alone", () => {
    fc.assert(
      fc.property(url, fc.subarray(["encoded_slash", "double_slash"] as const), (raw, relaxed) => {
        const once = canonicalise(raw, relaxed);
        if (!once.ok) return;
        const { path, query } = once.value;
        expect(canonicalise(at(path + query), relaxed)).toEqual(once);
      }),
      { seed: 1, numRuns: 3_000 },
    );
  });
  it("agrees with every URL parser and every decoder on where the path leads", () => {
    fc.assert(
      fc.property(url, (raw) => {
        const made = canonicalise(raw);
        if (!made.ok) return;
        const { path, query } = made.value;
        expect(new URL(at(path + query)).pathname).toBe(path);
        const decoded = path.split("/").map((segment) => segment.replace(/%([0-9A-F]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16))));
        expect(decoded.some((segment) => segment === "." || segment === ".." || /[/\\\0]/.test(segment))).toBe(false);
      }),
      { seed: 2, numRuns: 3_000 },
    );
  });
});

describe("readFraming", () => {
  const KEY = { upgrade: "websocket", "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==", "sec-websocket-version": "13" };
  const read = (method: string, headers: Record<string, string>): ReturnType<typeof readFraming> => readFraming(method, new Headers({ host: "a.b", ...headers }));

  it.each([
    ["GET", {}, { websocket: false, body: "none" }],
    ["POST", { "content-length": "0" }, { websocket: false, body: "none" }],
    ["POST", { "content-length": "12" }, { websocket: false, body: "stream", length: 12 }],
    ["POST", { "transfer-encoding": "Chunked" }, { websocket: false, body: "stream" }],
    ["GET", KEY, { websocket: true, body: "none" }],
    ["GET", { ...KEY, "content-length": "0" }, { websocket: true, body: "none" }],
    ["POST", { upgrade: "h2c" }, { websocket: false, body: "none" }],
  ])("%s %j", (method, headers, framing) => expect(read(method, headers as Record<string, string>)).toEqual({ ok: true, value: framing }));

  it.each([
    ["POST", { "content-length": "1", "transfer-encoding": "chunked" }],
    ["POST", { "transfer-encoding": "gzip, chunked" }],
    ["POST", { "transfer-encoding": "identity" }],
    ["POST", { "content-length": "01" }],
    ["POST", { "content-length": "-1" }],
    ["POST", { "content-length": "1e3" }],
    ["POST", { "content-length": "3, 3" }],
    ["POST", { "content-length": "99999999999999999" }],
    ["POST", KEY],
    ["GET", { ...KEY, "content-length": "3" }],
    ["GET", { ...KEY, "transfer-encoding": "chunked" }],
    ["GET", { ...KEY, "sec-websocket-version": "8" }],
    ["GET", { ...KEY, "sec-websocket-key": "short" }],
    ["GET", { upgrade: "WebSocket" }],
    ["GET", { host: "a.b/c" }],
    ["GET", { host: "a.b, c.d" }],
    ["GET", { host: "u@a.b" }],
  ])("%s %j is refused", (method, headers) => expect(read(method, headers as Record<string, string>)).toMatchObject({ ok: false, error: { code: "bad_request" } }));
});

it("headerBytes counts names, values and what stands between", () => {
  expect(headerBytes([...new Headers({ a: "bc", "x-y": "" })])).toBe(1 + 2 + 4 + 3 + 0 + 4);
});
