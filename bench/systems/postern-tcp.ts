/** The product's way in for TCP: `postern tcp` with a service's token, TLS to the connector, as people run it. */
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { edgeApi } from "../../start/edge-api.ts";
import { type Child, logTail, plainEnvironment } from "../../start/processes.ts";
import type { Stack } from "../../start/stack.ts";
import { privateFolder } from "../../start/state-files.ts";
import type { Entry } from "./system.ts";

const PROGRAM = join(import.meta.dirname, "../../bin/postern.mjs");
/** Longest wait for the agent to listen. */
const LISTEN_TIMEOUT_MS = 20_000;
const LOOK_MS = 50;
export const TCP_APP = "pipe";
/** The service whose token the agent has; the document lets it in. */
export const AGENT_SERVICE = "bench-agent";

/** Where its inspector listens once a profile asks for it; Node's own default is the connector's. */
export const AGENT_INSPECTOR_PORT = 9230;

/** The port that the agent says it listens on. */
export async function listening(child: Child): Promise<number> {
  const until = performance.now() + LISTEN_TIMEOUT_MS;
  while (performance.now() < until && !child.ended()) {
    const port = /"listening":"127\.0\.0\.1:([0-9]+)"/.exec(await readFile(child.logFile, "utf8"))?.[1];
    if (port !== undefined) return Number(port);
    await new Promise((wake) => setTimeout(wake, LOOK_MS));
  }
  throw new Error(`postern tcp does not listen:\n${await logTail(child)}`);
}

/** Starts an agent of a running stack. It ends with the stack. */
export async function startAgent(stack: Stack, folder: string): Promise<Entry> {
  const connector = stack.connectors[0];
  if (connector === undefined) throw new Error("there is no connector");
  const operatorToken = (await readFile(stack.tokenFile, "utf8")).trim();
  const tokenFile = join(await privateFolder(folder), "agent.token");
  await writeFile(tokenFile, await edgeApi(stack.launcher).createService(operatorToken, AGENT_SERVICE, "1d"), { mode: 0o600 });
  const child = stack.processes.start({
    name: "agent",
    argv: [process.execPath, `--inspect-port=${AGENT_INSPECTOR_PORT}`, PROGRAM, "tcp", TCP_APP, "--edge", stack.launcher, "--token-file", tokenFile, "--state", join(folder, "state"), "--json"],
    env: plainEnvironment(),
  });
  const port = await listening(child);
  return { port, parts: () => [{ name: "edge", pid: stack.edge().pid }, { name: "connector", pid: connector.child.pid }, { name: "agent", pid: child.pid }] };
}
