/**
 * Grants as control keeps them: who asked for access to what for how long, who gave it, until when.
 * One row from the question to the end. What a grant opens is not decided here: it is a fact of its
 * person, told to their sessions as others are.
 */
import { toBase64Url } from "../../core/bytes.ts";
import type { AppId, UserId } from "../../core/ids.ts";
import { at, DAY_MS, SECOND_MS } from "../../core/time.ts";
import { type Fact, grantFact } from "../../policy/facts.ts";
import type { Database } from "../sqlite.ts";
import type { News } from "../signal-facts.ts";
import { ACTOR_CHANGED } from "./actor.ts";
import type { Actor, ControlRpc, GrantRecord } from "./rpc.ts";

/** A question that nobody answered is over after this. */
const ASKED_MS = DAY_MS;
/** How long an ended grant is known by its id, so that ending it again answers as before. */
const KEPT_MS = 30 * DAY_MS;
/** Bounds what one person, and all of them, can have waiting or denied in a day; and what one may hold at a time. */
const MAX_ASKED_COUNT = 8;
const MAX_ALL_ASKED_COUNT = 1_000;
const MAX_HELD_COUNT = 32;

interface Row {
  readonly id: string;
  readonly user: UserId;
  readonly app: AppId;
  readonly reason: string;
  readonly lasting: number;
  /** JSON: facts of the connection that asked. */
  readonly connection: string;
  readonly asked_at: number;
  readonly given_at: number | null;
  readonly by: string | null;
  readonly until: number | null;
  readonly ended_at: number | null;
}

export interface GrantWork {
  readonly signal: ControlRpc["signal"];
  readonly stillActs: (by: Actor) => Promise<boolean>;
  /** Throws when it cannot be put on record. */
  readonly record: (data: Record<string, string | number>) => Promise<void>;
  /** Has `sweep` called then. */
  readonly wakeAt: (at: number) => void;
}

const WAITS = "given_at IS NULL AND ended_at IS NULL AND asked_at > ?";
const FULL = { ok: false, code: "overloaded" } as const;
const GONE = { ok: false, code: "unknown_id" } as const;

const newId = (): string => `g_${toBase64Url(crypto.getRandomValues(new Uint8Array(16)))}`;

const grantOf = (db: Database, id: string): Row | undefined => db.one<Row>("SELECT * FROM grants WHERE id = ?", id);

export class Grants {
  readonly #db: Database;
  readonly #work: GrantWork;

  constructor(db: Database, work: GrantWork) {
    this.#db = db;
    this.#work = work;
  }

