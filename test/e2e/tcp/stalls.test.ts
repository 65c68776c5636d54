/** Peers that take nothing: what the edge holds for them is bounded, and nobody else notices. One stack for the file. */
import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { TestAgent } from "./agent-client.ts";
import { type AppConnection, appConnection } from "./app-connection.ts";
import { startTcpStage, type TcpStage } from "./stage.ts";

/** So many streams, each with its least share (RS5), may have 30 MiB on their way. */
const CROWD = 240;
/** A stalled consumer may cost this much (the windows of one, and what the engine does with its heap meanwhile). */
const MAX_GROWTH_ONE_MB = 16;
/** Twice MAX_AGENT_BYTES at the worst, and the engine's own. */
const MAX_GROWTH_CROWD_MB = 64;

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

/** An agent that stops reading its socket, once it has asked `count` endless apps to begin. */
async function stalled(count: number): Promise<TestAgent> {
  const agent = await stage.connect({});
  const connections: AppConnection[] = [];
  for (let i = 0; i < count; i += 20) connections.push(...(await Promise.all(Array.from({ length: Math.min(20, count) }, () => appConnection(agent, "source")))));
  agent.socket.pause();
  for (const { local } of connections) local.write("begin");
  return agent;
}

describe("an agent that stops reading", () => {
  it("one stream: costs the edge less than 16 MB", async () => {
    const good = await stage.connect({});
    const other = await appConnection(good, "echo");
    await echoes(other);
    const before = residentMB();
    const agent = await stalled(1);
    for (let i = 0; i < 20; i++) await echoes(other);
    expect(residentMB() - before).toBeLessThan(MAX_GROWTH_ONE_MB);
    agent.socket.terminate();
    good.close();
  });

  // Which of its streams are reset, and whether its socket goes, depends on how they came: test/objects/agent-link.test.ts has that.
  it("many streams: what the edge holds for it is bounded, and nobody else notices", async () => {
    const good = await stage.connect({ token: await stage.operator.createService("other") });
    const other = await appConnection(good, "echo");
    await echoes(other);
    const before = residentMB();
    const agent = await stalled(CROWD);
    for (let i = 0; i < 200; i++) await echoes(other);
    expect(residentMB() - before).toBeLessThan(MAX_GROWTH_CROWD_MB);
    agent.socket.terminate();
    good.close();
  });
});
