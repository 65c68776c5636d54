/** The life of streams: ids, opening, ending, resetting and refusing. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Flag, FrameType, encodeFrame } from "../../protocol/frames.ts";
import { ID_REORDER_COUNT, LAST_STREAM_ID } from "../../protocol/limits.ts";
import type { MuxEvent } from "../../protocol/mux-events.ts";
import { Mux } from "../../protocol/mux.ts";
import { UsedIds } from "../../protocol/used-ids.ts";
import { bytes, deliver, join, opened, pair, reads, show } from "./wire.ts";

const syn = (id: number, text = "", flags: number = Flag.syn): Uint8Array => encodeFrame(FrameType.data, flags, id, 0, bytes(text));
const update = (id: number, flags: number, credit = 0): Uint8Array => encodeFrame(FrameType.windowUpdate, flags, id, credit);
const sent = (mux: Mux): string[] => reads(mux.takeOutput()).map(show);
const kinds = (events: readonly MuxEvent[]): string[] => events.map((event) => event.type);
const peer = (options: Partial<ConstructorParameters<typeof Mux>[0]> = {}): Mux => new Mux({ now: () => 0, ...options, role: "connector" });

describe("opening", () => {
  it("ST1: the edge opens 2, 4, 6, the connector 1, 3, 5, and opening sends nothing", () => {
    const { edge, connector } = pair();
    expect([opened(edge), opened(edge), opened(edge)]).toEqual([2, 4, 6]);
    expect([opened(connector), opened(connector), opened(connector)]).toEqual([1, 3, 5]);
    expect([edge.takeOutput(), connector.takeOutput()]).toEqual([[], []]);
  });

  it("ST1: the first frame carries SYN, be it data or the end, and the second does not", () => {
    const { edge } = pair();
    const [a, b, c] = [opened(edge), opened(edge), opened(edge)];
    edge.write(b, bytes("first"));
    edge.end(c);
    edge.write(a, bytes("x"));
    edge.write(b, bytes("second"));
    expect(sent(edge)).toEqual(["data SYN 4 first", "update SYN|FIN 6 +0", "data SYN 2 x", "data 4 second"]);
  });

  it("ST2: the acceptor's first frame carries ACK and its second does not", () => {
    const mux = peer();
    mux.receive(join([syn(2, "a"), syn(4, "b", Flag.syn | Flag.fin), syn(6, "c")]));
    mux.write(2, bytes("answer"));
    mux.end(4);
    mux.reset(6);
    mux.write(2, bytes("more"));
    expect(sent(mux)).toEqual(["data ACK 2 answer", "update ACK|FIN 4 +0", "update RST 6 +0", "data 2 more"]);
  });

  it("ST2: an ACK alone waits for other output, or for 32 of them", () => {
    const mux = peer();
    mux.receive(syn(2, "a"));
    expect(sent(mux)).toEqual([]);
    mux.receive(syn(4, "b"));
    mux.write(4, bytes("x"));
    expect(sent(mux)).toEqual(["data ACK 4 x", "update ACK 2 +0"]);
    for (let i = 0; i < 31; i++) mux.receive(syn(10 + 2 * i, "x"));
    expect(sent(mux)).toEqual([]);
    mux.receive(syn(100, "x"));
    expect(sent(mux)).toHaveLength(32);
  });

  const refusals: readonly [string, (mux: Mux) => void, string, Partial<ConstructorParameters<typeof Mux>[0]>][] = [
    ["too_many_streams", () => undefined, "too_many_streams", { maxStreams: 3 }],
    ["backlog", () => undefined, "backlog", { maxBacklog: 3 }],
    ["our go-away", (mux) => mux.goAway(0), "going_away", {}],
    ["the peer's go-away", (mux) => mux.receive(encodeFrame(FrameType.goAway, 0, 0, 0)), "going_away", {}],
    ["bytes held", (mux) => mux.receive(encodeFrame(FrameType.data, Flag.syn, 2, 0, new Uint8Array(60_000))), "memory", { maxBufferedBytes: 65_536 }],
    ["bytes in flight", (mux) => mux.write(1, new Uint8Array(200_000)), "memory", { maxBufferedBytes: 100_000 }],
    ["a fatal frame", (mux) => mux.receive(new Uint8Array(3)), "closed", {}],
  ];
  it.each(refusals)("ST12: after %s open fails with its reason and sends nothing", (_title, act, refusal, options) => {
    const mux = peer(options);
    for (let i = 0; i < 3; i++) opened(mux);
    act(mux);
    mux.takeOutput();
    expect(mux.open()).toEqual({ ok: false, error: refusal });
    expect(mux.takeOutput()).toEqual([]);
  });

  it("ST12: an acknowledged, reset or ended stream no longer counts as backlog", () => {
    const mux = peer({ maxBacklog: 3 });
    const [a, b, c] = [opened(mux), opened(mux), opened(mux)];
    for (const id of [a, b, c]) mux.write(id, bytes("x"));
    mux.receive(update(a, Flag.ack));
    expect(mux.open().ok).toBe(true);
    mux.reset(b);
    expect(mux.open().ok).toBe(true);
    mux.receive(update(c, Flag.rst));
    expect(mux.open().ok).toBe(true);
    expect(mux.open()).toEqual({ ok: false, error: "backlog" });
  });

  it("ST5: a stream above the cap is refused without an event, and room opens again", () => {
    const mux = peer({ maxStreams: 2 });
    expect(kinds(mux.receive(join([syn(2, "a"), syn(4, "b"), syn(6, "c")])))).toEqual(["open", "data", "open", "data"]);
    expect(sent(mux)).toContain("update RST 6 +0");
    mux.reset(2);
    expect(kinds(mux.receive(syn(8, "d")))).toEqual(["open", "data"]);
    expect(mux.counters).toMatchObject({ accepted: 3, refused: 1 });
  });

  it("ST5: a side that accepts none refuses every stream, and what follows on it is free", () => {
    const mux = new Mux({ role: "edge", now: () => 0, accept: false });
    expect(mux.receive(join([syn(1, "a"), encodeFrame(FrameType.data, 0, 1, 0, new Uint8Array(1000)), update(1, Flag.fin)]))).toEqual([]);
    expect(sent(mux)).toEqual(["update RST 1 +0"]);
    expect(mux.counters).toMatchObject({ refused: 1, late: 2, ignored: 0 });
  });

  it("FR7 ST5: after a go-away new streams are refused and old ones go on", () => {
    const mux = peer();
    mux.receive(syn(2, "a"));
    mux.goAway(0);
    expect(mux.receive(syn(4, "b"))).toEqual([]);
    expect(kinds(mux.receive(encodeFrame(FrameType.data, 0, 2, 0, bytes("on"))))).toEqual(["data"]);
    expect(mux.write(2, bytes("answer"))).toBe(6);
    expect(sent(mux)).toEqual(["goaway 0 +0", "update RST 4 +0", "data ACK 2 answer"]);
  });

  it("FR7: the peer's go-away is one event with its code; a second one is ignored", () => {
    const mux = peer();
    expect(mux.receive(encodeFrame(FrameType.goAway, 0, 0, 2))).toEqual([{ type: "goaway", code: 2 }]);
    expect(mux.receive(encodeFrame(FrameType.goAway, 0, 0, 0))).toEqual([]);
    expect(mux.counters.ignored).toBe(1);
  });
});

describe("ids", () => {
  it("ST6: an id used before is refused, also long after", () => {
    const mux = peer();
    mux.receive(syn(2, "", Flag.syn | Flag.fin));
    mux.end(2);
    mux.takeOutput();
    expect(mux.streamCount).toBe(0);
    expect(mux.receive(syn(2, "again"))).toEqual([]);
    expect(sent(mux)).toEqual(["update RST 2 +0"]);
    for (let id = 4; id < 100_000; id += 2) {
      mux.receive(syn(id, "", Flag.syn | Flag.fin));
      mux.end(id);
      mux.takeOutput();
    }
    for (const id of [2, 50_000, 99_998]) expect(mux.receive(syn(id, "again"))).toEqual([]);
    expect(sent(mux)).toHaveLength(3);
  });

  it("ST6: exactly the ids not used before are taken, in any order and after any jump, as a set would have it", () => {
    fc.assert(
      fc.property(fc.array(fc.record({ jump: fc.constantFrom(0, 0, 0, 3, 5_000, 8_192, 300_000), back: fc.oneof(fc.nat(40), fc.nat(9_000)) }), { maxLength: 200 }), (steps) => {
        const used = new UsedIds();
        const seen = new Set<number>();
        let base = 10_000;
        for (const { jump, back } of steps) {
          base += jump;
          const index = base - (jump > 0 ? 0 : back);
          const newest = Math.max(0, ...seen);
          const fresh = used.claim(2 * index);
          if (index > newest - (ID_REORDER_COUNT - 32)) expect([index, fresh]).toEqual([index, !seen.has(index)]);
          else if (index <= newest - ID_REORDER_COUNT) expect([index, fresh]).toEqual([index, false]);
          if (fresh) expect(seen.has(index)).toBe(false);
          seen.add(index);
        }
      }),
    );
  });

  it("ST6: what an older round of ids left behind does not count after a jump", () => {
    const used = new UsedIds();
    for (let index = 0; index < ID_REORDER_COUNT; index++) expect(used.claim(2 * index)).toBe(true);
    expect(used.claim(2 * (2 * ID_REORDER_COUNT - 1))).toBe(true);
    for (let index = ID_REORDER_COUNT; index < 2 * ID_REORDER_COUNT - 1; index += 77) expect(used.claim(2 * index)).toBe(true);
  });

  it("ST6: ids out of order are good", () => {
    const mux = peer();
    const order = [40, 2, 38, 4, 6, 2000, 8, 1000];
    expect(order.flatMap((id) => kinds(mux.receive(syn(id, "x"))))).toEqual(order.flatMap(() => ["open", "data"]));
  });

  it("ST6: a SYN for a live id resets that stream, and its bytes reach nobody", () => {
    const mux = peer();
    mux.receive(join([syn(2, "one"), syn(4, "two")]));
    expect(mux.receive(join([syn(2, "other"), encodeFrame(FrameType.data, 0, 2, 0, bytes("more"))]))).toEqual([{ type: "reset", id: 2, cause: "reused_id" }]);
    expect(kinds(mux.receive(encodeFrame(FrameType.data, 0, 4, 0, bytes("on"))))).toEqual(["data"]);
  });

  it("ST1: a SYN for an id of our own parity opens nothing", () => {
    const mux = peer();
    expect(mux.receive(syn(1, "mine"))).toEqual([]);
    expect([mux.streamCount, mux.counters.ignored, opened(mux)]).toEqual([0, 1, 1]);
  });

  it("ST10: ids go up from the reserved mark and never down", () => {
    const { edge } = pair();
    edge.reserveIds(1025);
    expect([opened(edge), opened(edge)]).toEqual([1026, 1028]);
    edge.reserveIds(10);
    expect(opened(edge)).toBe(1030);
    edge.restore(5000, { credit: 1, window: 1, held: 0, flags: 0 });
    expect(opened(edge)).toBe(5002);
  });

  it("ST10: when ids run out the peer gets a go-away, once, and live streams go on", () => {
    const { edge } = pair();
    edge.reserveIds(LAST_STREAM_ID - 2);
    const last = opened(edge);
    expect(last).toBeLessThan(2 ** 31);
    expect([edge.open(), edge.open()]).toEqual([
      { ok: false, error: "ids_exhausted" },
      { ok: false, error: "ids_exhausted" },
    ]);
    edge.write(last, bytes("x"));
    expect(sent(edge)).toEqual(["goaway 0 +0", `data SYN ${last} x`]);
  });
});

describe("ending", () => {
  it("ST3: the end rides on the last data frame when that was written last", () => {
    const { edge } = pair();
    const [a, b] = [opened(edge), opened(edge)];
    edge.write(a, bytes("head"));
    edge.write(a, bytes(" and body"));
    edge.end(a);
    edge.write(b, bytes("x"));
    edge.goAway(0);
    edge.end(b);
    expect(sent(edge)).toEqual(["data SYN|FIN 2 head and body", "data SYN 4 x", "goaway 0 +0", "update FIN 4 +0"]);
  });

  it("ST3: half closed in either order, and gone only when both ended and all is consumed", () => {
    const { edge, connector } = pair();
    const id = opened(edge);
    edge.write(id, bytes("ask"));
    edge.end(id);
    expect(kinds(deliver(edge, connector))).toEqual(["open", "data", "end"]);
    expect(edge.write(id, bytes("no more"))).toBe(0);
    expect(edge.writable(id)).toBe(0);
    connector.write(id, bytes("answer"));
    connector.end(id);
    expect(connector.streamCount).toBe(1);
    connector.consumed(id, 3);
    expect(connector.streamCount).toBe(0);
    expect(kinds(deliver(connector, edge))).toEqual(["data", "end"]);
    expect(edge.streamCount).toBe(1);
    edge.consumed(id, 5);
    expect(edge.streamCount).toBe(1);
    edge.consumed(id, 1);
    expect([edge.streamCount, edge.bufferedBytes, edge.inFlightBytes]).toEqual([0, 0, 0]);
  });

  it("ST3: a stream that ended both ways is dropped by reset without a frame", () => {
    const mux = peer();
    mux.receive(syn(2, "ask", Flag.syn | Flag.fin));
    mux.end(2);
    mux.takeOutput();
    mux.reset(2);
    expect([mux.streamCount, mux.bufferedBytes, mux.takeOutput().length]).toEqual([0, 0, 0]);
  });

  it("ST3: a reset after both ends is ignored: what was received whole stays whole", () => {
    const mux = peer();
    mux.receive(syn(2, "ask", Flag.syn | Flag.fin));
    mux.end(2);
    expect(mux.receive(update(2, Flag.rst))).toEqual([]);
    expect([mux.streamCount, mux.counters.ignored]).toEqual([1, 1]);
    mux.consumed(2, 3);
    expect(mux.streamCount).toBe(0);
  });

  it("ST4: reset ends both directions, and a stream never announced leaves no trace", () => {
    const { edge, connector } = pair();
    const [a, b] = [opened(edge), opened(edge)];
    edge.write(a, bytes("x"));
    edge.reset(b);
    edge.reset(a);
    expect(deliver(edge, connector)).toEqual([
      { type: "open", id: a },
      { type: "data", id: a, bytes: bytes("x") },
      { type: "reset", id: a, cause: "peer" },
    ]);
    expect([edge.write(a, bytes("y")), edge.writable(a), edge.streamCount, connector.streamCount, connector.bufferedBytes]).toEqual([0, 0, 0, 0, 0]);
    connector.consumed(a, 1);
    connector.reset(a);
    connector.end(a);
    expect(connector.takeOutput()).toEqual([]);
  });

  it("ST4: nothing of a reset stream is handed on, whatever is still on its way", () => {
    const { edge, connector } = pair();
    const id = opened(edge);
    edge.write(id, bytes("one"));
    deliver(edge, connector);
    edge.write(id, new Uint8Array(100_000));
    edge.end(id);
    connector.reset(id);
    expect(deliver(edge, connector)).toEqual([]);
    expect(connector.counters).toMatchObject({ late: 2, ignored: 0 });
  });

  it("ST7: data after the end resets that stream and no other", () => {
    const mux = peer();
    mux.receive(join([syn(2, "a", Flag.syn | Flag.fin), syn(4, "b")]));
    expect(mux.receive(encodeFrame(FrameType.data, 0, 2, 0, bytes("late")))).toEqual([{ type: "reset", id: 2, cause: "after_end" }]);
    expect(kinds(mux.receive(encodeFrame(FrameType.data, 0, 4, 0, bytes("on"))))).toEqual(["data"]);
  });
});

describe("maps go back to zero", () => {
  it("ST3: after 100,000 short streams of every kind nothing is left", () => {
    const { edge, connector } = pair();
    for (let i = 0; i < 100_000; i++) {
      const id = opened(edge);
      edge.write(id, bytes("ask"));
      edge.end(id);
      for (const event of deliver(edge, connector)) {
        if (event.type === "data") connector.consumed(id, event.bytes.length);
        else if (event.type === "end") {
          connector.write(id, bytes("answer"));
          connector.end(id);
        }
      }
      for (const event of deliver(connector, edge)) if (event.type === "data") edge.consumed(id, event.bytes.length);
    }
    for (const mux of [edge, connector]) {
      expect([mux.streamCount, mux.bufferedBytes, mux.inFlightBytes, mux.counters.ignored]).toEqual([0, 0, 0, 0]);
    }
  });
});
