/** Why a decision fell: the record of it, and the same decision made again from what was recorded. */
import { parseRequestId } from "../../../core/ids.ts";
import { at } from "../../../core/time.ts";
import { CONTROL_AUDIT_NAME, CONTROL_NAME, EDGE_AUDIT_NAMES, laneAuditName, laneName } from "../../../durable-objects/bindings.ts";
import type { AuditEvent } from "../../../durable-objects/audit/rpc.ts";
import { compile } from "../../../policy/compile.ts";
import { explain } from "../../../policy/explain.ts";
import type { Facts } from "../../../policy/facts.ts";
import type { ExplainedRequestAnswer } from "../../../protocol/admin-api.ts";
import type { Exchange } from "../../exchange.ts";
import { readDecision, type RecordedDecision, readSharedFacts } from "../../recorded-decision.ts";
import { json, refuse } from "../../respond.ts";
import { asOperator } from "./operator.ts";

/** What to do about an id of which nothing is recorded. */
const NOT_RECORDED = "Take the `Postern-Request-Id` of a denial or an allow; one that asks for a sign-in decided nothing.";

/** GET /.postern/api/v1/explain/:id */
export async function explainRequest(x: Exchange, id: string): Promise<Response> {
  const operator = await asOperator(x, "viewer");
  if (operator instanceof Response) return operator;
  const request = parseRequestId(id);
  if (request === undefined) return refuse(x, "bad_argument", { detail: "A request id looks like r_ and 22 characters." });
  const shards = await auditShards(x);
  const found = await Promise.all(shards.map(async (name) => ({ name, events: await x.env.AUDIT.getByName(name).find(request) })));
  const isDecision = ({ kind }: AuditEvent): boolean => kind === "decision" || kind === "break_glass";
  const shard = found.find((one) => one.events.some(isDecision));
  const event = shard?.events.find(isDecision);
  if (shard === undefined || event === undefined) {
    return refuse(x, "unknown_id", { detail: "No such decision is on record; a repeated allow gets there within 2 s.", fix: [NOT_RECORDED] });
  }
  const recorded = readDecision(event.data);
  const facts = recorded === undefined ? undefined : await recordedFacts(x, shard.name, recorded);
  const version = recorded === undefined ? undefined : await x.env.CONTROL.getByName(CONTROL_NAME).version(recorded.policyVersion);
  if (recorded === undefined || facts === undefined || version === undefined) return refuse(x, "unknown_id", { detail: "Its facts or its policy are gone, or cannot be read any more.", fix: ["Explain the id of a newer answer to the same person."] });
  const again = explain(compile(version.document, version.version), recorded.ask, facts, at(event.at));
  const answer = { id, at: new Date(event.at).toISOString(), ...again, recorded_effect: recorded.effect, subject: facts.subject, ask: recorded.ask };
  return json(x, answer satisfies ExplainedRequestAnswer);
}

async function auditShards(x: Exchange): Promise<string[]> {
  const lanes = await x.env.CONTROL.getByName(CONTROL_NAME).lanes();
  return [...EDGE_AUDIT_NAMES, ...lanes.map((one) => laneAuditName(laneName(one.site, one.lane))), CONTROL_AUDIT_NAME];
}

/** Undefined when the record that holds the rest of the facts is gone. */
async function recordedFacts(x: Exchange, shard: string, { subject, own, session, factsRef }: RecordedDecision): Promise<Facts | undefined> {
  const rest = { subject, ...(session === undefined ? {} : { session }) };
  if (factsRef === undefined) return { ...rest, known: own };
  const [record] = await x.env.AUDIT.getByName(shard).find(factsRef);
  const shared = record === undefined ? undefined : readSharedFacts(record.data);
  return shared === undefined ? undefined : { ...rest, known: { ...shared, ...own } };
}
