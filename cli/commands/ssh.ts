/** `postern ssh`: the system's own ssh to an app, with this program as its ProxyCommand. */
import { spawn } from "node:child_process";
import type { Command } from "commander";
import { type AgentOptions, appId, collect } from "../app-connection.ts";
import { declare, does, type Runner } from "../command.ts";
import { errorCode, Failure, usageFailure } from "../failure.ts";
import { edgeRoute } from "../invocation.ts";
import { proxyCommand } from "../ssh-proxy.ts";
import { onStdio } from "./tcp.ts";

interface Options extends AgentOptions {
  readonly proxyCommand?: boolean;
}

export function addSsh(program: Command, runner: Runner): void {
  const command = declare(program, "ssh <app> [args...]", "ssh to an app (APP or USER@APP); what follows -- goes to ssh")
    .option("--proxy-command", "be ssh's ProxyCommand: the app on standard input and output")
    .option("--state <dir>", "where the agent keeps its key and known_connectors; default: beside the token file")
    .option("--trust-key <key>", "the team's offline key (site.trust_key) for this app's site; repeatable, kept", collect, []);
  does<Options>(command, runner, ([target = "", ...args], options, invocation) => {
    const [, user, app] = /^(?:([\w.-]+)@)?([^@]+)$/.exec(target) ?? [];
    const id = appId(app ?? "");
    if (options.proxyCommand === true) {
      if (user !== undefined || args.length > 0) throw usageFailure("--proxy-command takes only an app's id", "ssh itself knows the user");
      return onStdio(id, options, invocation);
    }
    const host = `${id}.${edgeRoute(invocation).origin.hostname}`;
    const own = ["-o", `ProxyCommand=${proxyCommand(id, options, invocation)}`, "-o", `HostKeyAlias=${host}`];
    return runSsh([...own, ...(user === undefined ? [] : ["-l", user]), ...destinationLast(host, args)]);
  });
}

/** ssh takes its own options before the host and a command after it: those that begin with "-" come first, with their values as given. */
function destinationLast(host: string, args: readonly string[]): string[] {
  const takesValue = /^-[BbcDEeFIiJLlmOopQRSWw]$/;
  let at = 0;
  while (at < args.length && (args[at] ?? "").startsWith("-")) at += takesValue.test(args[at] ?? "") ? 2 : 1;
  return [...args.slice(0, at), host, ...args.slice(at)];
}

function runSsh(args: readonly string[]): Promise<number> {
  const child = spawn("ssh", args, { stdio: "inherit" });
  // The terminal sends these to ssh as well, which knows what they mean; it is its end that counts.
  const wait = (): void => undefined;
  const signals = ["SIGINT", "SIGQUIT", "SIGTERM", "SIGHUP"] as const;
  for (const signal of signals) process.on(signal, wait);
  return new Promise<number>((done, fail) => {
    child.once("error", (error) => fail(new Failure("no_ssh", "ssh cannot be started", `the system says ${errorCode(error) ?? "no reason"}`, ["install OpenSSH's client, or use postern tcp APP"])));
    child.once("exit", (code) => done(code ?? 1));
  }).finally(() => {
    for (const signal of signals) process.off(signal, wait);
  });
}
