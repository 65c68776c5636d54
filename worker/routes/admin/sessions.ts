/** Live sessions and their streams: for `postern sessions`, and as cases for what a new document would do. */
import type { SessionId } from "../../../core/ids.ts";
import { at } from "../../../core/time.ts";
import { CONTROL_NAME } from "../../../durable-objects/bindings.ts";
import type { SessionDescription } from "../../../durable-objects/session/rpc.ts";
import type { CompiledPolicy } from "../../../policy/compile.ts";
import type { Ask, Facts } from "../../../policy/facts.ts";
import type { SessionsAnswer } from "../../../protocol/admin-api.ts";
import type { Exchange } from "../../exchange.ts";
import { json } from "../../respond.ts";
import { asOperator } from "./operator.ts";

/** Bounds one listing, and the sessions that a change is tried on. */
const MAX_SESSIONS_COUNT = 1_000;
const MAX_OWNERS_COUNT = 1_000;

async function liveSessions(x: Exchange): Promise<SessionDescription[]> {
  const control = x.env.CONTROL.getByName(CONTROL_NAME);
  const [people, services] = await Promise.all([control.people(), control.services()]);
  const owners = new Set([...people.map((one) => one.id), ...services.map((one) => `service:${one.name}`)]);
  const lists = await Promise.all([...owners].slice(0, MAX_OWNERS_COUNT).map((owner) => x.env.USER.getByName(owner).sessions()));
  const ids: SessionId[] = lists.flat().slice(0, MAX_SESSIONS_COUNT);
  const all = await Promise.all(ids.map((sid) => x.env.SESSION.get(x.env.SESSION.idFromString(sid)).describe().catch(() => undefined)));
  return all.filter((one) => one !== undefined).filter((one) => one.ended === undefined);
}

/** GET /.postern/api/v1/sessions */
export async function sessions(x: Exchange): Promise<Response> {
  const operator = await asOperator(x, "viewer");
  if (operator instanceof Response) return operator;
  const live = await liveSessions(x);
  return json(x, live.map((one) => ({
    id: one.id,
    subject: { kind: one.subject.kind, id: one.subject.id, name: one.display.name, email: one.display.email },
    started_at: new Date(one.startedAt).toISOString(),
    expires_at: new Date(one.expiresAt).toISOString(),
    streams: one.streams.map((stream) => ({
      id: stream.id,
      app: stream.app,
      protocol: stream.protocol,
      bytes_in: stream.bytesIn,
      bytes_out: stream.bytesOut,
      state: stream.state,
    })),
  })) satisfies SessionsAnswer);
}

/** Every live session at every app: what `apply` tries a new document on. */
export async function liveCases(x: Exchange, policy: CompiledPolicy): Promise<{ facts: Facts; ask: Ask }[]> {
  const live = await liveSessions(x);
  return live.flatMap((one) =>
    policy.document.apps.map((app) => ({
      facts: {
        subject: one.subject,
        known: one.facts,
        ...(one.subject.kind === "user" ? { session: { startedAt: at(one.startedAt), lastActiveAt: at(x.now) } } : {}),
      },
      ask: { app: app.id, protocol: app.protocol, method: app.protocol === "tcp" ? "" : "GET", path: app.protocol === "tcp" ? "" : "/" },
    })),
  );
}
