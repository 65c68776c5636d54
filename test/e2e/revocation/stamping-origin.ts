/**
 * A private app for revocation tests: every chunk that it writes carries the monotonic clock's
 * time of the write, and it notes each connection's last write and end. Runs in the test's own
 * process, so that its clock is the clients' clock.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { WebSocketServer } from "ws";

/** One connection as the app saw it; times are performance.now() of this process. */
export interface AppSide {
  readonly name: string;
  writes: number;
  wroteAt: number;
  /** When its socket was gone; undefined while it is there. */
  endedAt: number | undefined;
  /** The app wrote its last byte by itself: an end in good order. */
  finished: boolean;
}

export interface StampingOrigin {
  readonly url: string;
  /** By the name that the client chose (`?name=`). */
  readonly sides: ReadonlyMap<string, AppSide>;
  readonly close: () => Promise<void>;
}

/** A stamp is one line of this form, so that no chunk boundary can hide one. */
export const STAMP_LINE = /^(?:data: )?stamp ([0-9.]+)/;

/** Bytes of one block of a download; its stamp is its first line. */
const BLOCK_BYTES = 4_096;
/** Announced length of a download: never reached, so that its end is always an error. */
export const DOWNLOAD_BYTES = 1_073_741_824;
const STREAM_EVERY_MS = 100;
const DOWNLOAD_EVERY_MS = 25;

const stamp = (): string => `stamp ${performance.now().toFixed(3)}`;

/** Starts the app on a free loopback port. */
export async function startStampingOrigin(): Promise<StampingOrigin> {
  const sides = new Map<string, AppSide>();
  const sockets = new Set<Socket>();
  const note = (request: IncomingMessage): AppSide => {
    const name = new URL(request.url ?? "/", "http://app").searchParams.get("name") ?? `unnamed-${sides.size}`;
    const side: AppSide = { name, writes: 0, wroteAt: 0, endedAt: undefined, finished: false };
    sides.set(name, side);
    return side;
  };
  const every = (side: AppSide, ms: number, write: (text: string) => void): NodeJS.Timeout => {
    const tick = (): void => {
      side.writes++;
      side.wroteAt = performance.now();
      write(stamp());
    };
    tick();
    return setInterval(tick, ms);
  };
  const answer = (request: IncomingMessage, response: ServerResponse): void => {
    const path = new URL(request.url ?? "/", "http://app").pathname;
    if (path !== "/events" && path !== "/download") return void response.end("plain");
    const side = note(request);
    let timer: NodeJS.Timeout;
    if (path === "/events") {
      response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-store" });
      timer = every(side, STREAM_EVERY_MS, (text) => void response.write(`data: ${text}\n\n`));
    } else {
      response.writeHead(200, { "content-type": "application/octet-stream", "content-length": DOWNLOAD_BYTES });
      timer = every(side, DOWNLOAD_EVERY_MS, (text) => {
        if (response.writableLength < 64 * BLOCK_BYTES) response.write(`${text}\n`.padEnd(BLOCK_BYTES - 1, ".") + "\n");
      });
    }
    response.on("close", () => {
      clearInterval(timer);
      side.endedAt ??= performance.now();
    });
  };
  const server: Server = createServer(answer);
  server.on("connection", (socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
  });
  const webSockets = new WebSocketServer({ server });
  webSockets.on("connection", (socket, request) => {
    const side = note(request);
    const quiet = request.url?.includes("quiet") === true;
    if (quiet) socket.send(stamp());
    const timer = quiet ? undefined : every(side, STREAM_EVERY_MS, (text) => socket.send(text));
    socket.on("error", () => undefined);
    socket.on("message", (data: Buffer) => {
      side.writes++;
      socket.send(`echo ${data.toString()}`);
    });
    socket.on("close", () => {
      clearInterval(timer);
      side.endedAt ??= performance.now();
    });
  });
  server.listen(0, "127.0.0.1");
  await new Promise((up) => server.once("listening", up));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    sides,
    close: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise((down) => server.close(down));
    },
  };
}
