/**
 * One HTTP request to an origin and its answer: own framing, raw headers both ways, bodies moved
 * under credit both ways. A transfer that breaks is reported as broken, never as a clean end.
 * Not for upgrades (websocket-origin.ts), and it decides nothing about who may ask.
 */
import { request as sendRequest } from "node:http";
import type { Agent, ClientRequest, ClientRequestArgs, IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import { DialError, breakOff } from "./dial.ts";
import { errorCode } from "./failure.ts";
import { endToEnd, toPairs, valuesOf } from "./hop-by-hop.ts";
import type { HeaderPairs } from "./hop-by-hop.ts";
import { isReset, readOn, wroteInVain } from "./read-on.ts";
import { SocketReads } from "./socket-reads.ts";

export type RequestBody = { readonly kind: "none" } | { readonly kind: "known"; readonly bytes: number } | { readonly kind: "unknown" };

interface OriginRequest {
  readonly method: string;
  /** Origin-form target with query, sent as it is. */
  readonly path: string;
  readonly headers: HeaderPairs;
  readonly body: RequestBody;
}

interface OriginTimeouts {
  /** Without a byte of the answer's head. */
  readonly firstByteMs: number;
  /** Without a byte in either direction once the head is there; undefined: none. */
  readonly idleMs: number | undefined;
}

export type ExchangeFailure =
  | { readonly kind: "dial"; readonly error: DialError }
  | { readonly kind: "first_byte_timeout" | "idle_timeout" | "closed_early" | "bad_response" | "bad_request" };

interface ExchangeEvents {
  /** The final head (never 1xx); at most once. */
  head(status: number, reason: string, headers: [string, string][]): void;
  /** Body bytes, to be held at once (`hold`) if they are lent; false: pause until `resume`. */
  body(bytes: Uint8Array): boolean;
  /** The whole answer arrived. */
  end(): void;
  /** It will not; before or after the head. Exactly one of `end` and `failed` comes. */
  failed(failure: ExchangeFailure): void;
}

interface Pool {
  readonly agent: Agent;
  readonly dial: () => Promise<Socket>;
  readonly timeouts: OriginTimeouts;
}

/** Response heads above this are refused by the parser; heads on the wire are capped at 128 KiB. */
const MAX_HEAD_BYTES = 144 * 1024;
/** How long an upload waits for "100 Continue" before it is sent anyway (RFC 9110 §10.1.1). */
const CONTINUE_WAIT_MS = 1_000;
/** What must be left of an answer before its socket is given up for it. */
const MIN_DIVERTED_BYTES = 1024 * 1024;
/** Methods that may be sent twice when a kept-alive socket turns out to be dead (RFC 9110 §9.2.2). */
const RETRIED: ReadonlySet<string> = new Set(["GET", "HEAD"]);

export class HttpExchange {
  readonly #asked: OriginRequest;
  readonly #pool: Pool;
  readonly #events: ExchangeEvents;
  #request: ClientRequest | undefined;
  #response: IncomingMessage | undefined;
  #timer: NodeJS.Timeout | undefined;
  #armed: "first_byte_timeout" | "idle_timeout" | undefined;
  #reads: SocketReads | undefined;
  #downloaded = 0;
  #diverted = false;
  /** Upload bytes held back until 100 Continue, an answer, or the wait is over; at most the stream's window. */
  #waiting: { readonly bytes: Uint8Array; readonly done: () => void }[] | undefined;
  #uploadEnded = false;
  #uploaded = 0;
  #retried = false;
  #done = false;

  constructor(asked: OriginRequest, pool: Pool, events: ExchangeEvents) {
    this.#asked = asked;
    this.#pool = pool;
    this.#events = events;
  }

  /** Sends the request. Everything else is reported through the events. */
  start(): void {
    const expects = this.#asked.body.kind !== "none" && valuesOf(this.#asked.headers, "expect").some((value) => value.toLowerCase() === "100-continue");
    if (expects) {
      this.#waiting = [];
      setTimeout(() => this.#release(), CONTINUE_WAIT_MS).unref();
    }
    this.#send(framed(this.#asked, expects), { agent: this.#pool.agent });
  }

  /** Body bytes of the request; `done` once they are handed to the origin's socket or dropped. */
  upload(bytes: Uint8Array, done: () => void): void {
    this.#uploaded += bytes.length;
    const { body } = this.#asked;
    if (this.#done) return done();
    if (body.kind === "none" || (body.kind === "known" && this.#uploaded > body.bytes)) return this.#fail({ kind: "bad_request" });
    if (this.#waiting !== undefined) this.#waiting.push({ bytes, done });
    else this.#forward(bytes, done);
  }

  /** The request's body is complete. A body shorter than announced breaks the exchange. */
  uploadEnd(): void {
    if (this.#done || this.#uploadEnded) return;
    if (this.#asked.body.kind === "known" && this.#uploaded !== this.#asked.body.bytes) return this.#fail({ kind: "bad_request" });
    this.#uploadEnded = true;
    if (this.#waiting === undefined && this.#asked.body.kind !== "none") this.#request?.end();
  }

  /** The reader has room again. */
  resume(): void {
    // A diverted body stops and starts with the memory it is lent in.
    if (!this.#diverted) this.#response?.resume();
  }

  /**
   * From now on the answer's body comes past the parser, in lent memory, if its length is known,
   * enough is left to be worth the socket, which serves no other request then, and the socket can.
   */
  divert(): void {
    const response = this.#response;
    const reads = SocketReads.of(response?.socket);
    const length = response?.headers["content-length"];
    if (response === undefined || reads === undefined || length === undefined || response.headers["transfer-encoding"] !== undefined) return;
    const { socket } = response;
    const left = Number(length) - this.#downloaded - response.readableLength - socket.readableLength;
    if (this.#done || this.#diverted || !(left >= MIN_DIVERTED_BYTES)) return;
    this.#reads = reads;
    this.#diverted = true;
    // What was read already comes first, by the parser.
    while (socket.readableLength > 0 && socket.read() !== null);
    while (response.read() !== null);
    const take = (bytes: Buffer): void => {
      this.#beat();
      if (!this.#done) this.#events.body(bytes);
    };
    reads.divert(left, take, (overrun) => {
      if (overrun) return this.#fail({ kind: "bad_response" });
      this.#complete();
      this.#request?.destroy();
    });
  }

  /** Keeps the body bytes that `body` was just given until the answer is called; undefined: they are not lent. */
  hold(): (() => void) | undefined {
    return this.#reads?.hold();
  }

  /** Destroys the origin's socket at once; no event follows. */
  destroy(): void {
    this.#done = true;
    clearTimeout(this.#timer);
    breakOff(this.#request?.socket);
    this.#request?.destroy();
    this.#response?.destroy();
  }

  #send(headers: string[], how: Pick<ClientRequestArgs, "agent" | "createConnection">): void {
    const { method, path, body } = this.#asked;
    let request: ClientRequest;
    try {
      request = sendRequest({ method, path, headers, setHost: false, maxHeaderSize: MAX_HEAD_BYTES, insecureHTTPParser: false, ...how });
    } catch {
      // node:http refuses CR, LF, NUL and spaces where they would smuggle (class J).
      return this.#fail({ kind: "bad_request" });
    }
    this.#request = request;
    this.#arm(this.#pool.timeouts.firstByteMs, "first_byte_timeout");
    request.on("socket", readOn);
    request.on("continue", () => this.#release());
    request.on("response", (response) => this.#onResponse(response));
    // A 101 that was not asked for is no answer (RFC 9110 §15.2.2).
    request.on("upgrade", () => this.#fail({ kind: "bad_response" }));
    request.on("error", (error) => this.#onError(request, error));
    request.on("close", () => {
      if (this.#response === undefined && request === this.#request) this.#fail({ kind: "closed_early" });
    });
    if (body.kind === "none") request.end();
  }

  #onResponse(response: IncomingMessage): void {
    if (this.#done) return response.destroy() as unknown as void;
    this.#response = response;
    this.#release();
    this.#beat();
    this.#events.head(response.statusCode ?? 0, response.statusMessage ?? "", endToEnd(toPairs(response.rawHeaders)));
    response.on("data", (bytes: Uint8Array) => {
      this.#beat();
      this.#downloaded += bytes.length;
      if (!this.#done && !this.#events.body(bytes)) response.pause();
    });
    response.on("end", () => {
      const inVain = wroteInVain(this.#request?.socket);
      if (!response.complete || (inVain && endsWithConnection(this.#asked.method, response))) this.#fail({ kind: "closed_early" });
      else this.#complete(inVain);
    });
    response.on("error", () => this.#fail({ kind: "closed_early" }));
    response.on("close", () => this.#fail({ kind: "closed_early" }));
  }

  /** The whole answer is here. */
  #complete(inVain = false): void {
    if (this.#done) return;
    this.#done = true;
    clearTimeout(this.#timer);
    // An answer before the end of the upload: what is still to come is dropped with the socket.
    if (inVain || (!this.#uploadEnded && this.#asked.body.kind !== "none")) this.#request?.destroy();
    this.#dropWaiting();
    this.#events.end();
  }

  #onError(request: ClientRequest, error: Error): void {
    // A connection that breaks after the whole answer takes nothing away from it.
    if (this.#done || request !== this.#request || this.#response?.complete === true) return;
    const code = errorCode(error);
    if (isReset(error) && request.reusedSocket && !this.#retried && this.#response === undefined && this.#asked.body.kind === "none" && RETRIED.has(this.#asked.method)) {
      this.#retried = true;
      this.#send(framed(this.#asked, false), {
        createConnection: (_options, ready) => {
          this.#pool.dial().then((socket) => ready(null, socket), (failure: Error) => ready(failure, undefined as never));
          return undefined;
        },
      });
      return;
    }
    if (error instanceof DialError) this.#fail({ kind: "dial", error });
    else this.#fail({ kind: code?.startsWith("HPE_") === true ? "bad_response" : "closed_early" });
  }

  #forward(bytes: Uint8Array, done: () => void): void {
    this.#beat();
    this.#request?.write(bytes, () => {
      this.#beat();
      done();
    });
  }

  /** Lets a held upload go. */
  #release(): void {
    const waiting = this.#waiting;
    if (waiting === undefined || this.#done) return;
    this.#waiting = undefined;
    for (const { bytes, done } of waiting) this.#forward(bytes, done);
    if (this.#uploadEnded) this.#request?.end();
  }

  #dropWaiting(): void {
    for (const { done } of this.#waiting ?? []) done();
    this.#waiting = undefined;
  }

  #fail(failure: ExchangeFailure): void {
    if (this.#done) return;
    this.destroy();
    this.#dropWaiting();
    this.#events.failed(failure);
  }

  /** A byte moved: the deadline that is running starts anew. */
  #beat(): void {
    if (this.#response === undefined) this.#arm(this.#pool.timeouts.firstByteMs, "first_byte_timeout");
    else this.#arm(this.#pool.timeouts.idleMs, "idle_timeout");
  }

  #arm(ms: number | undefined, kind: "first_byte_timeout" | "idle_timeout"): void {
    if (ms !== undefined && kind === this.#armed && !this.#done) return void this.#timer?.refresh();
    clearTimeout(this.#timer);
    this.#armed = kind;
    if (ms !== undefined && !this.#done) this.#timer = setTimeout(() => this.#fail({ kind }), ms);
  }
}

/** Nothing but the end of its connection says where this answer ends (RFC 9112 §6.3). */
function endsWithConnection(method: string, { statusCode, headers }: IncomingMessage): boolean {
  const bodiless = method === "HEAD" || statusCode === 204 || statusCode === 304;
  return !bodiless && headers["content-length"] === undefined && headers["transfer-encoding"] === undefined;
}

const REFRAMED: ReadonlySet<string> = new Set(["content-length", "expect"]);

/** The request's headers as node:http takes them: end-to-end ones, and one framing of our own (class J). */
function framed(asked: OriginRequest, expects: boolean): string[] {
  const headers = endToEnd(asked.headers, REFRAMED);
  if (expects) headers.push(["Expect", "100-continue"]);
  if (asked.body.kind === "known") headers.push(["Content-Length", String(asked.body.bytes)]);
  else if (asked.body.kind === "unknown") headers.push(["Transfer-Encoding", "chunked"]);
  return headers.flat();
}
