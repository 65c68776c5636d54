/** Credit and memory: who may send how much, when it comes back, and what happens to those who take more. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Flag, FrameType, INITIAL_WINDOW_BYTES, encodeFrame } from "../../protocol/frames.ts";
import { HELD_FRAME_BYTES, MAX_BUFFERED_BYTES, MAX_CREDIT_BYTES, MAX_MESSAGE_BYTES, WINDOW_BYTES } from "../../protocol/limits.ts";
import type { MuxEvent } from "../../protocol/mux-events.ts";
import type { MuxOptions } from "../../protocol/mux-options.ts";
import { Mux } from "../../protocol/mux.ts";
import { seeded } from "../seeded.ts";
import { bytes, deliver, join, opened, pair, reads, show } from "./wire.ts";

const peer = (options: Partial<MuxOptions> = {}): Mux => new Mux({ now: () => 0, ...options, role: "connector" });
const sent = (mux: Mux): string[] => reads(mux.takeOutput()).map(show);
const kinds = (events: readonly MuxEvent[]): string[] => events.map((event) => event.type);
const data = (id: number, size: number, flags = 0): Uint8Array => encodeFrame(FrameType.data, flags, id, 0, new Uint8Array(size));
/** Fills a stream in frames of 60,000 bytes. */
const fill = (mux: Mux, id: number, size: number): MuxEvent[] => {
  const events: MuxEvent[] = [];
  for (let left = size; left > 0; left -= 60_000) events.push(...mux.receive(data(id, Math.min(left, 60_000), left === size ? Flag.syn : 0)));
  return events;
};

