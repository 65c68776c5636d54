/** Programs of this machine that a load needs: where they are, running one to its end. Absence is said, never hidden. */
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);
/** Where servers are that no PATH names. */
const MORE_FOLDERS = ["/usr/sbin", "/usr/local/bin", "/usr/lib/postgresql/15/bin", "/usr/lib/postgresql/16/bin", "/usr/lib/postgresql/17/bin"];

/** The program's path; undefined when it is not installed. */
export function programPath(name: string): string | undefined {
  const folders = [...(process.env["PATH"] ?? "").split(delimiter), ...MORE_FOLDERS];
  return folders.map((folder) => join(folder, name)).find((path) => existsSync(path));
}

/** Runs a program; what it printed on both, or an Error with its last words. */
export async function finish(argv: readonly [string, ...string[]], timeoutMs: number): Promise<string> {
  const [command, ...args] = argv;
  const { stdout, stderr } = await run(command, args, { timeout: timeoutMs, maxBuffer: 64 * 1024 * 1024 }).catch((cause: unknown) => {
    const said = cause instanceof Error && "stderr" in cause ? String(cause.stderr) : String(cause);
    throw new Error(`${command}: ${said.trim().split("\n").slice(-5).join(" / ")}`);
  });
  return stdout + stderr;
}
