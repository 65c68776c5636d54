/** Frames as bytes, and every way in which a message is not a sequence of whole frames. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { toHex } from "../../core/bytes.ts";
import { Flag, FrameType, decodeFrames, encodeFrame } from "../../protocol/frames.ts";
import { Mux } from "../../protocol/mux.ts";
import { bytes, join, reads } from "./wire.ts";

describe("frames", () => {
  const table: readonly [string, Uint8Array, string][] = [
    ["data, SYN, stream 2", encodeFrame(FrameType.data, Flag.syn, 2, 0, bytes("hi")), "00 00 0001 00000002 00000002 6869"],
    ["data, FIN, empty", encodeFrame(FrameType.data, Flag.fin, 3, 99), "00 00 0004 00000003 00000000"],
    ["window update, ACK", encodeFrame(FrameType.windowUpdate, Flag.ack, 0x01020304, 0x00040000), "00 01 0002 01020304 00040000"],
    ["window update, RST, highest id", encodeFrame(FrameType.windowUpdate, Flag.rst, 0xffffffff, 0), "00 01 0008 ffffffff 00000000"],
    ["ping, SYN, opaque", encodeFrame(FrameType.ping, Flag.syn, 0, 0xdeadbeef), "00 02 0001 00000000 deadbeef"],
    ["go away, protocol error", encodeFrame(FrameType.goAway, 0, 0, 1), "00 03 0000 00000000 00000001"],
  ];
  it.each(table)("FR1: %s has the layout of the specification", (_name, frame, hex) => {
    expect(toHex(frame)).toBe(hex.replaceAll(" ", ""));
  });

  it("FR1: what is encoded is decoded, any number of frames in one message", () => {
    const frame = fc.oneof(
      fc.record({ type: fc.constant<number>(FrameType.data), flags: fc.nat(15), streamId: fc.integer({ min: 1, max: 2 ** 32 - 1 }), payload: fc.uint8Array({ maxLength: 300 }) }),
      fc.record({ type: fc.constant<number>(FrameType.windowUpdate), flags: fc.nat(15), streamId: fc.integer({ min: 1, max: 2 ** 32 - 1 }), length: fc.integer({ min: 0, max: 2 ** 32 - 1 }) }),
      fc.record({ type: fc.constantFrom<number>(FrameType.ping, FrameType.goAway), flags: fc.nat(15), streamId: fc.constant(0), length: fc.integer({ min: 0, max: 2 ** 32 - 1 }) }),
    );
    fc.assert(
      fc.property(fc.array(frame, { maxLength: 12 }), (frames) => {
        const message = join(frames.map((f) => ("payload" in f ? encodeFrame(f.type, f.flags, f.streamId, 0, f.payload) : encodeFrame(f.type, f.flags, f.streamId, f.length))));
        const decoded = decodeFrames(message);
        if (!decoded.ok) throw new Error(decoded.error);
        expect(decoded.value.map((f) => [f.type, f.flags, f.streamId, f.length, toHex(f.payload)])).toEqual(
          frames.map((f) => ("payload" in f ? [f.type, f.flags, f.streamId, f.payload.length, toHex(f.payload)] : [f.type, f.flags, f.streamId, f.length, ""])),
        );
      }),
    );
  });
});

describe("messages that are not whole frames", () => {
  const whole = encodeFrame(FrameType.data, Flag.syn, 2, 0, bytes("payload"));
  const changed = (at: number, value: number): Uint8Array => {
    const copy = whole.slice();
    copy[at] = value;
    return copy;
  };
  const malformed: readonly [string, Uint8Array, string][] = [
    ["FR2: a header cut short", whole.subarray(0, 11), "short_header"],
    ["FR2: a payload cut short", whole.subarray(0, 18), "length"],
    ["FR2: a length of 4 GiB", encodeFrame(FrameType.windowUpdate, 0, 2, 2 ** 32 - 1).map((b, i) => (i === 1 ? 0 : b)), "length"],
    ["FR2: a second header cut short", join([whole, whole.subarray(0, 5)]), "short_header"],
    ["FR4: version 1", changed(0, 1), "version"],
    ["FR4: type 4", changed(1, 4), "type"],
    ["FR4: flag 16", changed(3, 16), "flags"],
    ["FR4: flag 256", changed(2, 1), "flags"],
    ["FR5: data on stream 0", encodeFrame(FrameType.data, 0, 0, 0, bytes("x")), "session_id"],
    ["FR5: a window update on stream 0", encodeFrame(FrameType.windowUpdate, 0, 0, 1000), "session_id"],
    ["FR5: a ping on stream 2", encodeFrame(FrameType.ping, Flag.syn, 2, 1), "session_id"],
    ["FR5: a go-away on stream 2", encodeFrame(FrameType.goAway, 0, 2, 0), "session_id"],
  ];
  it.each(malformed)("%s closes the socket with 4400", (_title, message, fault) => {
    expect(decodeFrames(message)).toEqual({ ok: false, error: fault });
    const mux = new Mux({ role: "connector", now: () => 0 });
    const events = mux.receive(message);
    expect(events.at(-1)).toEqual({ type: "fatal", code: 4400, reason: `malformed frame: ${fault}` });
    expect(reads(mux.takeOutput()).at(-1)).toMatchObject({ type: FrameType.goAway, length: 1 });
    expect(mux.receive(whole)).toEqual([]);
    expect(mux.takeOutput()).toEqual([]);
  });

  it("FR8: frames before the malformed one still count, none after it does", () => {
    const mux = new Mux({ role: "connector", now: () => 0 });
    const events = mux.receive(join([whole, changed(0, 9), encodeFrame(FrameType.data, Flag.syn, 4, 0, bytes("no"))]));
    expect(events.map((event) => event.type)).toEqual(["open", "data", "fatal"]);
    expect(mux.streamCount).toBe(0);
  });

  it("FR3: a message of 65,536 bytes is read, one byte more closes the socket with 4413", () => {
    const fits = encodeFrame(FrameType.data, Flag.syn, 2, 0, new Uint8Array(65_536 - 12));
    expect(new Mux({ role: "connector", now: () => 0 }).receive(fits).map((event) => event.type)).toEqual(["open", "data"]);
    const over = encodeFrame(FrameType.data, Flag.syn, 2, 0, new Uint8Array(65_536 - 11));
    expect(new Mux({ role: "connector", now: () => 0 }).receive(over)).toEqual([{ type: "fatal", code: 4413, reason: "message too large" }]);
  });

  it("FR8: arbitrary bytes never throw, and after a fatal event nothing is read", () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 200 }), { maxLength: 10 }), (messages) => {
        const mux = new Mux({ role: "edge", now: () => 0 });
        let dead = false;
        for (const message of messages) {
          const events = mux.receive(message);
          if (dead) expect(events).toEqual([]);
          dead ||= events.some((event) => event.type === "fatal");
        }
      }),
    );
  });
});