describe("credit", () => {
  it("FC1 FC3: a write takes the credit and no more, the rest is the caller's", () => {
    const { edge } = pair();
    const id = opened(edge);
    expect(edge.writable(id)).toBe(INITIAL_WINDOW_BYTES);
    expect(edge.write(id, new Uint8Array(200_000))).toBe(200_000);
    expect(edge.write(id, new Uint8Array(200_000))).toBe(62_144);
    expect([edge.write(id, bytes("x")), edge.writable(id), edge.inFlightBytes]).toEqual([0, 0, INITIAL_WINDOW_BYTES]);
    expect(edge.takeOutput().reduce((sum, message) => sum + message.length, 0)).toBeLessThan(INITIAL_WINDOW_BYTES + 20 * 12);
  });

  it("FR3: output is cut into messages of at most 64 KiB, all but the last nearly full", () => {
    const { edge } = pair();
    const id = opened(edge);
    edge.write(id, new Uint8Array(250_000));
    const sizes = edge.takeOutput().map((message) => message.length);
    expect(sizes).toEqual([MAX_MESSAGE_BYTES, MAX_MESSAGE_BYTES, MAX_MESSAGE_BYTES, 250_000 + 4 * 12 - 3 * MAX_MESSAGE_BYTES]);
  });

  it("FR3: what is written between two takes shares a message, in order", () => {
    const { edge } = pair();
    const [a, b] = [opened(edge), opened(edge)];
    edge.write(a, bytes("1"));
    edge.write(b, bytes("2"));
    edge.write(a, bytes("3"));
    edge.end(a);
    const messages = edge.takeOutput();
    expect(messages).toHaveLength(1);
    expect(reads(messages).map(show)).toEqual(["data SYN 2 1", "data SYN 4 2", "data FIN 2 3"]);
  });

  it("FR3: bytes are taken by copy: the caller may reuse its buffer", () => {
    const { edge } = pair();
    const id = opened(edge);
    const buffer = bytes("before");
    edge.write(id, buffer);
    buffer.fill(0);
    expect(sent(edge)).toEqual(["data SYN 2 before"]);
  });

  it("FC4: credit goes back in one update when a quarter of the window is owed", () => {
    const mux = peer();
    fill(mux, 2, 100_000);
    mux.consumed(2, WINDOW_BYTES / 4 - 1);
    expect(sent(mux)).toEqual([]);
    mux.consumed(2, 1);
    expect(sent(mux)).toEqual([`update ACK 2 +${WINDOW_BYTES / 4}`]);
  });

  it("FC4: no credit goes back once the peer has ended", () => {
    const mux = peer();
    fill(mux, 2, 200_000);
    mux.receive(encodeFrame(FrameType.windowUpdate, Flag.fin, 2, 0));
    mux.consumed(2, 200_000);
    mux.consumed(2, 0, "now");
    expect(sent(mux)).toEqual([]);
  });

  it("FC4: the writer hears how much was granted and how much there is", () => {
    const { edge, connector } = pair();
    const id = opened(edge);
    edge.write(id, new Uint8Array(INITIAL_WINDOW_BYTES));
    for (const event of deliver(edge, connector)) if (event.type === "data") connector.consumed(id, event.bytes.length);
    const granted = deliver(connector, edge);
    expect(granted.map((event) => (event.type === "writable" ? event.granted : 0)).reduce((sum, n) => sum + n, 0)).toBe(edge.writable(id));
    expect(granted.at(-1)).toMatchObject({ type: "writable", id, credit: edge.writable(id) });
  });

  it("FC2: nobody is credited for more than was received", () => {
    const mux = peer();
    mux.receive(data(2, 1000, Flag.syn));
    mux.consumed(2, 1_000_000);
    mux.consumed(2, -5);
    mux.consumed(2, 0, "now");
    expect(sent(mux)).toEqual(["update ACK 2 +1000"]);
    expect(mux.snapshot(2)).toMatchObject({ window: WINDOW_BYTES, held: 0 });
  });

  it("FC5: a larger window is announced with the first update", () => {
    const mux = peer({ windowBytes: 1_048_576 });
    fill(mux, 2, 100_000);
    mux.consumed(2, 65_535);
    expect(sent(mux)).toEqual([]);
    mux.consumed(2, 1);
    expect(sent(mux)).toEqual([`update ACK 2 +${1_048_576 - INITIAL_WINDOW_BYTES + 65_536}`]);
    mux.consumed(2, 34_464);
    expect(sent(mux)).toEqual([]);
  });

  it("FC2 FC5: one stream is made wider, at the next update, and credit then comes in larger steps; the others stay", () => {
    const mux = peer();
    fill(mux, 2, 100_000);
    fill(mux, 4, 100_000);
    mux.widen(2, 1_048_576);
    mux.consumed(2, 65_536);
    expect(sent(mux)).toEqual([`update ACK 2 +${1_048_576 - INITIAL_WINDOW_BYTES + 65_536}`, "update ACK 4 +0"]);
    for (let i = 0; i < 3; i += 1) mux.receive(data(2, 60_000));
    mux.consumed(2, 180_000);
    mux.consumed(4, 65_536);
    expect(sent(mux)).toEqual(["update 4 +65536"]);
    mux.consumed(2, 34_464);
    expect(mux.snapshot(2)).toMatchObject({ window: 1_048_576 - 214_464, held: 0 });
  });

  it("FC5: a window below the initial one is raised to it, as no peer could know of it", () => {
    const mux = peer({ windowBytes: 1 });
    expect(kinds(fill(mux, 2, INITIAL_WINDOW_BYTES))).not.toContain("reset");
  });

  it("FC6: returned at once, a stream-open weighs nothing on the window", () => {
    const { edge, connector } = pair();
    const id = opened(edge);
    edge.write(id, new Uint8Array(700));
    deliver(edge, connector);
    connector.consumed(id, 700, "now");
    expect(kinds(deliver(connector, edge))).toEqual(["writable"]);
    expect(edge.writable(id)).toBe(INITIAL_WINDOW_BYTES);
  });

  it("FC7: data beyond the window resets that stream and no other", () => {
    const mux = peer();
    mux.receive(data(4, 10, Flag.syn));
    fill(mux, 2, INITIAL_WINDOW_BYTES);
    mux.takeOutput();
    expect(mux.receive(join([data(2, 1), data(4, 5), data(2, 100)]))).toEqual([
      { type: "reset", id: 2, cause: "overrun" },
      { type: "data", id: 4, bytes: new Uint8Array(5) },
    ]);
    expect(sent(mux)).toContain("update RST 2 +0");
    expect(mux.counters).toMatchObject({ overruns: 1, resetSent: 1 });
    expect([mux.streamCount, mux.bufferedBytes]).toEqual([1, 15 + 2 * HELD_FRAME_BYTES]);
  });

  it("FC9: credit above the cap closes the socket with 4400, up to it is good", () => {
    const credit = (id: number, n: number): Uint8Array => encodeFrame(FrameType.windowUpdate, 0, id, n);
    const mux = peer();
    const id = opened(mux);
    mux.write(id, bytes("x"));
    expect(kinds(mux.receive(credit(id, MAX_CREDIT_BYTES - INITIAL_WINDOW_BYTES + 1)))).toEqual(["writable"]);
    expect(mux.receive(credit(id, 1))).toEqual([{ type: "fatal", code: 4400, reason: "credit overflow" }]);
    const other = peer();
    const second = opened(other);
    expect(other.receive(credit(second, 2 ** 32 - 1)).at(-1)).toMatchObject({ type: "fatal", code: 4400 });
  });
});

