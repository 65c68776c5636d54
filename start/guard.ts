/**
 * The guard: a process of its own that ends everything `npm start` started when `npm start`
 * itself dies without a chance to do so (SIGKILL, a crash). It learns process groups on its
 * standard input ("+123", "-123") and acts when that ends. Not used on an orderly end, by which
 * time its list is empty.
 */
import { createInterface } from "node:readline";
import { KILL_AFTER_MS } from "./guard-grace.ts";


const groups = new Set<number>();
const ignore = (): void => undefined;
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, ignore);

function signalAll(signal: NodeJS.Signals): void {
  for (const group of groups) {
    try {
      process.kill(-group, signal);
    } catch {
      groups.delete(group); // gone already
    }
  }
}

const lines = createInterface({ input: process.stdin });
lines.on("line", (line) => {
  const group = Number(line.slice(1));
  if (!Number.isSafeInteger(group) || group <= 1) return;
  if (line.startsWith("+")) groups.add(group);
  else groups.delete(group);
});
lines.on("close", () => {
  signalAll("SIGTERM");
  if (groups.size === 0) process.exit(0);
  setTimeout(() => {
    signalAll("SIGKILL");
    process.exit(0);
  }, KILL_AFTER_MS);
});
