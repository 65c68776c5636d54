import { once } from "node:events";
import { createServer } from "node:http";
import type { IncomingMessage, RequestListener, Server, ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { gzipSync } from "node:zlib";
import { afterEach, describe, expect, it } from "vitest";
import type { AnswerOk, HeaderField } from "../../protocol/head.ts";
import { TestEdge } from "./test-edge.ts";
import type { EdgeLink } from "./test-edge.ts";

const cleanups: (() => void)[] = [];
afterEach(() => {
  for (const clean of cleanups.splice(0)) clean();
});

async function origin(listener: RequestListener): Promise<{ url: string; server: Server }> {
  const server = createServer({ maxHeaderSize: 256 * 1024 }, listener);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  cleanups.push(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, server };
}

async function linkTo(listener: RequestListener, app: object = {}): Promise<{ link: EdgeLink; edge: TestEdge; server: Server; url: string }> {
  const { url, server } = await origin(listener);
  const edge = await TestEdge.start();
  edge.configure({ id: "wiki", upstreams: [url], ...app });
  const { running } = await edge.connector();
  cleanups.push(() => edge.close(), () => running.drain());
  return { link: await edge.link(), edge, server, url };
}

const okHead = async (head: Promise<unknown>): Promise<AnswerOk> => (await head) as AnswerOk;
const valuesOf = (headers: readonly HeaderField[], name: string): string[] => headers.filter(([key]) => key.toLowerCase() === name).map(([, value]) => value);

describe("a request through the tunnel", () => {
  it("carries method, path, headers in order and spelling, and the answer back", async () => {
    let seen: IncomingMessage | undefined;
    const { link } = await linkTo((request, response) => {
      seen = request;
      response.writeHead(200, "Fine", [["Content-Type", "text/plain"], ["X-Two", "1"], ["x-two", "2"]].flat());
      response.end("hello");
    });
    const stream = await link.ask({ path: "/a%2Fb?x=1&x=2", headers: [["Host", "wiki.example"], ["X-b", "1"], ["x-A", "2"], ["x-a", "3"], ["Connection", "close, X-Gone"], ["X-Gone", "1"]] });
    const head = await okHead(stream.head);
    expect(head).toMatchObject({ status: 200, reason: "Fine", body: "stream" });
    expect(valuesOf(head.headers, "x-two")).toEqual(["1", "2"]);
    expect(valuesOf(head.headers, "connection")).toEqual([]);
    expect((await stream.body()).toString()).toBe("hello");
    expect(seen?.url).toBe("/a%2Fb?x=1&x=2");
    const raw = seen?.rawHeaders ?? [];
    expect(raw.slice(0, 8)).toEqual(["Host", "wiki.example", "X-b", "1", "x-A", "2", "x-a", "3"]);
    expect(raw.includes("X-Gone")).toBe(false);
  });

  const big = Buffer.alloc(700_000, "x");
  const zipped = gzipSync(Buffer.alloc(50_000, "z"));
  const wide = Array.from({ length: 20 }, (_, i): [string, string] => [`X-Wide-${i}`, "w".repeat(5_000)]);
  it.each<[string, string, (response: ServerResponse) => void, Partial<AnswerOk>, Buffer | undefined]>([
    ["HEAD keeps its length and has no body", "HEAD", (r) => r.writeHead(200, { "content-length": 700_000 }).end(), { status: 200, body: "none" }, Buffer.alloc(0)],
    ["204", "GET", (r) => r.writeHead(204).end(), { status: 204, body: "none" }, Buffer.alloc(0)],
    ["304 with a length", "GET", (r) => r.writeHead(304, { etag: '"x"', "content-length": 5 }).end(), { status: 304, body: "none" }, Buffer.alloc(0)],
    ["a redirect is not followed", "GET", (r) => r.writeHead(302, { location: "http://169.254.169.254/" }).end(), { status: 302 }, Buffer.alloc(0)],
    ["a known length", "GET", (r) => r.writeHead(200, { "content-length": big.length }).end(big), { status: 200, body: "stream", length: big.length }, big],
    ["chunks", "GET", (r) => void (r.write(big), r.end("tail")), { status: 200, body: "stream" }, Buffer.concat([big, Buffer.from("tail")])],
    ["an empty body", "GET", (r) => r.end(), { status: 200, length: 0 }, Buffer.alloc(0)],
    ["gzip bytes untouched", "GET", (r) => r.writeHead(200, { "content-encoding": "gzip", "content-length": zipped.length }).end(zipped), { length: zipped.length }, zipped],
    ["1xx are not the answer", "GET", (r) => r.writeEarlyHints({ link: "</x>; rel=preload" }, () => r.end("late")), { status: 200 }, Buffer.from("late")],
    ["100 KB of headers", "GET", (r) => r.writeHead(200, wide.flat()).end("w"), { status: 200 }, Buffer.from("w")],
    ["an error status with body", "GET", (r) => r.writeHead(503).end("down"), { status: 503 }, Buffer.from("down")],
  ])("%s", async (_title, method, answer, head, body) => {
    const { link } = await linkTo((_request, response) => answer(response));
    const stream = await link.ask({ method });
    expect(await stream.head).toMatchObject(head);
    if (body !== undefined) expect((await stream.body()).equals(body)).toBe(true);
  });

  it("keeps every Set-Cookie apart and in order", async () => {
    const cookies = Array.from({ length: 30 }, (_, i) => `c${i}=v; Expires=Wed, 21 Oct 2026 07:28:00 GMT`);
    const { link } = await linkTo((_request, response) => void response.writeHead(200, { "set-cookie": cookies }).end());
    expect(valuesOf((await okHead((await link.ask()).head)).headers, "set-cookie")).toEqual(cookies);
  });

  it.each<[string, Uint8Array, number | undefined, string | undefined, string | undefined]>([
    ["with its length", new Uint8Array(600_000).fill(7), 600_000, "600000", undefined],
    ["chunked when the length is unknown", new Uint8Array(600_000).fill(7), undefined, undefined, "chunked"],
  ])("an upload arrives %s", async (_title, body, length, contentLength, transferEncoding) => {
    const seen = Promise.withResolvers<[IncomingMessage, number]>();
    const { link } = await linkTo((request, response) => {
      let size = 0;
      request.on("data", (part: Buffer) => (size += part.length));
      request.on("end", () => {
        seen.resolve([request, size]);
        response.end("ok");
      });
    });
    // Framing headers of the far side must not reach the origin beside our own (class J).
    const headers: HeaderField[] = [["Host", "w"], ["Content-Length", "5"], ["Transfer-Encoding", "chunked, gzip"]];
    const stream = await link.ask({ method: "POST", body: "stream", headers, ...(length !== undefined && { length }) });
    stream.send(body);
    stream.end();
    const [request, size] = await seen.promise;
    expect(size).toBe(body.length);
    expect(request.headers["content-length"]).toBe(contentLength);
    expect(request.headers["transfer-encoding"]).toBe(transferEncoding);
    expect((await stream.body()).toString()).toBe("ok");
  });

  it("a POST without body says Content-Length: 0", async () => {
    const { link } = await linkTo((request, response) => void response.end(JSON.stringify(request.headers)));
    const stream = await link.ask({ method: "POST" });
    expect(JSON.parse((await stream.body()).toString())).toMatchObject({ "content-length": "0" });
  });

  it("waits with an upload for 100 Continue, and drops it when the app refuses", async () => {
    let bytes = 0;
    const { link, server } = await linkTo((_request, response) => void response.end());
    server.on("checkContinue", (request: IncomingMessage, response: ServerResponse) => {
      request.on("data", (part: Buffer) => (bytes += part.length));
      response.writeHead(417, { connection: "close" }).end("no");
    });
    const stream = await link.ask({ method: "PUT", body: new Uint8Array(1_000), headers: [["Host", "w"], ["Expect", "100-continue"]] });
    expect(await stream.head).toMatchObject({ status: 417 });
    expect((await stream.body()).toString()).toBe("no");
    expect(bytes).toBe(0);
  });

  it("sends the Host that the app's rule says (P23)", async () => {
    for (const [host, expected] of [["forwarded", "wiki.example"], ["upstream", undefined], [{ literal: "intranet" }, "intranet"]] as const) {
      const { link, url } = await linkTo((request, response) => void response.end(request.headers.host), { host });
      expect((await (await link.ask()).body()).toString()).toBe(expected ?? url.slice("http://".length));
    }
  });
});

describe("a broken transfer is never a short success (promise 7)", () => {
  it.each<[string, (response: ServerResponse) => void]>([
    ["a body shorter than its length", (r) => void (r.writeHead(200, { "content-length": 100 }), r.write("short"), setImmediate(() => r.socket?.end()))],
    ["chunks without the last one", (r) => void (r.write("part"), setImmediate(() => r.socket?.end()))],
    ["a reset", (r) => void (r.write("part"), setImmediate(() => r.socket?.resetAndDestroy()))],
  ])("%s resets the stream", async (_title, answer) => {
    const { link } = await linkTo((_request, response) => answer(response));
    const stream = await link.ask();
    expect(await stream.head).toMatchObject({ status: 200 });
    expect(await stream.done).toBe("reset");
  });

  it("an upload shorter than announced breaks the request at the app", async () => {
    const arrived = Promise.withResolvers<void>();
    const broken = Promise.withResolvers<boolean>();
    const { link } = await linkTo((request) => {
      request.on("error", () => undefined);
      request.on("close", () => broken.resolve(!request.complete));
      request.on("data", () => arrived.resolve());
    });
    const stream = await link.ask({ method: "POST", body: "stream", length: 100 });
    stream.send(new Uint8Array(50));
    await arrived.promise;
    stream.end();
    expect(await broken.promise).toBe(true);
    expect(await stream.head).toMatchObject({ error: "bad_open" });
  });
});

describe("failures of origins have codes", () => {
  it.each<[string, RequestListener, object, string]>([
    ["no answer in time", () => undefined, { timeouts: { first_byte: 50 } }, "upstream_timeout"],
    ["the connection is closed unanswered", (request) => void request.socket.end(), {}, "upstream_reset"],
    ["the answer is not HTTP", (request) => void request.socket.end("SSH-2.0-OpenSSH\r\n"), {}, "upstream_protocol"],
    ["two lengths", (request) => void request.socket.end("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"), {}, "upstream_protocol"],
    ["length beside chunked", (request) => void request.socket.end("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), {}, "upstream_protocol"],
    ["nobody listens", () => undefined, { upstreams: ["http://127.0.0.1:1"] }, "upstream_refused"],
    ["no such name", () => undefined, { upstreams: ["http://nowhere.invalid:80"] }, "upstream_name"],
    ["no TLS there", (request) => void request.socket.end(), { upstreams: "https" }, "upstream_tls"],
  ])("%s: %s", async (_title, listener, app, code) => {
    const { url } = await origin(listener);
    const edge = await TestEdge.start();
    const upstreams = "upstreams" in app ? (app.upstreams === "https" ? [url.replace("http:", "https:")] : (app.upstreams as string[])) : [url];
    edge.configure({ id: "wiki", ...app, upstreams });
    const { running } = await edge.connector(undefined, { resolve: () => Promise.reject(Object.assign(new Error("x"), { code: "ENOTFOUND" })) });
    cleanups.push(() => edge.close(), () => running.drain());
    const stream = await (await edge.link()).ask();
    expect(await stream.head).toMatchObject({ error: code });
    expect(await stream.done).toBe("end");
  });

  it("retries a GET once when a kept-alive socket turns out to be dead, and never a POST", async () => {
    let requests = 0;
    const { link } = await linkTo((request, response) => {
      requests += 1;
      // The second request on a socket finds it closed, as after an origin's idle timeout.
      if ("used" in request.socket) return void request.socket.destroy();
      Object.assign(request.socket, { used: true });
      response.end("ok");
    });
    expect((await (await link.ask()).body()).toString()).toBe("ok");
    expect((await (await link.ask()).body()).toString()).toBe("ok");
    expect(requests).toBe(3);
    expect(await (await link.ask({ method: "POST" })).head).toMatchObject({ status: 200 });
    expect(await (await link.ask({ method: "POST" })).head).toMatchObject({ error: "upstream_reset" });
  });
});

describe("memory is bounded (promise 6)", () => {
  it("pauses an app whose reader stalls, and finishes to the byte when it goes on", async () => {
    const size = 8 * 1024 * 1024;
    let written = 0;
    const { link } = await linkTo((request, response) => {
      if (request.method === "HEAD") return void response.end();
      response.writeHead(200, { "content-length": size });
      const more = (): void => {
        while (written < size) {
          written += 65_536;
          if (!response.write(Buffer.alloc(65_536, 1))) return void response.once("drain", more);
        }
        response.end();
      };
      more();
    });
    const stream = await link.ask();
    stream.hold = true;
    await stream.head;
    const quick = await link.ask({ method: "HEAD" });
    expect(await quick.head).toMatchObject({ status: 200 });
    expect(stream.received).toBeLessThanOrEqual(256 * 1024);
    expect(written).toBeLessThan(size);
    stream.release();
    expect((await stream.body()).length).toBe(size);
  });

  it("takes no more of an upload than a stalled app's window", async () => {
    const { link } = await linkTo((request) => void request.pause());
    const stream = await link.ask({ method: "POST", body: "stream" });
    const total = 64 * 1024 * 1024;
    for (let sent = 0; sent < total; sent += 1024 * 1024) stream.send(new Uint8Array(1024 * 1024));
    const other = await link.ask({ method: "POST", body: "stream" });
    other.send(new Uint8Array(10));
    // Kernel buffers of loopback take some; the rest must wait at the edge.
    await expect.poll(() => stream.unsent).toBeLessThan(total);
    const before = stream.unsent;
    expect(before).toBeGreaterThan(total / 2);
  });
});
