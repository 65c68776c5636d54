/** `postern tcp APP` as a process that acts for one session at a time. */
import { writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { type Child, plainEnvironment } from "../../start/processes.ts";
import type { Stack } from "../../start/stack.ts";
import { privateFolder } from "../../start/state-files.ts";
import { listening } from "../systems/postern-tcp.ts";

const PROGRAM = join(import.meta.dirname, "../../bin/postern.mjs");

export interface Agent {
  readonly port: number;
  readonly child: Child;
  /** From its next connection to the edge on it is this token's. */
  readonly actFor: (token: string) => Promise<void>;
}

export async function startAgent(stack: Stack, app: string, folder: string, token: string): Promise<Agent> {
  const state = await privateFolder(folder);
  const tokenFile = join(state, "token");
  const actFor = (one: string): Promise<void> => writeFile(tokenFile, `${one}\n`, { mode: 0o600 });
  await actFor(token);
  const child = stack.processes.start({
    // A log of its own: what it says of its port must not be another's.
    name: basename(folder),
    argv: [process.execPath, PROGRAM, "tcp", app, "--listen", "127.0.0.1:0", "--edge", stack.launcher, "--token-file", tokenFile, "--state", state, "--json"],
    env: plainEnvironment(),
  });
  return { port: await listening(child), child, actFor };
}
