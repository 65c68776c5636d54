/** The agent's link: what a splice lets through and what it does not, between two muxes that trust it. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { AppId, RequestId } from "../../core/ids.ts";
import { readAgentAnswer } from "../../protocol/agent-answers.ts";
import { readAgentMessage } from "../../protocol/agent-link.ts";
import { encodeFrame, Flag, FrameType, INITIAL_WINDOW_BYTES, readHeader, writeU32 } from "../../protocol/frames.ts";
import { HELD_FRAME_BYTES, MAX_CREDIT_BYTES } from "../../protocol/limits.ts";
import type { MuxEvent } from "../../protocol/mux-events.ts";
import { Mux } from "../../protocol/mux.ts";
import { FrameRuns, isSpliceDone, newSplice, type Splice, spliceFrame, spliceWeight, type SpliceVerdict } from "../../protocol/splice.ts";
import { seeded } from "../seeded.ts";
import { bytes, join, opened, reads, show } from "./wire.ts";

const HEAD = bytes("a stream-open of the edge's own");

/** An agent and a connector with a splice between them, and an edge's mux that opened the stream. */
class Middle {
  readonly agent = new Mux({ role: "connector", now: () => 0 });
  readonly edge = new Mux({ role: "edge", now: () => 0, accept: false });
  readonly connector = new Mux({ role: "connector", now: () => 0 });
  readonly id = opened(this.agent);
  readonly number = opened(this.edge);
  readonly splice: Splice;
  readonly verdicts: SpliceVerdict[] = [];

  constructor() {
    this.edge.write(this.number, HEAD);
    for (const message of this.edge.takeOutput()) this.connector.receive(message.slice());
    this.edge.detach(this.number);
    this.splice = newSplice(HEAD.length);
    // The head's bytes come back at once (FC6).
    this.connector.consumed(this.number, HEAD.length, "now");
  }

  /** All that `from` wrote arrives at the other end; answers what it made of it. */
  move(from: "up" | "down"): MuxEvent[] {
    const [source, target, id] = from === "up" ? [this.agent, this.connector, this.number] : [this.connector, this.agent, this.id];
    return source.takeOutput().flatMap((message) => this.carry(from, message.slice(), target, id));
  }

  carry(from: "up" | "down", message: Uint8Array, target: Mux, id: number): MuxEvent[] {
    const events: MuxEvent[] = [];
    const sink = { pass: (run: Uint8Array): void => void events.push(...target.receive(run.slice())) };
    new FrameRuns().pass(message, {
      route: (header, _message, at) => {
        const verdict = spliceFrame(this.splice, from, header, message, at);
        this.verdicts.push(verdict);
        if (verdict !== "pass") return undefined;
        writeU32(message, at + 4, id);
        return sink;
      },
    });
    return events;
  }
}

const verdictOf = (splice: Splice, from: "up" | "down", frame: Uint8Array): SpliceVerdict => {
  const header = readHeader(frame, 0);
  if (typeof header === "string") throw new Error(header);
  return spliceFrame(splice, from, header, frame, 0);
};
const data = (size: number, flags = 0): Uint8Array => encodeFrame(FrameType.data, flags, 1, 0, new Uint8Array(size));
const credit = (size: number, flags = 0): Uint8Array => encodeFrame(FrameType.windowUpdate, flags, 1, size);

/** Bytes of which no two neighbours, and no two frames, look alike. */
const PATTERN = Uint8Array.from({ length: 251 + 100_000 }, (_, i) => i % 251);
const piece = (at: number, length: number): Uint8Array => PATTERN.subarray(at % 251, (at % 251) + length);

