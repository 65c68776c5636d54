/**
 * Clients that read: WebSockets, event streams and downloads over real sockets, each noting the
 * stamps that reached it and how and when it ended. Not browsers.
 */
import { request as httpRequest } from "node:http";
import { WebSocket } from "ws";
import { STAMP_LINE } from "./stamping-origin.ts";

export type Kind = "websocket" | "events" | "download";

/** One connection as its client saw it; times are performance.now() of this process. */
export interface ClientSide {
  readonly name: string;
  readonly kind: Kind;
  /** The newest stamp of the app that arrived, and when. */
  lastStamp: number;
  stamps: number;
  endedAt: number | undefined;
  /** "4401" and the like for a WebSocket; "error" or "whole" for a body. */
  end: string | undefined;
  readonly abandon: () => void;
}

export type Opening = { readonly ok: true; readonly client: ClientSide } | { readonly ok: false; readonly status: number };

export interface Address {
  readonly port: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly name: string;
  /** More of the query, after the name. */
  readonly query?: string;
  /** A folder in front of the app's own paths. */
  readonly at?: string;
}

/** Longest wait for an answer's head and first stamp. */
const OPEN_TIMEOUT_MS = 20_000;

const PATHS: Readonly<Record<Exclude<Kind, "websocket">, string>> = { events: "/events", download: "/download" };

function sideOf(name: string, kind: Kind, abandon: () => void): ClientSide {
  return { name, kind, lastStamp: 0, stamps: 0, endedAt: undefined, end: undefined, abandon };
}

/**
 * Ends each socket once its Close frame is here, as a browser does after two seconds: the local
 * engine sends FIN only when the object sleeps, up to ten seconds later, and `ws` waits for it.
 */
const closing = new Map<WebSocket, ClientSide>();
const CLOSE_LOOK_MS = 5;
let looking: NodeJS.Timeout | undefined;
function actOnCloseFrame(socket: WebSocket, side: ClientSide): void {
  closing.set(socket, side);
  looking ??= setInterval(() => {
    for (const [one, its] of closing) {
      if (one.readyState < one.CLOSING) continue;
      closing.delete(one);
      its.endedAt ??= performance.now();
      one.terminate();
    }
    if (closing.size > 0) return;
    clearInterval(looking);
    looking = undefined;
  }, CLOSE_LOOK_MS);
}

function see(side: ClientSide, line: string): boolean {
  const found = STAMP_LINE.exec(line);
  if (found === null) return false;
  side.stamps++;
  side.lastStamp = Math.max(side.lastStamp, Number(found[1]));
  return true;
}

/** Opens one connection; resolves once its first stamp arrived, or with the status that refused it. */
export function open(kind: Kind, address: Address): Promise<Opening> {
  return kind === "websocket" ? openWebSocket(address) : openBody(kind, address);
}

function openWebSocket({ port, headers, name, query = "", at = "" }: Address): Promise<Opening> {
  const { host, ...rest } = headers;
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(`ws://127.0.0.1:${port}${at}/socket?name=${name}${query}`, { headers: { ...rest, host: host ?? "" }, perMessageDeflate: false, handshakeTimeout: OPEN_TIMEOUT_MS });
    const side = sideOf(name, "websocket", () => socket.terminate());
    socket.on("error", () => undefined);
    socket.on("open", () => actOnCloseFrame(socket, side));
    socket.on("unexpected-response", (request, response) => {
      resolve({ ok: false, status: response.statusCode ?? 0 });
      request.destroy();
    });
    socket.on("message", (data: Buffer) => {
      if (see(side, data.toString())) resolve({ ok: true, client: side });
    });
    socket.on("close", (code) => {
      side.endedAt ??= performance.now();
      side.end = String(code);
      closing.delete(socket);
      // Cut between the upgrade and the first message: opened all the same.
      if (code === 1006) reject(new Error(`${name}: the socket broke while opening`));
      else resolve({ ok: true, client: side });
    });
  });
}

function openBody(kind: Exclude<Kind, "websocket">, { port, headers, name }: Address): Promise<Opening> {
  return new Promise((resolve, reject) => {
    const call = httpRequest({ host: "127.0.0.1", port, path: `${PATHS[kind]}?name=${name}`, headers: { ...headers, accept: kind === "events" ? "text/event-stream" : "*/*" }, agent: false }, (answer) => {
      const side = sideOf(name, kind, () => call.destroy());
      if (answer.statusCode !== 200) {
        answer.resume();
        return resolve({ ok: false, status: answer.statusCode ?? 0 });
      }
      let rest = "";
      answer.on("data", (chunk: Buffer) => {
        const lines = (rest + chunk.toString("latin1")).split("\n");
        rest = lines.pop() ?? "";
        for (const line of lines) if (see(side, line)) resolve({ ok: true, client: side });
      });
      answer.on("error", () => undefined);
      answer.on("close", () => {
        side.endedAt = performance.now();
        side.end = answer.complete ? "whole" : "error";
        resolve({ ok: true, client: side });
      });
    });
    call.setTimeout(OPEN_TIMEOUT_MS, () => call.destroy(new Error(`${name}: silent for too long`)));
    call.on("error", (cause) => reject(cause));
    call.end();
  });
}
