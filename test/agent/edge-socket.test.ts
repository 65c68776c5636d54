import { once } from "node:events";
import { createServer } from "node:http";
import type { Server } from "node:http";
import { createServer as createTls } from "node:https";
import { connect } from "node:net";
import type { AddressInfo, Socket } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { WebSocketServer } from "ws";
import { AgentFailure } from "../../agent/agent-failure.ts";
import { openAgentSocket } from "../../agent/edge-socket.ts";
import type { EdgeAddress } from "../../agent/edge-socket.ts";
import { AGENT_SUBPROTOCOL } from "../../protocol/agent-link.ts";
import { selfSigned } from "../connector/test-certificate.ts";

const DAY_MS = 86_400_000;
const { key, cert } = selfSigned("edge.test", new Date(Date.now() - DAY_MS), new Date(Date.now() + DAY_MS));
const APP = "pg" as Parameters<typeof openAgentSocket>[1];
const cleanups: (() => void)[] = [];
afterEach(() => {
  for (const clean of cleanups.splice(0)) clean();
});

async function listening(server: Server): Promise<number> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const sockets = new Set<Socket>();
  server.on("connection", (socket) => sockets.add(socket));
  cleanups.push(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  return (server.address() as AddressInfo).port;
}

/** An edge that opens every agent's socket, over TLS, or answers each upgrade so. */
async function tlsEdge(subprotocol: string | false = AGENT_SUBPROTOCOL): Promise<{ port: number; seen: (string | undefined)[] }> {
  const seen: (string | undefined)[] = [];
  const sockets = new WebSocketServer({ noServer: true, handleProtocols: () => subprotocol });
  const server = createTls({ key, cert });
  server.on("upgrade", (request, raw, head) => {
    seen.push(request.headers.host, request.headers.authorization, request.url);
    sockets.handleUpgrade(request, raw, head, (socket) => socket.send("hello"));
  });
  return { port: await listening(server), seen };
}

/** A forward proxy that leads every name to 127.0.0.1. */
async function proxy(): Promise<{ port: number; targets: (string | undefined)[] }> {
  const targets: (string | undefined)[] = [];
  const server = createServer();
  server.on("connect", (request, client: Socket) => {
    targets.push(request.url, request.headers["proxy-authorization"]);
    const to = connect(Number(request.url?.split(":").at(-1)), "127.0.0.1", () => {
      client.write("HTTP/1.1 200 OK\r\n\r\n");
      to.pipe(client);
      client.pipe(to);
    });
    to.on("error", () => client.destroy());
    client.on("error", () => to.destroy());
  });
  return { port: await listening(server), targets };
}

const address = (port: number, change: Partial<EdgeAddress> = {}): EdgeAddress => ({ origin: new URL(`https://edge.test:${port}`), authorities: [cert], proxyEnvironment: undefined, ...change });

async function failureOf(work: Promise<unknown>): Promise<AgentFailure> {
  const error: unknown = await work.then(() => undefined, (thrown: unknown) => thrown);
  if (!(error instanceof AgentFailure)) throw new Error("expected a failure of the agent");
  return error;
}

describe("the agent's way to the edge", () => {
  it("leads through the proxy of the environment, and the proxy sees neither token nor path", async () => {
    const [edge, via] = [await tlsEdge(), await proxy()];
    const socket = await openAgentSocket(address(edge.port, { proxyEnvironment: { HTTPS_PROXY: `http://user:pass@127.0.0.1:${via.port}` } }), APP, "pst_secret");
    cleanups.push(() => socket.terminate());
    socket.resume();
    expect((await once(socket, "message"))[0].toString()).toBe("hello");
    expect(via.targets).toEqual([`edge.test:${edge.port}`, `Basic ${Buffer.from("user:pass").toString("base64")}`]);
    expect(edge.seen).toEqual([`edge.test:${edge.port}`, "Bearer pst_secret", "/.postern/agent?app=pg"]);
  });

  it("is not taken when the certificate is not known, and the token is not sent", async () => {
    const [edge, via] = [await tlsEdge(), await proxy()];
    const failure = await failureOf(openAgentSocket(address(edge.port, { authorities: [], proxyEnvironment: { HTTPS_PROXY: `http://127.0.0.1:${via.port}` } }), APP, "pst_secret"));
    expect(failure.code).toBe("edge_tls");
    expect(edge.seen).toEqual([]);
  });

  it("ends at what does not speak as an edge", async () => {
    const via = await proxy();
    const environment = { HTTPS_PROXY: `http://127.0.0.1:${via.port}` };
    const other = await tlsEdge("chat");
    expect(["not_postern", "edge_unreachable"]).toContain((await failureOf(openAgentSocket(address(other.port, { proxyEnvironment: environment }), APP, "t"))).code);
    const plain = await listening(createTls({ key, cert }, (_request, response) => void response.writeHead(200).end("<html>")));
    expect(await failureOf(openAgentSocket(address(plain, { proxyEnvironment: environment }), APP, "t"))).toMatchObject({ code: "not_postern", isPassing: false });
    expect(await failureOf(openAgentSocket(address(1, { origin: new URL("http://127.0.0.1:1") }), APP, "t"))).toMatchObject({ code: "edge_unreachable", isPassing: true });
  });
});
