/** `postern tcp APP` as a process, and the local port at which the app is. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type Child, logTail, plainEnvironment } from "../../start/processes.ts";
import { privateFolder } from "../../start/state-files.ts";
import { readFileSync } from "node:fs";
import type { LoadGround } from "./load.ts";
import { within } from "./soak.ts";

const PROGRAM = join(import.meta.dirname, "../../bin/postern.mjs");
const READY_WITHIN_MS = 30_000;

/** What the agent's commands need: its program, and the options and the environment that say who it is. */
export async function agentSettings({ site, folder }: Pick<LoadGround, "site" | "folder">, name: string): Promise<{ readonly program: string; readonly options: readonly string[] }> {
  const state = await privateFolder(join(folder, `agent-${name}`));
  const tokenFile = join(state, "token");
  await writeFile(tokenFile, `${site.tokens[0]}\n`, { mode: 0o600 });
  return { program: PROGRAM, options: ["--edge", site.stack.launcher, "--token-file", tokenFile, "--state", state] };
}

export async function listenTcp(ground: Pick<LoadGround, "site" | "folder">, app: string): Promise<{ readonly port: number; readonly child: Child; readonly stop: () => Promise<void> }> {
  const { program, options } = await agentSettings(ground, app);
  const child = ground.site.stack.processes.start({ name: `agent-${app}`, argv: [process.execPath, program, "tcp", app, "--listen", "127.0.0.1:0", "--json", ...options], env: plainEnvironment() });
  let port: number | undefined;
  await within(READY_WITHIN_MS, () => {
    const found = /"listening":"[^"]*:([0-9]+)"/.exec(readFileSync(child.logFile, "utf8"))?.[1];
    if (found !== undefined) port = Number(found);
    return port !== undefined || child.ended();
  });
  if (port === undefined) throw new Error(`postern tcp ${app} did not start:\n${await logTail(child)}`);
  return { port, child, stop: () => child.stop() };
}
