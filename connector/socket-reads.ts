/**
 * How a socket's bytes come to us: into memory of ours instead of a fresh 64 KiB for each read.
 * Usually into one buffer that all sockets share, from which what was read is copied out for
 * whoever parses it. The rest of a bulk body (M15) is diverted past the parser, in buffers of the
 * socket's own that are lent without a copy; reading stops while so many are.
 */
import type { OnReadOpts, Socket } from "node:net";
import { TLSSocket } from "node:tls";
import { MAX_MESSAGE_BYTES } from "../protocol/limits.ts";

/** One read at most. Framed and encrypted (RS1, TLS, FR1) it still fits into one message of the tunnel: of a rest beyond that each read would make a second message, which costs the edge as much as a full one. */
const SHARED_BYTES = MAX_MESSAGE_BYTES - 256;
/** One read of a bulk body, and how many are held at once: as the kernel gives it, and as TLS does, record by record. */
const PLAIN = { bytes: 256 * 1024, count: 2 };
const SECURE = { bytes: 16 * 1024, count: 24 };

/** Filled and emptied within one callback, so that one is enough. */
const shared = Buffer.allocUnsafeSlow(SHARED_BYTES);
const known = new WeakMap<object, SocketReads>();

interface Slot {
  readonly buffer: Buffer;
  /** Takers that still need what was last read into it. */
  holds: number;
}

interface Diversion {
  readonly slots: Slot[];
  readonly lends: { readonly bytes: number; readonly count: number };
  left: number;
  readonly take: (bytes: Buffer) => void;
  readonly end: (overrun: boolean) => void;
}

export class SocketReads {
  /** For the options of net.connect or tls.connect; then `attach`. */
  readonly onread: OnReadOpts = { buffer: () => this.#next(), callback: (bytes, buffer) => this.#read(bytes, buffer as Buffer) };
  #socket: Socket | undefined;
  #diversion: Diversion | undefined;
  /** The slot whose bytes are being taken. */
  #current: Slot | undefined;
  #stopped = false;

  /** The reads of a socket that was made with `onread`. */
  static of(socket: object | null | undefined): SocketReads | undefined {
    return socket === null || socket === undefined ? undefined : known.get(socket);
  }

  attach<T extends Socket>(socket: T): T {
    this.#socket = socket;
    known.set(socket, this);
    return socket;
  }

  /**
   * Gives the next `left` bytes to `take`, past whatever parses the socket, which is of no use to
   * it afterwards: `end` is called after the last, and whoever diverted destroys the socket. Bytes
   * are lent: a taker that does not finish with them at once must `hold` them.
   */
  divert(left: number, take: (bytes: Buffer) => void, end: (overrun: boolean) => void): void {
    this.#diversion = { slots: [], lends: this.#socket instanceof TLSSocket ? SECURE : PLAIN, left, take, end };
    this.#socket?.resume();
  }

  /** Keeps the bytes that are being taken until the answer is called. Undefined: they are the caller's own. */
  hold(): (() => void) | undefined {
    const slot = this.#current;
    if (slot === undefined) return undefined;
    slot.holds++;
    return () => {
      slot.holds--;
      if (!this.#stopped || this.#isFull) return;
      this.#stopped = false;
      this.#socket?.resume();
    };
  }

  get #isFull(): boolean {
    const diversion = this.#diversion;
    return diversion !== undefined && diversion.slots.filter((slot) => slot.holds > 0).length >= diversion.lends.count;
  }

  /** Never one that is held: TLS hands over what it has decrypted also after it was told to stop. */
  #next(): Buffer {
    const diversion = this.#diversion;
    if (diversion === undefined) return shared;
    let free = diversion.slots.find((slot) => slot.holds === 0);
    if (free === undefined) diversion.slots.push((free = { buffer: Buffer.allocUnsafeSlow(diversion.lends.bytes), holds: 0 }));
    return free.buffer;
  }

  #read(bytes: number, buffer: Buffer): boolean {
    const socket = this.#socket;
    const diversion = this.#diversion;
    if (socket === undefined) return false;
    if (diversion === undefined) return socket.push(Buffer.from(buffer.subarray(0, bytes)));
    if (diversion.left === 0) {
      diversion.end(true);
      return false;
    }
    // The first read still comes in the shared buffer, whose bytes nobody may keep.
    const slot = diversion.slots.find((one) => one.buffer === buffer);
    const mine = Math.min(bytes, diversion.left);
    diversion.left -= mine;
    this.#current = slot;
    diversion.take(slot === undefined ? Buffer.from(buffer.subarray(0, mine)) : buffer.subarray(0, mine));
    this.#current = undefined;
    if (diversion.left === 0) {
      diversion.end(bytes > mine);
      return false;
    }
    this.#stopped = this.#isFull;
    return !this.#stopped;
  }
}
