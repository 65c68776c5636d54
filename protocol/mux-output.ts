/**
 * What a mux has to send: frames written once, header and payload, into the WebSocket message
 * that will carry them. Not a queue with limits of its own: data is bounded by the credit of
 * the peer, control frames by the mux, which reads `queuedControl`.
 */
import { Flag, FrameType, HEADER_BYTES, readU32, writeHeader, writeU32 } from "./frames.ts";
import { MAX_MESSAGE_BYTES, MIN_SPLIT_BYTES } from "./limits.ts";

/** Memory that an idle mux may keep; larger slabs are given up with their message. */
const SMALL_SLAB_BYTES = 4 * 1024;
const EMPTY = new Uint8Array(0);
const NONE: readonly Uint8Array[] = [];

export class MuxOutput {
  readonly #allocate: (bytes: number) => Uint8Array;
  #slab: Uint8Array = EMPTY;
  /** The open message is [#start, #at) of the slab. */
  #start = 0;
  #at = 0;
  #ready: Uint8Array[] = [];
  /** Offset of the last frame of the open message if it is a data frame, else -1, and its stream. */
  #dataAt = -1;
  #dataId = 0;
  /** Control frames written since the last `take`. */
  queuedControl = 0;

  constructor(allocate: (bytes: number) => Uint8Array) {
    this.#allocate = allocate;
  }

  get isEmpty(): boolean {
    return this.#ready.length === 0 && this.#at === this.#start;
  }

  /**
   * Writes all bytes as data frames of one stream, joined to its frame if that was written last.
   * Flags go on the first frame. The bytes are copied: the caller may reuse its buffer at once.
   */
  data(id: number, flags: number, bytes: Uint8Array): void {
    let from = flags === 0 ? this.#join(id, bytes) : 0;
    let first = flags;
    while (from < bytes.length) {
      const left = bytes.length - from;
      let room = MAX_MESSAGE_BYTES - (this.#at - this.#start) - HEADER_BYTES;
      if (room < Math.min(left, MIN_SPLIT_BYTES)) {
        this.#seal();
        room = MAX_MESSAGE_BYTES - HEADER_BYTES;
      }
      const size = Math.min(room, left);
      this.#reserve(HEADER_BYTES + size);
      writeHeader(this.#slab, this.#at, FrameType.data, first, id, size);
      this.#slab.set(size === bytes.length ? bytes : bytes.subarray(from, from + size), this.#at + HEADER_BYTES);
      this.#dataAt = this.#at;
      this.#dataId = id;
      this.#at += HEADER_BYTES + size;
      from += size;
      first = 0;
    }
  }

  /** Ends a stream's direction: on its data frame if that was written last, else on a frame of its own. */
  fin(id: number, flags: number): void {
    if (flags === 0 && this.#dataAt >= 0 && this.#dataId === id) {
      const at = this.#dataAt + 3;
      this.#slab[at] = (this.#slab[at] ?? 0) | Flag.fin;
      this.#dataAt = -1;
      return;
    }
    this.control(FrameType.windowUpdate, flags | Flag.fin, id, 0);
  }

  /** Writes a frame without payload. */
  control(type: number, flags: number, id: number, length: number): void {
    if (this.#at - this.#start + HEADER_BYTES > MAX_MESSAGE_BYTES) this.#seal();
    this.#reserve(HEADER_BYTES);
    writeHeader(this.#slab, this.#at, type, flags, id, length);
    this.#at += HEADER_BYTES;
    this.#dataAt = -1;
    this.queuedControl += 1;
  }

  /** The messages written so far, in order, each a view of at most 64 KiB; the caller sends them at once. "full": without the last, if it has room. */
  take(which: "all" | "full"): readonly Uint8Array[] {
    if (which === "all") this.queuedControl = 0;
    if (which === "all" || this.#at - this.#start > MAX_MESSAGE_BYTES - HEADER_BYTES - MIN_SPLIT_BYTES) this.#seal();
    if (this.#ready.length === 0) return NONE;
    const ready = this.#ready;
    this.#ready = [];
    return ready;
  }

  /** Appends to the last frame of the open message if it is this stream's; returns how many bytes fitted. */
  #join(id: number, bytes: Uint8Array): number {
    if (this.#dataAt < 0 || this.#dataId !== id) return 0;
    const size = Math.min(bytes.length, MAX_MESSAGE_BYTES - (this.#at - this.#start));
    if (size <= 0) return 0;
    this.#reserve(size);
    this.#slab.set(size === bytes.length ? bytes : bytes.subarray(0, size), this.#at);
    this.#at += size;
    const length = this.#dataAt + 8;
    writeU32(this.#slab, length, readU32(this.#slab, length) + size);
    return size;
  }

  #seal(): void {
    if (this.#at > this.#start) this.#ready.push(this.#slab.subarray(this.#start, this.#at));
    this.#dataAt = -1;
    if (this.#slab.length > SMALL_SLAB_BYTES) {
      // One message each: who sends it may use its memory again.
      this.#slab = EMPTY;
      this.#at = 0;
    }
    this.#start = this.#at;
  }

  /** Makes room behind the open message, moving it to a fresh slab if the rest of this one is too short. */
  #reserve(size: number): void {
    if (this.#at + size <= this.#slab.length) return;
    const open = this.#at - this.#start;
    const slab = this.#allocate(open + size > SMALL_SLAB_BYTES ? MAX_MESSAGE_BYTES : SMALL_SLAB_BYTES);
    slab.set(this.#slab.subarray(this.#start, this.#at));
    if (this.#dataAt >= 0) this.#dataAt -= this.#start;
    this.#slab = slab;
    this.#start = 0;
    this.#at = open;
  }
}
