/**
 * What a decision looks at for one session over one connection: built here only, so that the edge,
 * a lane and a report cannot differ in it (P13, P17, P19).
 */
import { at } from "../core/time.ts";
import { ANONYMOUS, type Fact, type Facts, type Subject } from "./facts.ts";

export interface KnownSession {
  readonly subject: Subject;
  readonly facts: { readonly [name: string]: Fact };
  /** ms since 1970. */
  readonly startedAt: number;
  readonly lastActiveAt: number;
}

/** The session's facts and those of the connection; nobody's, without a session. */
export function sessionFacts(session: KnownSession | undefined, connection: { readonly [name: string]: Fact }): Facts {
  if (session === undefined) return { subject: ANONYMOUS, known: connection };
  const { subject, facts, startedAt, lastActiveAt } = session;
  const known = { ...facts, ...connection };
  // A service's token has an end of its own; `session:` limits are a person's (P13, P19).
  if (subject.kind !== "user") return { subject, known };
  return { subject, known, session: { startedAt: at(startedAt), lastActiveAt: at(lastActiveAt) } };
}
