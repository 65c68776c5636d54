/** The agent's link when frames and the end of their stream come in one message: nothing overtakes, at either end. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { concat } from "../../core/bytes.ts";
import { encodeFrame, Flag, FrameType } from "../../protocol/frames.ts";
import { MAX_CREDIT_BYTES, MAX_IGNORED_BURST_COUNT } from "../../protocol/limits.ts";
import { AgentStage } from "./agent-stage.ts";
import { laneOf, wipe } from "./deployment.ts";
import { eventually } from "./eventually.ts";

/** Tiny frames that fit into one message with what ends them. */
const COUNT = 4_900;

let stage: AgentStage;
beforeEach(async () => {
  stage = await AgentStage.begin();
});
afterEach(wipe);

const tiny = (id: number): Uint8Array[] => Array.from({ length: COUNT }, () => encodeFrame(FrameType.data, 0, id, 0, new Uint8Array(1)));

describe("frames and the end of their stream in one message", () => {
  it.each([
    ["its reset", (id: number) => [encodeFrame(FrameType.windowUpdate, Flag.rst, id, 0)]],
    ["a second SYN", (id: number) => [encodeFrame(FrameType.data, Flag.syn, id, 0)]],
    ["credit without measure", (id: number) => [encodeFrame(FrameType.windowUpdate, 0, id, MAX_CREDIT_BYTES)]],
    ["its end and more data", (id: number) => [encodeFrame(FrameType.windowUpdate, Flag.fin, id, 0), encodeFrame(FrameType.data, 0, id, 0, new Uint8Array(1))]],
  ])("AG4 AG6: of an agent, with %s: all arrive before it, and the connector's socket stays", async (_title, ending) => {
    const kept = await stage.live();
    // Enough to end the connector's socket if they came for streams that it does not know.
    for (let sent = 0; sent <= 2 * MAX_IGNORED_BURST_COUNT; sent += COUNT) {
      const { id } = await stage.live();
      const { far } = stage;
      stage.agent.socket.send(concat([...tiny(id), ...ending(id)]));
      await eventually(() => far.how === "reset");
      expect(far.bytes).toBe("hello".length + COUNT);
    }
    expect((await laneOf().status())?.connectors).toMatchObject([{ streams: 1 }]);
    stage.agent.write(kept, " on");
    await stage.hears("hello on");
  });

  it("AG4: of a connector, with its reset: all arrive at the agent before it", async () => {
    const stream = await stage.live();
    const before = stream.bytes;
    const number = [...stage.connector.tcp.keys()].at(-1) ?? 0;
    stage.connector.raw(concat([...tiny(number), encodeFrame(FrameType.windowUpdate, Flag.rst, number, 0)]));
    await eventually(() => stream.end === "reset");
    expect(stream.bytes - before).toBe(COUNT);
    expect(stage.agent.mux.counters.ignored).toBe(0);
  });
});
