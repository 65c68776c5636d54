/**
 * An app that does what apps do: every kind of answer that HTTP knows, one a path, the same each
 * time. For fetching directly and through Postern; it never sends a date of its own.
 */
import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { brotliCompressSync, gzipSync, zstdCompressSync } from "node:zlib";

const TEXT = "The quick brown fox jumps over the lazy dog.\n".repeat(500);
export const LARGE = Buffer.alloc(3_000_000, "0123456789abcdef");
/** Does not shrink, so that it is large when packed. */
const LARGE_PACKED = gzipSync(Buffer.concat(Array.from({ length: 40_000 }, (_, i) => createHash("sha256").update(String(i)).digest())));
const ETAG = '"v1"';
const TYPE = { "Content-Type": "text/plain" };
/** A head that is nearly as large as what is carried. */
const HUNDRED_KB = Object.fromEntries(Array.from({ length: 100 }, (_, i) => [`X-Large-${i}`, String(i % 10).repeat(1_000)]));

type Serve = (request: IncomingMessage, response: ServerResponse) => void;

const fixed = (status: number, headers: Record<string, string | string[]> = {}, body?: string | Buffer): Serve => (_request, response) => void response.writeHead(status, headers).end(body);
const encoded = (encoding: string, body: Buffer): Serve => fixed(200, { ...TYPE, "Content-Encoding": encoding, "Content-Length": String(body.length) }, body);

/** What a request looked like, for rows that compare what the app got. */
const echo: Serve = (request, response) => {
  const hash = createHash("sha256");
  let bytes = 0;
  request.on("data", (chunk: Buffer) => {
    hash.update(chunk);
    bytes += chunk.length;
  });
  request.on("end", () => {
    const { host, "content-length": length, "transfer-encoding": coding, "content-type": type } = request.headers;
    response.writeHead(200, { "Content-Type": "application/json" }).end(JSON.stringify({ method: request.method, url: request.url, host, length, coding, type, bytes, digest: hash.digest("hex"), headers: request.headers }));
  });
};

const REFUSAL = "HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nContent-Length: 20\r\n\r\ntoo much for the app";
const resetting = (answer: string): Serve => (request, response) => {
  request.pause();
  response.socket?.write(answer, () => response.socket?.resetAndDestroy());
};

