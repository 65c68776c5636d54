/**
 * The agent's side of a small edge: carries the streams of agents to the connector of a TestEdge
 * and back, byte for byte, and breaks what a test wants broken. Decides nothing.
 */
import { once } from "node:events";
import { createServer } from "node:http";
import type { Server } from "node:http";
import { createServer as createTcpServer, connect } from "node:net";
import type { AddressInfo, Socket } from "node:net";
import type { Duplex } from "node:stream";
import { WebSocketServer } from "ws";
import type { WebSocket } from "ws";
import { KnownConnectors } from "../../agent/known-connectors.ts";
import { agentKey } from "../../agent/agent-key.ts";
import { StateFolder } from "../../agent/state-folder.ts";
import { TcpAgent } from "../../agent/tcp-agent.ts";
import { secureContext } from "../../channel/secure-stream.ts";
import { parseAppId } from "../../core/ids.ts";
import { AGENT_SUBPROTOCOL } from "../../protocol/agent-link.ts";
import type { AgentAnswer, AgentOpen } from "../../protocol/agent-link.ts";
import { encodeFrame, Flag, FrameType } from "../../protocol/frames.ts";
import { encodeAnswerHead } from "../../protocol/head.ts";
import { Mux } from "../../protocol/mux.ts";
import { CONNECTOR, SITE, must } from "../connector/test-edge.ts";
import type { EdgeLink, EdgeStream, TestEdge } from "../connector/test-edge.ts";
import { temporaryFolder } from "../temporary-folder.ts";

interface Spliced {
  readonly to: EdgeStream;
  pending: Uint8Array[];
  ended: boolean;
}

export class AgentBridge {
  readonly #server: Server;
  readonly #sockets = new Map<WebSocket, () => void>();
  /** The connector's link that new streams go to. */
  link: EdgeLink;
  /** Sees every byte that agents and connector exchange. */
  tap: (bytes: Uint8Array, from: "agent" | "connector") => void = () => undefined;
  /** Answers an upgrade with this status and error instead. */
  refusal: { readonly status: number; readonly error: object } | undefined;
  /** The word that a stream is open, and the connector's answer on it, reach the agent in one read. */
  atOnce = false;
  upgrades = 0;
  url = new URL("http://127.0.0.1:1");

