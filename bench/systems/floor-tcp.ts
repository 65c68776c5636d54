/** Yardstick `floor-tcp`: what a stream of TCP through an agent costs when nothing is asked, counted or resumed. */
import { join } from "node:path";
import { plainEnvironment } from "../../start/processes.ts";
import { startWorkerd } from "../../start/workerd.ts";
import { selfSigned } from "../../test/connector/test-certificate.ts";
import { waitFor } from "../program.ts";
import { withProcesses } from "./peer.ts";
import type { Ground, System } from "./system.ts";
import { YARDSTICKS, YARDSTICK_CACHE } from "./yardsticks.ts";

const VALID_MS = 24 * 60 * 60 * 1000;

export async function startFloorTcp(ground: Ground): Promise<System> {
  return withProcesses(ground, "floor-tcp", async (processes, folder) => {
    const edge = await startWorkerd({ processes, stateDirectory: folder, configPath: join(YARDSTICKS, "floor-tcp.toml"), cacheDirectory: YARDSTICK_CACHE, port: 0, secrets: {} });
    const { key, cert } = selfSigned("floor", new Date(Date.now() - VALID_MS), new Date(Date.now() + VALID_MS));
    const end = (name: "agent" | "connector"): { readonly pid: number; readonly told: Promise<unknown> } => {
      const child = processes.start({
        name,
        argv: [process.execPath, join(YARDSTICKS, "floor-tcp-end.ts")],
        env: plainEnvironment(),
        channel: "ipc",
        input: JSON.stringify({ end: name, edgePort: edge.port, originPort: ground.origin.tcp, cert, key: name === "connector" ? key : "" }),
      });
      return { pid: child.pid, told: waitFor(child) };
    };
    const connector = end("connector");
    await connector.told;
    const agent = end("agent");
    const { port } = (await agent.told) as { readonly port: number };
    const parts = [{ name: "edge", pid: edge.child.pid }, { name: "connector", pid: connector.pid }, { name: "agent", pid: agent.pid }];
    return { tcp: async () => ({ port, parts: () => parts }), parts: () => parts, stop: () => processes.stopAll() };
  });
}
