/** A decision as the record holds it: with everything that it was made from, so that it can be made again. */
import type { Json } from "../../core/json.ts";
import { BREAK_GLASS_SERVICE, type RequestId } from "../../core/ids.ts";
import type { Decision } from "../../policy/decision.ts";
import type { Ask, Facts } from "../../policy/facts.ts";
import type { AuditEvent, AuditKind } from "./rpc.ts";

/** The data of a decision. `known`: facts that stand in it; `reference`: the record that holds the rest. */
export function decisionData(ask: Ask, facts: Facts, decision: Decision, known: Facts["known"], reference?: string): Record<string, Json> {
  // In the order in which the record writes the names.
  return {
    app: ask.app,
    decided_by: [...decision.decidedBy],
    effect: decision.effect,
    facts: known as unknown as Json,
    ...(reference === undefined ? {} : { facts_ref: reference }),
    method: ask.method,
    path: ask.path,
    policy_version: decision.policyVersion,
    protocol: ask.protocol,
    reason: decision.reason,
    ...(facts.session === undefined ? {} : { session: { last_active_at: facts.session.lastActiveAt, started_at: facts.session.startedAt } }),
    subject: { id: facts.subject.id, kind: facts.subject.kind },
  };
}

/** Under a broken seal: each of its decisions is stored before it counts, and is told apart in the record. */
export const isBreakGlass = ({ kind, id }: Facts["subject"]): boolean => kind === "service" && id === BREAK_GLASS_SERVICE;
export const decisionKind = ({ subject }: Pick<Facts, "subject">): AuditKind => (isBreakGlass(subject) ? "break_glass" : "decision");

/** A decision with everything it was made from. */
export function decisionEvent(id: RequestId, ask: Ask, facts: Facts, decision: Decision, now: number): AuditEvent {
  return { id, at: now, kind: decisionKind(facts), data: decisionData(ask, facts, decision, facts.known) };
}