describe("a splice", () => {
  it("AG4: carries every byte in order both ways, whatever the ends write and take, and both end", () => {
    fc.assert(
      fc.property(fc.integer(), fc.integer({ min: 1, max: 1_500_000 }), fc.integer({ min: 1, max: 1_500_000 }), (seed, upBytes, downBytes) => {
        const random = seeded(seed);
        const middle = new Middle();
        const ends = [
          { from: "up" as const, mux: middle.agent, id: middle.id, left: upBytes, sent: 0, got: 0, held: 0, ended: false },
          { from: "down" as const, mux: middle.connector, id: middle.number, left: downBytes, sent: 0, got: 0, held: 0, ended: false },
        ];
        const [agent, connector] = ends as [(typeof ends)[0], (typeof ends)[0]];
        for (let round = 0; round < 10_000 && !(agent.ended && connector.ended); round++) {
          for (const end of ends) {
            const other = end === agent ? connector : agent;
            if (end.left > 0) {
              const part = piece(end.sent, Math.min(end.left, Math.ceil(random() * 90_000)));
              const taken = end.mux.write(end.id, part);
              end.left -= taken;
              end.sent += taken;
              if (end.left === 0) end.mux.end(end.id);
            }
            for (const event of middle.move(end.from)) {
              if (event.type === "data") {
                if (Buffer.compare(event.bytes, piece(other.got, event.bytes.length)) !== 0) throw new Error("another byte");
                other.got += event.bytes.length;
                other.held += event.bytes.length;
              } else if (event.type === "end") other.ended = true;
              else if (event.type === "reset" || event.type === "fatal") throw new Error(`${event.type} ${JSON.stringify(event)}`);
            }
            const take = Math.floor(other.held * (random() < 0.3 ? random() : 1));
            other.mux.consumed(other.id, take);
            other.held -= take;
          }
        }
        expect([connector.got, agent.got]).toEqual([upBytes, downBytes]);
        expect(isSpliceDone(middle.splice)).toBe(true);
        expect(middle.verdicts.filter((one) => one !== "pass" && one !== "idle")).toEqual([]);
      }),
      { numRuns: 25 },
    );
  });

  it("AG4: takes SYN away, keeps the connector's ACK and gives none of the agent's, and drops what says nothing", () => {
    const splice = newSplice(0);
    const passed = (from: "up" | "down", frame: Uint8Array): string => (verdictOf(splice, from, frame) === "pass" ? reads([frame]).map(show).join() : "idle");
    expect(passed("up", credit(0, Flag.syn))).toBe("idle");
    expect(passed("up", data(3, Flag.ack))).toBe("data 1 \0\0\0");
    expect(passed("up", credit(0, Flag.ack))).toBe("idle");
    expect(passed("down", credit(0, Flag.ack))).toBe("update ACK 1 +0");
    expect(passed("up", data(0))).toBe("idle");
    expect(passed("up", credit(0, Flag.fin))).toBe("update FIN 1 +0");
    expect(passed("up", credit(0, Flag.fin))).toBe("idle");
    expect(verdictOf(splice, "down", credit(0, Flag.rst))).toBe("reset");
  });

  it("AG5: the stream-open's credit stays here, all other credit goes from end to end", () => {
    const middle = new Middle();
    expect(middle.move("down")).toEqual([]);
    expect(middle.splice.swallow).toBe(0);
    expect(middle.agent.writable(middle.id)).toBe(INITIAL_WINDOW_BYTES);
    // A connector that returns it with the next quarter of its window gives the agent the rest.
    const late = newSplice(300);
    const update = credit(65_536);
    expect(verdictOf(late, "down", update)).toBe("pass");
    expect(reads([update]).map(show)).toEqual([`update 1 +${65_536 - 300}`]);
    expect(late.up.credit).toBe(INITIAL_WINDOW_BYTES + 65_236);
  });

  it("AG6: a peer that sends beyond the credit that passed, after its end, a second SYN, or credit without measure is found out", () => {
    for (const from of ["up", "down"] as const) {
      const splice = newSplice(0);
      for (let i = 0; i < 4; i++) expect(verdictOf(splice, from, data(65_000))).toBe("pass");
      expect(verdictOf(splice, from, data(INITIAL_WINDOW_BYTES - 4 * 65_000 + 1))).toBe("overrun");
      expect(verdictOf(splice, from, data(1, Flag.fin))).toBe("pass");
      expect(verdictOf(splice, from, data(1))).toBe("after_end");
      expect(verdictOf(newSplice(0), from, credit(MAX_CREDIT_BYTES - INITIAL_WINDOW_BYTES + 1))).toBe("credit");
      expect(verdictOf(newSplice(0), from, credit(MAX_CREDIT_BYTES - INITIAL_WINDOW_BYTES))).toBe("pass");
    }
    const splice = newSplice(0);
    expect(verdictOf(splice, "up", data(1, Flag.syn))).toBe("pass");
    expect(verdictOf(splice, "up", data(1, Flag.syn))).toBe("reused_id");
    expect(verdictOf(newSplice(0), "down", data(1, Flag.syn))).toBe("reused_id");
  });

  it("AG6: whatever an agent sends, what passes never makes the connector reset a stream or end its socket", () => {
    const frame = fc.record({
      type: fc.constantFrom(FrameType.data, FrameType.windowUpdate),
      flags: fc.constantFrom(0, 0, 0, Flag.syn, Flag.ack, Flag.fin, Flag.syn | Flag.fin),
      size: fc.oneof(fc.integer({ min: 0, max: 40_000 }), fc.constantFrom(0, INITIAL_WINDOW_BYTES, MAX_CREDIT_BYTES, 2 ** 32 - 1)),
    });
    fc.assert(
      fc.property(fc.array(frame, { maxLength: 60 }), fc.integer(), (frames, seed) => {
        const random = seeded(seed);
        const middle = new Middle();
        for (const { type, flags, size } of frames) {
          const message = type === FrameType.data ? encodeFrame(type, flags, middle.id, 0, new Uint8Array(Math.min(size, 60_000))) : encodeFrame(type, flags, middle.id, size);
          const before = middle.verdicts.length;
          const events = middle.carry("up", message, middle.connector, middle.number);
          expect(events.filter((one) => one.type === "reset" || one.type === "fatal")).toEqual([]);
          // The tunnel object resets the stream at the first rule that is broken.
          if (middle.verdicts.slice(before).some((one) => one !== "pass" && one !== "idle")) return;
          if (random() < 0.3) for (const event of events) if (event.type === "data") middle.connector.consumed(middle.number, event.bytes.length);
          if (random() < 0.5) middle.connector.write(middle.number, new Uint8Array(Math.floor(random() * 50_000)));
          middle.move("down");
        }
        expect([middle.connector.counters.overruns, middle.connector.counters.resetSent, middle.connector.counters.ignored]).toEqual([0, 0, 0]);
      }),
    );
  });

  it("AG8: weighs what passed to the connector and was not credited, and tiny frames as much as they cost", () => {
    const splice = newSplice(0);
    verdictOf(splice, "down", data(1000));
    for (let i = 0; i < 10; i++) verdictOf(splice, "up", data(1));
    expect(spliceWeight(splice)).toBe(10 + 10 * HELD_FRAME_BYTES);
    verdictOf(splice, "down", credit(5));
    expect(spliceWeight(splice)).toBe(5 + 5 * HELD_FRAME_BYTES);
    verdictOf(splice, "down", credit(500));
    expect(spliceWeight(splice)).toBe(0);
  });
});