  private constructor(link: EdgeLink) {
    this.link = link;
    const sockets = new WebSocketServer({ noServer: true, perMessageDeflate: false, handleProtocols: () => AGENT_SUBPROTOCOL });
    this.#server = createServer((_request, response) => void response.writeHead(404).end());
    this.#server.on("upgrade", (request, raw, head) => {
      this.upgrades += 1;
      if (this.refusal !== undefined) {
        const text = JSON.stringify({ error: this.refusal.error });
        raw.end(`HTTP/1.1 ${this.refusal.status} No\r\nContent-Type: application/json\r\nContent-Length: ${text.length}\r\nConnection: close\r\n\r\n${text}`);
        return;
      }
      sockets.handleUpgrade(request, raw, head, (socket) => this.#serve(socket, raw));
    });
  }

  static async start(link: EdgeLink): Promise<AgentBridge> {
    const bridge = new AgentBridge(link);
    bridge.#server.listen(0, "127.0.0.1");
    await once(bridge.#server, "listening");
    bridge.url = new URL(`http://127.0.0.1:${(bridge.#server.address() as AddressInfo).port}`);
    return bridge;
  }

  /** Every agent loses its connection without a word; the connector is told on return. */
  cutAgents(): void {
    for (const [socket, lost] of this.#sockets) {
      socket.terminate();
      lost();
    }
  }
  /** Asks every agent to connect anew. */
  drain(): void {
    for (const socket of this.#sockets.keys()) socket.send(JSON.stringify({ t: "drain" } satisfies AgentAnswer));
  }
  close(): void {
    this.cutAgents();
    this.#server.close();
    this.#server.closeAllConnections();
  }

  #serve(socket: WebSocket, raw: Duplex): void {
    const mux = new Mux({ role: "edge", now: () => performance.now() });
    const streams = new Map<number, Spliced>();
    const say = (answer: AgentAnswer): void => socket.send(JSON.stringify(answer));
    const flush = (): void => {
      for (const message of mux.takeOutput()) if (socket.readyState === socket.OPEN) socket.send(message);
    };
    const pump = (id: number, one: Spliced): void => {
      for (let first = one.pending[0]; first !== undefined; first = one.pending[0]) {
        const taken = mux.write(id, first);
        if (taken < first.length) {
          one.pending[0] = first.subarray(taken);
          break;
        }
        one.pending.shift();
      }
      if (one.ended && one.pending.length === 0) mux.end(id);
      flush();
    };
    const open = async ({ stream: id, app }: AgentOpen): Promise<void> => {
      if (this.link.socket.readyState !== this.link.socket.OPEN) return say({ t: "refused", stream: id, code: "no_connector", request: `r_${"B".repeat(22)}` as never });
      const to = await this.link.ask({ kind: "tcp", app });
      const one: Spliced = { to, pending: [], ended: false };
      streams.set(id, one);
      const early: Uint8Array[] = [];
      let isHeadSent = false;
      to.onBytes = (bytes) => {
        this.tap(bytes, "connector");
        if (!isHeadSent) return void early.push(bytes.slice());
        one.pending.push(bytes.slice());
        pump(id, one);
      };
      void to.done.then((how) => {
        if (streams.get(id) !== one) return;
        if (how === "end") one.ended = true;
        else {
          say({ t: "closed", stream: id, code: "link" });
          mux.reset(id);
        }
        pump(id, one);
      });
      if (this.atOnce) await to.head;
      raw.cork();
      say({ t: "opened", stream: id, request: `r_${"B".repeat(22)}` as never, connector: CONNECTOR, site: SITE });
      if (!this.atOnce) raw.uncork();
      const head = await to.head;
      const encoded = encodeAnswerHead(head);
      if (!encoded.ok) throw new Error("a head that cannot be written");
      // As the edge does it, which only rewrites ids: it waits for no frame of the agent.
      if (this.atOnce) socket.send(encodeFrame(FrameType.data, Flag.ack, id, encoded.value.length, encoded.value));
      one.pending.push(...(this.atOnce ? [] : [encoded.value]), ...early);
      isHeadSent = true;
      pump(id, one);
      if (this.atOnce) raw.uncork();
    };
    socket.on("message", (data: Buffer, isBinary) => {
      if (!isBinary) {
        const text = data.toString();
        if (text === "ping") return socket.send("pong");
        return void open(JSON.parse(text) as AgentOpen).catch(() => undefined);
      }
      for (const event of mux.receive(data)) {
        if (event.type === "fatal") throw new Error(`the agent broke the protocol: ${event.reason}`);
        if (event.type === "goaway" || event.type === "open") continue;
        const one = streams.get(event.id);
        if (one === undefined) continue;
        if (event.type === "data") {
          this.tap(event.bytes, "agent");
          one.to.send(event.bytes.slice());
          mux.consumed(event.id, event.bytes.length);
        } else if (event.type === "writable") pump(event.id, one);
        else if (event.type === "end") one.to.end();
        else {
          streams.delete(event.id);
          one.to.reset();
        }
      }
      flush();
    });
    const lost = (): void => {
      for (const { to } of streams.values()) to.reset();
      streams.clear();
    };
    this.#sockets.set(socket, lost);
    socket.on("close", () => {
      this.#sockets.delete(socket);
      lost();
    });
  }
}

export interface TestAgent {
  readonly agent: TcpAgent;
  readonly known: KnownConnectors;
  readonly notes: string[];
  readonly folder: string;
  /** A local TCP connection that the agent carries, and how the carrying ended. */
  dial(): Promise<{ readonly socket: Socket; readonly carried: Promise<void> }>;
  close(): Promise<void>;
}

/** An agent for the app `pg` of the bridge's edge. */
export async function startAgent(bridge: AgentBridge, folder: string = temporaryFolder("agent"), edge: string = bridge.url.origin, trustKeys: readonly string[] = [], resumeMs?: number): Promise<TestAgent> {
  const state = new StateFolder(folder);
  const known = new KnownConnectors(state, edge, Date.now, trustKeys);
  const notes: string[] = [];
  const key = await agentKey(state);
  const agent = new TcpAgent({
    edge: { origin: bridge.url, authorities: [], proxyEnvironment: undefined },
    token: () => Promise.resolve("t"),
    app: must(parseAppId("pg")),
    context: secureContext(key.privateJwk),
    known,
    reports: { note: (text) => void notes.push(text) },
    random: () => 0.5,
    ...(resumeMs !== undefined && { resumeMs }),
  });
  const waiting: ((carried: Promise<void>) => void)[] = [];
  const server = createTcpServer({ allowHalfOpen: true }, (socket) => {
    const carried = agent.carry(socket);
    carried.catch(() => undefined);
    waiting.shift()?.(carried);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    agent,
    known,
    notes,
    folder,
    dial: async () => {
      const carried = new Promise<void>((done, fail) => waiting.push((one) => void one.then(done, fail)));
      carried.catch(() => undefined);
      const socket = connect({ port: (server.address() as AddressInfo).port, host: "127.0.0.1", allowHalfOpen: true });
      await once(socket, "connect");
      socket.on("error", () => undefined);
      return { socket, carried };
    },
    close: async () => {
      server.close();
      await agent.close();
    },
  };
}

/** A connector with the tcp app `pg`, welcomed by a TestEdge. */
export function pgAt(edge: TestEdge, port: number): void {
  edge.configure({ id: "pg", upstreams: [`tcp://127.0.0.1:${port}`] });
}
