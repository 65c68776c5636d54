/**
 * One keep-alive connection that asks for small answers of a known size and does as little as it
 * can: no header is parsed but the status, no byte is kept. For generators only.
 */
import { connect, type Socket } from "node:net";
import { SMALL_BODY_BYTES } from "./requests.ts";

const END_OF_HEAD = Buffer.from("\r\n\r\n");
const RECEIVE_BYTES = 16 * 1024;
/** The start of `HTTP/1.1 200`. */
const STATUS_AT = 9;

export interface Asking {
  /** The answer to what was asked last is whole. */
  answered(connection: SmallConnection, ok: boolean): void;
  /** The connection broke; `asked`: an answer was awaited. */
  broke(connection: SmallConnection, asked: boolean): void;
}

export class SmallConnection {
  readonly #socket: Socket;
  readonly #asking: Asking;
  #ok = false;
  #headBytes = 0;
  #received = 0;
  #kept = "";
  #asked = false;
  /** When the last request was written, by performance.now(). */
  sentAt = 0;

  constructor({ port, address }: { readonly port: number; readonly address: string }, asking: Asking) {
    this.#asking = asking;
    const buffer = Buffer.allocUnsafe(RECEIVE_BYTES);
    this.#socket = connect({
      port,
      host: address,
      onread: {
        buffer,
        callback: (bytes) => {
          this.#take(buffer, bytes);
          return true;
        },
      },
    });
    this.#socket.setNoDelay(true);
    const over = (): void => {
      const asked = this.#asked;
      this.#asked = false;
      this.#socket.destroy();
      asking.broke(this, asked);
    };
    this.#socket.once("close", over);
    this.#socket.on("error", () => undefined);
  }

  ask(request: string): void {
    this.#headBytes = 0;
    this.#received = 0;
    this.#kept = "";
    this.#asked = true;
    this.sentAt = performance.now();
    this.#socket.write(request, "latin1");
  }

  close(): void {
    this.#socket.removeAllListeners("close");
    this.#socket.destroy();
  }

  #take(buffer: Buffer, bytes: number): void {
    if (this.#headBytes === 0) {
      const end = this.#kept === "" ? buffer.subarray(0, bytes).indexOf(END_OF_HEAD) : -1;
      if (end >= 0) {
        this.#headBytes = end + END_OF_HEAD.length;
        this.#ok = buffer[STATUS_AT] === 0x32;
      } else if (!this.#slowHead(buffer, bytes)) {
        this.#received += bytes;
        return;
      }
    }
    this.#received += bytes;
    // A refusal's body has another size: it counts as wrong and is over with this read.
    if (this.#received < this.#headBytes + SMALL_BODY_BYTES && this.#ok) return;
    this.#asked = false;
    this.#asking.answered(this, this.#ok);
  }

  /** A head in several reads, or an odd one. */
  #slowHead(buffer: Buffer, bytes: number): boolean {
    this.#kept += buffer.toString("latin1", 0, bytes);
    const end = this.#kept.indexOf("\r\n\r\n");
    if (end < 0) return false;
    this.#headBytes = end + END_OF_HEAD.length;
    this.#ok = this.#kept[STATUS_AT] === "2";
    return true;
  }
}
