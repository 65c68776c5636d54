/** Peers that take nothing: what the edge holds for them is bounded, and nobody else notices. One stack for the file. */
import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { encodeFrame, FrameType } from "../../../protocol/frames.ts";
import { encodeResumeFrame } from "../../../protocol/resume-frames.ts";
import type { TestAgent } from "./agent-client.ts";
import { type AppConnection, appConnection } from "./app-connection.ts";
import { startTcpStage, type TcpStage } from "./stage.ts";

/** So many streams, each with its least share (RS5), would have 30 MiB on their way. */
const CROWD = 240;
/** More than that share, and less of all together than a connector keeps before it sends nothing more (RS14). */
const CROWD_BYTES = "150000";
/** A stalled consumer may cost this much (the windows of one, and what the engine does with its heap meanwhile). */
const MAX_GROWTH_ONE_MB = 16;
/** MAX_AGENT_BYTES, what 240 streams take by themselves, and the engine's heap. */
const MAX_GROWTH_MB = 64;

let stage: TcpStage;
beforeAll(async () => {
  stage = await startTcpStage();
});
afterAll(() => stage.end());

const residentMB = (): number => Number(/^VmRSS:\s+([0-9]+) kB/m.exec(readFileSync(`/proc/${stage.stack.edge().pid}/status`, "utf8"))?.[1] ?? 0) / 1024;

/** Bytes go round on a connection of somebody else's. */
async function echoes({ local }: AppConnection): Promise<void> {
  local.write("are you there?");
  const heard = await new Promise<string>((resolve) => local.once("data", (bytes: Buffer) => resolve(bytes.toString())));
  expect(heard).toBe("are you there?");
}

/** An agent that stops reading its socket, and has asked `count` apps for endless bytes, or for so many. */
async function stalled(count: number, asked = "endless"): Promise<{ readonly agent: TestAgent; readonly connections: readonly AppConnection[] }> {
  const agent = await stage.connect({});
  const connections: AppConnection[] = [];
  for (let i = 0; i < count; i += 20) connections.push(...(await Promise.all(Array.from({ length: Math.min(20, count) }, () => appConnection(agent, "source")))));
  agent.socket.pause();
  for (const { local } of connections) local.write(asked);
  return { agent, connections };
}

/** What `ask` answers once it answers something. */
async function until<T>(ask: () => Promise<T | undefined>): Promise<T> {
  for (;;) {
    const answer = await ask();
    if (answer !== undefined) return answer;
  }
}

describe("an agent that stops reading", () => {
  it("one stream: costs the edge less than 16 MB", async () => {
    const good = await stage.connect({});
    const other = await appConnection(good, "echo");
    await echoes(other);
    const before = residentMB();
    const { agent } = await stalled(1);
    for (let i = 0; i < 20; i++) await echoes(other);
    expect(residentMB() - before).toBeLessThan(MAX_GROWTH_ONE_MB);
    agent.socket.terminate();
    good.close();
  });

  /** What the lane says of itself. */
  const closed = async (): Promise<number> => {
    const { lanes } = JSON.parse((await stage.operator.call("GET", "/edge-status")).text) as { lanes: [{ counters: Record<string, number> }] };
    return lanes[0].counters["agent_closed_1013"] ?? 0;
  };
  /** Of the source's streams; undefined when there is none. */
  const sent = async (): Promise<number | undefined> => {
    const streams = (await stage.operator.sessions()).flatMap((one) => one.streams).filter(({ app }) => app === "source");
    return streams.length === 0 ? undefined : streams.reduce((sum, one) => sum + one.bytes_out, 0);
  };

  it.each([
    ["one stream, with credit and acknowledgements for what it has not seen", 1],
    ["many streams", CROWD],
  ])("AG8: %s: its socket goes with 1013, it gets no other until that is gone, and nobody else notices", async (_title, count) => {
    const good = await stage.connect({ token: await stage.operator.createService("other") });
    const other = await appConnection(good, "echo");
    await echoes(other);
    const before = residentMB();
    const closedBefore = await closed();
    const { agent, connections } = await stalled(count, count === 1 ? undefined : CROWD_BYTES);
    for (let told = 0; (await closed()) === closedBefore; await echoes(other)) {
      const now = count === 1 ? ((await sent()) ?? 0) : 0;
      if (now - told < 65_536) continue;
      for (const { stream, secure } of connections) {
        agent.socket.send(encodeFrame(FrameType.windowUpdate, 0, stream.id, now - told));
        // A little below what was sent, of which TLS is a part.
        secure.write(encodeResumeFrame({ type: "ack", offset: Math.floor(0.98 * now) - 16_384 }));
      }
      told = now;
    }
    expect(await sent()).toBeUndefined();
    expect(await closed()).toBe(closedBefore + 1);
    expect(residentMB() - before).toBeLessThan(MAX_GROWTH_MB);
    await expect(stage.connect({})).rejects.toMatchObject({ status: 503 });
    agent.socket.terminate();
    const again = await until(() => stage.connect({}).catch(() => undefined));
    await echoes(await appConnection(again, "echo"));
    await echoes(other);
    again.close();
    good.close();
  });
});
