/** What `tcp` and `ssh` have in common: an agent for one app, made from the command's options. */
import { homedir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { agentKey } from "../agent/agent-key.ts";
import { KnownConnectors } from "../agent/known-connectors.ts";
import { StateFolder } from "../agent/state-folder.ts";
import { TcpAgent } from "../agent/tcp-agent.ts";
import { collectLessOften, secureContext } from "../agent/tls-identity.ts";
import { parseAppId } from "../core/ids.ts";
import type { AppId } from "../core/ids.ts";
import { usageFailure } from "./failure.ts";
import { edgeRoute, type Invocation, token } from "./invocation.ts";
import { printable } from "./printable.ts";

const PUBLIC_KEY = /^[A-Za-z0-9_-]{43}$/;

export interface AgentOptions {
  readonly state?: string;
  readonly trustKey: readonly string[];
}

/** "ssh", "db-main": the id of an app. Throws Failure (exit 2). */
export function appId(text: string): AppId {
  const id = parseAppId(text);
  if (id === undefined) throw usageFailure("that is no app's id", "lower-case letters, digits and inner hyphens, as in the document", "postern apps lists those that you may open");
  return id;
}

/** Where the agent keeps its key and the keys that it trusts: beside the token, unless --state says otherwise. */
export function stateFolder({ tokenFile, io }: Invocation, state: string | undefined): string {
  if (state !== undefined) return resolve(state);
  if (tokenFile !== undefined && tokenFile !== "-") return dirname(resolve(tokenFile));
  return join(io.env["XDG_STATE_HOME"] ?? join(io.env["HOME"] ?? homedir(), ".local", "state"), "postern");
}

/** An agent for the app, which acts by the token that was named or by another one; nothing is connected yet. Throws Failure or AgentFailure. */
export async function agentFor(app: AppId, options: AgentOptions, invocation: Invocation, as?: string): Promise<TcpAgent> {
  if (options.trustKey.some((key) => !PUBLIC_KEY.test(key))) throw usageFailure("--trust-key is no public key", "it must be the base64url of the 32 bytes of an Ed25519 public key, as site.trust_key in the document", "docs/connector.md says how to print it");
  collectLessOften();
  const edge = edgeRoute(invocation);
  const { io, tokenFile } = invocation;
  const first = as ?? (await token(invocation));
  const folder = new StateFolder(stateFolder(invocation, options.state));
  const known = new KnownConnectors(folder, edge.origin.origin, io.now, options.trustKey);
  const key = await agentKey(folder);
  return new TcpAgent({
    edge,
    // Standard input is read once; a file may hold a newer sign-in by now.
    token: () => (tokenFile === "-" || as !== undefined ? Promise.resolve(first) : token(invocation)),
    app,
    context: secureContext(key),
    known,
    reports: { note: (text) => io.err(`postern: ${printable(text)}\n`) },
    random: () => io.random(4).reduce((sum, byte) => sum * 256 + byte, 0) / 2 ** 32,
  });
}

export const collect = (value: string, before: readonly string[]): readonly string[] => [...before, value];
