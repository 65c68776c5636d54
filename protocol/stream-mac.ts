/**
 * What the MAC of a stream-open covers, and the check that each is new (M17). The key is agreed
 * in the hello and belongs to one socket, so a stream-open cannot be moved to another; the hash
 * itself (HMAC-SHA-256) is the platform's and passed in. Says nothing about what is allowed.
 *
 *   MAC = HMAC-SHA-256(key, "postern stream-open 1" NUL ‖ counter u64be ‖ JSON of the head)
 */
import { concat, equalSecrets } from "../core/bytes.ts";
import { MAC_BYTES } from "./head.ts";
import { writeU32 } from "./frames.ts";

/** HMAC-SHA-256: key, bytes, 32 bytes back. Must not keep either argument. */
export type Hmac = (key: Uint8Array, bytes: Uint8Array) => Uint8Array;

const LABEL = new TextEncoder().encode("postern stream-open 1\0");

/** The bytes that are authenticated: label, counter as u64be, JSON exactly as it is sent (HD5). */
export function streamMacInput(counter: number, json: Uint8Array): Uint8Array<ArrayBuffer> {
  const number = new Uint8Array(8);
  writeU32(number, 0, Math.floor(counter / 2 ** 32));
  writeU32(number, 4, counter % 2 ** 32);
  return concat([LABEL, number, json]);
}

/** The MAC of a stream-open; `counter` is the head's `n`. */
export function signStreamOpen(hmac: Hmac, key: Uint8Array, counter: number, json: Uint8Array): Uint8Array {
  return hmac(key, streamMacInput(counter, json));
}

/** Checks the stream-opens of one socket in the order in which they came. */
export class StreamOpenVerifier {
  readonly #hmac: Hmac;
  readonly #key: Uint8Array;
  #newest = 0;

  constructor(hmac: Hmac, key: Uint8Array) {
    this.#hmac = hmac;
    this.#key = key;
  }

  /**
   * Checks the MAC in constant time and that the counter (the head's `n`) is above every one
   * before it. A wrong MAC moves nothing. Both failures are answered with `bad_open` (HD6).
   */
  verify(counter: number, json: Uint8Array, mac: Uint8Array): "ok" | "bad_mac" | "replayed" {
    if (!Number.isSafeInteger(counter) || counter < 1 || mac.length !== MAC_BYTES) return "bad_mac";
    if (!equalSecrets(this.#hmac(this.#key, streamMacInput(counter, json)), mac)) return "bad_mac";
    if (counter <= this.#newest) return "replayed";
    this.#newest = counter;
    return "ok";
  }
}
