/** What starting a peer needs: is it here, processes that end with the run, and when it answers. */
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";
import { loopbackFetch } from "../../start/loopback-http.ts";
import { createProcesses, type Processes } from "../../start/processes.ts";
import { privateFolder } from "../../start/state-files.ts";
import { AbsentError, type Ground } from "./system.ts";

/** Longest wait for a peer to serve its first request. */
const READY_TIMEOUT_MS = 20_000;
const LOOK_MS = 50;
/** Where daemons are that are on nobody's PATH. */
const MORE_FOLDERS = ["/usr/sbin", "/sbin"];

/** The path of a program; throws AbsentError where it is not installed. */
export function programPath(name: string): string {
  for (const folder of [...(process.env["PATH"] ?? "").split(delimiter), ...MORE_FOLDERS]) {
    try {
      accessSync(join(folder, name), constants.X_OK);
      return join(folder, name);
    } catch {
      // The next one.
    }
  }
  throw new AbsentError(`${name} is not installed`);
}

/** A folder and processes for a peer; on failure what was started is ended. */
export async function withProcesses<T>(ground: Ground, name: string, start: (processes: Processes, folder: string) => Promise<T>): Promise<T> {
  const folder = await privateFolder(join(ground.folder, name));
  const processes = createProcesses(await privateFolder(join(folder, "logs")));
  try {
    return await start(processes, folder);
  } catch (cause) {
    await processes.stopAll();
    throw cause;
  }
}

/** Resolves once a small request is answered through the peer. */
export async function untilServing(port: number, host: string, headers: Readonly<Record<string, string>> = {}, address = "127.0.0.1"): Promise<void> {
  const until = performance.now() + READY_TIMEOUT_MS;
  for (;;) {
    const answer = await loopbackFetch(`http://${address}:${port}/small/0`, { headers: { host, ...headers }, timeoutMs: 2_000 }).catch(() => undefined);
    if (answer?.status === 200) return;
    if (performance.now() > until) throw new AbsentError(`it does not serve (${answer === undefined ? "no answer" : `status ${answer.status}`})`);
    await new Promise((wake) => setTimeout(wake, LOOK_MS));
  }
}
