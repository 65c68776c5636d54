import { describe, expect, it } from "vitest";
import { MessageMemory } from "../../channel/message-memory.ts";
import { MuxOutlet } from "../../channel/mux-outlet.ts";
import { HEADER_BYTES } from "../../protocol/frames.ts";
import { MAX_MESSAGE_BYTES } from "../../protocol/limits.ts";
import { Mux } from "../../protocol/mux.ts";

const FULL_BYTES = MAX_MESSAGE_BYTES - HEADER_BYTES;
const turn = (): Promise<void> => new Promise((done) => setImmediate(done));

/** A mux with one stream, whose socket keeps what it is given, and takes it when it is told to. */
function bench() {
  const messages: Uint8Array[] = [];
  const taken: ((error?: Error) => void)[] = [];
  const socket = {
    bufferedAmount: 0,
    send: (message: Uint8Array, _how: unknown, sent?: (error?: Error | null) => void) => {
      messages.push(message);
      if (sent !== undefined) taken.push(sent);
    },
  };
  const memory = new MessageMemory();
  const mux = new Mux({ role: "connector", now: () => 0, allocate: memory.allocate });
  const outlet = new MuxOutlet(socket, mux, memory);
  const opened = mux.open();
  if (!opened.ok) throw new Error(opened.error);
  const write = (bytes: number, of: number): void => {
    mux.write(opened.value, new Uint8Array(bytes).fill(of));
    outlet.touched();
  };
  return { messages, outlet, taken, write, sizes: () => messages.map(({ length }) => length - HEADER_BYTES) };
}

describe("a mux's way out", () => {
  it("FR3: what one turn writes shares a message", async () => {
    const { write, sizes } = bench();
    write(100, 1);
    write(200, 2);
    expect(sizes()).toEqual([]);
    await turn();
    expect(sizes()).toEqual([300]);
  });

  it("FR3: a message that nothing more fits into leaves at once, the rest when the turn is over", async () => {
    const { write, sizes } = bench();
    write(FULL_BYTES + 5, 1);
    expect(sizes()).toEqual([FULL_BYTES]);
    write(6, 1);
    await turn();
    expect(sizes()).toEqual([FULL_BYTES, 11]);
  });

  it("what is due while much comes in does not wait for the end of the turn", async () => {
    const { outlet, write, sizes } = bench();
    const soon = (): Promise<void> => new Promise((done) => process.nextTick(done));
    outlet.came(200 * 1024);
    write(10, 1);
    await soon();
    expect(sizes()).toEqual([10]);
    write(20, 1);
    await soon();
    expect(sizes()).toEqual([10]);
    await turn();
    expect(sizes()).toEqual([10, 20]);
  });

  it("writes over no message that has not left, nor over one that could not", async () => {
    const { messages, taken, write } = bench();
    write(FULL_BYTES, 1);
    write(FULL_BYTES, 2);
    taken[0]?.(new Error("the socket broke"));
    taken[1]?.();
    write(FULL_BYTES, 3);
    await turn();
    const [first, second, third] = messages;
    expect([first?.at(-1), third?.at(-1)]).toEqual([1, 3]);
    expect(third?.buffer).toBe(second?.buffer);
    expect(first?.buffer).not.toBe(second?.buffer);
  });
});
