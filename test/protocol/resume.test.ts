import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ByteQueue } from "../../protocol/byte-queue.ts";
import { MAX_RESUME_DATA_BYTES, RESUME_WINDOW_BYTES } from "../../protocol/limits.ts";
import { ResumeReader, dataHeader, encodeResumeFrame } from "../../protocol/resume-frames.ts";
import type { ResumeFrame } from "../../protocol/resume-frames.ts";
import { Resumable } from "../../protocol/resume.ts";
import type { ResumeEvent } from "../../protocol/resume.ts";

const join = (parts: readonly Uint8Array[]): Uint8Array => Uint8Array.from(parts.flatMap((part) => [...part]));
const SECRET = Uint8Array.from({ length: 32 }, (_, i) => i);
const OPEN = { app: "pg" as never, attach: true, generation: 7, received: 2 ** 33 + 5, secret: SECRET };

/** Frames with the pieces of data put together. */
function read(bytes: Uint8Array, cuts: readonly number[]): (ResumeFrame | undefined)[] {
  const reader = new ResumeReader();
  const frames: (ResumeFrame | undefined)[] = [];
  let from = 0;
  for (const to of [...new Set(cuts.map((cut) => cut % (bytes.length + 1)))].sort((a, b) => a - b).concat(bytes.length)) {
    const found = reader.feed(bytes.subarray(from, to));
    from = to;
    if (found === undefined) return [...frames, undefined];
    for (const frame of found) {
      const last = frames.at(-1);
      if (frame.type === "data" && last?.type === "data") frames[frames.length - 1] = { type: "data", bytes: join([last.bytes, frame.bytes]) };
      else frames.push(frame);
    }
  }
  return frames;
}

describe("frames", () => {
  it("RS1: are read however they are cut", () => {
    const frames: Exclude<ResumeFrame, { type: "data" | "waiting" }>[] = [{ type: "open", open: OPEN }, { type: "opened", received: 9 }, { type: "ack", offset: 2 ** 40 }, { type: "fin", total: 0 }, { type: "abort", code: "old_generation" }];
    const bytes = join([encodeResumeFrame(frames[0] ?? { type: "ack", offset: 0 }), dataHeader(32, true), SECRET, ...frames.slice(1).map(encodeResumeFrame)]);
    fc.assert(
      fc.property(fc.array(fc.nat({ max: bytes.length }), { maxLength: 30 }), (cuts) => {
        expect(read(bytes, cuts)).toEqual([frames[0], { type: "data", bytes: SECRET }, { type: "waiting" }, ...frames.slice(1)]);
      }),
    );
  });

  it("RS1: one without data asks for an ack", () => {
    expect(read(join([dataHeader(0, true), encodeResumeFrame({ type: "ack", offset: 3 })]), [])).toEqual([{ type: "waiting" }, { type: "ack", offset: 3 }]);
  });

  it.each<[string, Uint8Array]>([
    ["type 0", Uint8Array.of(0, 0, 0, 0)],
    ["an unknown type", Uint8Array.of(8, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0)],
    ["an empty data frame", dataHeader(0)],
    ["a data frame that is too long", dataHeader(MAX_RESUME_DATA_BYTES + 1)],
    ["an open of another size", Uint8Array.of(1, 0, 0, 4)],
    ["an open without an app", Uint8Array.of(1, 0, 0, 45)],
    ["an open with too long an app", Uint8Array.of(1, 0, 0, 45 + 64)],
    ["an open of what is no app's id", encodeResumeFrame({ type: "open", open: { ...OPEN, app: "PG" as never } })],
    ["an open that is neither new nor an attach", join([encodeResumeFrame({ type: "open", open: OPEN })]).fill(2, 4, 5)],
    ["an ack of another size", Uint8Array.of(5, 0, 0, 4)],
    ["an offset above 2^53", Uint8Array.of(5, 0, 0, 8, 0xff, 0, 0, 0, 0, 0, 0, 0)],
    ["a code with other characters", Uint8Array.of(3, 0, 0, 1, 0x41)],
    ["a code that is too long", Uint8Array.of(3, 0, 0, 65)],
  ])("RS1: refuse %s", (_what, bytes) => {
    expect(read(bytes, [])).toEqual([undefined]);
  });

  it("RS1: no bytes make the reader throw", () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), fc.array(fc.nat({ max: 300 })), (bytes, cuts) => void read(bytes, cuts)));
  });
});

