import { once } from "node:events";
import { createServer } from "node:http";
import type { IncomingMessage } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { WebSocketServer } from "ws";
import type { WebSocket } from "ws";
import { afterEach, describe, expect, it } from "vitest";
import type { AnswerOk } from "../../protocol/head.ts";
import { WebSocketMessageReader, encodeWebSocketMessage } from "../../protocol/websocket-messages.ts";
import type { WebSocketMessage, WebSocketRead } from "../../protocol/websocket-messages.ts";
import { TestEdge } from "./test-edge.ts";
import type { EdgeLink, EdgeStream } from "./test-edge.ts";

const cleanups: (() => void)[] = [];
afterEach(() => {
  for (const clean of cleanups.splice(0)) clean();
});

interface App {
  readonly link: EdgeLink;
  readonly requests: IncomingMessage[];
  readonly raw: Socket[];
}

async function app(onSocket: (socket: WebSocket) => void): Promise<App> {
  const sockets = new WebSocketServer({ noServer: true, handleProtocols: (offered) => (offered.has("chat") ? "chat" : false) });
  const requests: IncomingMessage[] = [];
  const raw: Socket[] = [];
  const server = createServer((_request, response) => void response.writeHead(426, { "x-why": "upgrade" }).end("use a websocket"));
  server.on("upgrade", (request, socket: Socket, head) => {
    requests.push(request);
    raw.push(socket);
    if (request.url === "/denied") return void socket.end("HTTP/1.1 403 Forbidden\r\nContent-Length: 6\r\nX-Why: rule\r\nConnection: close\r\n\r\ndenied");
    sockets.handleUpgrade(request, socket, head, onSocket);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const edge = await TestEdge.start();
  edge.configure({ id: "wiki", upstreams: [`http://127.0.0.1:${(server.address() as AddressInfo).port}`] });
  const { running } = await edge.connector();
  cleanups.push(() => edge.close(), () => running.drain(), () => {
    for (const client of sockets.clients) client.terminate();
    server.closeAllConnections();
    server.close();
  });
  return { link: await edge.link(), requests, raw };
}

/** Messages that the connector sends, one by one. */
function messages(stream: EdgeStream): () => Promise<WebSocketRead> {
  const reader = new WebSocketMessageReader();
  const held: WebSocketRead[] = [];
  let wake: () => void = () => undefined;
  stream.onBytes = (bytes) => {
    held.push(...reader.feed(bytes));
    wake();
  };
  return async () => {
    while (held.length === 0) await new Promise<void>((done) => (wake = done));
    return held.shift() as WebSocketRead;
  };
}
const say = (stream: EdgeStream, message: WebSocketMessage): void => stream.send(encodeWebSocketMessage(message));

describe("a websocket through the tunnel", () => {
  it("keeps boundaries, kinds, subprotocol, path and headers", async () => {
    const { link, requests } = await app((socket) => socket.on("message", (data: Buffer, isBinary) => socket.send(data, { binary: isBinary })));
    const stream = await link.ask({
      kind: "websocket", path: "/a/%7Bx%7D?q=`|", headers: [["Host", "wiki.example"], ["Origin", "https://wiki.example"], ["Cookie", "a=1"], ["Sec-WebSocket-Protocol", "other, chat"], ["Sec-WebSocket-Extensions", "permessage-deflate"], ["Connection", "Upgrade"], ["Upgrade", "websocket"]],
    });
    const next = messages(stream);
    const head = (await stream.head) as AnswerOk;
    expect(head.status).toBe(101);
    expect(Object.fromEntries(head.headers.map(([name, value]) => [name.toLowerCase(), value]))["sec-websocket-protocol"]).toBe("chat");
    expect(requests[0]?.url).toBe("/a/%7Bx%7D?q=`|");
    expect(requests[0]?.headers).toMatchObject({ host: "wiki.example", origin: "https://wiki.example", cookie: "a=1", "sec-websocket-version": "13" });
    expect(requests[0]?.headers["sec-websocket-extensions"]).toBeUndefined();

    const big = new Uint8Array(700_000).map((_, i) => i % 251);
    say(stream, { type: "text", text: "héllo" });
    say(stream, { type: "binary", bytes: new Uint8Array(0) });
    say(stream, { type: "binary", bytes: big });
    expect(await next()).toEqual({ type: "text", text: "héllo" });
    expect(await next()).toMatchObject({ type: "binary", bytes: { length: 0 } });
    const back = await next();
    expect(back.type === "binary" && Buffer.from(back.bytes).equals(Buffer.from(big))).toBe(true);
  });

  it("maps close codes both ways", async () => {
    const seen = Promise.withResolvers<[number, string]>();
    const { link } = await app((socket) => {
      socket.on("close", (code, reason) => seen.resolve([code, reason.toString()]));
      socket.on("message", () => socket.close(4_321, "enough"));
    });
    const first = await link.ask({ kind: "websocket" });
    const next = messages(first);
    await first.head;
    say(first, { type: "text", text: "x" });
    expect(await next()).toEqual({ type: "close", code: 4_321, reason: "enough" });
    expect(await first.done).toBe("end");

    const second = await link.ask({ kind: "websocket" });
    await second.head;
    say(second, { type: "close", code: 4_567, reason: "bye" });
    expect(await second.done).toBe("end");
    expect(await seen.promise).toEqual([4_321, "enough"]);
  });

  it("a lost app is told with 4502", async () => {
    const { link, raw } = await app(() => undefined);
    const stream = await link.ask({ kind: "websocket" });
    const next = messages(stream);
    await stream.head;
    raw[0]?.destroy();
    expect(await next()).toMatchObject({ type: "close", code: 4_502 });
  });

  it("a refused upgrade is answered as the HTTP answer that it is", async () => {
    const { link } = await app(() => undefined);
    const stream = await link.ask({ kind: "websocket", path: "/denied" });
    const head = (await stream.head) as AnswerOk;
    expect(head.status).toBe(403);
    expect(head.headers).toContainEqual(["X-Why", "rule"]);
    expect((await stream.body()).toString()).toBe("denied");
  });

  it("a message above 1 MiB closes with 1009 in either direction (M12)", async () => {
    const { link } = await app((socket) => socket.on("message", () => socket.send(Buffer.alloc(1024 * 1024 + 1))));
    const out = await link.ask({ kind: "websocket" });
    const next = messages(out);
    await out.head;
    say(out, { type: "text", text: "give" });
    expect(await next()).toMatchObject({ type: "close", code: 1_009 });

    const into = await link.ask({ kind: "websocket" });
    await into.head;
    say(into, { type: "binary", bytes: new Uint8Array(1024 * 1024 + 1) });
    expect(await into.done).toBe("reset");
  });

  it("duplicate subprotocols are refused before anything is dialled", async () => {
    const { link, requests } = await app(() => undefined);
    const stream = await link.ask({ kind: "websocket", headers: [["Host", "w"], ["Sec-WebSocket-Protocol", "a, a"]] });
    expect(await stream.head).toMatchObject({ error: "bad_open" });
    expect(requests).toEqual([]);
  });

  it("pauses an app whose browser stalls, and a browser whose app stalls", async () => {
    let server: WebSocket | undefined;
    const { link, raw } = await app((socket) => {
      server ??= socket;
    });
    const stream = await link.ask({ kind: "websocket" });
    stream.hold = true;
    const next = messages(stream);
    await stream.head;
    const total = 64;
    for (let i = 0; i < total; i++) server?.send(Buffer.alloc(512 * 1024, i));
    const probe = await link.ask({ kind: "websocket" });
    await probe.head;
    expect(stream.received).toBeLessThanOrEqual(256 * 1024);
    await expect.poll(() => server?.bufferedAmount ?? 0).toBeGreaterThan(8 * 1024 * 1024);
    stream.release();
    for (let i = 0; i < total; i++) {
      const read = await next();
      expect(read.type === "binary" && read.bytes.length === 512 * 1024 && read.bytes[0] === i).toBe(true);
    }

    raw[0]?.pause();
    for (let i = 0; i < 128; i++) say(stream, { type: "binary", bytes: new Uint8Array(512 * 1024) });
    await (await link.ask({ kind: "websocket" })).head;
    expect(stream.unsent).toBeGreaterThan(32 * 1024 * 1024);
  });

  it("a cut destroys the app's socket (M2)", async () => {
    const gone = Promise.withResolvers<void>();
    const { link } = await app((socket) => socket.on("close", () => gone.resolve()));
    const stream = await link.ask({ kind: "websocket" });
    await stream.head;
    link.control({ t: "cut", id: "c", streams: [stream.id], sessions: [] });
    await link.next("cut_ack");
    await gone.promise;
  });
});
