/** For tests of the start: temporary state folders and looking at processes. Starts nothing itself. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export const FIXTURE = join(import.meta.dirname, "fixture-wrangler.toml");

/** A fresh state folder and its removal. */
export function temporaryState(): { readonly path: string; readonly remove: () => void } {
  const path = mkdtempSync(join(tmpdir(), "postern-start-"));
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}

/** Ids of running processes whose command line or environment names `text`. Linux only. */
export function processesNaming(text: string): number[] {
  return readdirSync("/proc")
    .filter((entry) => /^[0-9]+$/.test(entry) && Number(entry) !== process.pid)
    .filter((entry) => {
      try {
        return readFileSync(`/proc/${entry}/cmdline`, "utf8").includes(text);
      } catch {
        return false;
      }
    })
    .map(Number);
}

/** Resolves when the condition holds; rejects after `timeoutMs`. */
export async function until(condition: () => boolean | Promise<boolean>, what: string, timeoutMs = 10_000): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error(`not reached in time: ${what}`);
    await new Promise((wake) => setTimeout(wake, 20));
  }
}