  /** The same question again changes the one that waits. */
  async ask({ user, app, lasting, reason, connection }: Parameters<ControlRpc["askGrant"]>[0]): ReturnType<ControlRpc["askGrant"]> {
    const isFull = (): boolean => {
      const asked = (where: string, ...of: string[]): number => this.#db.one<{ n: number }>(`SELECT count(*) AS n FROM grants WHERE given_at IS NULL AND asked_at > ?${where}`, Date.now() - ASKED_MS, ...of)?.n ?? 0;
      return asked(" AND user = ? AND app <> ?", user, app) >= MAX_ASKED_COUNT || asked("") >= MAX_ALL_ASKED_COUNT;
    };
    if (isFull()) return FULL;
    const id = this.#db.one<Row>(`SELECT id FROM grants WHERE ${WAITS} AND user = ? AND app = ?`, Date.now() - ASKED_MS, user, app)?.id ?? newId();
    await this.#work.record({ act: "asked", id, user, app, lasting, reason });
    const now = Date.now();
    if (isFull()) return FULL;
    this.#db.run("DELETE FROM grants WHERE rowid IN (SELECT rowid FROM grants WHERE given_at IS NULL AND asked_at <= ? LIMIT 10)", now - ASKED_MS);
    this.#db.run("DELETE FROM grants WHERE rowid IN (SELECT rowid FROM grants WHERE until <= ? AND ended_at IS NOT NULL LIMIT 10)", now - KEPT_MS);
    this.#db.run(
      "INSERT INTO grants (id, user, app, reason, lasting, connection, asked_at) VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET reason = excluded.reason, lasting = excluded.lasting, connection = excluded.connection WHERE given_at IS NULL",
      id, user, app, reason, lasting, JSON.stringify(connection), now,
    );
    return { ok: true, id, until: now + ASKED_MS };
  }

  /** On record before it is one: it allows more than before. The same request given again is the same grant. */
  async give({ id, user, app, lasting, reason, by }: Parameters<ControlRpc["giveGrant"]>[0]): ReturnType<ControlRpc["giveGrant"]> {
    if (by === "internal" || by.subject === user) return { ok: false, code: "own_grant" };
    const before = id === undefined ? undefined : grantOf(this.#db, id);
    if (id !== undefined && (before === undefined || before.user !== user || before.app !== app || before.ended_at !== null)) return GONE;
    if (typeof before?.until === "number") return { ok: true, id: before.id, until: before.until };
    const grant = id ?? newId();
    await this.#work.record({ act: "given", id: grant, user, app, lasting, reason, by: by.name });
    if (!(await this.#work.stillActs(by))) return ACTOR_CHANGED;
    // From here to the signal nothing is awaited: of two who give the same one does, and who denied it meanwhile did.
    const now = Date.now();
    const asked = id === undefined ? undefined : grantOf(this.#db, id);
    if (id !== undefined && (asked === undefined || asked.given_at !== null || asked.ended_at !== null)) return GONE;
    const held = this.#db.one<{ n: number }>("SELECT count(*) AS n FROM grants WHERE user = ? AND app <> ? AND until > ? AND ended_at IS NULL", user, app, now)?.n ?? 0;
    if (held >= MAX_HELD_COUNT) return FULL;
    const last = this.#db.one<{ at: number | null }>("SELECT max(coalesce(ended_at, given_at)) AS at FROM grants WHERE user = ? AND app = ? AND given_at IS NOT NULL", user, app)?.at ?? 0;
    // Later than whatever was said of this app before, and than the end of the one that it replaces.
    const givenAt = Math.max(now, last + 2);
    const until = givenAt + lasting;
    this.#db.run("UPDATE grants SET ended_at = ? WHERE user = ? AND app = ? AND until > ? AND ended_at IS NULL", givenAt - 1, user, app, now);
    this.#db.run(
      "INSERT INTO grants (id, user, app, reason, lasting, connection, asked_at, given_at, by, until) VALUES (?, ?, ?, ?, ?, '{}', ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET reason = excluded.reason, lasting = excluded.lasting, given_at = excluded.given_at, by = excluded.by, until = excluded.until",
      grant, user, app, reason, lasting, now, givenAt, by.name, until,
    );
    this.#work.wakeAt(until);
    const fact: Fact = { value: grant, source: `operator:${by.name}`, observedAt: at(givenAt), expiresAt: at(until) };
    await this.#work.signal({ source: "grant", id: grant, name: "given", target: { kind: "user", id: user }, effect: { kind: "facts", facts: { [grantFact(app)]: fact }, at: givenAt } });
    return { ok: true, id: grant, until };
  }

  async deny(id: string, by: Actor): ReturnType<ControlRpc["denyGrant"]> {
    if (by === "internal" || grantOf(this.#db, id)?.given_at !== null) return GONE;
    if (!(await this.#work.stillActs(by))) return ACTOR_CHANGED;
    if (grantOf(this.#db, id)?.given_at !== null) return GONE;
    this.#db.run("UPDATE grants SET ended_at = ? WHERE id = ? AND ended_at IS NULL", Date.now(), id);
    await this.#work.record({ act: "denied", id, by: by.name });
    return { ok: true };
  }

  /** Questions that wait and grants that live. */
  list(): readonly GrantRecord[] {
    const now = Date.now();
    return this.#db
      .all<Row & { email: string | null; name: string | null }>(`SELECT grants.*, email, name FROM grants LEFT JOIN people ON people.id = user WHERE (${WAITS}) OR (until > ? AND ended_at IS NULL) ORDER BY asked_at`, now - ASKED_MS, now)
      .map(({ id, user, email, name, app, reason, lasting, connection, asked_at: askedAt, given_at: givenAt, by, until }) => ({
        id, user, email, name, app, reason, lasting, connection: JSON.parse(connection) as GrantRecord["connection"], askedAt, givenAt, by, until,
      }));
  }

  /** What ran out since is on record, once. */
  async sweep(): Promise<void> {
    for (const { id, user, app, until } of this.#db.all<Row>("SELECT * FROM grants WHERE until <= ? AND ended_at IS NULL LIMIT 100", Date.now())) {
      await this.#work.record({ act: "ran_out", id, user, app, until: until ?? 0 });
      this.#db.run("UPDATE grants SET ended_at = until WHERE id = ? AND ended_at IS NULL", id);
    }
    const next = this.#db.one<{ at: number | null }>("SELECT min(until) AS at FROM grants WHERE ended_at IS NULL")?.at ?? null;
    if (next !== null) this.#work.wakeAt(next);
  }
}

/** What a grant that was given is known by; undefined for a question. */
export const givenGrant = (db: Database, id: string): string | undefined => ((grantOf(db, id)?.given_at ?? null) === null ? undefined : id);

/** Ends it, and says so to whoever knows of it: false in place of the grant, for as long as it would have lived. Asked again it says the same. */
export function endGrant(db: Database, id: string, now: number): { readonly user: UserId; readonly news: News; readonly at: number } | undefined {
  db.run("UPDATE grants SET ended_at = max(?, given_at + 1) WHERE id = ? AND ended_at IS NULL", now, id);
  const row = grantOf(db, id);
  return row === undefined ? undefined : { user: row.user, news: takenBack([row]), at: now };
}

/** Ends all that a person was given, and asked for, until `now`. One that replaced another at the same moment is dated a little later. */
export function endGrantsOf(db: Database, user: string, now: number): News {
  db.run("UPDATE grants SET ended_at = max(?, coalesce(given_at + 1, 0)) WHERE user = ? AND coalesce(given_at, asked_at) <= ? AND ended_at IS NULL", now, user, now + SECOND_MS);
  return takenBack(db.all<Row>("SELECT * FROM grants WHERE user = ? AND given_at <= ? AND until > ? AND ended_at IS NOT NULL ORDER BY ended_at", user, now + SECOND_MS, now));
}

function takenBack(rows: readonly Row[]): News {
  return Object.fromEntries(rows.map(({ app, by, ended_at: ended, until }) => [grantFact(app), { value: false, source: `operator:${by ?? ""}`, observedAt: at(ended ?? 0), expiresAt: at(until ?? 0) }]));
}
