/** Many open WebSockets on which nothing happens: an app that echoes, clients that are numbered, and what each has heard. */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { WebSocket, WebSocketServer } from "ws";

/** Handshakes under way at once. */
const AT_ONCE_COUNT = 50;

export interface QuietApp {
  readonly url: string;
  /** The app's end of the client with this number. */
  readonly side: (number: number) => WebSocket | undefined;
  readonly close: () => void;
}

export async function startQuietApp(): Promise<QuietApp> {
  const sides = new Map<string, WebSocket>();
  const server = createServer();
  new WebSocketServer({ server, perMessageDeflate: false }).on("connection", (socket, request) => {
    sides.set(request.url ?? "", socket);
    socket.on("message", (data: Buffer) => socket.send(`echo ${data.toString()}`));
    socket.on("error", () => undefined);
  });
  server.listen(0, "127.0.0.1");
  await new Promise((up) => server.once("listening", up));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    side: (number) => sides.get(`/${number}`),
    close: () => {
      server.closeAllConnections();
      server.close();
      for (const socket of sides.values()) socket.terminate();
    },
  };
}

export interface QuietClient {
  readonly socket: WebSocket;
  readonly heard: string[];
}

/** Opens `count` clients at the edge's port; resolves once all of them are open. */
export async function openQuiet(count: number, port: number, headers: Readonly<Record<string, string>>): Promise<QuietClient[]> {
  const clients: QuietClient[] = [];
  const numbers = Array.from({ length: count }, (_, number) => number).values();
  const open = (number: number): Promise<void> => {
    const socket = new WebSocket(`ws://127.0.0.1:${port}/${number}`, { headers, perMessageDeflate: false });
    const heard: string[] = [];
    socket.on("message", (data: Buffer) => void heard.push(data.toString()));
    clients[number] = { socket, heard };
    return new Promise((done, fail) => {
      socket.once("open", () => done());
      socket.on("error", fail);
    });
  };
  await Promise.all(Array.from({ length: AT_ONCE_COUNT }, async () => {
    for (const number of numbers) await open(number);
  }));
  return clients;
}
