/**
 * Reads a decision back from the record: what was asked, by whom, on which facts. A record of
 * another version, or a damaged one, is no decision: nothing is guessed into its gaps.
 */
import { type AppId, parseAppId } from "../core/ids.ts";
import type { Json } from "../core/json.ts";
import { at, type Millis } from "../core/time.ts";
import type { AuditEvent } from "../durable-objects/audit/rpc.ts";
import type { Ask, Fact, Facts } from "../policy/facts.ts";
import { maybe, object, oneOf, type Shape } from "../protocol/shape.ts";

export interface RecordedDecision {
  readonly ask: Ask;
  readonly subject: Facts["subject"];
  /** The facts that stand in the record itself. */
  readonly own: Facts["known"];
  readonly session?: NonNullable<Facts["session"]>;
  readonly policyVersion: number;
  readonly effect: string;
  /** The record that holds the rest of the facts, if another does. */
  readonly factsRef?: string;
}

type Data = AuditEvent["data"];

const anyText: Shape<string> = (value) => (typeof value === "string" ? value : undefined);
const number: Shape<number> = (value) => (typeof value === "number" && Number.isFinite(value) ? value : undefined);
const instant: Shape<Millis> = (value) => (typeof value === "number" && Number.isFinite(value) ? at(value) : undefined);
/** The record is JSON, so what stands in it is. */
const json: Shape<Json> = (value) => value as Json | undefined;
/** Empty for a host that no app had; it was asked for all the same. */
const app: Shape<AppId> = (value) => (value === "" ? ("" as AppId) : typeof value === "string" ? parseAppId(value) : undefined);
const fact: Shape<Fact> = object({ value: json, source: anyText, observedAt: instant, expiresAt: maybe(instant) });

const facts: Shape<Facts["known"]> = (value) => {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return undefined;
  const entries = Object.entries(value).map(([name, one]) => [name, fact(one)] as const);
  return entries.some(([, one]) => one === undefined) ? undefined : (Object.fromEntries(entries) as Record<string, Fact>);
};

const decision = object({
  app,
  protocol: oneOf("http", "websocket", "tcp"),
  method: anyText,
  path: anyText,
  subject: object({ kind: oneOf("anonymous", "user", "service", "device"), id: anyText }),
  effect: anyText,
  policy_version: number,
  session: maybe(object({ started_at: instant, last_active_at: instant })),
  facts,
  facts_ref: maybe(anyText),
});

/** The data of an event of kind "decision"; undefined when it is not one that this version can read. */
export function readDecision(data: Data): RecordedDecision | undefined {
  const read = decision(data);
  if (read === undefined) return undefined;
  const { session, facts_ref: factsRef } = read;
  return {
    ask: { app: read.app, protocol: read.protocol, method: read.method, path: read.path },
    subject: read.subject,
    own: read.facts,
    ...(session === undefined ? {} : { session: { startedAt: session.started_at, lastActiveAt: session.last_active_at } }),
    policyVersion: read.policy_version,
    effect: read.effect,
    ...(factsRef === undefined ? {} : { factsRef }),
  };
}

/** The data of an event of kind "facts", which decisions refer to; undefined when it cannot be read. */
export const readSharedFacts = (data: Data): Facts["known"] | undefined => facts(data["facts"]);
