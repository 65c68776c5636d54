/** The connector's canary by itself: every protocol on one port, and what it costs at most. */
import { once } from "node:events";
import { get, type IncomingMessage, request } from "node:http";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { WebSocket } from "ws";
import { Canary } from "../../connector/canary.ts";
import { createLog } from "../../connector/log.ts";
import { CANARY_PATHS, type CanaryAnswer, LINES_UPGRADE, readCanaryMark } from "../../protocol/canary.ts";
import { stampedLine, StampedLines } from "../../protocol/stamped-lines.ts";

const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end();
});

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  await new Promise((closed) => server.close(closed));
  return port;
}

interface Started {
  readonly port: number;
  readonly canary: Canary;
  readonly log: string[];
}

async function started(waits?: { readonly lifeMs: number; readonly againMs: number }, port?: number): Promise<Started> {
  const log: string[] = [];
  const at = port ?? (await freePort());
  const canary = new Canary({ host: "127.0.0.1", port: at }, createLog((line) => void log.push(line), Date.now), waits);
  canary.start();
  ends.push(() => canary.stop());
  if (port === undefined) await expect.poll(() => log.join("")).toContain('"event":"canary"');
  return { port: at, canary, log };
}

const open = (port: number, path: string): Promise<IncomingMessage> => new Promise((done, fail) => void get({ host: "127.0.0.1", port, path, agent: false }, done).on("error", fail));

async function json<T>(port: number, path: string): Promise<{ readonly status: number; readonly value: T }> {
  const answer = await open(port, path);
  let text = "";
  for await (const part of answer.setEncoding("utf8") as AsyncIterable<string>) text += part;
  return { status: answer.statusCode ?? 0, value: JSON.parse(text) as T };
}
const heard = async (port: number, run: string): Promise<CanaryAnswer> => (await json<CanaryAnswer>(port, `${CANARY_PATHS.heard}?run=${run}`)).value;

/** However it ends. */
const closed = (one: IncomingMessage | Socket): Promise<unknown> => new Promise((done) => void one.on("error", () => undefined).once("close", done));

/** Counts lines as they come, and keeps the newest mark. */
function counter(): { readonly feed: (chunk: Buffer) => void; readonly count: () => number; readonly mark: () => string } {
  let [count, mark] = [0, ""];
  const lines = new StampedLines((line) => {
    count++;
    ({ mark } = line);
  });
  return { feed: (chunk) => lines.feed(chunk.toString("latin1")), count: () => count, mark: () => mark };
}

async function openLines(port: number, name: string): Promise<{ readonly socket: Socket; readonly lines: ReturnType<typeof counter> }> {
  const socket = connect({ host: "127.0.0.1", port });
  const lines = counter();
  socket.on("error", () => undefined).on("data", lines.feed);
  socket.write(`GET ${CANARY_PATHS.lines}?name=${name} HTTP/1.1\r\nHost: canary\r\nConnection: Upgrade\r\nUpgrade: ${LINES_UPGRADE}\r\n\r\n`);
  ends.push(() => socket.destroy());
  await expect.poll(lines.count).toBeGreaterThan(2);
  return { socket, lines };
}

