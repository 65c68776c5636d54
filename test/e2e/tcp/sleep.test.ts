/** A lane with many quiet TCP connections is evicted by the engine itself, and each goes on with its next byte (M3, M14). */
import { afterAll, beforeAll, expect, it } from "vitest";
import { type AppConnection, appConnection } from "./app-connection.ts";
import type { TestAgent } from "./agent-client.ts";
import { startTcpStage, type TcpStage } from "./stage.ts";

const COUNT = 200;
/** The engine evicts an object after 10 s without an event; a socket is written down a second after its last one. */
const ASLEEP_MS = 14_000;

let stage: TcpStage;
beforeAll(async () => {
  stage = await startTcpStage();
});
afterAll(() => stage.end());

interface Lane {
  readonly streams: number;
  readonly awake: readonly string[];
  readonly connectors: readonly { readonly wakes: number }[];
}
const lane = async (): Promise<Lane> => (JSON.parse((await stage.operator.call("GET", "/edge-status")).text) as { lanes: [Lane] }).lanes[0];

async function echoes({ local }: AppConnection, text: string): Promise<void> {
  const heard = new Promise<string>((resolve) => local.once("data", (bytes: Buffer) => resolve(bytes.toString())));
  local.write(text);
  expect(await heard).toBe(text);
}

it(`a lane with ${COUNT} quiet TCP connections sleeps, and each goes on`, async () => {
  const agents = await Promise.all([1, 2].map(() => stage.connect({})));
  const connections: AppConnection[] = [];
  for (let i = 0; i < COUNT; i += 20) connections.push(...(await Promise.all(Array.from({ length: 20 }, (_, k) => appConnection(agents[k % 2] as TestAgent, "echo")))));
  await Promise.all(connections.map((one, i) => echoes(one, `before ${i}`)));
  expect(await lane()).toMatchObject({ streams: COUNT, connectors: [{ wakes: 0 }] });
  for (const round of [1, 2]) {
    // Asking the lane how it is would keep it awake.
    await new Promise((wake) => setTimeout(wake, ASLEEP_MS));
    await Promise.all(connections.map((one, i) => echoes(one, `round ${round} of ${i}`)));
    expect(await lane()).toMatchObject({ streams: COUNT, connectors: [{ wakes: round }] });
  }
  // A half of a connection that ended in its sleep is over too.
  const [first] = connections;
  first?.local.end();
  first?.local.resume();
  expect(await first?.over).toEqual({ whole: true });
  for (const agent of agents) agent.close();
});