const WINDOW = 256;

/** Two ends over a connection that is cut at any byte, any number of times. */
class Pair {
  readonly ends: readonly [End, End];
  constructor(window: number) {
    this.ends = [new End(window), new End(window)];
  }
  /** Cuts: everything under way is lost; then both say how far they came and go on. */
  reconnect(): void {
    const [a, b] = this.ends;
    for (const end of this.ends) end.state.detach();
    for (const end of this.ends) end.wire = [];
    const [fromA, fromB] = [a.state.received, b.state.received];
    expect(a.state.attach(fromB)).toBe(true);
    expect(b.state.attach(fromA)).toBe(true);
    a.reader = new ResumeReader();
    b.reader = new ResumeReader();
  }
  /** Moves at most `bytes` of what `from` has sent to the other end. */
  move(from: 0 | 1, bytes: number): void {
    const sender = this.ends[from];
    const receiver = this.ends[from === 0 ? 1 : 0];
    sender.wire.push(...sender.state.takeOutput(sender.share));
    let left = bytes;
    while (left > 0 && sender.wire.length > 0) {
      const first = sender.wire[0] ?? new Uint8Array(0);
      const part = first.subarray(0, left);
      if (part.length === first.length) sender.wire.shift();
      else sender.wire[0] = first.subarray(part.length);
      left -= part.length;
      receiver.take(part);
    }
  }
}

class End {
  readonly state: Resumable;
  wire: Uint8Array[] = [];
  reader = new ResumeReader();
  got: number[] = [];
  isEnded = false;
  faults: ResumeEvent[] = [];
  toConsume = 0;
  endToConsume = false;
  mayWrite = true;
  share = WINDOW;
  written: number[] = [];

  constructor(window: number) {
    this.state = new Resumable(window);
  }
  take(bytes: Uint8Array): void {
    for (const frame of this.reader.feed(bytes) ?? []) {
      for (const event of this.state.receive(frame)) {
        if (event.type === "data") {
          expect(this.isEnded).toBe(false);
          this.got.push(...event.bytes);
          this.toConsume += event.bytes.length;
        } else if (event.type === "end") {
          this.isEnded = true;
          this.endToConsume = true;
        } else if (event.type === "room") this.mayWrite = true;
        else this.faults.push(event);
      }
    }
  }
  write(bytes: Uint8Array): void {
    if (!this.mayWrite) return;
    this.written.push(...bytes);
    this.mayWrite = this.state.write(bytes);
  }
  consume(bytes: number): void {
    const size = Math.min(bytes, this.toConsume);
    this.toConsume -= size;
    this.state.consumed(size);
    if (this.toConsume === 0 && this.endToConsume) {
      this.endToConsume = false;
      this.state.endConsumed();
    }
  }
}

const side = fc.constantFrom<0 | 1>(0, 1);
const MIN_SHARE = 64;
const step = fc.oneof(
  { weight: 4, arbitrary: fc.record({ do: fc.constant("write" as const), side, bytes: fc.uint8Array({ minLength: 1, maxLength: 120 }) }) },
  { weight: 6, arbitrary: fc.record({ do: fc.constant("move" as const), side, count: fc.integer({ min: 1, max: 200 }) }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant("consume" as const), side, count: fc.integer({ min: 1, max: 200 }) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("cut" as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("share" as const), side, bytes: fc.integer({ min: MIN_SHARE, max: WINDOW }) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("end" as const), side }) },
);

