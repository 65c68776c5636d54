/** One run of one command: its surroundings and the options that every command takes. */
import type { EdgeClient } from "./edge-client.ts";
import { type EdgeRoute, parseEdgeUrl, routeTo } from "./edge-route.ts";
import { usageFailure } from "./failure.ts";
import type { Io } from "./io.ts";
import type { Secrets } from "./printable.ts";
import { readSecret } from "./private-file.ts";

export interface Invocation {
  readonly io: Io;
  readonly secrets: Secrets;
  readonly json: boolean;
  readonly edge: string | undefined;
  readonly tokenFile: string | undefined;
  readonly ca: string | undefined;
}

/** The way to the edge that was named. Throws Failure (exit 2) when none was. */
export function edgeRoute({ edge, ca, io }: Invocation): EdgeRoute {
  if (edge === undefined) throw usageFailure("the edge's URL is missing", "this command speaks with an edge", "--edge https://access.example.com, or set POSTERN_EDGE");
  return routeTo(parseEdgeUrl(edge), ca, io.env);
}

/** The token that was named. Throws Failure (exit 2) when none was. */
export async function token({ tokenFile, io, secrets }: Invocation): Promise<string> {
  if (tokenFile === undefined) {
    throw usageFailure("no token was given", "this command acts as an operator or a service; a token comes from a file, never from the command line", "--token-file FILE (\"-\" reads standard input), or set POSTERN_TOKEN_FILE", "postern setup gives the first token, postern service create another");
  }
  return readSecret(tokenFile, "token", io, secrets);
}

/** A client of the edge that was named, with the token that was named. */
export async function operatorClient(invocation: Invocation): Promise<EdgeClient> {
  const route = edgeRoute(invocation);
  const { edgeClient } = await import("./edge-client.ts");
  return edgeClient(route, await token(invocation));
}

/** Prints the API's JSON with --json, else what `human` makes of it. */
export function show(invocation: Invocation, json: unknown, human: () => string): void {
  invocation.io.out(invocation.json ? `${JSON.stringify(json)}\n` : human());
}
