/**
 * Memory for the messages of one mux: used again once a message has left. Fresh memory for each
 * costs its zeroes, and the collections that V8 starts because of it.
 */
import { MAX_MESSAGE_BYTES } from "../protocol/limits.ts";

/** Kept for the next messages: what a turn of the event loop usually fills. */
const KEPT_COUNT = 4;

export class MessageMemory {
  readonly #kept: Uint8Array[] = [];

  /** As the mux asks for it. */
  readonly allocate = (bytes: number): Uint8Array => (bytes === MAX_MESSAGE_BYTES ? this.#kept.pop() : undefined) ?? Buffer.allocUnsafeSlow(bytes);

  /** All these messages are with the system: nobody reads them any more. */
  giveBack(messages: readonly Uint8Array[]): void {
    // Small ones share theirs with what is still being written.
    for (const { buffer } of messages) if (buffer.byteLength === MAX_MESSAGE_BYTES && this.#kept.length < KEPT_COUNT) this.#kept.push(Buffer.from(buffer));
  }
}
