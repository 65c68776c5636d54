/**
 * A mux's way out, at the connector and at the agent: what one turn wrote leaves in as few messages
 * as it fits in, and writers wait while the socket holds more than it should. Not what comes in.
 */
import type { Mux } from "../protocol/mux.ts";
import { PassingBytes } from "./fewer-collections.ts";
import type { MessageMemory } from "./message-memory.ts";
import type { TunnelStream } from "./tunnel-stream.ts";

/** Bytes waiting in the socket above which streams are paused, and at half of which they go on (promise 6). */
const CONGESTED_BYTES = 4 * 1024 * 1024;

/** So much came in since something left: what is due to the other end, who may wait for its credit, leaves at once. The system hands over many messages in one turn. */
const EAGER_BYTES = 128 * 1024;

/** What of a WebSocket is needed. */
interface Socket {
  readonly bufferedAmount: number;
  send(message: Uint8Array, how: { readonly binary: boolean; readonly compress: boolean }, sent?: (error?: Error | null) => void): void;
}

export class MuxOutlet {
  readonly #socket: Socket;
  readonly #mux: Mux;
  readonly #memory: MessageMemory;
  readonly #passing = new PassingBytes();
  readonly #congested = new Set<TunnelStream>();
  #flushing = false;
  #hurrying = false;
  #came = 0;

  /** `memory`: the mux's own. */
  constructor(socket: Socket, mux: Mux, memory: MessageMemory) {
    this.#socket = socket;
    this.#mux = mux;
    this.#memory = memory;
  }

  /** The mux has output: what fills a message leaves now, so that the other end works on it meanwhile, the rest when this turn of the event loop is over. */
  touched(): void {
    this.#send(this.#mux.takeOutput("full"));
    if (this.#came >= EAGER_BYTES && !this.#hurrying) {
      this.#hurrying = true;
      process.nextTick(() => {
        this.#hurrying = false;
        this.flush();
      });
    }
    if (this.#flushing) return;
    this.#flushing = true;
    setImmediate(() => {
      this.#flushing = false;
      this.flush();
    });
  }

  flush(): void {
    this.#send(this.#mux.takeOutput());
  }

  #send(messages: readonly Uint8Array[]): void {
    const last = messages.length - 1;
    if (last >= 0) this.#came = 0;
    for (const [index, message] of messages.entries()) {
      this.#passing.add(message.length);
      this.#socket.send(message, { binary: true, compress: false }, index === last ? (error) => this.#onSent(messages, error) : undefined);
    }
  }

  /** A message came in on the socket, whose bytes go on. */
  came(bytes: number): void {
    this.#came += bytes;
    this.#passing.add(bytes);
  }

  /** Whether this stream must wait; if so, it is told when it may go on. */
  isCongested(stream: TunnelStream): boolean {
    if (this.#socket.bufferedAmount < CONGESTED_BYTES) return false;
    this.#congested.add(stream);
    return true;
  }

  forget(stream: TunnelStream): void {
    this.#congested.delete(stream);
  }

  /** The socket is over: nobody is told anything more. */
  clear(): void {
    this.#congested.clear();
  }

  #onSent(messages: readonly Uint8Array[], error: Error | null | undefined): void {
    if (error === null || error === undefined) this.#memory.giveBack(messages);
    if (this.#congested.size === 0 || this.#socket.bufferedAmount > CONGESTED_BYTES / 2) return;
    const waiting = [...this.#congested];
    this.#congested.clear();
    for (const stream of waiting) stream.onWritable();
  }
}
