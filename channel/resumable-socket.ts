/**
 * A local socket (the client's at the agent, the app's at the connector) on a resumable stream:
 * moves bytes between it and whatever secure stream is attached. While none is, it neither reads
 * nor writes the socket. Not who may attach, nor for how long it waits.
 */
import type { Duplex } from "node:stream";
import { ByteQueue } from "../protocol/byte-queue.ts";
import { MIN_RESUME_SHARE_BYTES, RESUME_SHARED_BYTES, RESUME_WINDOW_BYTES } from "../protocol/limits.ts";
import { encodeResumeFrame } from "../protocol/resume-frames.ts";
import type { ResumeFrame, ResumeReader } from "../protocol/resume-frames.ts";
import { Resumable } from "../protocol/resume.ts";
import type { HeldBytes, Holder } from "./held-bytes.ts";

/** From the end of a stream to its secure stream's: what was written last must leave. */
const CLOSE_MS = 5_000;
/** Bytes that wait in the secure stream above which the local socket is not read: several reads, so that it is not stopped and started for each. */
const MAX_WAITING_BYTES = 128 * 1024;

/** How the stream is over: both ends have everything, or it broke, here or there, with a code. */
export type ResumableEnd = { readonly whole: true } | { readonly whole: false; readonly code: string };

export interface ResumableReports {
  /** Where what is held is counted. */
  readonly held: HeldBytes;
  /** Whose stream it is there. */
  readonly owner: string;
  /** How much may be on its way unacknowledged now (RS5). */
  share(): number;
  /** The attached secure stream is gone. */
  detached(): void;
  /** Once; the local socket is then closed, or must be broken by the owner if it is not whole. */
  over(end: ResumableEnd): void;
}

export class ResumableSocket {
  readonly #local: Duplex;
  readonly #reports: ResumableReports;
  readonly #resetCode: string;
  readonly #state = new Resumable();
  /** Received and not yet handed to the local socket. */
  readonly #inbound = new ByteQueue();
  readonly #holder: Holder;
  #writing = false;
  /** Something was received in this turn and is not handed over yet. */
  #taken = false;
  #endReceived = false;
  #localEnded = false;
  #secure: Duplex | undefined;
  #over = false;
  /** The code of its end, if it broke. */
  #brokenBy = "bad_offset";

