/** Live sessions and their streams: for `postern sessions`, and as cases for what a new document would do. */
import { at } from "../../../core/time.ts";
import type { SessionDescription } from "../../../durable-objects/session/rpc.ts";
import type { CompiledPolicy } from "../../../policy/compile.ts";
import type { Ask, Facts } from "../../../policy/facts.ts";
import type { SessionsAnswer } from "../../../protocol/admin-api.ts";
import { BREAK_GLASS_HEADER } from "../../../protocol/header-names.ts";
import type { Exchange } from "../../exchange.ts";
import { json } from "../../respond.ts";
import { glassJson, glassState } from "./break-glass.ts";
import { type LiveSessions, liveSessions, truncatedHeader } from "./live-sessions.ts";
import { asOperator } from "./operator.ts";

/** GET /.postern/api/v1/sessions */
export async function sessions(x: Exchange): Promise<Response> {
  const operator = await asOperator(x, "viewer");
  if (operator instanceof Response) return operator;
  const [live, glass] = await Promise.all([liveSessions(x), glassState(x)]);
  const { state, opens_at: opensAt, open_until: openUntil } = glassJson(glass);
  const until = openUntil ?? opensAt;
  const answer = live.sessions.map((one) => ({
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
  }));
  return json(x, answer satisfies SessionsAnswer, 200, { ...truncatedHeader(live), ...(until === null ? {} : { [BREAK_GLASS_HEADER]: `${state} ${until}` }) });
}

/** What is decided on of a session that described itself. */
export const factsOfDescribed = ({ subject, facts, startedAt }: SessionDescription, now: number): Facts => ({
  subject,
  known: facts,
  ...(subject.kind === "user" ? { session: { startedAt: at(startedAt), lastActiveAt: at(now) } } : {}),
});

/** Every live session at every app: what `apply` tries a new document on. */
export function liveCases(x: Exchange, policy: CompiledPolicy, { sessions }: LiveSessions): { facts: Facts; ask: Ask }[] {
  return sessions.flatMap((one) =>
    policy.document.apps.map((app) => ({
      facts: factsOfDescribed(one, x.now),
      ask: { app: app.id, protocol: app.protocol, method: app.protocol === "tcp" ? "" : "GET", path: app.protocol === "tcp" ? "" : "/" },
    })),
  );
}