describe("runs of a message", () => {
  it("AG4: frames that go the same way stay together and uncopied; what goes nowhere is left out; a fault ends it", () => {
    const message = join([data(5), credit(9), encodeFrame(FrameType.data, 0, 2, 0, bytes("xy")), data(1), bytes("rest")]);
    const runs: Uint8Array[] = [];
    const sink = { pass: (run: Uint8Array): void => void runs.push(run) };
    const fault = new FrameRuns().pass(message, { route: ({ streamId }) => (streamId === 1 ? sink : undefined) });
    expect(runs.map((run) => run.length)).toEqual([29, 13]);
    expect(runs.every((run) => run.buffer === message.buffer)).toBe(true);
    expect(fault).toEqual({ fault: "short_header", rest: message.length - 4 });
    const whole = join([data(5), data(6)]);
    const same = { pass: (run: Uint8Array): void => expect(run).toBe(whole) };
    new FrameRuns().pass(whole, { route: () => same });
  });
});

describe("the texts of the link", () => {
  it("AG2: an agent's open is read by shape and bounded, and nothing else is known of it", () => {
    const open = { t: "open", stream: 7, app: "pg" };
    expect(readAgentMessage(JSON.stringify(open))).toEqual({ type: "message", message: open });
    expect(readAgentMessage(JSON.stringify({ ...open, connector: `c_${"A".repeat(22)}`, later: 1 }))).toMatchObject({ type: "message", message: { connector: `c_${"A".repeat(22)}` } });
    for (const wrong of [{ ...open, stream: 0 }, { ...open, stream: 2 ** 31 }, { ...open, app: "No App" }, { ...open, connector: "x" }]) {
      expect(readAgentMessage(JSON.stringify(wrong))).toEqual({ type: "malformed", reason: "shape" });
    }
    expect(readAgentMessage(JSON.stringify({ t: "opened", stream: 7 }))).toEqual({ type: "unknown" });
    expect(readAgentMessage(" ".repeat(2_049))).toEqual({ type: "too_large" });
    expect(readAgentMessage("ping")).toEqual({ type: "keep_alive", text: "ping" });
  });

  it("AG8: a mark is read by shape, at both ends", () => {
    for (const read of [readAgentMessage, readAgentAnswer]) {
      for (const n of [0, 2 ** 32 - 1]) expect(read(JSON.stringify({ t: "mark", n }))).toEqual({ type: "message", message: { t: "mark", n } });
      for (const n of [-1, 2 ** 32, 1.5, "1", null]) expect(read(JSON.stringify({ t: "mark", n }))).toEqual({ type: "malformed", reason: "shape" });
    }
  });

  it("AG2 AG9: what the edge answers is read by shape", () => {
    const request = `r_${"A".repeat(22)}` as RequestId;
    for (const answer of [
      { t: "opened", stream: 1, request, connector: `c_${"A".repeat(22)}`, site: "berlin" },
      { t: "refused", stream: 1, code: "denied", request },
      { t: "refused", stream: 1, code: "unavailable", request, detail: "no policy" },
      { t: "closed", stream: 1, code: "revoked" },
      { t: "drain" },
    ]) {
      expect(readAgentAnswer(JSON.stringify(answer))).toEqual({ type: "message", message: answer });
    }
    expect(readAgentAnswer(JSON.stringify({ t: "closed", stream: 1, code: "Not A Code" }))).toEqual({ type: "malformed", reason: "shape" });
    expect(readAgentAnswer(JSON.stringify({ t: "open", stream: 1, app: "x" as AppId }))).toEqual({ type: "unknown" });
  });
});
