/** What a run stands on: a private folder, the origin, and the systems that were asked for so far. All of it ends with it. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createProcesses, plainEnvironment } from "../start/processes.ts";
import { privateFolder } from "../start/state-files.ts";
import { waitFor } from "./program.ts";
import { SYSTEMS } from "./systems/registry.ts";
import { AbsentError, type Ground, type Origin, type System } from "./systems/system.ts";

export interface RunningGround {
  /** The system, started when first asked for; undefined when it is not on this machine. */
  readonly system: (name: string) => Promise<System | undefined>;
  /** What a system is started on. */
  readonly ground: Ground;
  /** Why systems are absent. */
  readonly absent: ReadonlyMap<string, string>;
  readonly stop: () => Promise<void>;
}

export async function startGround(sessions: number, say: (line: string) => void): Promise<RunningGround> {
  const folder = await mkdtemp(join(tmpdir(), "postern-bench-"));
  const processes = createProcesses(await privateFolder(join(folder, "logs")));
  const started = new Map<string, Promise<System | undefined>>();
  const absent = new Map<string, string>();
  const stop = async (): Promise<void> => {
    for (const system of started.values()) await (await system.catch(() => undefined))?.stop();
    await processes.stopAll();
    await rm(folder, { recursive: true, force: true });
  };
  try {
    const child = processes.start({ name: "origin", argv: [process.execPath, join(import.meta.dirname, "origin.ts")], env: plainEnvironment(), channel: "ipc" });
    const ground: Ground = { origin: (await waitFor(child)) as Origin, folder, sessions, say };
    const start = async (name: string): Promise<System | undefined> => {
      try {
        say(`starting ${name}`);
        return await SYSTEMS[name]?.(ground);
      } catch (cause) {
        if (!(cause instanceof AbsentError)) throw cause;
        absent.set(name, cause.message);
        say(`${name} is absent: ${cause.message}`);
        return undefined;
      }
    };
    const system = (name: string): Promise<System | undefined> => {
      const running = started.get(name) ?? start(name);
      started.set(name, running);
      return running;
    };
    return { system, ground, absent, stop };
  } catch (cause) {
    await stop();
    throw cause;
  }
}
