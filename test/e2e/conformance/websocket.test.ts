/**
 * WebSockets through Postern as `ws` at both ends sees them: messages with their kind and
 * boundaries, close codes both ways, caps (M12), subprotocols, and whose Origin may open one (P22).
 */
import { createServer, type IncomingMessage, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { WebSocket, WebSocketServer } from "ws";
import { CLOSE_CODES } from "../../../protocol/close-codes.ts";
import { MAX_WEBSOCKET_MESSAGE_BYTES } from "../../../protocol/limits.ts";
import { FormBrowser } from "../../start/form-browser.ts";
import { type EdgeUnderTest, edgeUnderTest } from "../corpus/edge-under-test.ts";
import { visit } from "../demo-visit.ts";

let origin: Server;
let edge: EdgeUnderTest;
const alice = new FormBrowser();
/** The app's end of each socket, and how it closed. */
interface Served {
  readonly socket: WebSocket;
  readonly request: IncomingMessage;
  readonly closed: Promise<{ readonly code: number; readonly reason: string }>;
}
const waiting: ((served: Served) => void)[] = [];
/** Handshakes that reached the app. */
let upgrades = 0;
const nextServed = (): Promise<Served> => new Promise((resolve) => waiting.push(resolve));

const closing = (socket: WebSocket): Promise<{ readonly code: number; readonly reason: string }> =>
  new Promise((resolve) => socket.once("close", (code, reason) => resolve({ code, reason: reason.toString() })));

beforeAll(async () => {
  origin = createServer((_request, response) => response.writeHead(426, { "content-type": "text/plain", "x-app": "1" }).end("sockets only"));
  const sockets = new WebSocketServer({ noServer: true, maxPayload: 4 * 1024 * 1024, handleProtocols: (offered) => (offered.has("chosen") ? "chosen" : false) });
  origin.on("upgrade", (request: IncomingMessage, raw, head) => {
    upgrades++;
    if (request.url === "/declined") return void raw.end("HTTP/1.1 403 Forbidden\r\nContent-Type: text/plain\r\nX-App: 1\r\nContent-Length: 7\r\n\r\nnot you");
    if (request.url === "/hang-up") return void raw.destroy();
    sockets.handleUpgrade(request, raw, head, (socket) => {
      const closed = closing(socket);
      socket.on("error", () => undefined);
      socket.on("message", (data: Buffer, isBinary) => {
        if (request.url === "/echo") socket.send(data, { binary: isBinary });
      });
      waiting.shift()?.({ socket, request, closed });
      if (request.url === "/greets") socket.send("hello before you ask");
    });
  });
  origin.listen(0, "127.0.0.1");
  await new Promise((up) => origin.once("listening", up));
  const upstream = `site: office, upstream: "http://127.0.0.1:${(origin.address() as AddressInfo).port}"`;
  edge = await edgeUnderTest({
    withPeople: true,
    apps: `  - { id: own, ${upstream} }\n  - { id: listed, ${upstream}, websocket: { origins: ["https://front.example"] } }`,
    policies: `  - { id: all, effect: allow, apps: [own, listed], when: { service: [probe] } }
  - { id: staff, effect: allow, apps: [own, listed], when: { group: [staff] } }`,
  });
  for (const id of ["own", "listed"]) await visit(alice, `http://${edge.hostOf(id)}/`, "alice");
});
afterAll(async () => {
  await edge?.stop();
  origin?.closeAllConnections();
  origin?.close();
});

interface Dial {
  readonly app?: string;
  readonly protocols?: readonly string[];
  readonly origin?: string;
  readonly as?: "token" | "cookie" | "nobody";
}
const DEADLINE_MS = 10_000;
/**
 * How long the client waits for the end of TCP after the close frame. workerd ends it 10 s later
 * when the client never sent a message; the frame itself is there at once, and a browser waits 2 s.
 */
const FIN_WAIT_MS = 200;

function dial(path: string, { app = "own", protocols = [], origin: from, as = "token" }: Dial = {}): WebSocket {
  const credential = as === "token" ? { authorization: `Bearer ${edge.token}` } : as === "cookie" ? { cookie: alice.cookieHeader(`http://${edge.hostOf(app)}/`) } : {};
  const socket = new WebSocket(`ws://127.0.0.1:${edge.port}${path}`, [...protocols], { headers: { host: edge.hostOf(app), ...credential, ...(from === undefined ? {} : { origin: from }) }, handshakeTimeout: DEADLINE_MS, ...{ closeTimeout: FIN_WAIT_MS }, maxPayload: 4 * 1024 * 1024 });
  socket.on("error", () => undefined);
  return socket;
}

/** Open at both ends. */
async function open(path: string, options: Dial = {}): Promise<{ readonly client: WebSocket; readonly app: Served }> {
  const served = nextServed();
  const client = dial(path, options);
  await new Promise<void>((resolve, reject) => {
    client.once("open", resolve);
    client.once("error", reject);
  });
  return { client, app: await served };
}

const messages = (socket: WebSocket, count: number): Promise<{ readonly data: Buffer; readonly isBinary: boolean }[]> =>
  new Promise((resolve, reject) => {
    const got: { data: Buffer; isBinary: boolean }[] = [];
    socket.on("message", (data: Buffer, isBinary) => {
      got.push({ data, isBinary });
      if (got.length === count) resolve(got);
    });
    socket.once("close", (code) => reject(new Error(`closed with ${code} after ${got.length} messages`)));
  });

/** The status of a declined upgrade. */
const declined = (socket: WebSocket): Promise<{ readonly status: number; readonly headers: IncomingMessage["headers"]; readonly body: string }> =>
  new Promise((resolve, reject) => {
    socket.once("open", () => reject(new Error("it was opened")));
    socket.once("unexpected-response", (_request, response) => {
      let body = "";
      response.on("data", (chunk: Buffer) => (body += chunk.toString()));
      response.on("end", () => resolve({ status: response.statusCode ?? 0, headers: response.headers, body }));
    });
  });

describe("messages", () => {
  it("keep kind, boundary and order both ways", async () => {
    const { client } = await open("/echo");
    const sent: (string | Buffer)[] = ["", Buffer.alloc(0), "a", Buffer.from([0]), "é日🙂", ...[125, 126, 127, 65_535, 65_536, 65_537, 300_000].flatMap((size) => ["t".repeat(size), Buffer.alloc(size, size)]), ...Array.from({ length: 500 }, (_, i) => `message ${i}`)];
    const back = messages(client, sent.length);
    for (const one of sent) client.send(one);
    const got = await back;
    for (const [i, { data, isBinary }] of got.entries()) {
      const one = sent[i] ?? "";
      expect(isBinary).toBe(typeof one !== "string");
      expect(Buffer.compare(data, Buffer.from(one as string))).toBe(0);
    }
    client.close();
  });

  it("sent in fragments arrive as one", async () => {
    const { client } = await open("/echo");
    const back = messages(client, 1);
    client.send("one ", { fin: false });
    client.send("two ", { fin: false });
    client.send("three", { fin: true });
    expect((await back)[0]?.data.toString()).toBe("one two three");
    client.close();
  });

  it("that come right after the upgrade are not lost", async () => {
    const client = dial("/greets");
    expect((await messages(client, 1))[0]?.data.toString()).toBe("hello before you ask");
    client.close();
  });

  it.each(["text", "binary"] as const)("of exactly 1 MiB pass both ways (%s)", async (kind) => {
    const { client } = await open("/echo");
    const back = messages(client, 1);
    const body = Buffer.alloc(MAX_WEBSOCKET_MESSAGE_BYTES, "x");
    client.send(kind === "text" ? body.toString() : body);
    const [got] = await back;
    expect({ length: got?.data.length, isBinary: got?.isBinary }).toEqual({ length: body.length, isBinary: kind === "binary" });
    client.close();
  });

  it("one byte above 1 MiB from the client closes with 1009, and the app's end with it", async () => {
    const { client, app } = await open("/echo");
    client.send(Buffer.alloc(MAX_WEBSOCKET_MESSAGE_BYTES + 1));
    expect((await closing(client)).code).toBe(1009);
    await app.closed;
  });

  it("one byte above 1 MiB from the app closes with 1009 at the client", async () => {
    const { client, app } = await open("/");
    app.socket.send(Buffer.alloc(MAX_WEBSOCKET_MESSAGE_BYTES + 1));
    expect((await closing(client)).code).toBe(1009);
    await app.closed;
  });

  it("pings are answered at each end with what they carried", async () => {
    const { client, app } = await open("/");
    const pong = new Promise<string>((resolve) => client.once("pong", (data: Buffer) => resolve(data.toString())));
    client.ping("from the client");
    expect(await pong).toBe("from the client");
    const back = new Promise<string>((resolve) => app.socket.once("pong", (data: Buffer) => resolve(data.toString())));
    app.socket.ping("from the app");
    expect(await back).toBe("from the app");
    client.close();
  });
});

describe("closing", () => {
  const CODES = [[1000, "done"], [1001, ""], [1003, "kind"], [1008, "policy"], [1011, "fault"], [3000, "own"], [4001, "é own"], [4999, "r".repeat(123)]] as const;
  it.each(CODES)("code %i by the client reaches the app with its reason", async (code, reason) => {
    const { client, app } = await open("/");
    const own = closing(client);
    client.close(code, reason);
    expect(await app.closed).toEqual({ code, reason });
    expect((await own).code).toBe(code);
  });
  it.each(CODES)("code %i by the app reaches the client with its reason", async (code, reason) => {
    const { client, app } = await open("/");
    const own = closing(client);
    app.socket.close(code, reason);
    expect(await own).toEqual({ code, reason });
  });
  it("without a code is 1000 at the other end", async () => {
    const one = await open("/");
    one.client.close();
    expect((await one.app.closed).code).toBe(1000);
    const two = await open("/");
    const own = closing(two.client);
    two.app.socket.close();
    expect((await own).code).toBe(1000);
  });
  it("messages before the close arrive before it", async () => {
    const { client, app } = await open("/");
    const got = messages(client, 100);
    const own = closing(client);
    for (let i = 0; i < 100; i++) app.socket.send(String(i));
    app.socket.close(4002, "after all");
    expect((await got).map(({ data }) => data.toString())).toEqual(Array.from({ length: 100 }, (_, i) => String(i)));
    expect(await own).toEqual({ code: 4002, reason: "after all" });
  });
  it("an app that vanishes is told by our own code", async () => {
    const { client, app } = await open("/");
    const own = closing(client);
    app.socket.terminate();
    expect((await own).code).toBe(CLOSE_CODES.upstream_lost.code);
  });
  it("a client that vanishes ends the app's end", async () => {
    const { client, app } = await open("/");
    client.terminate();
    expect((await app.closed).code).toBeGreaterThanOrEqual(1000);
  });
});

describe("the handshake", () => {
  it.each([[["other", "chosen"], "chosen"], [["chosen"], "chosen"], [[], ""]] as const)("of the subprotocols %j the app's choice is %j", async (protocols, chosen) => {
    const { client, app } = await open("/", { protocols });
    expect(client.protocol).toBe(chosen);
    expect(app.request.headers["sec-websocket-protocol"]).toBe(protocols.length === 0 ? undefined : protocols.join(","));
    expect(app.request.headers["sec-websocket-extensions"], "no compression inside the tunnel").toBeUndefined();
    client.close();
  });

  it("that the app declines is the app's own answer", async () => {
    expect(await declined(dial("/declined"))).toMatchObject({ status: 403, headers: { "x-app": "1" }, body: "not you" });
  });
  it("at an app that hangs up is 502", async () => expect((await declined(dial("/hang-up"))).status).toBe(502));
  it("by nobody is 401 and never reaches the app", async () => {
    const before = upgrades;
    expect((await declined(dial("/", { as: "nobody" }))).status).toBe(401);
    const { client, app } = await open("/");
    expect(app.request.headers["x-postern-user"]).toBe("service:probe");
    expect(upgrades).toBe(before + 1);
    client.close();
  });
});

describe("whose Origin may open one (P22)", () => {
  const ownOrigin = (): string => `http://${edge.hostOf("own")}`;
  it.each([
    ["a cookie from the app's own origin", () => ({ as: "cookie", origin: ownOrigin() })],
    ["a cookie from an origin that the app names", () => ({ as: "cookie", app: "listed", origin: "https://front.example" })],
    ["a token without Origin", () => ({ as: "token" })],
    ["a token from the app's own origin", () => ({ as: "token", origin: ownOrigin() })],
  ] as const)("%s opens it", async (_title, options) => {
    const { client } = await open("/echo", options() as Dial);
    client.close();
  });

  it.each([
    ["a cookie without Origin", () => ({ as: "cookie" })],
    ["a cookie from null", () => ({ as: "cookie", origin: "null" })],
    ["a cookie from a sibling app", () => ({ as: "cookie", origin: `http://${edge.hostOf("listed")}` })],
    ["a cookie from the launcher", () => ({ as: "cookie", origin: edge.stack.launcher })],
    ["a cookie from another scheme", () => ({ as: "cookie", origin: ownOrigin().replace("http:", "https:") })],
    ["a cookie from another port", () => ({ as: "cookie", origin: "http://own.postern.localhost:1" })],
    ["a cookie from a look-alike", () => ({ as: "cookie", origin: `${ownOrigin()}.evil.test` })],
    ["a cookie from the app's own origin, where another one is named", () => ({ as: "cookie", app: "listed", origin: `http://${edge.hostOf("listed")}` })],
    ["a token from a foreign origin", () => ({ as: "token", origin: "https://evil.example" })],
  ] as const)("%s is 403", async (_title, options) => {
    const refused = await declined(dial("/echo", options() as Dial));
    expect(refused.status).toBe(403);
    expect(refused.body).toContain('"code":"origin_not_allowed"');
  });
});
