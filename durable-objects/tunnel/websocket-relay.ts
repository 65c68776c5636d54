/**
 * One relayed WebSocket: messages keep their boundaries, credit runs on the stream, and a
 * browser, which speaks no credit, is bounded or closed with a code (M12). Its state lives in
 * its socket's attachment, so that a quiet one lets the lane sleep (M3).
 */
import { CLOSE_CODES, type CloseName, closeReason, sendableCloseCode } from "../../protocol/close-codes.ts";
import { MAX_WEBSOCKET_MESSAGE_BYTES, MESSAGE_WEIGHT_BYTES, WINDOW_BYTES } from "../../protocol/limits.ts";
import { encodeWebSocketMessage, WebSocketMessageReader } from "../../protocol/websocket-messages.ts";
import { within } from "../within.ts";
import type { ClientAttachment } from "./attachments.ts";
import type { ConnectorLink } from "./connector-link.ts";
import type { Lane } from "./http-relay.ts";
import type { CutReason, LiveStream } from "./live-stream.ts";
import type { StreamSink } from "./stream-sink.ts";

/** What may wait for a stalled app: one whole message and a window; then 1013 (M12). */
const MAX_WAITING_BYTES = MAX_WEBSOCKET_MESSAGE_BYTES + WINDOW_BYTES;
/**
 * The runtime queues without a bound and does not tell what a browser has taken. A browser that says
 * nothing is sent this much, then nothing more for UNHEARD_MS, then it is closed with 1013 (M12).
 */
const MAX_UNHEARD_BYTES = 4 * 1024 * 1024;
const UNHEARD_MS = 30_000;

const CLOSE_FOR: Readonly<Record<CutReason, CloseName>> = {
  revoked: "signed_out",
  expired: "signed_out",
  policy: "not_allowed",
  step_up: "not_allowed",
  limit: "not_allowed",
  link: "upstream_lost",
};

export class WebSocketRelay implements StreamSink {
  readonly #lane: Lane;
  readonly #link: ConnectorLink;
  readonly #number: number;
  readonly #stream: LiveStream;
  readonly #socket: WebSocket;
  readonly #reader = new WebSocketMessageReader();
  readonly #up: Uint8Array[] = [];
  #upBytes = 0;
  readonly #down: Uint8Array[] = [];
  #sending = false;
  #delivering = false;
  /** Weight of what was sent since the browser last said something. */
  unheard = 0;
  #heard: ((spoke: true) => void) | undefined;
  #ended = false;
  #closing = false;
  #over = false;
  #pin: ReturnType<typeof setTimeout> | undefined;
  #wakeUp: (() => void) | undefined;

  constructor(lane: Lane, link: ConnectorLink, number: number, stream: LiveStream, socket: WebSocket) {
    this.#lane = lane;
    this.#link = link;
    this.#number = number;
    this.#stream = stream;
    this.#socket = socket;
  }

