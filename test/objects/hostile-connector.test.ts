/**
 * A connector that is welcomed and then misbehaves (class K): it loses its own socket, with a code
 * and a counter that `edge-status` shows; another connector of the lane and its streams go on.
 */
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { CLOSE_CODES } from "../../protocol/close-codes.ts";
import { encodeControl } from "../../protocol/control.ts";
import { HANDSHAKE_MS } from "../../protocol/deadlines.ts";
import { encodeFrame, Flag, FrameType, HEADER_BYTES } from "../../protocol/frames.ts";
import { MAX_MESSAGE_BYTES, MAX_UNKNOWN_CONTROL_COUNT } from "../../protocol/limits.ts";
import { laneOf, laneStub, openRequest, setUp, signedIn, wipe } from "./deployment.ts";
import { eventually } from "./eventually.ts";
import { connected, enrolled, TestConnector } from "./test-connector.ts";

beforeEach(() => setUp());
afterEach(wipe);

/** Header-only frames, as many to a message as fit. */
function* messages(count: number, frame: (number: number) => Uint8Array): Generator<Uint8Array> {
  for (let from = 0; from < count; ) {
    const parts: Uint8Array[] = [];
    let bytes = 0;
    while (from < count && bytes + 2 * HEADER_BYTES <= MAX_MESSAGE_BYTES) {
      const part = frame(from++);
      parts.push(part);
      bytes += part.length;
    }
    const message = new Uint8Array(bytes);
    let at = 0;
    for (const part of parts) {
      message.set(part, at);
      at += part.length;
    }
    yield message;
  }
}

const { flood, protocol_error, too_large } = CLOSE_CODES;
const header = (type: number, flags: number, id: number, length = 0): Uint8Array => encodeFrame(type, flags, id, length);
const join = (...parts: readonly Uint8Array[]): Uint8Array => Uint8Array.from(parts.flatMap((part) => [...part]));
/** `live`: the id of a stream that the edge opened. */
const FAULTS: readonly { readonly what: string; readonly code: number; readonly counted?: string; readonly frames: (live: number) => Iterable<Uint8Array | string> }[] = [
  { what: "opens and resets 20,000 streams", code: flood.code, counted: "resetSent", frames: () => messages(20_000, (n) => join(header(FrameType.windowUpdate, Flag.syn, 1 + 2 * n), header(FrameType.windowUpdate, Flag.rst, 1 + 2 * n))) },
  { what: "pings 10,000 times", code: flood.code, counted: "pings", frames: () => messages(10_000, (n) => header(FrameType.ping, Flag.syn, 0, n)) },
  { what: "gives credit to streams that nobody opened", code: flood.code, counted: "ignored", frames: () => messages(20_000, (n) => header(FrameType.windowUpdate, 0, 1_000 + 2 * n, 1)) },
  { what: "gives more credit than a window can have", code: protocol_error.code, frames: (live) => [header(FrameType.windowUpdate, 0, live, 2 ** 31)] },
  { what: "sends a frame of an unknown type", code: protocol_error.code, frames: () => [header(4, 0, 1)] },
  { what: "breaks a frame off", code: protocol_error.code, frames: () => [Uint8Array.from([0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 100])] },
  { what: "sends a message above 64 KiB", code: too_large.code, frames: () => [new Uint8Array(MAX_MESSAGE_BYTES + 1)] },
  { what: "sends controls that nobody knows", code: flood.code, frames: () => Array.from({ length: MAX_UNKNOWN_CONTROL_COUNT + 1 }, () => '{"t":"later"}') },
];

describe("a connector that", () => {
  it.each(FAULTS)("$what is closed with $code, and counted; the other one goes on", async ({ code, counted, frames }) => {
    const sid = await signedIn();
    const good = await connected();
    const kept = await laneStub().fetch(openRequest(sid));
    const bad = await connected();
    const lost = await laneStub().fetch(openRequest(sid));
    const reading = lost.text().then(() => "whole", () => "broken");
    const [live = 2] = bad.streams.keys();
    bad.deaf = true;
    for (const message of frames(live)) {
      if (typeof message === "string") bad.control(message);
      else bad.raw(message);
    }
    expect(await bad.closed).toBe(code);
    expect(await reading).toBe("broken");
    const status = await laneOf().status();
    expect(status?.connectors).toHaveLength(1);
    expect(status?.counters[`closed_${code}`]).toBe(1);
    if (counted !== undefined) expect(status?.counters[counted]).toBeGreaterThan(0);
    good.write("still here");
    good.endAll();
    expect(await kept.text()).toBe("still here");
    expect((await laneStub().fetch(openRequest(sid))).status).toBe(200);
  });

  it("never says hello is closed in time, and counted (row 82)", async () => {
    const real = globalThis.setTimeout;
    vi.spyOn(globalThis, "setTimeout").mockImplementation(((call: () => void, ms?: number) => real(call, ms === HANDSHAKE_MS ? 50 : ms)) as typeof setTimeout);
    const slow = await TestConnector.dial(await enrolled(), { before: () => new Promise(() => undefined) });
    expect(await slow.closed).toBe(CLOSE_CODES.handshake_timeout.code);
    expect((await laneOf().status())?.counters).toMatchObject({ [`closed_${CLOSE_CODES.handshake_timeout.code}`]: 1 });
  });

  it("answers streams of the edge that are not its own, or opens one itself, reaches nothing (row 91)", async () => {
    const sid = await signedIn();
    const good = await connected();
    good.mute = true;
    const answer = Promise.resolve(laneStub().fetch(openRequest(sid)));
    await eventually(() => good.streams.size === 1);
    const bad = await connected();
    const [theirs = 2] = good.streams.keys();
    const stolen = new TextEncoder().encode("\0\0\0\x2a{\"v\":1,\"status\":200,\"headers\":[],\"body\":\"none\"}");
    bad.raw(encodeFrame(FrameType.data, Flag.ack, theirs, 0, stolen));
    bad.raw(encodeFrame(FrameType.data, Flag.syn, 1, 0, stolen));
    bad.control(encodeControl({ t: "cut_ack", id: "anything" }));
    good.answerAll();
    good.endAll();
    const got = await answer;
    expect(got.status).toBe(200);
    expect(await got.text()).toBe("");
    expect((await laneOf().status())?.counters).toMatchObject({ refused: 1, ignored: 1 });
  });
});
