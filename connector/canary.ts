/**
 * `--canary HOST:PORT`: an app of the connector's own for `postern drill`. It writes stamped lines on
 * every connection, in every protocol, and notes the newest line that each client wrote. It holds
 * nothing of anybody, listens on loopback only, and bounds what a connection and all of them may cost.
 */
import { randomBytes } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { Duplex } from "node:stream";
import { WebSocketServer } from "ws";
import { Turns } from "../core/turns.ts";
import { CANARY_NAME, CANARY_PATHS, type CanaryAnswer, type CanaryHeard, canaryMark, LINES_UPGRADE } from "../protocol/canary.ts";
import { StampedLines, stampedLine } from "../protocol/stamped-lines.ts";
import type { Endpoint } from "./allow-list.ts";
import type { Log } from "./log.ts";

/** Connections at once; one more is refused. Bounds sockets and what is written in a second. */
const MAX_CONNECTIONS_COUNT = 256;
/** Longest life of one: what somebody forgot does not go on for ever. */
const MAX_LIFE_MS = 120_000;
/** Lines on all connections together, each in its turn: a drill must not be a load. */
const LINES_PER_S = 500;
const TICK_MS = 10;
/** A reader that stalls is left out: bounds memory. */
const MAX_QUEUED_BYTES = 64 * 1024;
/** A message of a client is one line. Bounds memory. */
const MAX_MESSAGE_BYTES = 4 * 1024;
/** Connections that are over and can still be asked about; the oldest is forgotten first. */
const MAX_KEPT_COUNT = 1_024;
/** A head that does not come. */
const HEAD_MS = 5_000;
/** Announced length of the response: never reached. */
const RESPONSE_BYTES = 1_073_741_824;
/** Another process may have the port for now, such as the connector that this one replaces. */
const AGAIN_MS = 5_000;

interface Side {
  readonly name: string;
  readonly write: (line: string) => void;
  readonly lines: StampedLines;
  isOpen: boolean;
  heardAt: number | null;
}

export class Canary {
  readonly #endpoint: Endpoint;
  readonly #log: Log;
  readonly #id = randomBytes(4).toString("hex");
  readonly #sides = new Map<string, Side>();
  readonly #speaking = new Turns<Side>(LINES_PER_S, performance.now());
  readonly #ends = new Set<() => void>();
  readonly #server: Server;
  readonly #sockets = new WebSocketServer({ noServer: true, perMessageDeflate: false, maxPayload: MAX_MESSAGE_BYTES });
  #pulse: NodeJS.Timeout | undefined;
  #again: NodeJS.Timeout | undefined;
  #isStopped = false;
  readonly #waits: { readonly lifeMs: number; readonly againMs: number };

  constructor(endpoint: Endpoint, log: Log, waits = { lifeMs: MAX_LIFE_MS, againMs: AGAIN_MS }) {
    this.#endpoint = endpoint;
    this.#log = log;
    this.#waits = waits;
    this.#server = createServer({ headersTimeout: HEAD_MS, requestTimeout: HEAD_MS, keepAliveTimeout: HEAD_MS }, (request, response) => this.#answer(request, response));
    this.#server.maxConnections = MAX_CONNECTIONS_COUNT;
    this.#server.on("upgrade", (request, socket, head) => this.#upgrade(request, socket, head));
  }

