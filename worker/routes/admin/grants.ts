/** Access for a while: what people ask for, who gives it. Who may be given it is what decide() says of them now (P28). */
import { parseAppId, type UserId } from "../../../core/ids.ts";
import { at, parseDuration } from "../../../core/time.ts";
import { CONTROL_NAME, sessionOf } from "../../../durable-objects/bindings.ts";
import type { GrantRow } from "../../../durable-objects/control/rpc.ts";
import type { CompiledPolicy } from "../../../policy/compile.ts";
import type { Facts } from "../../../policy/facts.ts";
import { isAskable } from "../../../policy/visible.ts";
import type { GivenAnswer, GrantsAnswer } from "../../../protocol/admin-api.ts";
import { readBoundedJson } from "../../bounded-body.ts";
import type { Exchange } from "../../exchange.ts";
import { MAX_GRANT_MS, reasonOf } from "../../grant-terms.ts";
import { json, refuse } from "../../respond.ts";
import { withTarget } from "../../target-facts.ts";
import { asOperator, carryOut } from "./operator.ts";
import { factsOfDescribed } from "./sessions.ts";

const MAX_BODY_BYTES = 4 * 1024;
/** Of a person's sessions, the newest: bounds the calls of one grant. */
const MAX_SESSIONS_COUNT = 16;

const instant = (ms: number): string => new Date(ms).toISOString();

/** GET /.postern/api/v1/grants */
export async function list(x: Exchange): Promise<Response> {
  const operator = await asOperator(x, "viewer");
  if (operator instanceof Response) return operator;
  const all = await x.env.CONTROL.getByName(CONTROL_NAME).grants();
  return json(x, all.map(({ connection: _theirs, ended_at: _none, lasting, asked_at: asked, given_at: given, until, ...one }) => ({
    ...one, lasting_ms: lasting, asked_at: instant(asked), given_at: given === null ? null : instant(given), until: instant(until),
  })) satisfies GrantsAnswer);
}

/** POST /.postern/api/v1/grants {request, for?} or {user, app, for, reason} */
export async function give(x: Exchange): Promise<Response> {
  const operator = await asOperator(x, "operator");
  if (operator instanceof Response) return operator;
  const control = x.env.CONTROL.getByName(CONTROL_NAME);
  const { request: id, user: named, app: wanted, for: length, reason: said } = (await readBoundedJson(x.request, MAX_BODY_BYTES)) ?? {};
  const asked = id === undefined ? undefined : (await control.grants()).find((one) => one.id === id);
  if (id !== undefined && asked === undefined) return refuse(x, "unknown_id");
  const app = asked?.app ?? parseAppId(String(wanted));
  const lasting = typeof length === "string" ? parseDuration(length) : asked?.lasting;
  const reason = asked?.reason ?? reasonOf(said);
  if (app === undefined || reason === undefined || lasting === undefined || lasting > MAX_GRANT_MS) {
    return refuse(x, "bad_argument", { detail: "It takes a request, or user, app, for and reason." });
  }
  const people = asked === undefined ? (await control.people()).filter((one) => one.id === named || (one.email !== undefined && one.email === String(named).toLowerCase())) : [];
  const user = asked?.user ?? (people.length === 1 ? (people[0]?.id as UserId) : undefined);
  if (user === undefined) return refuse(x, "unknown_id");
  const done = await carryOut(x, "operator", async ({ by, policy }) =>
    // Once given, it is what it was given as.
    (asked !== undefined && asked.given_at !== null) || (await mayBeGiven(x, policy, { app, user, lasting, connection: asked?.connection ?? "{}" }))
      ? control.giveGrant({ ...(asked === undefined ? {} : { id: asked.id }), user, app, lasting, reason, by })
      : ({ ok: false, code: "grant_refused" } as const),
  );
  if (done instanceof Response) return done;
  if (!done.ok) return refuse(x, done.code === "actor_changed" ? "version_conflict" : done.code);
  return json(x, { id: done.id, until: instant(done.until) } satisfies GivenAnswer, 201);
}

/** Whether one of their sessions, at the place where they asked, would get in by it. */
async function mayBeGiven(x: Exchange, policy: CompiledPolicy, { app, user, lasting, connection }: Pick<GrantRow, "app" | "user" | "lasting" | "connection">): Promise<boolean> {
  const plan = policy.plan(app);
  if (plan === undefined) return false;
  const sids = (await x.env.USER.getByName(user).sessions()).slice(-MAX_SESSIONS_COUNT);
  const may = sids.map(async (sid) => {
    const one = await sessionOf(x.env, sid).describe();
    if (one === undefined || one.ended !== undefined) return false;
    const now = Date.now();
    const { known, ...who } = factsOfDescribed(one, now);
    const facts = await withTarget(x, policy, policy.app(app), { sid }, { ...who, known: { ...known, ...(JSON.parse(connection) as Facts["known"]) } }, true);
    return isAskable(policy, plan, facts, at(now), lasting);
  });
  return (await Promise.all(may)).includes(true);
}

/** POST /.postern/api/v1/grants/:id/deny */
export async function deny(x: Exchange, id: string): Promise<Response> {
  const operator = await asOperator(x, "responder");
  if (operator instanceof Response) return operator;
  const done = await carryOut(x, "responder", ({ by }) => x.env.CONTROL.getByName(CONTROL_NAME).denyGrant(id, by));
  if (done instanceof Response) return done;
  return done.ok ? json(x, { id }) : refuse(x, "unknown_id");
}
