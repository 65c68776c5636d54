/** `postern ssh-config`: lines for ssh's own configuration, so that ssh, scp, rsync and git reach apps by name. */
import { existsSync, mkdirSync, readFileSync, realpathSync, statSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, join, resolve } from "node:path";
import type { Command } from "commander";
import { replacePrivately } from "../../agent/state-folder.ts";
import { visibleApps } from "../../protocol/admin-api-shapes.ts";
import { type AgentOptions, appId, collect } from "../app-connection.ts";
import { declare, does, type Runner } from "../command.ts";
import { errorCode, Failure } from "../failure.ts";
import { edgeRoute, operatorClient, show } from "../invocation.ts";
import { proxyCommand } from "../ssh-proxy.ts";

interface Options extends AgentOptions {
  readonly write?: boolean;
  readonly file?: string;
}

export function addSshConfig(program: Command, runner: Runner): void {
  const command = declare(program, "ssh-config [apps...]", "print lines for ~/.ssh/config: every TCP app that the token's holder may open, or those that are named")
    .option("--write", "put them into the file, in place of those written before")
    .option("--file <file>", "instead of ~/.ssh/config")
    .option("--state <dir>", "where the agent keeps its key and known_connectors; default: beside the token file")
    .option("--trust-key <key>", "the team's offline key (site.trust_key); repeatable", collect, []);
  does<Options>(command, runner, async (named, options, invocation) => {
    const origin = edgeRoute(invocation).origin;
    const ids = named.length > 0 ? named.map(appId) : (await (await operatorClient(invocation)).get("/", visibleApps)).value.apps.filter((one) => one.url === undefined).map((one) => appId(one.id));
    const hosts = ids.map((id) => ({ app: id, host: `${id}.${origin.hostname}`, proxy: proxyCommand(id, options, invocation) }));
    const block = blockOf(origin.origin, hosts);
    const file = resolve(options.file ?? join(invocation.io.env["HOME"] ?? homedir(), ".ssh", "config"));
    if (options.write === true) replaceBlock(file, origin.origin, block);
    show(invocation, { hosts, ...(options.write === true ? { file } : {}) }, () => (options.write === true ? `${file}: ${hosts.length === 1 ? "one host" : `${hosts.length} hosts`}, such as ssh ${hosts[0]?.host ?? "APP"}\n` : block));
    return 0;
  });
}

const begin = (edge: string): string => `# BEGIN postern ${edge}`;
const end = (edge: string): string => `# END postern ${edge}`;

function blockOf(edge: string, hosts: readonly { readonly host: string; readonly proxy: string }[]): string {
  // What follows in the file was meant for every host, if it stood before the first "Host".
  return [begin(edge), ...hosts.flatMap(({ host, proxy }) => [`Host ${host}`, `  ProxyCommand ${proxy}`]), "Match all", end(edge), ""].join("\n");
}

/** Replaces the block of this edge, or puts it first: ssh takes the first value that it finds. Everything else stays as it is. */
function replaceBlock(named: string, edge: string, block: string): void {
  // A link stays one.
  const file = existsSync(named) ? realpathSync(named) : named;
  try {
    mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
    const found = statSync(file, { throwIfNoEntry: false });
    const before = found === undefined ? "" : readFileSync(file, "utf8");
    const from = before.indexOf(begin(edge));
    const to = from < 0 ? -1 : before.indexOf(end(edge), from);
    if (from >= 0 && to < 0) throw new Failure("ssh_config_damaged", `${file} has the beginning of our lines and not their end`, "somebody changed them", [`remove the lines from "${begin(edge)}" on, then run this again`]);
    const after = from < 0 ? `${block}${before === "" ? "" : "\n"}${before}` : before.slice(0, from) + block + before.slice(to + end(edge).length).replace(/^\n/, "");
    if (after === before) return;
    replacePrivately(file, after, found === undefined ? undefined : found.mode & 0o777);
  } catch (error) {
    if (error instanceof Failure) throw error;
    throw new Failure("file_unwritable", `${file} cannot be written`, `the system says ${errorCode(error) ?? "no reason"}`, ["give another one with --file, or copy what postern ssh-config prints"]);
  }
}
