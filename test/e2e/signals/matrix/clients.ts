/** How a client opens a connection of each protocol, what it hears and says on it, and how it sees the end. */
import { spawn } from "node:child_process";
import { request as httpRequest } from "node:http";
import { connect } from "node:net";
import { WebSocket } from "ws";
import type { AgentFailure } from "../../../../agent/agent-failure.ts";
import { plainEnvironment } from "../../../../start/processes.ts";
import { joinedTo, type Sshd } from "./sshd.ts";
import { Heard, Speaker } from "./stamped.ts";

export type Protocol = "http" | "sse" | "websocket" | "tcp" | "ssh";
export const PROTOCOLS: readonly Protocol[] = ["http", "sse", "websocket", "tcp", "ssh"];

const MAX_WAITING_BYTES = 64 * 1024;
/** Time between two looks at whether a Close frame has come: it is the frame that counts, and `ws` tells only of the end of the connection behind it. */
const CLOSE_LOOK_MS = 5;

/** One connection as its client sees it. */
export interface Connection {
  readonly protocol: Protocol;
  readonly name: string;
  readonly heard: Heard;
  /** Absent where the protocol has no way back. */
  readonly said?: Speaker;
  endedAt: number | undefined;
  /** A WebSocket's close code; of a body whether it came whole; of TCP and SSH whether it broke. */
  end: string | undefined;
  /** What the agent said of the end, in its code. */
  agentCode: string | undefined;
  /** What the agent told its person. */
  readonly notes?: readonly string[];
  readonly abandon: () => void;
}

/** An agent's port for one app, and what broke there. */
export interface AgentPort {
  readonly port: number;
  readonly failed: Promise<AgentFailure>;
  /** What it told its person. */
  readonly notes: readonly string[];
}

export interface Web {
  readonly port: number;
  readonly headers: Readonly<Record<string, string>>;
}

type Own = Pick<Connection, "protocol" | "name"> & { readonly said?: Speaker; readonly notes?: readonly string[]; readonly abandon: () => void };
const begin = (own: Own): Connection => ({ heard: new Heard(), endedAt: undefined, end: undefined, agentCode: undefined, ...own });

function over(connection: Connection, how: string): void {
  connection.said?.hush();
  connection.heard.over();
  connection.endedAt ??= performance.now();
  connection.end ??= how;
}

export function openBody(protocol: "http" | "sse", { port, headers }: Web, name: string): Promise<Connection> {
  return new Promise((resolve, reject) => {
    const path = protocol === "sse" ? "/events" : "/response";
    const accept = protocol === "sse" ? "text/event-stream" : "*/*";
    const call = httpRequest({ host: "127.0.0.1", port, path: `${path}?name=${name}`, headers: { ...headers, accept }, agent: false }, (answer) => {
      const connection = begin({ protocol, name, abandon: () => call.destroy() });
      answer.setEncoding("latin1");
      if (answer.statusCode !== 200) return reject(new Error(`${name}: status ${answer.statusCode}`));
      answer.on("data", (text: string) => connection.heard.feed(text));
      answer.on("error", () => undefined);
      answer.on("close", () => over(connection, answer.complete ? "whole" : "broken"));
      resolve(connection);
    });
    call.on("error", reject);
    call.end();
  });
}

export function openWebSocket({ port, headers }: Web, name: string): Promise<Connection> {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(`ws://127.0.0.1:${port}/socket?name=${name}`, { headers, perMessageDeflate: false });
    socket.on("error", reject);
    socket.on("open", () => {
      const said = new Speaker((line) => socket.readyState === socket.OPEN && socket.bufferedAmount < MAX_WAITING_BYTES && (socket.send(line), true));
      const connection = begin({ protocol: "websocket", name, said, abandon: () => socket.terminate() });
      const look = setInterval(() => {
        if (socket.readyState < socket.CLOSING) return;
        connection.endedAt ??= performance.now();
        socket.terminate();
        clearInterval(look);
      }, CLOSE_LOOK_MS);
      socket.on("message", (data: Buffer) => connection.heard.feed(data.toString()));
      socket.on("close", (code) => {
        clearInterval(look);
        over(connection, String(code));
      });
      resolve(connection);
    });
  });
}

/** What the agent says comes before or after its socket is gone. */
function heedAgent(connection: Connection, { failed }: AgentPort): void {
  void failed.then(({ code }) => (connection.agentCode = code));
}

/** A local program's connection to an agent's port. */
export function openTcp(protocol: "tcp" | "ssh", agent: AgentPort, name: string): Connection {
  const socket = connect({ host: "127.0.0.1", port: agent.port, noDelay: true });
  const said = new Speaker((line) => socket.writable && socket.writableLength < MAX_WAITING_BYTES && (socket.write(line), true));
  const connection = begin({ protocol, name, said, notes: agent.notes, abandon: () => socket.resetAndDestroy() });
  let isBroken = false;
  socket.write(`open ${name}\n`);
  socket.setEncoding("latin1");
  socket.on("data", (text: string) => connection.heard.feed(text));
  socket.on("error", () => (isBroken = true));
  socket.on("end", () => socket.destroy());
  socket.on("close", () => over(connection, isBroken ? "broken" : "whole"));
  heedAgent(connection, agent);
  return connection;
}

/** A login with OpenSSH through an agent's port. */
export function openSsh(agent: AgentPort, { argv: [program, ...options], target }: Sshd, appPort: number, name: string): Connection {
  const child = spawn(program, [...options, "-p", String(agent.port), target, joinedTo(appPort, name)], { stdio: ["pipe", "pipe", "ignore"], env: plainEnvironment() });
  const said = new Speaker((line) => child.stdin.writable && child.stdin.writableLength < MAX_WAITING_BYTES && (child.stdin.write(line), true));
  const connection = begin({ protocol: "ssh", name, said, notes: agent.notes, abandon: () => void child.kill("SIGKILL") });
  child.stdin.on("error", () => undefined);
  child.stdout.setEncoding("latin1");
  child.stdout.on("data", (text: string) => connection.heard.feed(text));
  child.on("error", () => over(connection, "no ssh"));
  // 255: ssh itself lost its connection; any other is the remote program's.
  child.on("close", (code) => over(connection, code === 255 ? "broken" : `exit ${code}`));
  heedAgent(connection, agent);
  return connection;
}
