/**
 * Revocations of live TCP connections through the whole product: the receipt counts them, the
 * app's sockets are gone when it comes, and nothing is handed over after it (CONTRACT "The receipt").
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type AppConnection, appConnection } from "./app-connection.ts";
import { BATCH, startTcpStage, type TcpStage } from "./stage.ts";
import type { TestAgent } from "./agent-client.ts";
import { until } from "../../start/running-stack.ts";

const COUNT = 60;
let stage: TcpStage;
beforeAll(async () => {
  stage = await startTcpStage({ lanes: 2 });
});
afterAll(() => stage.end());

interface Crowd {
  readonly agents: readonly TestAgent[];
  readonly connections: readonly AppConnection[];
  /** Bytes that each local end was given. */
  readonly received: readonly number[];
}

/** Connections to the echo over several sockets, each with bytes going round. */
async function crowd(token: string): Promise<Crowd> {
  const agents = await Promise.all([1, 2, 3].map(() => stage.connect({ token })));
  const connections = await Promise.all(Array.from({ length: COUNT }, (_, i) => appConnection(agents[i % 3] as TestAgent, "echo")));
  const received = connections.map(() => 0);
  for (const [i, { local }] of connections.entries()) {
    local.on("error", () => undefined);
    local.on("data", (bytes: Buffer) => {
      received[i] = (received[i] ?? 0) + bytes.length;
      local.write(bytes);
    });
    local.write("round and round");
  }
  await until(() => received.every((bytes) => bytes > 150), "bytes go round on all of them");
  return { agents, connections, received };
}

/** The app hears of what was destroyed in a turn of its own loop, at most so long after the receipt. */
const appHolds = (count: number): Promise<void> => until(() => stage.echo.sockets.size === count, `the app holds ${count} connections`, 250);

async function expectOver({ agents, connections, received }: Crowd, code: string): Promise<void> {
  const atReceipt = [...received];
  await appHolds(0);
  await until(() => connections.every(({ stream }) => stream.end !== "open"), "every stream has ended", 1_000);
  expect(new Set(connections.map(({ stream }) => stream.end))).toEqual(new Set([`closed ${code}`]));
  // What was on its way at the cut arrives before the reset, and nothing behind it.
  await Promise.all(connections.map(({ over }) => over));
  expect(received.map((bytes, i) => bytes - (atReceipt[i] ?? 0)).every((more) => more < 65_536)).toBe(true);
  const rest = [...received];
  for (const { local } of connections) local.write("more");
  for (const agent of agents) agent.close();
  expect(received).toEqual(rest);
  await appHolds(0);
}

describe("a receipt of live TCP connections", () => {
  it("service · tcp: all are found and closed, the app's sockets with them, and the agents' sockets", async () => {
    const token = await stage.operator.createService("other");
    const cut = await crowd(token);
    const kept = await stage.connect({});
    const going = await appConnection(kept, "echo");
    await until(() => stage.echo.sockets.size === COUNT + 1, "the app has seen every connection");
    const receipt = await stage.operator.revoke("service", "other");
    expect(receipt).toMatchObject({ found: COUNT, closed: COUNT, kept: 0, unconfirmed: [], complete: true });
    await appHolds(1);
    await until(() => cut.agents.every((agent) => agent.closed === 4401), "the agents' sockets are closed", 1_000);
    expect(new Set(cut.connections.map(({ stream }) => stream.end))).toEqual(new Set(["closed revoked"]));
    await expect(stage.connect({ token })).rejects.toThrow("token_invalid");
    going.local.write("still here");
    const heard = await new Promise<string>((resolve) => going.local.once("data", (bytes: Buffer) => resolve(bytes.toString())));
    expect(heard).toBe("still here");
    going.local.end();
    going.local.resume();
    await going.over;
    kept.close();
    await until(() => stage.echo.sockets.size === 0, "the last one is gone");
  });

  it("policy · tcp: of a policy that no longer allows them", async () => {
    const live = await crowd(stage.token);
    const { version, receipt } = await stage.operator.apply(stage.document(BATCH.replace("echo, ", "")));
    expect(receipt).toMatchObject({ closed: COUNT, unconfirmed: [], complete: true });
    await expectOver(live, "policy");
    const agent = await stage.connect({ app: "sink" });
    expect(await agent.open("echo")).toMatchObject({ refused: { code: "denied" } });
    agent.close();
    expect((await stage.operator.apply(stage.document())).version).toBe(version + 1);
  });

  it("app · tcp: of the app", async () => {
    const live = await crowd(stage.token);
    const receipt = await stage.operator.revoke("app", "echo");
    expect(receipt).toMatchObject({ found: COUNT, closed: COUNT, unconfirmed: [], complete: true });
    await expectOver(live, "revoked");
  });

  it.each([["service", "other"], ["app", "echo"]] as const)("of the %s %s, whose agent is away, ends what the connector keeps for it", async (kind, id) => {
    const token = await stage.operator.createService("other");
    const live = await crowd(token);
    for (const agent of live.agents) agent.socket.terminate();
    await until(async () => streams(await stage.operator.call("GET", "/edge-status")) === 0, "the lanes have seen it");
    await appHolds(COUNT);
    expect(await stage.operator.revoke(kind, id)).toMatchObject({ unconfirmed: [], complete: true });
    await appHolds(0);
  });
});

const streams = ({ text }: { readonly text: string }): number => (JSON.parse(text) as { lanes: { streams?: number }[] }).lanes.reduce((sum, lane) => sum + (lane.streams ?? 0), 0);
