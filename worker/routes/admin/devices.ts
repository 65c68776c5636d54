/** Devices for those who administer: the list, what an operator says of one, and verdicts of other systems, each with its end. */
import { parseUserId } from "../../../core/ids.ts";
import { at, DAY_MS, MINUTE_MS } from "../../../core/time.ts";
import { CONTROL_NAME } from "../../../durable-objects/bindings.ts";
import type { News } from "../../../durable-objects/signal-facts.ts";
import { isPosture } from "../../../identity/posture-report.ts";
import type { Fact } from "../../../policy/facts.ts";
import type { DevicesAnswer, FactsAnswer } from "../../../protocol/admin-api.ts";
import { readBoundedJson } from "../../bounded-body.ts";
import type { Exchange } from "../../exchange.ts";
import { type DeviceStub, knownDevice } from "../../known-device.ts";
import { recordAct } from "../../record.ts";
import { json, refuse } from "../../respond.ts";
import { asOperator, type Operator } from "./operator.ts";

const MAX_BODY_BYTES = 16 * 1024;
/** Names in one verdict. */
const MAX_FACTS_COUNT = 32;
/** A verdict may be so old, and count so long; without a policy's max_age a day at most (P15). */
const MAX_VERDICT_MS = 30 * DAY_MS;
const TAG = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;
const MAX_TAGS_COUNT = 16;
const RISKS: readonly unknown[] = ["low", "medium", "high"];

const instant = (ms: number): string => new Date(ms).toISOString();

/** GET /.postern/api/v1/devices */
export async function list(x: Exchange): Promise<Response> {
  const operator = await asOperator(x, "viewer");
  if (operator instanceof Response) return operator;
  const ids = await x.env.CONTROL.getByName(CONTROL_NAME).devices();
  const known = await Promise.all(ids.map((id) => x.env.DEVICE.getByName(id).describe()));
  return json(x, known.filter((one) => one !== undefined).map(({ enrolledAt, reportedAt, ...one }) => ({
    ...one, enrolled_at: instant(enrolledAt), reported_at: reportedAt === undefined ? null : instant(reportedAt),
  })) satisfies DevicesAnswer);
}

/** POST /.postern/api/v1/devices/:id {tags?, managed?} */
export async function set(x: Exchange, id: string): Promise<Response> {
  const operator = await asOperator(x, "operator");
  if (operator instanceof Response) return operator;
  const { tags, managed, ...others } = (await readBoundedJson(x.request, MAX_BODY_BYTES)) ?? { none: true };
  const areTags = (value: unknown): value is readonly string[] => Array.isArray(value) && value.length <= MAX_TAGS_COUNT && value.every((tag) => typeof tag === "string" && TAG.test(tag));
  if (Object.keys(others).length > 0 || (tags !== undefined && !areTags(tags)) || (managed !== undefined && typeof managed !== "boolean")) {
    return refuse(x, "bad_argument", { detail: 'It must be {"tags": [labels], "managed": boolean}.' });
  }
  return tell(x, operator, id, { act: "set", tags, managed }, (device) => device.set({ ...(tags === undefined ? {} : { tags }), ...(managed === undefined ? {} : { managed }) }));
}

/** POST /.postern/api/v1/devices/:id/facts {facts: {name: {value, observed_at?, expires_at} or null}} */
export async function say(x: Exchange, id: string): Promise<Response> {
  const operator = await asOperator(x, "responder");
  if (operator instanceof Response) return operator;
  const news = await readFacts(x, operator, (name, value) => (name === "managed" ? typeof value === "boolean" : isPosture(name, value)));
  if (news instanceof Response) return news;
  // That a device is the company's opens more than a verdict does: an operator's to say.
  const may = "managed" in news ? await asOperator(x, "operator") : operator;
  if (may instanceof Response) return may;
  return tell(x, operator, id, { act: "facts", facts: JSON.stringify(news) }, (device) => device.say(news, x.now));
}

/** POST /.postern/api/v1/users/:id/facts, of the same form: risk */
export async function sayOfUser(x: Exchange, id: string): Promise<Response> {
  const operator = await asOperator(x, "responder");
  if (operator instanceof Response) return operator;
  const news = await readFacts(x, operator, (name, value) => name === "risk" && RISKS.includes(value));
  if (news instanceof Response) return news;
  const user = parseUserId(id);
  if (user === undefined) return refuse(x, "unknown_id");
  const done = await x.env.CONTROL.getByName(CONTROL_NAME).signal({ source: sourceOf(operator), id: x.id, name: "facts", target: { kind: "user", id: user }, effect: { kind: "facts", facts: news, at: x.now } });
  if (!done.ok) return refuse(x, done.code);
  const { found, closed } = done.receipt.report;
  return json(x, { id, found, closed } satisfies FactsAnswer);
}

const sourceOf = ({ session }: Operator): string => `posture:${session.subject.id}`;

async function tell(x: Exchange, { session }: Operator, text: string, data: Parameters<typeof recordAct>[3], change: (device: DeviceStub) => Promise<{ found: number; closed: number } | "full" | undefined>): Promise<Response> {
  const known = await knownDevice(x.env, text);
  if (known === undefined) return refuse(x, "unknown_id");
  const { id, stub } = known;
  const event = { ...data, device: id, by: `${session.subject.kind}:${session.subject.id}` };
  await recordAct(x, "device", id, event);
  const done = await change(stub);
  if (done === "full") {
    await recordAct(x, "device", id, { ...event, refused: true });
    return refuse(x, "bad_argument", { detail: "The device has no place for another name." });
  }
  return done === undefined ? refuse(x, "unknown_id") : json(x, { id, found: done.found, closed: done.closed } satisfies FactsAnswer);
}

async function readFacts(x: Exchange, operator: Operator, fits: (name: string, value: unknown) => boolean): Promise<News | Response> {
  const facts = (await readBoundedJson(x.request, MAX_BODY_BYTES))?.["facts"];
  const entries = typeof facts === "object" && facts !== null && !Array.isArray(facts) ? Object.entries(facts as Record<string, unknown>) : [];
  const read = entries.map(([name, one]) => [name, one !== null ? readFact(x, operator, name, one, fits) : fits(name, true) || fits(name, "low") ? null : undefined] as const);
  if (entries.length === 0 || entries.length > MAX_FACTS_COUNT || read.some(([, fact]) => fact === undefined)) {
    return refuse(x, "bad_argument", { detail: 'It must be {"facts": {name: {value, expires_at, observed_at?}}}, at most 30 days from now.' });
  }
  return Object.fromEntries(read) as News;
}

function readFact({ now }: Exchange, operator: Operator, name: string, one: unknown, fits: (name: string, value: unknown) => boolean): Fact | undefined {
  const { value, observed_at: observed = instant(now), expires_at: expires } = (typeof one === "object" ? one : {}) as Record<string, unknown>;
  const [observedAt, expiresAt] = [Date.parse(String(observed)), Date.parse(String(expires))];
  const isTimely = observedAt <= now + MINUTE_MS && observedAt > now - MAX_VERDICT_MS && expiresAt > now && expiresAt <= now + MAX_VERDICT_MS;
  return fits(name, value) && isTimely ? { value: value as Fact["value"], source: sourceOf(operator), observedAt: at(Math.min(observedAt, now)), expiresAt: at(expiresAt) } : undefined;
}