  /** A message of the browser. */
  fromClient(message: string | ArrayBuffer): void {
    if (this.#over || this.#closing) return;
    this.unheard = 0;
    this.#heard?.(true);
    const encoded = encodeWebSocketMessage(
      typeof message === "string" ? { type: "text", text: message } : { type: "binary", bytes: new Uint8Array(message) },
    );
    if (encoded.length > MAX_WEBSOCKET_MESSAGE_BYTES + 5) return this.#close("message_too_large");
    if (this.#upBytes + encoded.length > MAX_WAITING_BYTES) return this.#close("overloaded");
    this.#queueUp(encoded);
  }

  clientClosed(code: number, reason: string): void {
    if (this.#over) return;
    // The runtime does not answer a close of a hibernatable socket; without this the browser waits 10 s.
    this.#closeSocket(sendableCloseCode(code), reason);
    this.#closing = true;
    this.#hurry();
    this.#queueUp(encodeWebSocketMessage({ type: "close", code, reason }));
  }

  clientFailed(): void {
    this.#end("broken");
  }

  data(bytes: Uint8Array): void {
    this.#down.push(bytes);
    if (!this.#delivering) void this.#deliver();
  }

  end(): void {
    this.#ended = true;
    // What came before it is delivered first: a close message there says how the app ended.
    if (!this.#delivering && this.#down.length === 0) this.#close("upstream_lost");
  }

  reset(forced = false): void {
    this.#close(forced ? "overloaded" : "upstream_lost");
  }

  writable(): void {
    this.#hurry();
    this.#wakeUp?.();
    if (!this.#sending && this.#up.length > 0) void this.#send();
  }

  cut(why: CutReason): number {
    const waiting = this.#socket.bufferedAmount ?? 0;
    const code = CLOSE_CODES[CLOSE_FOR[why]];
    this.#closeSocket(code.code, code.meaning);
    this.#end(why);
    return waiting;
  }

  /** What a browser left behind does not wait for an app that takes nothing. */
  #hurry(): void {
    if (this.#closing && !this.#over) this.#lane.deadlines.set(this, UNHEARD_MS, () => this.#end("broken"));
  }

  #queueUp(bytes: Uint8Array): void {
    this.#up.push(bytes);
    this.#weighUp(bytes.length);
    if (!this.#over && !this.#sending) void this.#send();
  }

  #weighUp(bytes: number): void {
    this.#upBytes += bytes;
    this.#lane.waitingUp.set(this, this.#upBytes);
  }

  /** There is no more room on this lane, and most of what waits is here. */
  overflow(): void {
    this.#close("overloaded");
  }

  async #send(): Promise<void> {
    this.#sending = true;
    this.#keepAwake();
    for (let next = this.#up[0]; next !== undefined && !this.#over; next = this.#up[0]) {
      if (!(await this.#mayPass())) break;
      const taken = this.#link.write(this.#number, next);
      this.#link.flush();
      this.#weighUp(-taken);
      this.#stream.bytesIn += taken;
      this.#lane.noteUserByte(this.#stream, Date.now());
      if (taken === next.length) this.#up.shift();
      else {
        this.#up[0] = next.subarray(taken);
        await new Promise<void>((resolve) => {
          this.#wakeUp = resolve;
        });
      }
    }
    this.#sending = false;
    if (this.#closing && this.#up.length === 0) this.#end("done");
    this.#save();
  }

  async #deliver(): Promise<void> {
    this.#delivering = true;
    this.#keepAwake();
    for (let next = this.#down.shift(); next !== undefined && !this.#over; next = this.#down.shift()) {
      if (!(await this.#mayPass())) break;
      this.unheard += next.length;
      for (const read of this.#reader.feed(next)) {
        this.unheard += MESSAGE_WEIGHT_BYTES;
        if (read.type === "text") this.#socket.send(read.text);
        else if (read.type === "binary") this.#socket.send(read.bytes);
        else if (read.type === "close") {
          this.#closeSocket(read.code, read.reason);
          this.#end("done");
        } else if (read.type === "error") {
          this.#closeSocket(read.code, read.reason);
          this.#end("broken");
        }
      }
      this.#stream.bytesOut += next.length;
      await this.#browserSpeaks();
      this.#link.mux.consumed(this.#number, next.length);
      this.#link.flush();
    }
    this.#delivering = false;
    if (this.#ended) this.#close("upstream_lost");
    this.#save();
  }

  /** Credit goes back to the app only while a browser may be sent more (M12). */
  async #browserSpeaks(): Promise<void> {
    if (this.#over || this.unheard < MAX_UNHEARD_BYTES) return;
    const spoke = new Promise<true>((resolve) => {
      this.#heard = resolve;
    });
    if ((await within(UNHEARD_MS, spoke)) === undefined) this.#close("overloaded");
  }

  async #mayPass(): Promise<boolean> {
    while (!this.#over && !this.#lane.passes(this.#stream, Date.now())) {
      this.#stream.held = true;
      const allowed = await this.#lane.renew(this.#stream);
      this.#stream.held = false;
      if (!allowed) return false;
    }
    return !this.#over;
  }

  #close(name: CloseName): void {
    if (this.#over) return;
    const { code, meaning } = CLOSE_CODES[name];
    this.#closeSocket(code, meaning);
    this.#end("broken");
  }

  #closeSocket(code: number, reason: string): void {
    try {
      this.#socket.close(sendableCloseCode(code), closeReason(reason));
    } catch {
      // Already closed.
    }
  }

  #end(how: "done" | "broken" | CutReason): void {
    if (this.#over) return;
    this.#over = true;
    clearTimeout(this.#pin);
    this.#lane.deadlines.clear(this);
    this.#up.length = 0;
    this.#down.length = 0;
    this.#weighUp(-this.#upBytes);
    if (how === "done") {
      this.#link.mux.end(this.#number);
      this.#link.release(this.#number);
      this.#link.flush();
    } else this.#link.resetStream(this.#number);
    this.#wakeUp?.();
    this.#heard?.(true);
    this.#lane.finished(this.#stream, how, this.#socket);
  }

  /** While a message is half here, or bytes wait, the lane may not hibernate: a timer holds it. */
  #keepAwake(): void {
    if (this.#pin !== undefined) return;
    this.#pin = setTimeout(() => {
      this.#pin = undefined;
      if (!this.#over && this.#busy) this.#keepAwake();
    }, 5_000);
  }

  get #busy(): boolean {
    return this.#sending || this.#delivering || !this.#reader.isBetweenMessages || this.#upBytes > 0;
  }

  #save(): void {
    if (this.#over || this.#busy) return;
    clearTimeout(this.#pin);
    this.#pin = undefined;
    this.save();
  }

  /** Writes what a wake needs; also called when the stream is opened and when it was decided again. */
  save(): void {
    const window = this.#link.mux.snapshot(this.#number);
    if (this.#over || window === undefined) return;
    const { id, sid, ask, connection, issuer, openedAt, redecideAt, limits, policyVersion, bytesIn, bytesOut, bytesTold, link, number } = this.#stream;
    const attachment: ClientAttachment = {
      v: 1,
      role: "client",
      link,
      number,
      id,
      ...(sid === undefined ? {} : { sid }),
      ask,
      connection,
      issuer,
      openedAt,
      redecideAt,
      limits,
      policyVersion,
      bytesIn,
      bytesOut,
      bytesTold,
      window,
      unheard: this.unheard,
    };
    this.#socket.serializeAttachment(attachment);
  }
}
