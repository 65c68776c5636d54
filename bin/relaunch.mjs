/**
 * Runs a TypeScript program of this package under a Node that can: the one that is running, if it
 * is new enough, else the bundled one. Plain JavaScript that old Node versions read; no build step.
 */
import { spawn } from "node:child_process";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";

/** The first Node that runs our TypeScript files and has all that the programs use. */
const OLDEST_MAJOR = 24;
const FORWARDED = ["SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2"];

/** The bundled Node's executable for this machine, or undefined. */
function bundledNode(here) {
  const name = `node-${process.platform}-${process.arch}`;
  const require = createRequire(here);
  try {
    const manifest = require.resolve(`${name}/package.json`);
    return fileURLToPath(new URL(require(manifest).bin.node, new URL(`file://${manifest}`)));
  } catch {
    return undefined;
  }
}

/**
 * Runs `program` (relative to `here`, an import.meta.url) with this process's arguments, and ends
 * with its exit code or signal.
 */
export async function relaunch(here, program) {
  const target = new URL(program, here);
  if (Number(process.versions.node.split(".")[0]) >= OLDEST_MAJOR) {
    process.argv[1] = fileURLToPath(target);
    await import(target.href);
    return;
  }
  const node = bundledNode(here);
  if (node === undefined) {
    process.stderr.write(
      `postern needs Node ${OLDEST_MAJOR}; this is ${process.version}.\n` +
        `The bundled one (node-${process.platform}-${process.arch}) is not installed.\n` +
        "next: npm ci (without --omit=optional), or install Node 24\n",
    );
    process.exitCode = 1;
    return;
  }
  const child = spawn(node, [fileURLToPath(target), ...process.argv.slice(2)], { stdio: "inherit" });
  const forward = (signal) => child.kill(signal);
  for (const signal of FORWARDED) process.on(signal, forward);
  child.once("error", () => {
    process.stderr.write(`the bundled Node at ${node} cannot be started\nnext: npm ci\n`);
    process.exitCode = 1;
  });
  child.once("exit", (code, signal) => {
    for (const name of FORWARDED) process.off(name, forward);
    if (signal !== null) process.kill(process.pid, signal);
    else process.exitCode = code ?? 1;
  });
}
