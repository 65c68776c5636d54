/**
 * wrk as the generator of closed load, where it is installed: its requests as a script, its numbers
 * read back. Its percentiles are corrected for coordinated omission by wrk itself.
 */
import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import type { ClosedLoad, LoadResult } from "./closed-load.ts";

const run = promisify(execFile);

/** Whether wrk answers; its version for the report. */
export async function wrkVersion(): Promise<string | undefined> {
  // It ends with 1 after printing its version.
  const said = await run("wrk", ["-v"]).then((out) => out.stdout, (cause: { stdout?: string }) => cause.stdout);
  return /^wrk \S+/.exec(said ?? "")?.[0];
}

const luaText = (text: string): string => `"${text.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\r", "\\r").replaceAll("\n", "\\n")}"`;

const script = (requests: readonly string[]): string => `local requests = {
${requests.map((request) => `  ${luaText(request)},`).join("\n")}
}
local i, n = 0, #requests
function request()
  i = i % n + 1
  return requests[i]
end
function done(summary, latency)
  local e = summary.errors
  io.write(string.format("\\nRESULT %d %d %f %f %f\\n", summary.requests, e.connect + e.read + e.write + e.status + e.timeout, summary.duration / 1e6, latency:percentile(50), latency:percentile(99)))
end
`;

export async function wrk(load: ClosedLoad): Promise<LoadResult> {
  const folder = await mkdtemp(join(tmpdir(), "postern-wrk-"));
  try {
    const file = join(folder, "requests.lua");
    await writeFile(file, script(load.requests), { mode: 0o600 });
    const args = ["-t1", `-c${load.connections}`, `-d${load.seconds}s`, "--timeout", "10s", "-s", file, `http://${load.address}:${load.port}/`];
    const { stdout } = await run("wrk", args);
    const [, requests, errors, seconds, p50us, p99us] = /^RESULT (\S+) (\S+) (\S+) (\S+) (\S+)$/m.exec(stdout)?.map(Number) ?? [];
    if (requests === undefined || errors === undefined || seconds === undefined || p50us === undefined || p99us === undefined) throw new Error(`wrk said something else:\n${stdout}`);
    return { requests: requests - Math.min(requests, errors), errors, seconds, p50us, p99us };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