  /** `resetCode`: what the other end is told when the local socket breaks. */
  constructor(local: Duplex, reports: ResumableReports, resetCode: string) {
    this.#resetCode = resetCode;
    this.#local = local;
    this.#reports = reports;
    this.#holder = { owner: reports.owner, onMark: () => this.#onMark(), shed: () => this.#shed() };
    reports.held.join(this.#holder);
    // Before the listener, or the first bytes would flow before anything is attached.
    local.pause();
    local.on("data", (bytes: Uint8Array) => this.#read(bytes));
    local.on("end", () => this.#readEnd());
    local.on("error", () => undefined);
    local.on("close", () => this.#localClosed());
  }

  get isAttached(): boolean {
    return this.#secure !== undefined;
  }
  get isOver(): boolean {
    return this.#over;
  }
  /** Everything was handed over here; the other end may not know. */
  get isFinished(): boolean {
    return this.#state.isOver;
  }
  /** Offset up to which this end received. */
  get received(): number {
    return this.#state.received;
  }

  /**
   * Goes on over `secure`, whose other end received up to `peerReceived`. `reader` has read what
   * came before. False if the offsets do not fit: the stream is then over.
   */
  attach(secure: Duplex, reader: ResumeReader, peerReceived: number, early: readonly ResumeFrame[] = []): boolean {
    if (this.#over) {
      this.#repeat(secure, peerReceived);
      return false;
    }
    this.#drop();
    if (!this.#state.attach(peerReceived)) {
      this.#finish({ whole: false, code: "bad_offset" });
      return false;
    }
    this.#secure = secure;
    const mine = (): boolean => this.#secure === secure;
    secure.on("data", (bytes: Uint8Array) => {
      if (!mine()) return;
      const frames = reader.feed(bytes);
      if (frames === undefined) return this.abort("bad_frame");
      this.#take(frames);
    });
    const lost = (): void => {
      if (!mine()) return;
      this.#secure = undefined;
      this.#state.detach();
      this.#local.pause();
      secure.destroy();
      if (this.#state.isDone) this.#finish({ whole: true });
      else this.#reports.detached();
    };
    secure.on("end", lost);
    secure.on("close", lost);
    secure.on("drain", () => {
      if (mine()) this.#regulate();
    });
    // Gone between its first frame and here: its event will not come again, and what it brought is void.
    if (secure.destroyed) {
      lost();
      return true;
    }
    this.#take(early);
    this.#regulate();
    secure.resume();
    return true;
  }

  /** Lets go of the secure stream, if there is one; the stream itself lives on. */
  detach(): void {
    this.#drop();
    this.#local.pause();
  }

  /** Gives the stream up: says so to the other end if it is there. The local socket is the owner's to break. */
  abort(code: string): void {
    if (this.#over) return;
    this.#secure?.write(encodeResumeFrame({ type: "abort", code }));
    this.#finish({ whole: false, code });
  }

  /** Sends what is due. */
  flush(): void {
    const secure = this.#secure;
    if (secure === undefined) return;
    const { isTight } = this.#reports.held;
    const share = this.#reports.share();
    // In need, everything that is sent asks for its ack.
    const out = this.#state.takeOutput(isTight ? Math.min(share, this.#state.keptBytes) : share);
    const asked = isTight ? this.#state.ask() : undefined;
    if (asked !== undefined) out.push(asked);
    if (out.length > 0) {
      secure.cork();
      for (const bytes of out) secure.write(bytes);
      secure.uncork();
    }
    if (this.#state.isDone) this.#finish({ whole: true });
  }

  get #mayRead(): boolean {
    const { held } = this.#reports;
    return this.#secure !== undefined && !this.#localEnded && this.#state.hasRoom && (!held.isTight || this.#state.keptBytes === 0);
  }

  /** The mark was passed: what was handed over is acknowledged at once, instead of a quarter of a window later. */
  #onMark(): void {
    this.flush();
    this.#regulate();
  }

  /** Reads the local socket, or does not, as things are now. */
  #regulate(): void {
    if (this.#mayRead) this.#local.resume();
    else this.#local.pause();
  }

  /** Says what is held; the stream may be over behind it. */
  #weigh(): void {
    if (!this.#over) this.#reports.held.set(this.#holder, this.#state.heldBytes);
  }

  /** All streams hold too much, and this one most. What waits on a connection that takes nothing is not waited for. */
  #shed(): void {
    const secure = this.#secure;
    const isStuck = secure?.writableNeedDrain === true;
    this.abort("overloaded");
    if (isStuck) secure?.destroy();
  }

  #read(bytes: Uint8Array): void {
    const hasRoom = this.#state.write(bytes);
    this.#weigh();
    this.flush();
    if (!hasRoom || this.#reports.held.isTight || this.#isSecureFull) this.#local.pause();
  }

  /** Its `drain` will come. */
  get #isSecureFull(): boolean {
    return this.#secure?.writableNeedDrain === true && this.#secure.writableLength > MAX_WAITING_BYTES;
  }

  #readEnd(): void {
    this.#localEnded = true;
    this.#state.end();
    this.flush();
  }

  #localClosed(): void {
    // Closed by itself while something is missing in either direction: an error at both ends (promise 7).
    if (!this.#over && !this.#state.isOver) this.abort(this.#resetCode);
  }

  #take(frames: readonly ResumeFrame[]): void {
    for (const frame of frames) {
      for (const event of this.#state.receive(frame)) {
        switch (event.type) {
          case "data":
            this.#inbound.push(event.bytes);
            break;
          case "end":
            this.#endReceived = true;
            break;
          case "room":
            this.#regulate();
            break;
          case "aborted":
            return this.#finish({ whole: false, code: event.code });
          case "fault":
            return this.abort(event.fault);
          default:
            event satisfies never;
        }
      }
    }
    this.#weigh();
    if (this.#reports.held.isTight && this.#mayRead) this.#local.resume();
    if (this.#taken) return;
    this.#taken = true;
    // Records come one by one in the same turn: they go to the local socket together.
    process.nextTick(() => {
      this.#taken = false;
      this.#handOver();
      this.flush();
    });
  }

  /** One write at a time: what is not handed over when the connection goes stays here. */
  #handOver(): void {
    if (this.#writing || this.#over || this.#secure === undefined) return;
    const size = this.#inbound.length;
    if (size > 0) {
      const pieces = this.#inbound.takeAll();
      this.#writing = true;
      const last = pieces.length - 1;
      this.#local.cork();
      for (const [index, bytes] of pieces.entries()) this.#local.write(bytes, index === last ? (error) => this.#handedOver(size, error) : undefined);
      this.#local.uncork();
      return;
    }
    if (this.#endReceived && !this.#state.isEndConsumed) {
      this.#state.endConsumed();
      this.#local.end();
    }
  }

  #handedOver(bytes: number, error: Error | null | undefined): void {
    this.#writing = false;
    if (error !== null && error !== undefined) return;
    this.#state.consumed(bytes);
    this.#weigh();
    this.#handOver();
    this.flush();
  }

  /** It is over here, and an end that did not hear it asks: it hears it again. */
  #repeat(secure: Duplex, peerReceived: number): void {
    if (this.#state.isDone && this.#state.attach(peerReceived)) {
      for (const bytes of this.#state.takeOutput()) secure.write(bytes);
      this.#state.detach();
    } else secure.write(encodeResumeFrame({ type: "abort", code: this.#brokenBy }));
    closeSoon(secure);
  }

  #drop(): void {
    const secure = this.#secure;
    this.#secure = undefined;
    this.#state.detach();
    secure?.destroy();
  }

  #finish(end: ResumableEnd): void {
    if (this.#over) return;
    this.#over = true;
    if (!end.whole) this.#brokenBy = end.code;
    const secure = this.#secure;
    this.#secure = undefined;
    this.#state.detach();
    if (secure !== undefined) closeSoon(secure);
    this.#inbound.drop(this.#inbound.length);
    this.#reports.held.leave(this.#holder);
    this.#reports.over(end);
  }
}

/** Ends it in order; a peer that does not end its side is not waited for. */
export function closeSoon(secure: Duplex): void {
  secure.resume();
  secure.end();
  setTimeout(() => secure.destroy(), CLOSE_MS).unref();
}

/** One stream's share of what so many may have on their way (RS5). */
export function shareOf(count: number): number {
  return Math.max(MIN_RESUME_SHARE_BYTES, Math.min(RESUME_WINDOW_BYTES, Math.floor(RESUME_SHARED_BYTES / Math.max(1, count))));
}
