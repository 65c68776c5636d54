/** Fact `edr`: one of the processes that the team named runs. Without a name nothing is said. */
import { type Check, found, outputOf } from "./check.ts";
import { systemFolder } from "./powershell.ts";
import type { System } from "./system.ts";

/** The kernel keeps this many characters of a process's name. */
const LINUX_NAME_CHARS = 15;

export const endpointProtection: Check = async ({ system, wanted }) => {
  if (wanted.edr.length === 0) return {};
  const running = await processes(system);
  // A list without a process was not read: this one runs.
  if (running === undefined || running.size === 0) return {};
  const shown = (name: string): string => (system.platform === "linux" ? name.slice(0, LINUX_NAME_CHARS) : name.toLowerCase());
  return found("edr", wanted.edr.some((name) => running.has(shown(name))));
};

async function processes(system: System): Promise<ReadonlySet<string> | undefined> {
  switch (system.platform) {
    case "linux": {
      const ids = (await system.list("/proc"))?.filter((name) => /^\d+$/.test(name));
      if (ids === undefined) return undefined;
      const names = await Promise.all(ids.map((id) => system.read(`/proc/${id}/comm`)));
      return new Set(names.flatMap((name) => (name === undefined ? [] : [name.replace(/\n$/, "")])));
    }
    case "darwin":
      return parsePs(await outputOf(system, "/bin/ps", "-A", "-o", "comm="));
    case "win32":
      return parseTasklist(await outputOf(system, `${systemFolder(system)}\\tasklist.exe`, "/FO", "CSV", "/NH"));
    default:
      return undefined;
  }
}

/** Paths of programs, one a line; the last part counts. */
export function parsePs(text: string | undefined): ReadonlySet<string> | undefined {
  return text === undefined ? undefined : new Set(text.split("\n").map((line) => (line.trim().split("/").at(-1) ?? "").toLowerCase()).filter((name) => name !== ""));
}

/** `"MsMpEng.exe","3120","Services","0","201,336 K"`; only the first column is in no language. */
export function parseTasklist(text: string | undefined): ReadonlySet<string> | undefined {
  return text === undefined ? undefined : new Set([...text.matchAll(/^"([^"]+)","\d+",/gm)].map((match) => (match[1] ?? "").toLowerCase()));
}
