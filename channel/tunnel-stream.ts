/**
 * One stream of a mux as its handler sees it, at the connector and at the agent: ordered writes with back-pressure,
 * explicit consumption, and exactly one end. Not the mux: credit and limits are protocol/mux.ts.
 */
import type { Ticket } from "../protocol/bulk.ts";
import type { Mux } from "../protocol/mux.ts";

/** What a handler is told. After `gone` nothing more comes and nothing more may be sent. */
export interface StreamHandler {
  /** Bytes from the peer; each must be given back by `consumed` once handed over or dropped. */
  data(bytes: Uint8Array): void;
  /** The other end sends no more. */
  end(): void;
  /** The stream was reset or cut: whatever it was carried on to is destroyed before this returns (M2). */
  gone(): void;
  /** All that was written has been taken; more may be written. */
  drained(): void;
  /** What is left of a body may leave the mux with this. Handlers without it let it lie. */
  ticket?(ticket: Ticket): void;
}

/** What a stream needs of the tunnel that carries it. */
export interface StreamOwner {
  /** The mux has output to send. */
  touched(): void;
  /** The tunnel's socket holds more than it should: write nothing until `onWritable`. */
  isCongested(stream: TunnelStream): boolean;
  /** Both directions are done, or the stream was reset from here. */
  forget(stream: TunnelStream): void;
}

export class TunnelStream {
  readonly id: number;
  readonly #mux: Mux;
  readonly #owner: StreamOwner;
  /** Written and not yet taken: at most what one event of an origin brought, since writers wait for `drained`. */
  #rest: Uint8Array[] = [];
  #ending = false;
  #localEnded = false;
  #remoteEnded = false;
  #gone = false;
  handler: StreamHandler | undefined;

  constructor(id: number, mux: Mux, owner: StreamOwner) {
    this.id = id;
    this.#mux = mux;
    this.#owner = owner;
  }

  /** True once nothing more can be written: the end was written, or the stream is gone. */
  get isOver(): boolean {
    return this.#ending || this.#gone;
  }

  /** Sends bytes in order. False: write no more until `drained`. */
  write(bytes: Uint8Array): boolean {
    if (this.isOver) return false;
    if (this.#rest.length > 0 || this.#owner.isCongested(this)) {
      this.#rest.push(bytes);
      return false;
    }
    const taken = this.#mux.write(this.id, bytes);
    this.#owner.touched();
    if (taken === bytes.length) return true;
    this.#rest.push(bytes.subarray(taken));
    return false;
  }

  /** Sends no more, once everything written is gone. */
  end(): void {
    if (this.isOver) return;
    this.#ending = true;
    this.#endIfDrained();
  }

  /** Ends both directions: the other end sees an error, never a short success (promise 7). */
  reset(): void {
    if (this.#gone) return;
    this.#gone = true;
    this.#rest = [];
    this.#mux.reset(this.id);
    this.#owner.touched();
    this.#owner.forget(this);
  }

  /** Gives credit back for bytes that `data` brought; "now": as if they had not been (FC6). */
  consumed(bytes: number, when?: "now"): void {
    this.#mux.consumed(this.id, bytes, when);
    this.#owner.touched();
  }

  /** Lets the peer send more before it is told that it was taken. */
  widen(windowBytes: number): void {
    this.#mux.widen(this.id, windowBytes);
  }

  /** Credit came, or the tunnel's socket has room again. */
  onWritable(): void {
    const waited = this.#rest.length > 0;
    while (this.#rest.length > 0) {
      if (this.#owner.isCongested(this)) return;
      const first = this.#rest[0] ?? new Uint8Array(0);
      const taken = this.#mux.write(this.id, first);
      this.#owner.touched();
      if (taken < first.length) {
        this.#rest[0] = first.subarray(taken);
        return;
      }
      this.#rest.shift();
    }
    if (this.#ending) this.#endIfDrained();
    else if (waited) this.handler?.drained();
  }

  /** The edge sends no more. */
  onEnd(): void {
    this.#remoteEnded = true;
    this.handler?.end();
    if (this.#localEnded) this.#owner.forget(this);
  }

  /** The stream is gone in the mux, or is being destroyed from here. */
  onGone(): void {
    this.#gone = true;
    this.#rest = [];
    this.handler?.gone();
    this.handler = undefined;
  }

  #endIfDrained(): void {
    if (this.#rest.length > 0 || this.#localEnded) return;
    this.#localEnded = true;
    this.#mux.end(this.id);
    this.#owner.touched();
    if (this.#remoteEnded) this.#owner.forget(this);
  }
}
