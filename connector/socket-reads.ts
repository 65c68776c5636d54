/**
 * How a socket's bytes come to us: into memory of ours instead of a fresh 64 KiB for each read.
 * Usually into one buffer that all sockets share, from which what was read is copied out for
 * whoever parses it. The rest of a bulk body (M15) is diverted past the parser, in two buffers
 * of the socket's own that are lent without a copy; reading stops while both are.
 */
import type { OnReadOpts, Socket } from "node:net";

/** One read at most; the kernel rarely has more for a socket that is read often. */
const SHARED_BYTES = 64 * 1024;
/** One read of a bulk body: two of them are what such a body holds here. */
const LENT_BYTES = 256 * 1024;

/** Filled and emptied within one callback, so that one is enough. */
const shared = Buffer.allocUnsafeSlow(SHARED_BYTES);
const known = new WeakMap<object, SocketReads>();

interface Slot {
  readonly buffer: Buffer;
  /** Takers that still need what was last read into it. */
  holds: number;
}

interface Diversion {
  readonly slots: readonly [Slot, Slot];
  left: number;
  readonly take: (bytes: Buffer) => void;
  readonly end: (overrun: boolean) => void;
}

export class SocketReads {
  /** For the options of net.connect or tls.connect; then `attach`. */
  readonly onread: OnReadOpts = { buffer: () => this.#next(), callback: (bytes, buffer) => this.#read(bytes, buffer as Buffer) };
  #socket: Socket | undefined;
  #diversion: Diversion | undefined;
  /** The slot that is read into next, and the one whose bytes are being taken. */
  #turn: Slot | undefined;
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
    const slot = (): Slot => ({ buffer: Buffer.allocUnsafeSlow(LENT_BYTES), holds: 0 });
    this.#diversion = { slots: [slot(), slot()], left, take, end };
    this.#socket?.resume();
  }

  /** Keeps the bytes that are being taken until the answer is called. Undefined: they are the caller's own. */
  hold(): (() => void) | undefined {
    const slot = this.#current;
    if (slot === undefined) return undefined;
    slot.holds++;
    return () => {
      slot.holds--;
      if (!this.#stopped || this.#turn === undefined || this.#turn.holds > 0) return;
      this.#stopped = false;
      this.#socket?.resume();
    };
  }

  #next(): Buffer {
    if (this.#diversion === undefined) return shared;
    const [first, second] = this.#diversion.slots;
    this.#turn = this.#turn === first ? second : first;
    return this.#turn.buffer;
  }

  #read(bytes: number, buffer: Buffer): boolean {
    const socket = this.#socket;
    const diversion = this.#diversion;
    if (socket === undefined) return false;
    if (diversion === undefined) return socket.push(Buffer.from(buffer.subarray(0, bytes)));
    // The first read still comes in the shared buffer, whose bytes nobody may keep.
    const slot = diversion.slots.find((one) => one.buffer === buffer);
    if (slot !== undefined && slot.holds > 0) {
      // Somebody started the reading that we had stopped.
      socket.destroy();
      return false;
    }
    const mine = Math.min(bytes, diversion.left);
    diversion.left -= mine;
    this.#current = slot;
    diversion.take(slot === undefined ? Buffer.from(buffer.subarray(0, mine)) : buffer.subarray(0, mine));
    this.#current = undefined;
    if (diversion.left === 0) {
      diversion.end(bytes > mine);
      return false;
    }
    const other = diversion.slots.find((one) => one !== slot);
    if (slot === undefined || other === undefined || other.holds === 0) return true;
    this.#stopped = true;
    return false;
  }
}
