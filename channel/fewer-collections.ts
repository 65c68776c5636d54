/**
 * Keeps V8 from looking through the whole heap because of bytes that pass. They are held by many
 * small buffers outside the heap, nearly all of which die at once, in a heap in which nothing else
 * moves: V8 sees the bytes, not the few objects that hold them, and starts a full collection for
 * every 64 MiB, which takes a third of what a byte through an agent costs.
 */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

/** The heap may grow to this many per cent more than what lives in it; V8's own choice for small heaps is about 30. */
const GROWTH_PERCENT = 400;
/** The young are collected after so many bytes passed, which were copied two to four times on their way: before the buffers weigh enough for a full collection. It takes a millisecond or two. */
const YOUNG_BYTES = 8 * 1024 * 1024;

let collectYoung: (() => void) | undefined;

/** For this process, once. */
export function collectLessOften(): void {
  setFlagsFromString(`--heap-growing-percent=${GROWTH_PERCENT}`);
  // Node has no call for it, and a context that is made under this flag has.
  setFlagsFromString("--expose-gc");
  const gc = runInNewContext("globalThis.gc") as ((how: { readonly type: "minor" }) => void) | undefined;
  setFlagsFromString("--no-expose-gc");
  collectYoung = gc === undefined ? undefined : () => gc({ type: "minor" });
}

/** Bytes that pass one connection. Does nothing in a process that did not ask for fewer collections. */
export class PassingBytes {
  #bytes = 0;

  add(bytes: number): void {
    this.#bytes += bytes;
    if (this.#bytes < YOUNG_BYTES) return;
    this.#bytes = 0;
    collectYoung?.();
  }
}
