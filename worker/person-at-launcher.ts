/** Who sits at the launcher with a browser: a program's token is no person, and becomes nothing here. */
import type { SessionSnapshot } from "../durable-objects/session/rpc.ts";
import { readCredential } from "./credentials.ts";
import type { Exchange } from "./exchange.ts";
import { type Presented, verifiedSession } from "./session-cache.ts";

export interface AtLauncher {
  readonly presented: Presented;
  readonly session: SessionSnapshot;
  /** For pages. */
  readonly name: string;
}

/** As the session itself knows them now; undefined when nobody is signed in. */
export async function personAtLauncher(x: Exchange): Promise<AtLauncher | undefined> {
  const credential = readCredential(x.request, x.env, x.url.host, undefined);
  if (credential.kind !== "presented" || !credential.cookie) return undefined;
  const { presented } = credential;
  const session = await verifiedSession(x.env, presented, x.now, true);
  return session === undefined ? undefined : { presented, session, name: session.display.email ?? session.display.name ?? session.subject.id };
}
