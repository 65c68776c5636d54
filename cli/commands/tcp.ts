/** `postern tcp`: a TCP app at a local port, or on standard input and output. */
import type { Command } from "commander";
import { isIP } from "node:net";
import { AgentFailure } from "../../agent/agent-failure.ts";
import { listenFor } from "../../agent/tcp-listener.ts";
import type { ListenAddress } from "../../agent/tcp-listener.ts";
import { agentFor, type AgentOptions, appId, collect } from "../app-connection.ts";
import { declare, does, type Runner } from "../command.ts";
import { usageFailure } from "../failure.ts";
import type { Invocation } from "../invocation.ts";
import { printable } from "../printable.ts";

interface Options extends AgentOptions {
  readonly listen?: string;
  readonly stdio?: boolean;
}

/** Ends that no next connection can be without: a person has something to mend first. */
export const FATAL: ReadonlySet<string> = new Set(["connector_key_unknown", "known_connectors_damaged", "app_moved", "state_unsafe", "state_unusable"]);

export function addTcp(program: Command, runner: Runner): void {
  const command = declare(program, "tcp <app>", "open a TCP app at a local port, or on standard input and output")
    .option("--listen <address>", "HOST:PORT, PORT or HOST; default 127.0.0.1:0, any free port")
    .option("--stdio", "one connection on standard input and output instead of a port")
    .option("--state <dir>", "where the agent keeps its key and known_connectors; default: beside the token file")
    .option("--trust-key <key>", "the team's offline key (site.trust_key) for this app's site; repeatable, kept", collect, []);
  does<Options>(command, runner, async ([app = ""], options, invocation) => {
    if (options.stdio === true && options.listen !== undefined) throw usageFailure("--listen and --stdio exclude each other", "one is a port, the other is not");
    return options.stdio === true ? onStdio(app, options, invocation) : atPort(app, listenAddress(options.listen ?? "127.0.0.1:0"), options, invocation);
  });
}

/** One connection on standard input and output. Also what `postern ssh --proxy-command` is. */
export async function onStdio(app: string, options: AgentOptions, invocation: Invocation): Promise<number> {
  if (invocation.tokenFile === "-") throw usageFailure("the token cannot come from standard input", "that is the connection here", "--token-file FILE, or set POSTERN_TOKEN_FILE");
  const agent = await agentFor(appId(app), options, invocation);
  const local = invocation.io.duplex();
  try {
    // ssh tells its ProxyCommand by a signal that it is over.
    await Promise.race([agent.carry(local), invocation.io.stopped()]);
    return 0;
  } finally {
    local.destroy();
    await agent.close();
  }
}

async function atPort(app: string, address: ListenAddress, options: AgentOptions, invocation: Invocation): Promise<number> {
  const { io, json } = invocation;
  const id = appId(app);
  const agent = await agentFor(id, options, invocation);
  const stopped = io.stopped().then(() => undefined);
  const fatal = Promise.withResolvers<never>();
  fatal.promise.catch(() => undefined);
  try {
    // The way is tried to its end before anybody is told that there is one.
    await Promise.race([agent.probe(), stopped]);
    const listener = await listenFor(agent, address, (failure) => {
      if (failure instanceof AgentFailure && FATAL.has(failure.code)) return fatal.reject(failure);
      const { message, why, requestId } = failure instanceof AgentFailure ? failure : { message: "a connection broke", why: "internal error", requestId: undefined };
      io.err(`postern: ${printable(`${message}: ${why}`)}${requestId === undefined ? "" : ` (request ${printable(requestId)})`}\n`);
    });
    io.out(json ? `${JSON.stringify({ app: id, listening: listener.address })}\n` : `${id} is at ${listener.address}; Ctrl-C ends it\n`);
    try {
      await Promise.race([stopped, fatal.promise]);
    } finally {
      listener.close();
    }
    return 0;
  } finally {
    await agent.close();
  }
}

/** "127.0.0.1:5432", "[::1]:5432", "5432" or "127.0.0.1". Throws Failure (exit 2). */
function listenAddress(text: string): ListenAddress {
  const match = /^(?:(\[[0-9a-f:]+\]|[0-9.]+|localhost):)?(\d{1,5})$/i.exec(text);
  const bare = text.replace(/^\[|\]$/g, "");
  if (match === null && isIP(bare) !== 0) return { host: bare, port: 0 };
  const host = match?.[1]?.replace(/^\[|\]$/g, "") ?? "127.0.0.1";
  const port = Number(match?.[2] ?? Number.NaN);
  if (!(port <= 65_535) || (host !== "localhost" && isIP(host) === 0)) throw usageFailure("--listen is no address", "it must look like 127.0.0.1:5432, [::1]:5432 or 5432");
  return { host: host === "localhost" ? "127.0.0.1" : host, port };
}
