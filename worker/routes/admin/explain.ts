/** Why a decision fell: the record of it, and the same decision made again from what was recorded. */
import { parseRequestId } from "../../../core/ids.ts";
import { at } from "../../../core/time.ts";
import { CONTROL_AUDIT_NAME, CONTROL_NAME, EDGE_AUDIT_SHARD_COUNT, laneAuditName, laneName } from "../../../durable-objects/bindings.ts";
import type { StoredEvent } from "../../../durable-objects/audit/rpc.ts";
import { compile } from "../../../policy/compile.ts";
import { explain } from "../../../policy/explain.ts";
import type { Ask, Fact, Facts, SubjectKind } from "../../../policy/facts.ts";
import type { ExplainedRequestAnswer } from "../../../protocol/admin-api.ts";
import type { Exchange } from "../../exchange.ts";
import { json, refuse } from "../../respond.ts";
import { asOperator } from "./operator.ts";

/** GET /.postern/api/v1/explain/:id */
export async function explainRequest(x: Exchange, id: string): Promise<Response> {
  const operator = await asOperator(x, "viewer");
  if (operator instanceof Response) return operator;
  const request = parseRequestId(id);
  if (request === undefined) return refuse(x, "bad_argument", { detail: "A request id looks like r_ and 22 characters." });
  const shards = await auditShards(x);
  const found = await Promise.all(shards.map(async (name) => ({ name, events: await x.env.AUDIT.getByName(name).find(request) })));
  const shard = found.find((one) => one.events.some((event) => event.kind === "decision"));
  const event = shard?.events.find((one) => one.kind === "decision");
  if (shard === undefined || event === undefined) {
    return refuse(x, "unknown_id", { detail: "No decision with this id is on record; a repeated allow is recorded within 2 s." });
  }
  const facts = await recordedFacts(x, shard.name, event);
  const version = await x.env.CONTROL.getByName(CONTROL_NAME).version(Number(event.data["policy_version"]));
  if (facts === undefined || version === undefined) return refuse(x, "unknown_id", { detail: "The facts or the policy of this decision are gone." });
  const policy = compile(version.document, version.version);
  const again = explain(policy, askOf(event), facts, at(event.at));
  const answer = { id, at: new Date(event.at).toISOString(), ...again, recorded_effect: textOf(event.data["effect"]), subject: facts.subject, ask: askOf(event) };
  return json(x, answer satisfies ExplainedRequestAnswer);
}

async function auditShards(x: Exchange): Promise<string[]> {
  const lanes = await x.env.CONTROL.getByName(CONTROL_NAME).lanes();
  const edge = Array.from({ length: EDGE_AUDIT_SHARD_COUNT }, (_, i) => `edge/${i}`);
  return [...edge, ...lanes.map((one) => laneAuditName(laneName(one.site, one.lane))), CONTROL_AUDIT_NAME];
}

const textOf = (value: unknown): string => (typeof value === "string" ? value : "");

const askOf = ({ data }: StoredEvent): Ask => ({
  app: data["app"] as Ask["app"],
  protocol: data["protocol"] as Ask["protocol"],
  method: textOf(data["method"]),
  path: textOf(data["path"]),
});

async function recordedFacts(x: Exchange, shard: string, { data }: StoredEvent): Promise<Facts | undefined> {
  const subject = data["subject"] as { kind: SubjectKind; id: string };
  const own = data["facts"] as unknown as Record<string, Fact>;
  const session = data["session"] as { started_at: number; last_active_at: number } | undefined;
  const times = session === undefined ? {} : { session: { startedAt: at(session.started_at), lastActiveAt: at(session.last_active_at) } };
  const reference = data["facts_ref"];
  if (typeof reference !== "string") return { subject, known: own, ...times };
  const [shared] = await x.env.AUDIT.getByName(shard).find(reference);
  return shared === undefined ? undefined : { subject, known: { ...(shared.data["facts"] as unknown as Record<string, Fact>), ...own }, ...times };
}
