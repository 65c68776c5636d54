/**
 * Peer `wireguard-go`: a packet VPN in user space. The app runs once more in a network namespace of
 * its own, and the VPN between that and this one is the only way that is measured. Needs root; names and
 * addresses carry this process's id; the addresses are of the range that RFC 2544 keeps for benchmarks.
 */
import { execFile } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import { userInfo } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { plainEnvironment, type Processes } from "../../start/processes.ts";
import { waitFor } from "../program.ts";
import { programPath, untilServing, withProcesses } from "./peer.ts";
import { AbsentError, type Ground, type Origin, type System } from "./system.ts";

const run = promisify(execFile);
/** Of two runs at once, each has its own. */
const OCTET = process.pid % 256;
/** Between the namespaces, in the clear. */
const OUTER = { here: `198.18.${OCTET}.1`, there: `198.18.${OCTET}.2` };
/** Inside the VPN. */
const INNER = { here: `198.19.${OCTET}.1`, there: `198.19.${OCTET}.2` };
const VPN_PORT = 51_820;
const READY_TIMEOUT_MS = 10_000;
const LOOK_MS = 50;

interface Tools {
  readonly ip: string;
  readonly wg: string;
  readonly wireguard: string;
}

interface Keys {
  readonly file: string;
  readonly publicKey: string;
}

async function makeKeys({ wg }: Tools, folder: string, name: string): Promise<Keys> {
  const file = join(folder, `${name}.key`);
  await writeFile(file, (await run(wg, ["genkey"])).stdout, { mode: 0o600 });
  const publicKey = run(wg, ["pubkey"]);
  publicKey.child.stdin?.end(await readFile(file));
  return { file, publicKey: (await publicKey).stdout.trim() };
}

/** One end of the VPN; `inside` goes before every command: it enters the end's namespace. */
async function startEnd(processes: Processes, { ip, wg, wireguard }: Tools, inside: readonly string[], end: { readonly device: string; readonly keys: Keys; readonly peer: string; readonly endpoint: string; readonly address: string; readonly peerAddress: string }): Promise<number> {
  const [command, ...args] = [...inside, wireguard, "-f", end.device];
  const child = processes.start({ name: `wireguard-${end.device}`, argv: [command, ...args], env: { ...plainEnvironment(), WG_PROCESS_FOREGROUND: "1" } });
  const doing = async (...line: readonly string[]): Promise<void> => {
    const [program = "", ...rest] = [...inside, ...line];
    await run(program, rest);
  };
  const until = performance.now() + READY_TIMEOUT_MS;
  for (;;) {
    const isUp = await doing(wg, "show", end.device).then(() => true, () => false);
    if (isUp) break;
    if (child.ended() || performance.now() > until) throw new AbsentError("wireguard-go does not start: it needs /dev/net/tun");
    await new Promise((wake) => setTimeout(wake, LOOK_MS));
  }
  await doing(wg, "set", end.device, "listen-port", String(VPN_PORT), "private-key", end.keys.file, "peer", end.peer, "allowed-ips", `${end.peerAddress}/32`, "endpoint", end.endpoint);
  await doing(ip, "address", "add", `${end.address}/30`, "dev", end.device);
  await doing(ip, "link", "set", end.device, "up");
  return child.pid;
}

export async function startWireguard(ground: Ground): Promise<System> {
  const tools: Tools = { ip: programPath("ip"), wg: programPath("wg"), wireguard: programPath("wireguard-go") };
  if (userInfo().uid !== 0) throw new AbsentError("it needs root, for a network namespace");
  const { ip } = tools;
  const space = `postern-bench-${process.pid}`;
  const names = ["a", "b", "w", "v"].map((letter) => `pb${process.pid}${letter}`);
  const [outerHere = "", outerThere = "", here = "", there = ""] = names;
  const clean = async (): Promise<void> => {
    await run(ip, ["link", "del", outerHere]).catch(() => undefined);
    await run(ip, ["netns", "del", space]).catch(() => undefined);
  };
  return withProcesses(ground, "wireguard", async (processes, folder) => {
    const stop = (): Promise<void> => processes.stopAll().then(clean);
    try {
      await run(ip, ["netns", "add", space]).catch(() => {
        throw new AbsentError("this machine makes no network namespaces");
      });
      const inside = [ip, "netns", "exec", space];
      await run(ip, ["link", "add", outerHere, "type", "veth", "peer", "name", outerThere, "netns", space]);
      await run(ip, ["address", "add", `${OUTER.here}/30`, "dev", outerHere]);
      await run(ip, ["link", "set", outerHere, "up"]);
      await run(ip, ["-n", space, "address", "add", `${OUTER.there}/30`, "dev", outerThere]);
      await run(ip, ["-n", space, "link", "set", outerThere, "up"]);
      const [ours, theirs] = [await makeKeys(tools, folder, "here"), await makeKeys(tools, folder, "there")];
      const edge = await startEnd(processes, tools, [], { device: here, keys: ours, peer: theirs.publicKey, endpoint: `${OUTER.there}:${VPN_PORT}`, address: INNER.here, peerAddress: INNER.there });
      const connector = await startEnd(processes, tools, inside, { device: there, keys: theirs, peer: ours.publicKey, endpoint: `${OUTER.here}:${VPN_PORT}`, address: INNER.there, peerAddress: INNER.here });
      const app = processes.start({ name: "origin", argv: [ip, "netns", "exec", space, process.execPath, join(import.meta.dirname, "../origin.ts"), INNER.there], env: plainEnvironment(), channel: "ipc" });
      const origin = (await waitFor(app)) as Origin;
      const parts = [{ name: "edge", pid: edge }, { name: "connector", pid: connector }];
      const http = { port: origin.http, address: INNER.there, host: "origin", cookies: [] };
      await untilServing(http.port, http.host, {}, http.address);
      return { http, tcp: async () => ({ port: origin.tcp, address: INNER.there, parts: () => parts }), parts: () => parts, stop };
    } catch (cause) {
      await stop();
      throw cause;
    }
  });
}