  /** Listens as soon as the port is free, and says in the log whether it does: apps are not held up by it. */
  start(): void {
    const { host, port } = this.#endpoint;
    let told = false;
    this.#server.on("error", (error: NodeJS.ErrnoException) => {
      if (!told) this.#log.error("canary_unusable", { host, port, code: error.code });
      told = true;
      this.#again = setTimeout(listen, this.#waits.againMs).unref();
    });
    this.#server.on("listening", () => this.#log.info("canary", { host, port }));
    const listen = (): void => {
      if (!this.#isStopped) this.#server.listen(port, host).unref();
    };
    listen();
  }

  stop(): void {
    this.#isStopped = true;
    clearTimeout(this.#again);
    clearInterval(this.#pulse);
    for (const end of this.#ends) end();
    this.#server.close();
    this.#server.closeAllConnections();
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const { pathname, searchParams } = urlOf(request);
    const name = searchParams.get("name") ?? "";
    const answer = (status: number, body: unknown): void => void response.writeHead(status, { "content-type": "application/json", "cache-control": "no-store" }).end(`${JSON.stringify(body)}\n`);
    request.resume();
    if (request.method !== "GET") return answer(405, { error: "GET" });
    if (pathname === CANARY_PATHS.heard) return answer(200, this.#heard(searchParams.get("run") ?? ""));
    const isEvents = pathname === CANARY_PATHS.events;
    if (!isEvents && pathname !== CANARY_PATHS.response) return answer(404, { error: "a canary; see postern drill" });
    if (!this.#isNew(name)) return answer(400, { error: "?name=RUN.CONNECTION, once" });
    response.writeHead(200, { ...(isEvents ? { "content-type": "text/event-stream" } : { "content-type": "application/octet-stream", "content-length": RESPONSE_BYTES }), "cache-control": "no-store" });
    const over = this.#begin(name, (line) => {
      if (response.writableLength < MAX_QUEUED_BYTES) response.write(isEvents ? `data: ${line}\n` : line, "latin1");
    }, () => response.destroy());
    response.on("error", () => response.destroy());
    response.on("close", over);
  }

  #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const { pathname, searchParams } = urlOf(request);
    const name = searchParams.get("name") ?? "";
    const kind = request.headers.upgrade?.toLowerCase();
    socket.on("error", () => socket.destroy());
    if (!this.#isNew(name)) return refuse(socket);
    if (kind === "websocket" && pathname === CANARY_PATHS.socket) return this.#webSocket(request, socket, head, name);
    if (kind !== LINES_UPGRADE || pathname !== CANARY_PATHS.lines) return refuse(socket);
    socket.write(`HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: ${LINES_UPGRADE}\r\n\r\n`);
    const over = this.#begin(name, (line) => {
      if (socket.writable && socket.writableLength < MAX_QUEUED_BYTES) socket.write(line, "latin1");
    }, () => socket.destroy());
    const hear = (chunk: Buffer): void => this.#sides.get(name)?.lines.feed(chunk.toString("latin1"));
    hear(head);
    socket.on("data", hear);
    socket.on("end", () => socket.destroy());
    socket.on("close", over);
  }

  #webSocket(request: IncomingMessage, socket: Duplex, head: Buffer, name: string): void {
    this.#sockets.handleUpgrade(request, socket, head, (peer) => {
      const over = this.#begin(name, (line) => {
        if (peer.readyState === peer.OPEN && peer.bufferedAmount < MAX_QUEUED_BYTES) peer.send(line);
      }, () => peer.terminate());
      peer.on("message", (data: Buffer) => this.#sides.get(name)?.lines.feed(data.toString("latin1")));
      peer.on("error", () => peer.terminate());
      peer.on("close", over);
    });
  }

  /** One name, one connection: what is told of it is of nobody else. */
  #isNew(name: string): boolean {
    return CANARY_NAME.test(name) && !this.#sides.has(name);
  }

  /** Writes on it from now on, and ends it in time; call the answer once it is over. */
  #begin(name: string, write: Side["write"], end: () => void): () => void {
    for (const [oldest, { isOpen }] of this.#sides) {
      if (this.#sides.size < MAX_KEPT_COUNT) break;
      if (!isOpen) this.#sides.delete(oldest);
    }
    const side: Side = { name, write, isOpen: true, heardAt: null, lines: new StampedLines(({ at }) => (side.heardAt = Math.max(side.heardAt ?? 0, at))) };
    const life = setTimeout(end, this.#waits.lifeMs).unref();
    this.#sides.set(name, side);
    this.#ends.add(end);
    const leave = this.#speaking.join(side);
    this.#pulse ??= setInterval(() => this.#speak(), TICK_MS).unref();
    return () => {
      clearTimeout(life);
      side.isOpen = false;
      this.#ends.delete(end);
      leave();
      if (this.#speaking.size > 0) return;
      clearInterval(this.#pulse);
      this.#pulse = undefined;
    };
  }

  #speak(): void {
    for (const { write, heardAt } of this.#speaking.due(performance.now())) write(stampedLine(performance.now(), canaryMark(this.#id, heardAt !== null)));
  }

  #heard(run: string): CanaryAnswer {
    const connections = [...this.#sides.values()].filter(({ name }) => name.startsWith(`${run}.`)).map(({ name, isOpen, heardAt }): CanaryHeard => ({ name, open: isOpen, heard_at: heardAt }));
    return { canary: this.#id, connections };
  }
}

const urlOf = ({ url }: IncomingMessage): URL => URL.parse(url ?? "/", "http://canary") ?? new URL("http://canary/");
const refuse = (socket: Duplex): void => void socket.end("HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
