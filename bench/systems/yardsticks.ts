/** The yardsticks on plain workerd: the product's own engine, configuration and flags, with almost nothing in it. */
import { join } from "node:path";
import { type Child, createProcesses, plainEnvironment } from "../../start/processes.ts";
import { privateFolder } from "../../start/state-files.ts";
import { startWorkerd } from "../../start/workerd.ts";
import { waitFor } from "../program.ts";
import type { Ground, System } from "./system.ts";

export const YARDSTICKS = join(import.meta.dirname, "../yardsticks");
export const YARDSTICK_CACHE = join(import.meta.dirname, "../../node_modules/.cache/postern-bench/yardsticks");

async function yardstick(ground: Ground, name: "proxy" | "hello" | "floor", relay?: string): Promise<System> {
  const state = await privateFolder(join(ground.folder, name));
  const processes = createProcesses(await privateFolder(join(state, "logs")));
  try {
    const edge = await startWorkerd({
      processes,
      stateDirectory: state,
      configPath: join(YARDSTICKS, `${name}.toml`),
      cacheDirectory: YARDSTICK_CACHE,
      port: 0,
      vars: { ORIGIN: `http://127.0.0.1:${ground.origin.http}`, WEBSOCKETS: `http://127.0.0.1:${ground.origin.websocket}` },
      secrets: {},
    });
    const parts = [{ name: "edge", pid: edge.child.pid }];
    if (relay !== undefined) {
      const child: Child = processes.start({
        name: "relay",
        argv: [process.execPath, join(YARDSTICKS, relay)],
        env: plainEnvironment(),
        channel: "ipc",
        input: JSON.stringify({ edgePort: edge.port, ...ground.origin }),
      });
      await waitFor(child);
      parts.push({ name: "connector", pid: child.pid });
    }
    const target = { port: edge.port, host: `127.0.0.1:${edge.port}`, cookies: [] };
    return { http: target, ...(name === "hello" ? {} : { websocket: target }), parts: () => parts, stop: () => processes.stopAll() };
  } catch (cause) {
    await processes.stopAll();
    throw cause;
  }
}

export const startProxy = (ground: Ground): Promise<System> => yardstick(ground, "proxy");
export const startHello = (ground: Ground): Promise<System> => yardstick(ground, "hello");
export const startFloor = (ground: Ground): Promise<System> => yardstick(ground, "floor", "floor-relay.ts");