describe("two ends", () => {
  it("RS3 RS4 RS5 RS6 RS7: whatever is cut, whenever, each byte arrives once, in order, and no end holds more than two windows and a write", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 120 }), (steps) => {
        const pair = new Pair(WINDOW);
        pair.reconnect();
        for (const one of steps) {
          if (one.do === "cut") pair.reconnect();
          else if (one.do === "move") pair.move(one.side, one.count);
          else if (one.do === "write") pair.ends[one.side].write(one.bytes);
          else if (one.do === "share") pair.ends[one.side].share = one.bytes;
          else if (one.do === "consume") pair.ends[one.side].consume(one.count);
          else {
            pair.ends[one.side].state.end();
            pair.ends[one.side].mayWrite = false;
          }
          for (const end of pair.ends) expect(end.state.heldBytes).toBeLessThanOrEqual(2 * WINDOW + 120);
        }
        // Left alone, it comes to its end.
        for (const end of pair.ends) {
          end.state.end();
          end.mayWrite = false;
        }
        for (let turn = 0; turn < 100; turn += 1) {
          for (const from of [0, 1] as const) {
            pair.move(from, 1_000);
            pair.ends[from].consume(1_000);
          }
        }
        const [a, b] = pair.ends;
        expect([...a.faults, ...b.faults]).toEqual([]);
        expect(b.got).toEqual(a.written);
        expect(a.got).toEqual(b.written);
        expect([a.state.isDone, b.state.isDone]).toEqual([true, true]);
      }),
      { numRuns: 400 },
    );
  });

  it("RS5: nothing is sent beyond the window that is not acknowledged", () => {
    const end = new Resumable();
    end.attach(0);
    while (end.write(new Uint8Array(60_000)));
    const sent = end.takeOutput().reduce((sum, part) => sum + part.length, 0);
    expect(sent).toBeGreaterThan(RESUME_WINDOW_BYTES);
    // Each frame has a header; what was written comes in no more frames than this.
    expect(sent).toBeLessThan(RESUME_WINDOW_BYTES + 16 * Math.ceil(RESUME_WINDOW_BYTES / 60_000));
    expect(end.takeOutput()).toEqual([]);
  });

  const attached = (): Resumable => {
    const end = new Resumable(WINDOW);
    end.attach(0);
    return end;
  };
  it.each<[string, string, (end: Resumable) => ResumeEvent[]]>([
    ["RS5: data beyond the window", "overrun", (end) => end.receive({ type: "data", bytes: new Uint8Array(WINDOW + 1) })],
    ["RS6: an ack for what was not sent", "bad_offset", (end) => end.receive({ type: "ack", offset: 1 })],
    ["RS7: a total that is not what came", "wrong_total", (end) => end.receive({ type: "fin", total: 1 })],
    ["RS7: data after the end", "after_end", (end) => [...end.receive({ type: "fin", total: 0 }).slice(1), ...end.receive({ type: "data", bytes: new Uint8Array(1) })]],
    ["RS7: a second end", "after_end", (end) => [...end.receive({ type: "fin", total: 0 }).slice(1), ...end.receive({ type: "fin", total: 0 })]],
    ["RS2: a second first frame", "out_of_order", (end) => end.receive({ type: "opened", received: 0 })],
  ])("%s is a fault", (_what, fault, act) => {
    expect(act(attached())).toEqual([{ type: "fault", fault }]);
  });

  it("RS4: an attach that claims what was never written, or forgets what it acknowledged, is refused", () => {
    const end = attached();
    end.write(new Uint8Array(100));
    end.takeOutput();
    end.receive({ type: "ack", offset: 64 });
    expect([63, 64, 100, 101].map((offset) => end.attach(offset))).toEqual([false, true, true, false]);
    end.end();
    expect([101, 102].map((offset) => end.attach(offset))).toEqual([true, false]);
  });

  it("RS8: an abort ends it with its code", () => {
    expect(attached().receive({ type: "abort", code: "upstream_reset" })).toEqual([{ type: "aborted", code: "upstream_reset" }]);
  });
});

describe("what is kept", () => {
  it("RS5: tiny writes cost what they weigh", () => {
    const queue = new ByteQueue();
    for (let i = 0; i < 10_000; i += 1) queue.push(Uint8Array.of(i % 256));
    expect(queue.length).toBe(10_000);
    expect(queue.peek(0, queue.length).length).toBe(1);
    expect(queue.peek(300, 2)).toEqual([Uint8Array.of(300 % 256, 301 % 256)]);
  });

  it("RS5: a queue gives back what was put in, whatever is dropped when", () => {
    fc.assert(
      fc.property(fc.array(fc.oneof(fc.uint8Array({ minLength: 1, maxLength: 6_000 }), fc.nat({ max: 9_000 })), { maxLength: 40 }), (acts) => {
        const queue = new ByteQueue();
        let model: number[] = [];
        for (const act of acts) {
          if (typeof act === "number") {
            queue.drop(act);
            model = model.slice(act);
          } else {
            queue.push(act);
            model.push(...act);
          }
          const from = Math.floor(model.length / 3);
          expect(join(queue.peek(from, 500))).toEqual(Uint8Array.from(model.slice(from, from + 500)));
          expect(queue.length).toBe(model.length);
        }
        expect(join(queue.takeAll())).toEqual(Uint8Array.from(model));
      }),
      { numRuns: 60 },
    );
  });
});
