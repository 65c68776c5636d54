/** A token of a service is a session of the service, so that it is leased and cut like any other. */
import type { SessionId } from "../../core/ids.ts";
import { at } from "../../core/time.ts";
import { type ObjectEnv, sessionOf } from "../bindings.ts";
import type { Database } from "../sqlite.ts";
import { ATTEMPT_SKEW_MS, type SignIn } from "../user/rpc.ts";
import * as registry from "./registry.ts";

/** The name by which a service token's session object is found. */
export const serviceSession = (tokenId: string): string => `service:${tokenId}`;

export function reserveToken(db: Database, env: ObjectEnv, name: string, token: { tokenId: string; expiresAt: number }): void {
  const sid = env.SESSION.idFromName(serviceSession(token.tokenId)).toString() as SessionId;
  registry.addService(db, { name, tokenId: token.tokenId, sid, createdAt: Date.now(), expiresAt: token.expiresAt });
}

export async function signInService(db: Database, env: ObjectEnv, name: string, token: { tokenId: string; hash: string; expiresAt: number }): Promise<void> {
  const now = Date.now();
  // As it began: who revokes the service while it is under way need not be seen from here (M1). Its revocations are told by the rows' clock.
  const began = registry.madeAt(db, token.tokenId) ?? 0;
  const signIn: SignIn = {
    owner: `service:${name}`,
    subject: { kind: "service", id: name },
    display: { sub: `service:${name}`, name },
    facts: { service: { value: name, source: "postern", observedAt: at(now) } },
    attemptStartedAt: began + ATTEMPT_SKEW_MS,
    endsAt: token.expiresAt,
    idleMs: token.expiresAt - now,
    credential: { kind: "service", audience: "any", hash: token.hash, expiresAt: token.expiresAt },
    sessionName: serviceSession(token.tokenId),
  };
  const signedIn = await env.USER.getByName(signIn.owner).signIn(signIn);
  if (signedIn.ok) {
    if (registry.madeAt(db, token.tokenId) !== undefined) return;
    // Marked, and the user's object has not heard of it yet.
    await sessionOf(env, signedIn.sid).end("revoked", "self");
  }
  throw new Error("the service could not be signed in");
}
