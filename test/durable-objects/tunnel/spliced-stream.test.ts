/** One spliced stream while its lane decides again: what it keeps, what that weighs, and in which order it lets go. */
import { describe, expect, it } from "vitest";
import { SplicedStream } from "../../../durable-objects/tunnel/spliced-stream.ts";
import { decodeFrames, encodeFrame, Flag, type Frame, FrameType, HEADER_BYTES } from "../../../protocol/frames.ts";
import { HELD_FRAME_BYTES, MAX_CREDIT_BYTES } from "../../../protocol/limits.ts";
import { FrameRuns, newSplice } from "../../../protocol/splice.ts";

class Stage {
  readonly sent: { readonly to: "connector" | "agent"; readonly frames: readonly Frame[] }[] = [];
  ended = "";
  weight = 0;
  allows = false;
  renewed = Promise.withResolvers<boolean>();
  readonly #agent = { runs: new FrameRuns(), weigh: (bytes: number) => void (this.weight += bytes), pass: this.#note("agent"), tellEnd: () => undefined, ended: (_stream: unknown, how: string) => void (this.ended = how) };
  readonly #link = { runs: new FrameRuns(), pass: this.#note("connector"), unsplice: () => undefined };
  readonly stream: SplicedStream;

  constructor() {
    const lane = { passes: () => this.allows, renew: () => this.renewed.promise, noteUserByte: () => undefined };
    this.stream = new SplicedStream(lane as never, this.#agent as never, this.#link as never, 1, { number: 2, bytesIn: 0, bytesOut: 0, held: false } as never, newSplice(0));
  }

  #note(to: "connector" | "agent") {
    return (message: Uint8Array): void => {
      const read = decodeFrames(message);
      if (!read.ok) throw new Error(read.error);
      this.sent.push({ to, frames: read.value });
    };
  }

  /** One message. Answers how many of its frames said nothing. */
  comes(from: "up" | "down", ...frames: Uint8Array[]): number {
    const message = new Uint8Array(frames.flatMap((frame) => [...frame]));
    let nothing = 0;
    (from === "up" ? this.#agent : this.#link).runs.pass(message, {
      route: (...frame) => {
        const to = from === "up" ? this.stream.fromAgent(...frame) : this.stream.fromConnector(...frame);
        if (to === undefined) nothing++;
        return to;
      },
    });
    return nothing;
  }

  async decide(): Promise<void> {
    this.allows = true;
    this.renewed.resolve(true);
    for (let turn = 0; turn < 5; turn++) await Promise.resolve();
  }
}

const data = (size: number, id = 1, flags = 0): Uint8Array => encodeFrame(FrameType.data, flags, id, 0, new Uint8Array(size));
const credit = (bytes: number, flags = 0): Uint8Array => encodeFrame(FrameType.windowUpdate, flags, 1, bytes);

describe("a spliced stream that waits for a decision", () => {
  it("AG10: keeps credit as one sum, and lets it go behind the bytes, which go as they came", async () => {
    const stage = new Stage();
    stage.comes("up", data(1), credit(5), data(2));
    for (let i = 0; i < 10_000; i++) stage.comes("up", credit(1));
    stage.comes("down", data(3, 2), credit(7));
    stage.comes("up", data(4, 1, Flag.fin));
    expect(stage.sent).toEqual([]);
    await stage.decide();
    expect(stage.sent.map(({ to, frames }) => [to, frames.map(({ type, length, flags, streamId }) => [type, length, flags, streamId])])).toEqual([
      ["connector", [[0, 1, 0, 2]]],
      ["connector", [[0, 2, 0, 2]]],
      ["agent", [[0, 3, 0, 1]]],
      ["connector", [[0, 4, Flag.fin, 2]]],
      ["connector", [[1, 10_005, 0, 2]]],
      ["agent", [[1, 7, 0, 1]]],
    ]);
    expect([stage.stream.isWaiting, stage.stream.live.bytesIn, stage.stream.live.bytesOut]).toEqual([false, 7, 3]);
  });

  it("AG8 AG10: its bytes keep their weight, whatever credit comes for them meanwhile", async () => {
    const stage = new Stage();
    stage.comes("down", data(1_000, 2));
    const weight = HEADER_BYTES + 1_000 + HELD_FRAME_BYTES;
    stage.comes("up", credit(1_000), credit(1_000, Flag.fin));
    expect(stage.weight).toBe(weight);
    await stage.decide();
    expect([stage.weight, stage.stream.splice.down.credit]).toEqual([0, 262_144 + 1_000]);
  });

  it("AG6: too much credit in all resets it once it would go on", async () => {
    const stage = new Stage();
    stage.comes("up", data(1));
    for (let i = 0; i < 10; i++) stage.comes("up", credit(MAX_CREDIT_BYTES));
    await stage.decide();
    expect([stage.ended, stage.sent.length]).toEqual(["flow", 1]);
  });

  it("AG4 AG7: a frame that says nothing is one, waiting or not, and a second ACK says nothing", () => {
    const stage = new Stage();
    stage.comes("up", data(1));
    expect(stage.comes("up", credit(0), credit(9), data(0), data(1))).toBe(2);
    expect(stage.comes("down", credit(0, Flag.ack), credit(0, Flag.ack), credit(0, Flag.ack))).toBe(2);
  });

  it("AG10: lets go of what waits when it ends", async () => {
    const stage = new Stage();
    stage.comes("up", data(1_000));
    stage.stream.cut("revoked");
    await stage.decide();
    expect([stage.ended, stage.sent]).toEqual(["revoked", []]);
  });
});
