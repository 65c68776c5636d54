/**
 * A WebSocket speaks no credit (M12): who sends more than the other side takes is held back or
 * closed with a code, and the edge's memory stays where it was. Real processes, a raw client and app.
 */
import { createServer, type IncomingMessage, type Server } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { WebSocket, WebSocketServer } from "ws";
import { CLOSE_CODES } from "../../../protocol/close-codes.ts";
import { until } from "../../start/running-stack.ts";
import { type EdgeUnderTest, edgeUnderTest } from "../corpus/edge-under-test.ts";
import { peakResidentMB, residentMB, resetPeak } from "../process-use.ts";

const MIB = 1024 * 1024;
/**
 * What the edge may grow by while connections flood, all of them together: half of one flood. Of
 * each it holds a few MiB; the rest is garbage that V8 leaves for later, at a moment of its own:
 * some 60 MiB after a few floods, and not more after two dozen.
 */
const MAX_GROWTH_MIB = 96;
/** A flood ends after so much, if nothing ends it before. */
const FLOOD_BYTES = 192 * MIB;
/** Without a byte for so long, whoever sends is held back. */
const HELD_BACK_MS = 1_000;
/** Whoever must be closed hears of it far sooner. */
const CLOSED_WITHIN_MS = 20_000;
const CLOSED_WITH: readonly number[] = [CLOSE_CODES.message_too_large.code, CLOSE_CODES.overloaded.code];

let app: Server;
let edge: EdgeUnderTest;
/** What the edge took before any flood, MiB. */
let before: number;
let opened: (socket: { readonly socket: WebSocket; readonly request: IncomingMessage }) => void = () => undefined;

beforeAll(async () => {
  app = createServer();
  const sockets = new WebSocketServer({ server: app, perMessageDeflate: false });
  sockets.on("connection", (socket, request) => {
    socket.on("error", () => undefined);
    opened({ socket, request });
  });
  app.listen(0, "127.0.0.1");
  await new Promise((up) => app.once("listening", up));
  edge = await edgeUnderTest({
    apps: `  - { id: chat, site: office, upstream: "http://127.0.0.1:${(app.address() as AddressInfo).port}" }`,
    policies: "  - { id: all, effect: allow, apps: [chat], when: { service: [probe] } }",
  });
  (await pair()).client.terminate();
  const { pid } = edge.stack.edge();
  before = residentMB(pid);
  resetPeak(pid);
});
afterAll(async () => {
  await edge?.stop();
  app?.closeAllConnections();
  app?.close();
});

async function pair(): Promise<{ readonly client: WebSocket; readonly appSide: WebSocket; readonly appSocket: Socket }> {
  const accepted = new Promise<Parameters<typeof opened>[0]>((accept) => (opened = accept));
  const client = new WebSocket(`ws://127.0.0.1:${edge.port}/`, { headers: { host: edge.hostOf("chat"), authorization: `Bearer ${edge.token}` }, perMessageDeflate: false });
  client.on("error", () => undefined);
  await new Promise((open) => client.once("open", open));
  const { socket, request } = await accepted;
  return { client, appSide: socket, appSocket: request.socket };
}

/** What the edge grew by, at most, since before the first flood. */
const grown = (): number => peakResidentMB(edge.stack.edge().pid) - before;

/** Sends messages of `size` bytes as fast as the socket takes them; resolves when it is closed, held back for so long or all is sent. */
async function flood(from: WebSocket, size: number, heldBackMs: number): Promise<{ readonly sent: number; readonly code: number | undefined }> {
  const message = Buffer.alloc(size, 120);
  let sent = 0;
  let code: number | undefined;
  let movedAt = performance.now();
  from.once("close", (closed: number) => (code = closed));
  while (sent < FLOOD_BYTES && from.readyState === from.OPEN && performance.now() - movedAt < heldBackMs) {
    if (from.bufferedAmount > 4 * MIB) {
      await new Promise((turn) => setTimeout(turn, 5));
      continue;
    }
    movedAt = performance.now();
    for (let part = 0; part < MIB && from.readyState === from.OPEN; part += size) {
      from.send(message);
      sent += size;
    }
    await new Promise((turn) => setImmediate(turn));
  }
  if (from.readyState !== from.OPEN) await until(() => code !== undefined, "the close event", 12_000);
  return { sent, code };
}

describe("a client that floods an app that has stopped reading", () => {
  it.each([["messages of 1 MiB", MIB], ["messages of 64 KiB", 64 * 1024], ["messages of 4 KiB", 4 * 1024]])("%s: closed with 1009 or 1013, in bounded memory", async (_title, size) => {
    const { client, appSocket } = await pair();
    appSocket.pause();
    const ended = await flood(client, size, CLOSED_WITHIN_MS);
    expect(CLOSED_WITH).toContain(ended.code);
    expect(grown()).toBeLessThan(MAX_GROWTH_MIB);
    appSocket.destroy();
  });
});

describe("an app that floods a client that has stopped reading", () => {
  it.each([["messages of 1 MiB", MIB], ["messages of 64 KiB", 64 * 1024], ["messages of 100 bytes", 100]])("%s: held back, in bounded memory, and goes on when the client does", async (_title, size) => {
    const { client, appSide } = await pair();
    (client as unknown as { _socket: Socket })._socket.pause();
    const ended = await flood(appSide, size, HELD_BACK_MS);
    expect(ended.sent).toBeLessThan(FLOOD_BYTES);
    expect(grown()).toBeLessThan(MAX_GROWTH_MIB);
    // It reads again, and says so as pages do: what was held back arrives.
    const held = appSide.bufferedAmount;
    const speaking = setInterval(() => client.send("go on"), 50);
    (client as unknown as { _socket: Socket })._socket.resume();
    await until(() => appSide.bufferedAmount < held / 2, "the rest flows");
    clearInterval(speaking);
    client.terminate();
  });
});
