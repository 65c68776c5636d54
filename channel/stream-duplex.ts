/**
 * A stream of a mux as a Node stream, for TLS to run over. Credit goes back as bytes are taken,
 * and a write is done when the mux took it: nothing is queued beyond one write.
 */
import { Duplex } from "node:stream";
import { TCP_WINDOW_BYTES } from "../protocol/limits.ts";
import type { StreamHandler, TunnelStream } from "./tunnel-stream.ts";

/** The stream was reset, or its connection is gone. */
export class StreamGone extends Error {
  readonly code = "stream_gone";
}

export class StreamDuplex extends Duplex {
  readonly #stream: TunnelStream;
  /** What the stream is to call. */
  readonly handler: StreamHandler = {
    // TLS reads as it comes, so that push is nearly always true.
    data: (bytes) => {
      if (this.destroyed || this.push(bytes)) this.#stream.consumed(bytes.length);
      else this.#owed += bytes.length;
    },
    end: () => {
      if (!this.destroyed) this.push(null);
    },
    gone: () => void this.destroy(new StreamGone("the stream is gone")),
    drained: () => {
      const done = this.#waiting;
      this.#waiting = undefined;
      done?.();
    },
  };
  /** Taken by nobody yet; its credit goes back with the next read. */
  #owed = 0;
  #isEnded = false;
  #waiting: ((error?: Error) => void) | undefined;

  constructor(stream: TunnelStream) {
    super({ allowHalfOpen: true });
    this.#stream = stream;
    // TLS takes at once what comes, so that the window holds what is on the way, and nothing else.
    stream.widen(TCP_WINDOW_BYTES);
  }

  override _read(): void {
    const owed = this.#owed;
    this.#owed = 0;
    if (owed > 0) this.#stream.consumed(owed);
  }

  override _write(bytes: Uint8Array, _encoding: string, done: (error?: Error) => void): void {
    this.#put([bytes], done);
  }

  override _writev(chunks: readonly { readonly chunk: Uint8Array }[], done: (error?: Error) => void): void {
    this.#put(chunks.map(({ chunk }) => chunk), done);
  }

  override _final(done: () => void): void {
    this.#isEnded = true;
    this.#stream.end();
    done();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    // TLS ends its own stream as soon as both have said goodbye; the other's end is then still on its way.
    if (error !== null || !this.#isEnded) this.#stream.reset();
    done(error);
    waiting?.(new StreamGone("the stream is gone"));
  }

  #put(pieces: readonly Uint8Array[], done: (error?: Error) => void): void {
    let taken = true;
    for (const bytes of pieces) taken = this.#stream.write(bytes);
    if (taken) done();
    else if (this.#stream.isOver) done(new StreamGone("the stream is gone"));
    else this.#waiting = done;
  }
}
