/**
 * Who may administer: postern:admin is an app, decided by the same decide() with the newest policy
 * and the session's own word, every time (CONTRACT "Administration is an app").
 */
import { ADMIN_APP } from "../../../core/ids.ts";
import { at } from "../../../core/time.ts";
import type { Actor } from "../../../durable-objects/control/rpc.ts";
import type { SessionSnapshot } from "../../../durable-objects/session/rpc.ts";
import type { CompiledPolicy } from "../../../policy/compile.ts";
import { decide } from "../../../policy/decide.ts";
import type { Role } from "../../../policy/decision.ts";
import type { Ask, Facts } from "../../../policy/facts.ts";
import { readCredential } from "../../credentials.ts";
import { type Exchange, originOf } from "../../exchange.ts";
import { factsOf } from "../../gate.ts";
import { newestPolicy } from "../../policy-cache.ts";
import { isBreakGlass } from "../../../durable-objects/audit/decision-event.ts";
import { recordDecision } from "../../record.ts";
import { refuse } from "../../respond.ts";
import { verifiedSession } from "../../session-cache.ts";

export interface Operator {
  readonly policy: CompiledPolicy;
  readonly session: SessionSnapshot;
  readonly facts: Facts;
  /** For control, which looks again when it commits; its name is "user:u_…" or "service:name". */
  readonly by: Actor;
}

const RANK: Readonly<Record<Role, number>> = { viewer: 0, responder: 1, operator: 2 };

/** The operator behind a request of at least this role, or the refusal. */
export async function asOperator(x: Exchange, least: Role): Promise<Operator | Response> {
  const credential = readCredential(x.request, x.env, x.url.host, ADMIN_APP);
  if (credential.kind !== "presented") return refuse(x, credential.kind === "malformed" ? "token_invalid" : "sign_in_required");
  // A cookie is sent by whatever page asks for it: a change then needs this host's own Origin.
  if (credential.cookie && x.method !== "GET" && x.request.headers.get("origin") !== originOf(x.url)) return refuse(x, "origin_not_allowed");
  const session = await verifiedSession(x.env, credential.presented, x.now, true);
  const policy = await newestPolicy(x.env, x.now);
  if (session === undefined || policy === undefined) return refuse(x, "token_invalid");
  const facts = factsOf(x, session);
  const role = roleOf(policy, facts, x);
  if (role === undefined || RANK[role] < RANK[least]) {
    const ask = adminAsk(x);
    await recordDecision(x, session.sid, ask, facts, decide(policy, ask, facts, at(x.now)));
    return refuse(x, "not_operator");
  }
  // Whatever is done or only looked at under a broken seal is on record before.
  if (isBreakGlass(session.subject)) await recordDecision(x, session.sid, adminAsk(x), facts, decide(policy, adminAsk(x), facts, at(x.now)));
  const { kind, id } = session.subject;
  return { policy, session, facts, by: { name: `${kind}:${id}`, sid: session.sid, subject: id, policyVersion: policy.version } };
}

/** Decisions that a change under way may overtake. Bounds a fight of operators. */
const MAX_TRIES_COUNT = 3;

/**
 * Carries a change out for whoever is an operator now, whatever was true when the request began:
 * its body may have taken its time. Decides again when control says that something changed.
 */
export async function carryOut<T extends { readonly ok: boolean; readonly code?: string }>(
  x: Exchange,
  least: Role,
  act: (operator: Operator) => Promise<T>,
): Promise<T | Response> {
  for (let tries = 0; tries < MAX_TRIES_COUNT; tries++) {
    const operator = await asOperator({ ...x, now: Date.now() }, least);
    if (operator instanceof Response) return operator;
    const done = await act(operator);
    if (done.ok || done.code !== "actor_changed") return done;
  }
  return refuse(x, "version_conflict");
}

const adminAsk = (x: Exchange): Ask => ({ app: ADMIN_APP, protocol: "http", method: x.method, path: x.url.path });

/** The role that this policy gives these facts; an allow without a role gives the least. */
export function roleOf(policy: CompiledPolicy, facts: Facts, x: Exchange): Role | undefined {
  const decision = decide(policy, adminAsk(x), facts, at(x.now));
  return decision.effect === "allow" ? (decision.limits.role ?? "viewer") : undefined;
}
