/** What makes no sense, and too much of what does: ignored and counted, and at a rate the end of the socket. */
import { describe, expect, it } from "vitest";
import { Flag, FrameType, INITIAL_WINDOW_BYTES, encodeFrame } from "../../protocol/frames.ts";
import { MAX_CREDIT_BYTES, MAX_IGNORED_BURST_COUNT, MAX_PINGS_BURST_COUNT, MAX_QUEUED_CONTROL_COUNT, MAX_RESETS_BURST_COUNT } from "../../protocol/limits.ts";
import type { MuxEvent } from "../../protocol/mux-events.ts";
import { Mux } from "../../protocol/mux.ts";
import { bytes, deliver, join, opened, pair, reads, show } from "./wire.ts";

const syn = (id: number, text = "", flags: number = Flag.syn): Uint8Array => encodeFrame(FrameType.data, flags, id, 0, bytes(text));
const update = (id: number, flags: number, credit = 0): Uint8Array => encodeFrame(FrameType.windowUpdate, flags, id, credit);
const sent = (mux: Mux): string[] => reads(mux.takeOutput()).map(show);
const kinds = (events: readonly MuxEvent[]): string[] => events.map((event) => event.type);
const peer = (options: Partial<ConstructorParameters<typeof Mux>[0]> = {}): Mux => new Mux({ now: () => 0, ...options, role: "connector" });
const times = (count: number, frame: (i: number) => Uint8Array): Uint8Array[] => {
  const messages: Uint8Array[] = [];
  for (let i = 0; i < count; i += 1000) messages.push(join(Array.from({ length: Math.min(1000, count - i) }, (_, j) => frame(i + j))));
  return messages;
};

