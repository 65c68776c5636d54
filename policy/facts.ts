/**
 * Facts: all that a decision may look at, each with its source and age. Nothing else reaches
 * `decide()`: no clock, no request object, no store. A record of a decision holds these facts
 * as they were, so that it can be made again (DESIGN §3, promise 8).
 */
import type { AppId } from "../core/ids.ts";
import type { Json } from "../core/json.ts";
import type { Millis } from "../core/time.ts";

/** One thing that somebody vouched for. */
export interface Fact {
  readonly value: Json;
  /** Who vouches: a provider id, "edge" (the connection), "device:<id>", "connector:<id>", "operator", "postern". */
  readonly source: string;
  /** When the source observed it; its age is measured from here. */
  readonly observedAt: Millis;
  /** When it stops counting whatever any `max_age` says. Absent: only `max_age` bounds it. */
  readonly expiresAt?: Millis;
}

/**
 * The names criteria look up. Values that are not of the type given here count as unknown (P1).
 *
 * | name            | value                                                        | read by            |
 * |-----------------|--------------------------------------------------------------|--------------------|
 * | user            | "provider:sub"                                               | user               |
 * | provider        | provider id                                                  | provider           |
 * | email           | lower-case, verified within the provider's email_domains     | email, email_domain|
 * | groups          | ["provider:name", …]                                         | group              |
 * | mfa             | { methods: [amr…] }; observedAt is when it was performed     | mfa                |
 * | auth            | true; observedAt is the provider's auth_time                 | session_age        |
 * | service         | service name                                                 | service            |
 * | ip              | address as text                                              | ip_range           |
 * | country         | ISO 3166-1 alpha-2                                           | country            |
 * | asn             | number                                                       | (record only)      |
 * | user_agent      | text                                                         | (record only)      |
 * | risk            | "low" \| "medium" \| "high"                                  | risk               |
 * | risk.reasons    | [codes]: why it is so                                        | risk_reason        |
 * | device.id       | device id                                                    | device             |
 * | grant.<app>     | the grant's id; false once it was taken back                 | grant              |
 * | target.<fact>   | healthy: boolean; version, digest: text; critical, high: number; source "connector:<id>" | target |
 * | device.<fact>   | registered, managed: boolean; tags: [text]; owner: user id; any posture value | device |
 */
export type FactName = string;

/** What the criterion `grant` reads stands for: the fact of the app that is asked for. */
export const GRANT = "grant";
export const grantFact = (app: AppId): FactName => `${GRANT}.${app}`;

/** Facts of the connection that brought the stream; they never change while it lives (P17). */
export const CONNECTION_FACTS: readonly FactName[] = ["ip", "country", "asn", "user_agent"];

export type SubjectKind = "anonymous" | "user" | "service" | "device";

/** Who asks. `id` is a UserId, a service name or a device id; empty for anonymous. */
export interface Subject {
  readonly kind: SubjectKind;
  readonly id: string;
}

export interface Facts {
  readonly subject: Subject;
  readonly known: { readonly [name: FactName]: Fact };
  /** The session that carries the subject, if one does. Its limits are P19's. */
  readonly session?: { readonly startedAt: Millis; readonly lastActiveAt: Millis };
}

/** What is asked for. `path` is canonical and without query (POLICY P9, worker/canonical.ts). */
export interface Ask {
  readonly app: AppId;
  readonly protocol: "http" | "websocket" | "tcp";
  /** Exact method; "GET" for a WebSocket, "" for TCP. */
  readonly method: string;
  /** Canonical path starting with "/"; "" for TCP. */
  readonly path: string;
}

export const ANONYMOUS: Subject = { kind: "anonymous", id: "" };
