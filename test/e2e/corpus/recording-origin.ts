/**
 * A private app that records every byte of every request it gets and answers with what it saw.
 * It reads HTTP/1.1 by hand and strictly: whatever a smuggled request might look like to a real
 * server is a hit or a complaint here. Not a server for anything else.
 */
import { createHash } from "node:crypto";
import { createServer, type Server, type Socket } from "node:net";
import type { AddressInfo } from "node:net";

/** One request as it arrived, in the bytes and order of the wire (latin1). */
export interface Hit {
  readonly method: string;
  readonly target: string;
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly bodyBytes: number;
  readonly bodyDigest: string;
}

export interface RecordingOrigin {
  readonly port: number;
  readonly hits: Hit[];
  /** What arrived and was no HTTP/1.1 request framed one way only. Stays empty. */
  readonly complaints: string[];
  readonly close: () => Promise<void>;
}

/** Answers one hit; undefined: the hit as JSON. The whole answer, in the bytes of the wire. */
export type Reply = (hit: Hit) => string | undefined;

const HEAD_END = "\r\n\r\n";
const REQUEST_LINE = /^([!#$%&'*+\-.^_`|~0-9A-Za-z]+) (\S+) HTTP\/1\.1$/;
const HEADER_LINE = /^([!#$%&'*+\-.^_`|~0-9A-Za-z]+): ?([^\r\n\0]*)$/;

type Read = { readonly hit: Hit; readonly used: number } | { readonly complaint: string } | undefined;

function readBody(headers: Hit["headers"], rest: string): { readonly body: string; readonly used: number } | { readonly complaint: string } | undefined {
  const lengths = headers.filter(([name]) => name.toLowerCase() === "content-length").map(([, value]) => value);
  const codings = headers.filter(([name]) => name.toLowerCase() === "transfer-encoding").map(([, value]) => value);
  if (lengths.length + codings.length > 1) return { complaint: `framed twice: ${[...lengths, ...codings].join(" | ")}` };
  if (codings[0] === undefined) {
    const length = lengths[0] ?? "0";
    if (!/^[0-9]{1,15}$/.test(length)) return { complaint: `Content-Length: ${length}` };
    return rest.length < Number(length) ? undefined : { body: rest.slice(0, Number(length)), used: Number(length) };
  }
  if (codings[0] !== "chunked") return { complaint: `Transfer-Encoding: ${codings[0]}` };
  let body = "";
  for (let at = 0; ; ) {
    const end = rest.indexOf("\r\n", at);
    if (end < 0) return undefined;
    const line = rest.slice(at, end);
    if (!/^[0-9a-f]{1,8}$/i.test(line)) return { complaint: `chunk size "${line}"` };
    const size = Number.parseInt(line, 16);
    const from = end + 2;
    if (rest.length < from + size + 2) return undefined;
    if (rest.slice(from + size, from + size + 2) !== "\r\n") return { complaint: "a chunk, or a trailer, that does not end in CRLF" };
    body += rest.slice(from, from + size);
    at = from + size + 2;
    if (size === 0) return { body, used: at };
  }
}

function readRequest(bytes: string): Read {
  const end = bytes.indexOf(HEAD_END);
  if (end < 0) return bytes.length > 512 * 1024 ? { complaint: "an endless head" } : undefined;
  const [first = "", ...lines] = bytes.slice(0, end).split("\r\n");
  const request = REQUEST_LINE.exec(first);
  if (request === null) return { complaint: `request line "${first.slice(0, 200)}"` };
  const headers: [string, string][] = [];
  for (const line of lines) {
    const header = HEADER_LINE.exec(line);
    if (header === null) return { complaint: `header line "${line.slice(0, 200)}"` };
    headers.push([header[1] ?? "", header[2] ?? ""]);
  }
  const body = readBody(headers, bytes.slice(end + HEAD_END.length));
  if (body === undefined || "complaint" in body) return body;
  const digest = createHash("sha256").update(Buffer.from(body.body, "latin1")).digest("hex");
  const hit: Hit = { method: request[1] ?? "", target: request[2] ?? "", headers, bodyBytes: body.body.length, bodyDigest: digest };
  return { hit, used: end + HEAD_END.length + body.used };
}

/** RFC 6455 §1.3. */
const ACCEPT_SUFFIX = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
const SWITCHING = "HTTP/1.1 101 ";

const seen = (hit: Hit): string => {
  const key = valuesAt(hit, "sec-websocket-key")[0];
  if (key !== undefined) {
    const accept = createHash("sha1").update(key + ACCEPT_SUFFIX).digest("base64");
    return `${SWITCHING}Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`;
  }
  const json = JSON.stringify(hit);
  return `HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(json, "latin1")}\r\n\r\n${hit.method === "HEAD" ? "" : json}`;
};

/** Starts the app on a free loopback port. */
export async function recordingOrigin(reply: Reply = () => undefined): Promise<RecordingOrigin> {
  const hits: Hit[] = [];
  const complaints: string[] = [];
  const sockets = new Set<Socket>();
  const server: Server = createServer((socket) => {
    sockets.add(socket);
    let bytes = "";
    let switched = false;
    socket.on("data", (chunk) => {
      // What follows a 101 is another protocol's.
      if (switched) return;
      bytes += chunk.toString("latin1");
      for (let read = readRequest(bytes); read !== undefined; read = readRequest(bytes)) {
        if ("complaint" in read) {
          complaints.push(read.complaint);
          bytes = "";
          return void socket.end("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        }
        bytes = bytes.slice(read.used);
        hits.push(read.hit);
        const answer = reply(read.hit) ?? seen(read.hit);
        switched = answer.startsWith(SWITCHING);
        socket.write(answer, "latin1");
      }
    });
    socket.on("error", () => socket.destroy());
    socket.on("close", () => sockets.delete(socket));
  });
  server.listen(0, "127.0.0.1");
  await new Promise((up) => server.once("listening", up));
  return {
    port: (server.address() as AddressInfo).port,
    hits,
    complaints,
    close: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise((done) => server.close(done));
    },
  };
}

/** The values of a header of a hit, whatever its spelling. */
export const valuesAt = (hit: Hit | undefined, name: string): string[] => (hit?.headers ?? []).filter(([one]) => one.toLowerCase() === name.toLowerCase()).map(([, value]) => value);