describe("memory", () => {
  it("FC8: above 7/8 of the cap new streams are refused, above it the heaviest stream is reset", () => {
    const mux = peer({ maxBufferedBytes: 400_000 });
    fill(mux, 2, 100_000);
    fill(mux, 4, 200_000);
    expect(kinds(mux.receive(data(6, 60_000, Flag.syn)))).toEqual(["open", "data"]);
    expect(mux.receive(data(8, 10, Flag.syn))).toEqual([]);
    expect(mux.receive(data(6, 60_000))).toMatchObject([{ type: "data", id: 6 }, { type: "reset", id: 4, cause: "memory" }]);
    expect(mux.bufferedBytes).toBeLessThan(400_000);
    expect(kinds(mux.receive(data(10, 10, Flag.syn)))).toEqual(["open", "data"]);
  });

  it("FC8: the stream that brings the last straw may be the heaviest: it is reset and its end is not told", () => {
    const mux = peer({ maxBufferedBytes: 100_000 });
    mux.receive(data(2, 60_000, Flag.syn));
    expect(kinds(mux.receive(data(2, 60_000, Flag.fin)))).toEqual(["data", "reset"]);
    expect([mux.streamCount, mux.bufferedBytes]).toEqual([0, 0]);
  });

  it("FC8: bytes of ended streams count until they are consumed", () => {
    const mux = peer({ maxBufferedBytes: 100_000 });
    for (const id of [2, 4, 6]) {
      mux.receive(data(id, 30_000, Flag.syn | Flag.fin));
      mux.end(id);
    }
    expect(mux.streamCount).toBe(3);
    expect(mux.receive(data(8, 10, Flag.syn))).toEqual([]);
    for (const id of [2, 4, 6]) mux.consumed(id, 30_000);
    expect([mux.streamCount, mux.bufferedBytes]).toEqual([0, 0]);
    expect(kinds(mux.receive(data(10, 10, Flag.syn)))).toEqual(["open", "data"]);
  });

  it("FC8: a hundred stalled streams with full windows fit under the default cap", () => {
    expect(100 * WINDOW_BYTES).toBeLessThan(MAX_BUFFERED_BYTES * 0.875);
  });

  it("FC10: tiny frames weigh more than their bytes, so that a flood of them is bounded", () => {
    const mux = peer({ maxBufferedBytes: 65_536 });
    const tiny = join(Array.from({ length: 1000 }, () => data(2, 1)));
    mux.receive(data(2, 1, Flag.syn));
    expect(kinds(mux.receive(tiny)).filter((kind) => kind === "reset")).toEqual(["reset"]);
  });

  it("FC10: frames weigh less as their bytes are consumed", () => {
    const mux = peer();
    mux.receive(data(2, 10, Flag.syn));
    mux.receive(join(Array.from({ length: 99 }, () => data(2, 10))));
    expect(mux.bufferedBytes).toBe(1000 + 100 * HELD_FRAME_BYTES);
    mux.consumed(2, 500);
    expect(mux.bufferedBytes).toBe(500 + 50 * HELD_FRAME_BYTES);
    mux.consumed(2, 500);
    expect(mux.bufferedBytes).toBe(0);
  });

  it("FC10: a small payload does not pin the large message that it came in", () => {
    const mux = peer();
    const events = mux.receive(join([data(2, 1, Flag.syn), data(4, 60_000, Flag.syn)]));
    const pinned = events.map((event) => (event.type === "data" ? event.bytes.buffer.byteLength : 0));
    expect(pinned.filter((size) => size > 0)).toEqual([1, 60_025]);
  });
});

