/** The command line by which ssh reaches an app through Postern: this program itself, quoted for ssh and its shell. */
import { join, resolve } from "node:path";
import { stateFolder } from "./app-connection.ts";
import type { AgentOptions } from "./app-connection.ts";
import { usageFailure } from "./failure.ts";
import { edgeRoute } from "./invocation.ts";
import type { Invocation } from "./invocation.ts";
import { quoteSh } from "./shell-quote.ts";

const LAUNCHER = join(import.meta.dirname, "../bin/postern.mjs");

/** Throws Failure for what cannot be quoted, and when a token's file is not named. */
export function proxyCommand(app: string, options: AgentOptions, invocation: Invocation): string {
  const { tokenFile, ca } = invocation;
  if (tokenFile === undefined || tokenFile === "-") throw usageFailure("no token file was given", "ssh starts the command anew each time", "--token-file FILE, or set POSTERN_TOKEN_FILE");
  const words = [
    process.execPath, LAUNCHER, "ssh", "--proxy-command",
    "--edge", edgeRoute(invocation).origin.origin,
    "--token-file", resolve(tokenFile),
    "--state", stateFolder(invocation, options.state),
    ...(ca === undefined ? [] : ["--ca", resolve(ca)]),
    ...options.trustKey.flatMap((key) => ["--trust-key", key]),
    app,
  ];
  // ssh reads %h and the like before the shell reads quotes.
  return words.map((word) => (/^[\w./:@=-]+$/.test(word) ? word : quoteSh(word, "proxy command"))).join(" ").replaceAll("%", "%%");
}
