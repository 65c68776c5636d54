/** What a session keeps of streams that are gone: nothing, however they ended (row 76). */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { describe, expect, it } from "vitest";
import { encodeFrame, Flag, FrameType } from "../../protocol/frames.ts";
import type { Mux } from "../../protocol/mux.ts";
import { bytes, deliver, opened, type Pair, pair } from "./wire.ts";

const STREAMS_COUNT = 100_000;
/** A stream's own record would be some hundred bytes of it; a few thousand late ids are remembered on purpose (ST8). */
const MAX_BYTES_PER_STREAM = 24;
/** Slower than any limit on opening and resetting (ST9). */
const STREAMS_PER_SECOND = 500;

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;

function heapBytes(): number {
  collect();
  collect();
  return process.memoryUsage().heapUsed;
}

const both = ({ edge, connector }: Pair, act: () => void): void => {
  act();
  for (let moved = 1; moved > 0; ) moved = deliver(edge, connector).length + deliver(connector, edge).length;
};
const take = (mux: Mux, id: number, count: number): void => mux.consumed(id, count);

/** A whole life of one stream each, and what is left of it. */
const LIVES: readonly (readonly [string, (sides: Pair) => void])[] = [
  ["ended by both sides, read to the end", (sides) => {
    const id = opened(sides.edge);
    both(sides, () => sides.edge.write(id, bytes("hello")));
    both(sides, () => (take(sides.connector, id, 5), sides.connector.write(id, bytes("world")), sides.connector.end(id)));
    both(sides, () => (take(sides.edge, id, 5), sides.edge.end(id)));
  }],
  ["half-closed by the peer and then reset by us", (sides) => {
    const id = opened(sides.edge);
    both(sides, () => (sides.edge.write(id, bytes("hello")), sides.edge.end(id)));
    both(sides, () => sides.connector.reset(id));
  }],
  ["reset while bytes are on their way both ways", (sides) => {
    const id = opened(sides.edge);
    both(sides, () => sides.edge.write(id, bytes("hello")));
    sides.connector.write(id, bytes("late"));
    both(sides, () => sides.edge.reset(id));
  }],
  ["opened and ended in one frame, answered by a reset", (sides) => {
    const id = opened(sides.edge);
    both(sides, () => sides.edge.end(id));
    both(sides, () => sides.connector.reset(id));
  }],
];

describe(`${STREAMS_COUNT} streams, one after another`, () => {
  it.each(LIVES)("%s: no stream, byte or credit is left, and the heap is what it was (row 76)", (_title, live) => {
    let now = 0;
    const sides = pair({ now: () => now });
    const some = (count: number): void => {
      for (let i = 0; i < count; i++) {
        now += 1000 / STREAMS_PER_SECOND;
        live(sides);
      }
    };
    some(STREAMS_COUNT / 10);
    const before = heapBytes();
    some(STREAMS_COUNT);
    expect(heapBytes() - before).toBeLessThan(STREAMS_COUNT * MAX_BYTES_PER_STREAM);
    for (const mux of [sides.edge, sides.connector]) expect({ streams: mux.streamCount, held: mux.bufferedBytes, inFlight: mux.inFlightBytes }).toEqual({ streams: 0, held: 0, inFlight: 0 });
    expect(sides.edge.open().ok).toBe(true);
  });

  it("ST8: frames of types and for ids that nobody knows are counted, not kept (row 76)", () => {
    let now = 0;
    const { edge } = pair({ now: () => now });
    const some = (count: number, from: number): void => {
      for (let i = 0; i < count; i++) {
        now += 1000 / STREAMS_PER_SECOND;
        edge.receive(encodeFrame(FrameType.windowUpdate, i % 2 === 0 ? 0 : Flag.fin, from + 2 * i, 1));
      }
    };
    some(STREAMS_COUNT / 10, 100_001);
    const before = heapBytes();
    some(STREAMS_COUNT, 1_000_001);
    expect(heapBytes() - before).toBeLessThan(STREAMS_COUNT * MAX_BYTES_PER_STREAM);
    expect(edge.counters.ignored).toBeGreaterThan(STREAMS_COUNT);
    expect(edge.open().ok).toBe(true);
  });
});