/**
 * Two muxes on a link with random delays, readers that stall and writers that push: against a
 * model that is nothing but one list of bytes per stream and direction.
 */
describe("two muxes and a link", () => {
  interface End {
    readonly mux: Mux;
    readonly inbox: Uint8Array[];
    /** What was written per stream, and what was read. */
    readonly wrote: Map<number, Uint8Array[]>;
    readonly read: Map<number, Uint8Array[]>;
    readonly unread: Map<number, number>;
    readonly ended: Set<number>;
  }
  const end = (mux: Mux): End => ({ mux, inbox: [], wrote: new Map(), read: new Map(), unread: new Map(), ended: new Set() });

  function run(seed: number, steps: number): { left: End; right: End } {
    const random = seeded(seed);
    const below = (n: number): number => Math.floor(random() * n);
    const { edge, connector } = pair();
    const left = end(edge);
    const right = end(connector);
    const live: number[] = [];
    const step = (self: End, other: End): void => {
      const choice = below(10);
      const id = live[below(Math.max(1, live.length))];
      if (choice === 0 && live.length < 8) {
        const fresh = self.mux.open();
        if (fresh.ok) live.push(fresh.value);
      } else if (choice <= 3 && id !== undefined) {
        const first = below(256);
        const chunk = new Uint8Array(below(3) === 0 ? below(100_000) : below(40)).map((_, i) => first + 7 * i);
        const taken = self.mux.write(id, chunk);
        add(self.wrote, id, chunk.subarray(0, taken));
      } else if (choice === 4 && id !== undefined && below(8) === 0) self.mux.end(id);
      else if (choice <= 6 && id !== undefined) {
        const some = below((self.unread.get(id) ?? 0) + 1);
        self.mux.consumed(id, some);
        self.unread.set(id, (self.unread.get(id) ?? 0) - some);
      } else if (choice === 7) other.inbox.push(...self.mux.takeOutput().map((message) => message.slice()));
      else take(self, self.inbox.shift());
    };
    for (let i = 0; i < steps; i++) {
      if (below(2) === 0) step(left, right);
      else step(right, left);
    }
    // Let everything arrive.
    for (let quiet = 0; quiet < 3; quiet++) {
      for (const [self, other] of [[left, right], [right, left]] as const) {
        other.inbox.push(...self.mux.takeOutput().map((message) => message.slice()));
        for (let message = other.inbox.shift(); message !== undefined; message = other.inbox.shift()) take(other, message);
      }
    }
    return { left, right };
  }

  function add(to: Map<number, Uint8Array[]>, id: number, chunk: Uint8Array): void {
    const chunks = to.get(id);
    if (chunks === undefined) to.set(id, [chunk]);
    else chunks.push(chunk);
  }

  function take(self: End, message: Uint8Array | undefined): void {
    if (message === undefined) return;
    expect(message.length).toBeLessThanOrEqual(MAX_MESSAGE_BYTES);
    for (const event of self.mux.receive(message)) {
      expect(["fatal", "reset", "goaway"]).not.toContain(event.type);
      if (event.type === "end") self.ended.add(event.id);
      if (event.type !== "data") continue;
      expect(self.ended.has(event.id)).toBe(false);
      add(self.read, event.id, event.bytes);
      const unread = (self.unread.get(event.id) ?? 0) + event.bytes.length;
      self.unread.set(event.id, unread);
      expect(unread).toBeLessThanOrEqual(WINDOW_BYTES);
    }
  }

  it("FC11 FC2: all bytes arrive in order on their own stream, and a reader never holds more than its window", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 2 ** 31 }), (seed) => {
        const { left, right } = run(seed, 300);
        for (const [from, to] of [[left, right], [right, left]] as const) {
          for (const id of new Set([...from.wrote.keys(), ...to.read.keys()])) {
            expect(Buffer.compare(join(to.read.get(id) ?? []), join(from.wrote.get(id) ?? []))).toBe(0);
          }
          expect(from.mux.counters.ignored + from.mux.counters.overruns).toBe(0);
        }
      }),
      { numRuns: 40 },
    );
  });

  it("FC11: one stalled reader does not hold up the others", () => {
    const { edge, connector } = pair();
    const [stalled, live] = [opened(edge), opened(edge)];
    edge.write(stalled, new Uint8Array(INITIAL_WINDOW_BYTES));
    let arrived = 0;
    for (let i = 0; i < 200; i++) {
      edge.write(live, new Uint8Array(65_000));
      for (const event of deliver(edge, connector)) {
        if (event.type !== "data" || event.id !== live) continue;
        arrived += event.bytes.length;
        connector.consumed(live, event.bytes.length);
      }
      deliver(connector, edge);
    }
    expect(arrived).toBe(200 * 65_000);
    expect(connector.bufferedBytes).toBeLessThan(INITIAL_WINDOW_BYTES + 10 * HELD_FRAME_BYTES);
  });
});