const PATHS: Readonly<Record<string, Serve>> = {
  "/echo": echo,
  "/text": fixed(200, TYPE, TEXT),
  "/length": fixed(200, { ...TYPE, "Content-Length": String(TEXT.length) }, TEXT),
  "/one-byte": fixed(200, { "Content-Length": "1" }, "x"),
  "/empty-length": fixed(200, { "Content-Length": "0" }),
  "/large": fixed(200, { "Content-Length": String(LARGE.length) }, LARGE),
  "/large-chunked": (_request, response) => {
    response.writeHead(200, TYPE);
    for (let at = 0; at < LARGE.length; at += 100_000) response.write(LARGE.subarray(at, at + 100_000));
    response.end();
  },
  "/large-gzip": encoded("gzip", LARGE_PACKED),
  "/large-206": fixed(206, { "Content-Range": `bytes 0-999999/${LARGE.length}`, "Content-Length": "1000000", "Accept-Ranges": "bytes" }, LARGE.subarray(0, 1_000_000)),
  "/large-404": fixed(404, { ...TYPE, "Content-Length": String(LARGE.length) }, LARGE),
  "/just-bulk": fixed(200, { "Content-Length": "262145" }, LARGE.subarray(0, 262_145)),
  "/not-quite-bulk": fixed(200, { "Content-Length": "262144" }, LARGE.subarray(0, 262_144)),
  "/one-byte-chunks": (_request, response) => {
    for (const char of "chunks of one byte each") response.write(char);
    response.end();
  },
  "/empty-chunks": (_request, response) => {
    response.writeHead(200, { "Transfer-Encoding": "chunked" }).end();
  },
  "/head": (_request, response) => void response.writeHead(200, { ...TYPE, "Content-Length": "12345", ETag: ETAG }).end(),
  "/204": fixed(204, { "X-Kept": "1" }),
  "/205": fixed(205, { "Content-Length": "0" }),
  "/304": (request, response) => {
    if (request.headers["if-none-match"] === ETAG) response.writeHead(304, { ETag: ETAG, "Cache-Control": "max-age=60" }).end();
    else response.writeHead(200, { ETag: ETAG }).end("fresh");
  },
  "/206": fixed(206, { "Content-Range": "bytes 0-3/10", "Content-Length": "4", "Accept-Ranges": "bytes" }, "0123"),
  "/multi-range": fixed(206, { "Content-Type": "multipart/byteranges; boundary=b" }, "--b\r\nContent-Range: bytes 0-0/10\r\n\r\n0\r\n--b\r\nContent-Range: bytes 2-2/10\r\n\r\n2\r\n--b--\r\n"),
  "/416": fixed(416, { "Content-Range": "bytes */10" }, "no"),
  "/gzip": encoded("gzip", gzipSync(TEXT)),
  "/br": encoded("br", brotliCompressSync(TEXT)),
  "/zstd": encoded("zstd", zstdCompressSync(Buffer.from(TEXT))),
  "/gzip-br": encoded("gzip, br", brotliCompressSync(gzipSync(TEXT))),
  "/gzip-gzip": encoded("gzip, gzip", gzipSync(gzipSync(TEXT))),
  "/not-really-gzip": encoded("gzip", Buffer.from("this is no gzip")),
  "/unknown-coding": encoded("x-own", Buffer.from("whatever")),
  "/gzip-chunked": (_request, response) => void response.writeHead(200, { ...TYPE, "Content-Encoding": "gzip" }).end(gzipSync(TEXT)),
  "/gzip-404": fixed(404, { ...TYPE, "Content-Encoding": "gzip" }, gzipSync("not here")),
  "/cookies": fixed(200, { "Set-Cookie": Array.from({ length: 100 }, (_, i) => `c${i}=v; Path=/; Expires=Wed, 21 Oct 2026 07:28:00 GMT`) }, "cookies"),
  "/repeated": fixed(200, { "X-Repeated": ["a", "b, c"], Link: ["</a>; rel=x", "</b>; rel=y"], Vary: ["Accept", "Origin"], "WWW-Authenticate": ["Basic realm=a", "Digest b"] }, "twice"),
  "/100-kb": fixed(200, HUNDRED_KB, "large head"),
  "/reason": (_request, response) => void response.writeHead(200, "Rather Good").end("reason"),
  "/299": (_request, response) => void response.writeHead(299, "Odd But Fine").end("299"),
  "/418": fixed(418, {}, "teapot"),
  "/503": fixed(503, { "Retry-After": "7" }, "the app's own 503"),
  "/599": fixed(599, {}, "599"),
  "/401": fixed(401, { "WWW-Authenticate": 'Basic realm="the app"' }, "the app's own 401"),
  "/utf-8": fixed(200, { "X-Name": Buffer.from("café 日").toString("latin1") }, "utf-8"),
  "/latin-1": fixed(200, { "X-Name": "caf\xe9" }, "latin-1"),
  "/301": fixed(301, { Location: "/text" }, "moved"),
  "/302": fixed(302, { Location: "http://127.0.0.1:1/elsewhere?a=%2F#b" }),
  "/307": fixed(307, { Location: "//other.example/x" }),
  "/308": fixed(308, { Location: "../up" }),
  "/slow": (_request, response) => void setTimeout(() => response.end("late"), 300),
  "/never": () => undefined,
  "/trailers": (_request, response) => {
    response.writeHead(200, { Trailer: "X-Sum" });
    response.write("with trailers");
    response.addTrailers({ "X-Sum": "1" });
    response.end();
  },
  "/103": (_request, response) => {
    response.writeEarlyHints({ link: "</style.css>; rel=preload" });
    response.end("after hints");
  },
  "/own-location": (request, response) => void response.writeHead(302, { Location: `http://${request.headers.host}/next` }).end(),
  "/headers": fixed(200, { "X-Powered-By": "reference", "X-Frame-Options": "DENY", "Content-Security-Policy": "default-src 'self'", "Cache-Control": "private, max-age=5", Server: "reference" }, "headers"),
  // Answer, never read what is sent, and leave the end to the other side.
  "/refuses-uploads": (request, response) => {
    request.pause();
    response.socket?.write(REFUSAL);
  },
  // The same, and then reset the connection, as closing it with bytes unread does (RFC 9293 §3.6.1).
  "/resets-uploads": resetting(REFUSAL),
  "/resets-halfway": resetting(REFUSAL.slice(0, -4)),
  "/resets-at-once": resetting(""),
};

export interface ReferenceApp {
  readonly server: Server;
  readonly port: number;
  readonly close: () => Promise<void>;
}

/** Starts it on a free loopback port. */
export async function referenceApp(more: Readonly<Record<string, Serve>> = {}): Promise<ReferenceApp> {
  const server = createServer({ maxHeaderSize: 256 * 1024 }, (request, response) => {
    response.sendDate = false;
    request.on("error", () => undefined);
    const path = (request.url ?? "").split("?")[0] ?? "";
    const serve = more[path] ?? PATHS[path];
    if (serve === undefined) response.writeHead(404).end(`no ${path}`);
    else serve(request, response);
  });
  server.listen(0, "127.0.0.1");
  await new Promise((up) => server.once("listening", up));
  return {
    server,
    port: (server.address() as AddressInfo).port,
    close: async () => {
      server.closeAllConnections();
      await new Promise((done) => server.close(done));
    },
  };
}