describe("what makes no sense", () => {
  const second = { now: 0 };
  const clocked = (): Mux => {
    second.now = 0;
    return new Mux({ role: "connector", now: () => second.now });
  };

  const garbage: readonly [string, (i: number) => Uint8Array][] = [
    ["data for an unknown id", (i) => encodeFrame(FrameType.data, 0, 1000 + 2 * i, 0, bytes("x"))],
    ["credit for an unknown id", (i) => update(1000 + 2 * i, 0, 10)],
    ["an end for an unknown id", (i) => update(1000 + 2 * i, Flag.fin)],
    ["a reset for an unknown id", (i) => update(1000 + 2 * i, Flag.rst)],
    ["empty data on a live stream", () => encodeFrame(FrameType.data, 0, 2, 0)],
    ["empty credit on a live stream", () => update(2, 0, 0)],
    ["a second end", () => update(4, Flag.fin)],
    ["an answer to no ping", () => encodeFrame(FrameType.ping, Flag.ack, 0, 7)],
    ["streams of our own parity", (i) => syn(1 + 2 * i, "x")],
  ];
  it.each(garbage)("ST8: %s is ignored and counted, and a flood of it closes the socket with 4429", (_title, frame) => {
    const mux = clocked();
    mux.receive(join([syn(2, "live"), syn(4, "", Flag.syn | Flag.fin)]));
    for (const message of times(MAX_IGNORED_BURST_COUNT, frame)) expect(mux.receive(message)).toEqual([]);
    expect(mux.counters.ignored).toBe(MAX_IGNORED_BURST_COUNT);
    expect(mux.streamCount).toBe(2);
    second.now += 1000;
    for (const message of times(1000, frame)) expect(mux.receive(message)).toEqual([]);
    expect(mux.receive(frame(5))).toEqual([{ type: "fatal", code: 4429, reason: "frames without a stream" }]);
    expect(mux.streamCount).toBe(0);
  });

  it("ST8: late data beyond the credit that was left is garbage", () => {
    const mux = clocked();
    mux.receive(syn(2, "12345678"));
    mux.reset(2);
    const left = 262_144 - 8;
    for (let sent = 0; sent < left; sent += 65_000) mux.receive(encodeFrame(FrameType.data, 0, 2, 0, new Uint8Array(Math.min(65_000, left - sent))));
    expect(mux.counters.ignored).toBe(0);
    mux.receive(encodeFrame(FrameType.data, 0, 2, 0, bytes("x")));
    expect(mux.counters.ignored).toBe(1);
  });

  it("ST8: a late end is free once, and after it no data is due", () => {
    const mux = clocked();
    mux.receive(syn(2, "x"));
    mux.reset(2);
    mux.receive(update(2, Flag.fin));
    expect(mux.counters).toMatchObject({ late: 1, ignored: 0 });
    mux.receive(join([update(2, Flag.fin), encodeFrame(FrameType.data, 0, 2, 0, bytes("y"))]));
    expect(mux.counters).toMatchObject({ late: 1, ignored: 2 });
  });

  it("ST8: crossing resets and late credit are free, once", () => {
    const { edge, connector } = pair();
    const [a, b] = [opened(edge), opened(edge)];
    for (const id of [a, b]) edge.write(id, new Uint8Array(100_000));
    deliver(edge, connector);
    edge.reset(a);
    edge.reset(b);
    connector.consumed(b, 100_000);
    connector.reset(a);
    expect(deliver(connector, edge)).toEqual([]);
    expect(edge.counters).toMatchObject({ late: 2, ignored: 0 });
  });

  it.each([
    ["reset", (mux: Mux) => mux.reset(2)],
    ["done", (mux: Mux) => { mux.end(2); mux.receive(update(2, Flag.fin)); mux.consumed(2, 1); }],
    ["refused", (mux: Mux) => { mux.goAway(0); mux.receive(syn(4, "x")); }],
  ])("ST8: as much credit as may be held out is free for a stream that was %s, in however many frames, and no more", (how, ending) => {
    const mux = clocked();
    mux.receive(syn(2, "x"));
    ending(mux);
    const id = how === "refused" ? 4 : 2;
    const due = MAX_CREDIT_BYTES - INITIAL_WINDOW_BYTES;
    for (let given = 0; given < due; given += 64) expect(mux.receive(update(id, 0, 64))).toEqual([]);
    expect(mux.counters.ignored).toBe(0);
    mux.receive(update(id, 0, 64));
    expect(mux.counters.ignored).toBe(1);
  });

  it("FR6: a ping is answered with its value, and a flood of pings closes the socket with 4429", () => {
    const mux = clocked();
    const ping = encodeFrame(FrameType.ping, Flag.syn, 0, 0xcafe);
    for (let i = 0; i < MAX_PINGS_BURST_COUNT; i++) {
      mux.receive(ping);
      expect(sent(mux)).toEqual(["ping ACK 0 +51966"]);
    }
    second.now += 1000;
    expect(mux.receive(ping)).toEqual([]);
    expect(mux.receive(ping)).toEqual([{ type: "fatal", code: 4429, reason: "pings" }]);
  });

  it("ST9: opening and resetting at a high rate closes the socket with 4429", () => {
    const mux = clocked();
    const events: MuxEvent[] = [];
    let pairs = 0;
    for (; pairs < 100_000 && events.at(-1)?.type !== "fatal"; pairs++) {
      second.now += 0.1;
      events.push(...mux.receive(join([syn(2 + 2 * pairs, "x"), update(2 + 2 * pairs, Flag.rst)])));
    }
    expect(events.at(-1)).toEqual({ type: "fatal", code: 4429, reason: "resets" });
    expect(pairs).toBeLessThan(MAX_RESETS_BURST_COUNT * 1.25);
  });

  it("ST9: frames that make us reset count as resets", () => {
    const mux = peer({ maxStreams: 1 });
    mux.receive(syn(2, "x"));
    const last: MuxEvent[] = [];
    for (const message of times(MAX_RESETS_BURST_COUNT + 1, (i) => syn(4 + 2 * i, "x"))) {
      last.push(...mux.receive(message));
      mux.takeOutput();
    }
    expect(last).toEqual([{ type: "fatal", code: 4429, reason: "resets" }]);
  });

  it("ST9: all streams of a socket can be cut at once", () => {
    const { edge, connector } = pair();
    const ids = Array.from({ length: 1000 }, () => opened(edge));
    for (const id of ids) edge.write(id, bytes("x"));
    deliver(edge, connector);
    for (const id of ids) edge.reset(id);
    expect(kinds(deliver(edge, connector))).toEqual(ids.map(() => "reset"));
  });

  it("ST8: an id that nobody knows never ends a session that is slow about it", () => {
    const mux = clocked();
    for (let i = 0; i < 50_000; i++) {
      second.now += 1;
      expect(mux.receive(update(1000 + 2 * i, 0, 10))).toEqual([]);
    }
    expect(mux.counters.ignored).toBe(50_000);
  });

  it("ST9: control frames that nobody takes are bounded", () => {
    const mux = clocked();
    let queued = 0;
    let fatal: MuxEvent | undefined;
    while (fatal === undefined && queued < 2 * MAX_QUEUED_CONTROL_COUNT) {
      second.now += 1000;
      fatal = mux.receive(join(Array.from({ length: 500 }, (_, i) => syn(2 + 2 * (queued + i), "", Flag.syn | Flag.fin)))).find((event) => event.type === "fatal");
      for (let i = 0; i < 500; i++) mux.end(2 + 2 * (queued + i));
      queued += 500;
    }
    expect(fatal).toEqual({ type: "fatal", code: 4429, reason: "control frames queued" });
  });
});
