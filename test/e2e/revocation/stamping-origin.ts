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
  /** The newest stamp of the client that an upload brought. */
  heard: number;
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
/** A bulk body moves so much at each tick of a download: fast enough that it leaves the mux. */
export const FLOOD_BYTES = 256 * 1024;
const STREAM_EVERY_MS = 100;
const DOWNLOAD_EVERY_MS = 25;

/** Lines of stamps, padded to `bytes`. */
export const stampedBlock = (bytes: number): string => `${stamp()}\n`.padEnd(bytes - 1, ".") + "\n";
const stamp = (): string => `stamp ${performance.now().toFixed(3)}`;

/** Starts the app on a free loopback port. */
export async function startStampingOrigin(): Promise<StampingOrigin> {
  const sides = new Map<string, AppSide>();
  const sockets = new Set<Socket>();
  const note = (request: IncomingMessage): AppSide => {
    const name = new URL(request.url ?? "/", "http://app").searchParams.get("name") ?? `unnamed-${sides.size}`;
    const side: AppSide = { name, writes: 0, wroteAt: 0, endedAt: undefined, finished: false, heard: 0 };
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
  /** Takes an upload that never ends, and notes the client's stamps. */
  const swallow = (request: IncomingMessage, response: ServerResponse): void => {
    const side = note(request);
    let rest = "";
    request.on("data", (chunk: Buffer) => {
      side.writes++;
      const lines = (rest + chunk.toString("latin1")).split("\n");
      rest = (lines.pop() ?? "").slice(0, 64);
      for (const line of lines) side.heard = Math.max(side.heard, Number(STAMP_LINE.exec(line)?.[1] ?? 0));
    });
    request.on("error", () => undefined);
    response.on("close", () => void (side.endedAt ??= performance.now()));
  };
  const answer = (request: IncomingMessage, response: ServerResponse): void => {
    const path = new URL(request.url ?? "/", "http://app").pathname;
    if (path === "/swallow") return swallow(request, response);
    if (path !== "/events" && path !== "/download" && path !== "/flood") return void response.end("plain");
    const side = note(request);
    let timer: NodeJS.Timeout;
    if (path === "/events") {
      response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-store" });
      timer = every(side, STREAM_EVERY_MS, (text) => void response.write(`data: ${text}\n\n`));
    } else {
      response.writeHead(200, { "content-type": "application/octet-stream", "content-length": DOWNLOAD_BYTES });
      timer = every(side, DOWNLOAD_EVERY_MS, (text) => {
        if (path === "/flood" && response.writableLength === 0) response.write(stampedBlock(FLOOD_BYTES));
        if (path === "/download" && response.writableLength < 64 * BLOCK_BYTES) response.write(`${text}\n`.padEnd(BLOCK_BYTES - 1, ".") + "\n");
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
