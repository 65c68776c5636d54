/**
 * The private app of the matrix: a response that never ends, an event stream, a WebSocket and a
 * TCP service, each writing numbered lines and noting those of its client.
 */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { WebSocketServer } from "ws";
import { tcpApp } from "../../tcp/stage.ts";
import { Heard, Speaker } from "./stamped.ts";

/** A writer whose reader takes nothing leaves its turn out. */
const MAX_WAITING_BYTES = 64 * 1024;

export const HEALTH_PATH = "/health";

/** One connection as the app sees it. */
export interface AppSide {
  readonly heard: Heard;
  readonly said: Speaker;
  /** When it was gone, by performance.now(). */
  endedAt: number | undefined;
}

export interface MatrixApp {
  readonly web: string;
  readonly tcp: string;
  readonly tcpPort: number;
  /** By the name that the client gave. */
  readonly sides: ReadonlyMap<string, AppSide>;
  /** Says at HEALTH_PATH that it is not well from now on. */
  readonly fallIll: () => void;
  readonly close: () => Promise<void>;
}

export async function startMatrixApp(): Promise<MatrixApp> {
  const sides = new Map<string, AppSide>();
  const sockets = new Set<Socket>();
  const begin = (name: string, write: (line: string) => boolean): AppSide => {
    const side: AppSide = { heard: new Heard(), said: new Speaker(write), endedAt: undefined };
    sides.set(name, side);
    return side;
  };
  const over = (side: AppSide): void => {
    side.said.hush();
    side.heard.over();
    side.endedAt ??= performance.now();
  };
  let isWell = true;
  const nameOf = (request: IncomingMessage): string => new URL(request.url ?? "/", "http://app").searchParams.get("name") ?? "";

  const server = createServer((request: IncomingMessage, response: ServerResponse) => {
    const path = (request.url ?? "").split("?")[0];
    if (path === HEALTH_PATH) return void response.writeHead(isWell ? 200 : 503).end();
    if (path !== "/response" && path !== "/events") return void response.end("plain");
    const isEvents = path === "/events";
    response.writeHead(200, { "content-type": isEvents ? "text/event-stream" : "application/octet-stream", "cache-control": "no-store" });
    const side = begin(nameOf(request), (line) => response.writableLength < MAX_WAITING_BYTES && (response.write(isEvents ? `data: ${line}\n` : line), true));
    response.on("error", () => undefined);
    response.on("close", () => over(side));
  });
  server.on("connection", (socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
  });
  new WebSocketServer({ server, perMessageDeflate: false }).on("connection", (socket, request) => {
    const side = begin(nameOf(request), (line) => socket.bufferedAmount < MAX_WAITING_BYTES && (socket.send(line), true));
    socket.on("message", (data: Buffer) => side.heard.feed(data.toString()));
    socket.on("error", () => socket.terminate());
    socket.on("close", () => over(side));
  });
  const tcp = await tcpApp((socket) => {
    socket.setEncoding("latin1");
    let said = "";
    const greet = (text: string): void => {
      said += text;
      const [, name, rest = ""] = /^open ([\w.-]+)\n([^]*)$/.exec(said) ?? [];
      if (name === undefined) return;
      socket.off("data", greet);
      const side = begin(name, (line) => socket.writable && socket.writableLength < MAX_WAITING_BYTES && (socket.write(line), true));
      side.heard.feed(rest);
      socket.on("data", (more: string) => side.heard.feed(more));
      socket.on("end", () => socket.destroy());
      socket.on("close", () => over(side));
    };
    socket.on("data", greet);
  });
  await new Promise<void>((up) => server.listen(0, "127.0.0.1", up));
  return {
    web: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    tcp: tcp.url,
    tcpPort: Number(new URL(tcp.url).port),
    sides,
    fallIll: () => (isWell = false),
    close: async () => {
      tcp.close();
      for (const socket of sockets) socket.destroy();
      for (const side of sides.values()) side.said.hush();
      await new Promise((down) => server.close(down));
    },
  };
}