describe("hostile frames", () => {
  /** Frames that are well-formed each and senseless together: ids of both parities, flags and lengths at will. */
  const frame = fc.record({ type: fc.constantFrom(0, 0, 0, 1, 1, 2, 3), flags: fc.nat(15), id: fc.integer({ min: 1, max: 12 }), length: fc.oneof(fc.nat(50), fc.nat(60_000), fc.constant(2 ** 32 - 1)), fillWith: fc.nat(255) });

  it("FC11 FC7 FR8: never throws, never gives one stream another's bytes, memory stays under the cap and goes back to zero", () => {
    fc.assert(
      fc.property(fc.array(fc.array(frame, { minLength: 1, maxLength: 4 }), { maxLength: 40 }), (messages) => {
        const mux = peer({ maxBufferedBytes: 300_000 });
        const answered: number[] = [];
        for (const message of messages) {
          const parts = message.map((f) => {
            const id = f.type >= 2 ? 0 : f.id;
            return f.type === 0 ? encodeFrame(0, f.flags, id, 0, new Uint8Array(Math.min(f.length, 16_000)).fill(id)) : encodeFrame(f.type, f.flags, id, f.length);
          });
          for (const event of mux.receive(join(parts))) {
            if (event.type === "data") expect(event.bytes.every((byte) => byte === event.id)).toBe(true);
            if (event.type === "open") {
              answered.push(event.id);
              mux.write(event.id, bytes("answer"));
              if (event.id % 4 === 0) mux.end(event.id);
            }
          }
          expect(mux.bufferedBytes).toBeLessThanOrEqual(300_000);
          reads(mux.takeOutput());
        }
        for (const id of Array.from(mux.streams())) mux.reset(id);
        expect([mux.streamCount, mux.bufferedBytes, mux.inFlightBytes]).toEqual([0, 0, 0]);
        expect(answered.every((id) => id % 2 === 0)).toBe(true);
      }),
      { numRuns: 300 },
    );
  });
});