describe("a canary", () => {
  it.each([
    { path: CANARY_PATHS.response, type: "application/octet-stream" },
    { path: CANARY_PATHS.events, type: "text/event-stream" },
  ])("writes stamped lines on $path until somebody ends it", async ({ path, type }) => {
    const { port } = await started();
    const answer = await open(port, `${path}?name=r.one`);
    const lines = counter();
    answer.on("data", lines.feed).on("error", () => undefined);
    expect(answer).toMatchObject({ statusCode: 200, headers: { "content-type": type } });
    await expect.poll(lines.count).toBeGreaterThan(5);
    expect((await heard(port, "r")).connections).toEqual([{ name: "r.one", open: true, heard_at: null }]);
    answer.destroy();
    await expect.poll(async () => (await heard(port, "r")).connections).toEqual([{ name: "r.one", open: false, heard_at: null }]);
  });

  it("announces more than it will ever write, so that an end is never a whole answer", async () => {
    const { port, canary } = await started();
    const answer = await open(port, `${CANARY_PATHS.response}?name=r.one`);
    const over = closed(answer.resume());
    canary.stop();
    await over;
    expect(answer.complete).toBe(false);
  });

  it("speaks on a WebSocket and on plain lines, says that it hears, and knows the newest line of each client", async () => {
    const { port } = await started();
    const { socket: plain, lines } = await openLines(port, "r.plain");
    const socket = new WebSocket(`ws://127.0.0.1:${port}${CANARY_PATHS.socket}?name=r.web`);
    ends.push(() => socket.terminate());
    const web = counter();
    socket.on("message", (data: Buffer) => web.feed(data));
    await expect.poll(web.count).toBeGreaterThan(2);
    expect([readCanaryMark(web.mark()).hears, readCanaryMark(lines.mark()).hears]).toEqual([false, false]);
    socket.send(stampedLine(7));
    socket.send(stampedLine(9.5));
    plain.write(stampedLine(3));
    await expect.poll(() => [readCanaryMark(web.mark()).hears, readCanaryMark(lines.mark()).hears]).toEqual([true, true]);
    const { canary, connections } = await heard(port, "r");
    expect(canary).toBe(readCanaryMark(web.mark()).canary);
    expect(connections).toEqual([{ name: "r.plain", open: true, heard_at: 3 }, { name: "r.web", open: true, heard_at: 9.5 }]);
    expect((await heard(port, "other")).connections).toEqual([]);
  });

  it("ends each connection in time, also one that is forgotten", async () => {
    const { port } = await started({ lifeMs: 500, againMs: 10 });
    const answer = await open(port, `${CANARY_PATHS.events}?name=r.one`);
    const over = closed(answer.resume());
    const { socket } = await openLines(port, "r.two");
    await Promise.all([over, closed(socket)]);
    expect((await heard(port, "r")).connections.map((one) => one.open)).toEqual([false, false]);
  });

  it("takes no more than 256 connections", async () => {
    const { port } = await started();
    const sockets = Array.from({ length: 256 }, () => connect({ host: "127.0.0.1", port }).on("error", () => undefined));
    ends.push(() => sockets.forEach((socket) => socket.destroy()));
    await Promise.all(sockets.map((socket) => once(socket, "connect")));
    const more = connect({ host: "127.0.0.1", port }).on("error", () => undefined);
    await once(more, "close");
    expect(sockets.filter(({ destroyed }) => destroyed)).toEqual([]);
  });

  it.each([
    ["a name twice", `${CANARY_PATHS.events}?name=r.one`, 400],
    ["no name", CANARY_PATHS.events, 400],
    ["a name that is none", `${CANARY_PATHS.response}?name=${"x".repeat(200)}`, 400],
    ["another path", "/", 404],
  ])("refuses %s", async (_what, path, status) => {
    const { port } = await started();
    const first = await open(port, `${CANARY_PATHS.events}?name=r.one`);
    first.on("error", () => undefined).resume();
    expect((await json(port, path)).status).toBe(status);
    first.destroy();
  });

  it("refuses other methods and upgrades", async () => {
    const { port } = await started();
    const post = request({ host: "127.0.0.1", port, method: "POST", path: `${CANARY_PATHS.events}?name=r.one`, agent: false });
    post.end();
    const [answer] = (await once(post, "response")) as [IncomingMessage];
    expect(answer.statusCode).toBe(405);
    answer.resume();
    const odd = new WebSocket(`ws://127.0.0.1:${port}${CANARY_PATHS.lines}?name=r.two`);
    odd.on("error", () => undefined);
    const [, refused] = (await once(odd, "unexpected-response")) as [unknown, IncomingMessage];
    expect(refused.statusCode).toBe(400);
    odd.terminate();
  });

  it("whose port is taken says so once, and takes it when it is free", async () => {
    const { port, canary } = await started();
    const second = await started({ lifeMs: 60_000, againMs: 10 }, port);
    await expect.poll(() => second.log.length).toBe(1);
    expect(JSON.parse(second.log[0] ?? "")).toMatchObject({ event: "canary_unusable", code: "EADDRINUSE", port });
    canary.stop();
    await expect.poll(() => second.log.length).toBe(2);
    expect((await heard(port, "r")).connections).toEqual([]);
  });
});
