/**
 * The messages of one edge socket in order: taken one by one during the handshake, then handed to
 * the tunnel as they come. While nobody takes them the socket is paused, so nothing piles up.
 */
import type { WebSocket } from "ws";
import type { EdgeMessage } from "../protocol/control.ts";
import { readEdgeMessage } from "../protocol/control.ts";
import { Failure } from "./failure.ts";
import type { ControlPort } from "./handshake.ts";

export interface InboxReader {
  text(text: string): void;
  binary(bytes: Uint8Array): void;
}

export class SocketInbox implements ControlPort {
  readonly #socket: WebSocket;
  #held: (string | Uint8Array)[] = [];
  #reader: InboxReader | undefined;
  #waiting: { readonly done: (message: EdgeMessage) => void; readonly fail: (error: Error) => void } | undefined;
  #closed: number | undefined;

  /** Takes over a paused socket. */
  constructor(socket: WebSocket) {
    this.#socket = socket;
    socket.on("message", (data: Buffer, isBinary: boolean) => {
      const message = isBinary ? data : data.toString("utf8");
      if (this.#reader !== undefined) return deliver(this.#reader, message);
      this.#held.push(message);
      this.#serve();
    });
    socket.once("close", (code) => {
      this.#closed = code;
      this.#serve();
    });
  }

  /** The next control of the handshake. Rejects with Failure for anything else, and when the socket closes. */
  next(): Promise<EdgeMessage> {
    return new Promise((done, fail) => {
      this.#waiting = { done, fail };
      this.#serve();
    });
  }

  send(text: string): void {
    this.#socket.send(text);
  }

  /** From now on every message goes to `reader`, first those that wait. */
  attach(reader: InboxReader): void {
    this.#reader = reader;
    const held = this.#held;
    this.#held = [];
    for (const message of held) deliver(reader, message);
    this.#socket.resume();
  }

  #serve(): void {
    const waiting = this.#waiting;
    const message = this.#held[0];
    if (waiting === undefined) {
      this.#socket.pause();
      return;
    }
    if (message === undefined) {
      if (this.#closed === undefined) return this.#socket.resume();
      this.#waiting = undefined;
      return waiting.fail(new HandshakeClosed(this.#closed));
    }
    this.#held.shift();
    this.#waiting = undefined;
    this.#socket.pause();
    const read = typeof message === "string" ? readEdgeMessage(message) : undefined;
    if (read?.type === "message") return waiting.done(read.message);
    waiting.fail(new Failure("handshake", "the edge did not speak the handshake", read === undefined ? "frames before the welcome" : `a control that is ${read.type}`, "update the connector"));
  }
}

/** The socket closed during the handshake, with this code. */
export class HandshakeClosed extends Error {
  readonly closeCode: number;
  constructor(closeCode: number) {
    super(`closed with ${closeCode}`);
    this.name = "HandshakeClosed";
    this.closeCode = closeCode;
  }
}

function deliver(reader: InboxReader, message: string | Uint8Array): void {
  if (typeof message === "string") reader.text(message);
  else reader.binary(message);
}
