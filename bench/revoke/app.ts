/**
 * The private app of `npm run bench:revoke`, as a process: a response that never ends, an event
 * stream, a WebSocket and a TCP service, all writing stamped chunks and noting those that they hear.
 * What begins with SSH's own greeting goes on to the sshd of the run.
 */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { type AddressInfo, connect, createServer as createTcpServer, type Socket } from "node:net";
import { WebSocketServer } from "ws";
import { answerCalls } from "./calls.ts";
import { Pulse, stampedLine } from "./stamps.ts";
import { allEnded, outcomeOf, Side } from "./sides.ts";

/** Announced length of the response: never reached, so that its end is always an error. */
const RESPONSE_BYTES = 1_073_741_824;
const CHUNKS_PER_S = 500;
/** A writer whose reader stalls leaves its turn out. */
const MAX_QUEUED_BYTES = 64 * 1024;
const MAX_GREETING_BYTES = 256;

export interface AppPorts {
  readonly http: number;
  readonly tcp: number;
}

/** By group, the part of the name before the dot. */
const groups = new Map<string, Side[]>();
const pulse = new Pulse(CHUNKS_PER_S);
let sshdPort = 0;

function side(name: string): Side {
  const made = new Side(name);
  const group = name.split(".")[0] ?? "";
  const sides = groups.get(group) ?? [];
  sides.push(made);
  groups.set(group, sides);
  return made;
}

const nameOf = (request: IncomingMessage): string => new URL(request.url ?? "/", "http://app").searchParams.get("name") ?? "unnamed";

function answer(request: IncomingMessage, response: ServerResponse): void {
  const path = (request.url ?? "").split("?")[0];
  if (path !== "/response" && path !== "/events") return void response.end("plain");
  const mine = side(nameOf(request));
  const isEvents = path === "/events";
  response.writeHead(200, isEvents ? { "content-type": "text/event-stream", "cache-control": "no-store" } : { "content-type": "application/octet-stream", "content-length": RESPONSE_BYTES });
  const write = (): void => {
    if (response.writableLength < MAX_QUEUED_BYTES) response.write(isEvents ? `data: ${stampedLine()}\n` : stampedLine(), "latin1");
  };
  write();
  const leave = pulse.join(write);
  response.on("error", () => undefined);
  response.on("close", () => {
    leave();
    mine.ended("closed");
  });
}

function speak(socket: Socket, name: string, early: string): void {
  const mine = side(name);
  const write = (): void => {
    if (socket.writableLength < MAX_QUEUED_BYTES) socket.write(stampedLine(), "latin1");
  };
  if (early !== "") mine.heard.feed(early);
  socket.on("data", (chunk: Buffer) => mine.heard.feed(chunk.toString("latin1")));
  write();
  const leave = pulse.join(write);
  socket.on("end", () => socket.destroy());
  socket.on("close", () => {
    leave();
    mine.ended("closed");
  });
}

/** The first words tell who comes: "open NAME" or an SSH client. */
function greet(socket: Socket): void {
  let said = "";
  socket.setNoDelay(true);
  socket.on("error", () => socket.destroy());
  const hear = (chunk: Buffer): void => {
    said += chunk.toString("latin1");
    if (said.startsWith("SSH-")) {
      socket.off("data", hear);
      const sshd = connect({ host: "127.0.0.1", port: sshdPort, noDelay: true });
      sshd.on("error", () => socket.destroy());
      sshd.on("close", () => socket.destroy());
      socket.on("close", () => sshd.destroy());
      sshd.write(said, "latin1");
      socket.pipe(sshd).pipe(socket);
      return;
    }
    const greeting = /^open ([\w.-]+)\n/.exec(said);
    if (greeting !== null) {
      socket.off("data", hear);
      return speak(socket, greeting[1] ?? "", said.slice(greeting[0].length));
    }
    if (said.length > MAX_GREETING_BYTES) socket.destroy();
  };
  socket.on("data", hear);
}

const server = createServer(answer);
new WebSocketServer({ server, perMessageDeflate: false }).on("connection", (socket, request) => {
  const mine = side(nameOf(request));
  const write = (): void => {
    if (socket.bufferedAmount < MAX_QUEUED_BYTES) socket.send(stampedLine());
  };
  socket.on("message", (data: Buffer) => mine.heard.feed(data.toString("latin1")));
  socket.on("error", () => socket.terminate());
  write();
  const leave = pulse.join(write);
  socket.on("close", () => {
    leave();
    mine.ended("closed");
  });
});
const tcp = createTcpServer({ allowHalfOpen: true }, greet);

const sidesOf = (names: readonly string[]): Side[] => names.flatMap((name) => groups.get(name) ?? []);

answerCalls({
  listen: async (): Promise<AppPorts> => {
    for (const one of [server, tcp]) await new Promise<void>((up) => one.listen(0, "127.0.0.1", up));
    return { http: (server.address() as AddressInfo).port, tcp: (tcp.address() as AddressInfo).port };
  },
  sshd: (port: number) => {
    sshdPort = port;
  },
  mark: () => {
    for (const sides of groups.values()) for (const one of sides) one.heard.mark();
  },
  ended: ({ names, timeoutMs }: { readonly names: readonly string[]; readonly timeoutMs: number }) => allEnded(sidesOf(names), timeoutMs),
  outcome: ({ names, moment }: { readonly names: readonly string[]; readonly moment: number }) => outcomeOf(sidesOf(names), moment),
  forget: (names: readonly string[]) => {
    for (const name of names) groups.delete(name);
  },
});
