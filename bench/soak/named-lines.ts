/** A body in which every line names its request and its own number: whatever is lost, doubled, swapped or another's shows. */
const BLOCK_LINES = 1_000;

/** Blocks that make `bytes` in all; the last line may be cut. */
export function* linesOf(name: string, bytes: number): Generator<Buffer> {
  let left = bytes;
  for (let number = 0; left > 0; ) {
    let text = "";
    for (const last = number + BLOCK_LINES; number < last; number++) text += `${name} ${number}\n`;
    const block = Buffer.from(text);
    yield block.length <= left ? block : block.subarray(0, left);
    left -= block.length;
  }
}

/** Reads such a body as it comes; the first byte that is not the next one of it is a fault. */
export class NamedLines {
  readonly #lines: Generator<Buffer>;
  #expected: Buffer = Buffer.alloc(0);
  received = 0;
  fault: string | undefined;

  constructor(name: string, bytes: number) {
    this.#lines = linesOf(name, bytes);
  }

  /** The fault, when this chunk brought the first one. */
  feed(chunk: Buffer): string | undefined {
    if (this.fault !== undefined) return undefined;
    let rest = chunk;
    while (rest.length > 0 && this.fault === undefined) {
      if (this.#expected.length === 0) {
        const next = this.#lines.next();
        if (next.done === true) {
          this.fault = `${rest.length} bytes too many`;
          return this.fault;
        }
        this.#expected = next.value;
      }
      const size = Math.min(rest.length, this.#expected.length);
      if (Buffer.compare(rest.subarray(0, size), this.#expected.subarray(0, size)) !== 0) this.fault = `a wrong byte within ${size} after ${this.received}`;
      this.received += size;
      rest = rest.subarray(size);
      this.#expected = this.#expected.subarray(size);
    }
    return this.fault;
  }
}
