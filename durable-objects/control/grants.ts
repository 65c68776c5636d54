/**
 * Grants as control keeps them: who asked for access to what for how long, who gave it, until when.
 * One row from the question to the end. What a grant opens is not decided here: it is a fact of its
 * person, told to their sessions as others are.
 */
import type { AppId, UserId } from "../../core/ids.ts";
import { at, DAY_MS, SECOND_MS } from "../../core/time.ts";
import { type Fact, grantFact } from "../../policy/facts.ts";
import { randomText } from "../random-text.ts";
import type { Database } from "../sqlite.ts";
import type { News } from "../signal-facts.ts";
import { ACTOR_CHANGED } from "./actor.ts";
import type { Actor, ControlRpc, GrantRow } from "./rpc.ts";

/** A question that nobody answered is over after this. */
const ASKED_MS = DAY_MS;
/** So soon after it was asked, a question cannot be changed. */
const ASK_AGAIN_MS = 5 * SECOND_MS;
/** Bounds what one person, and all of them, can have waiting or denied in a day; and of how many apps one may hold grants at a time, those that were taken back among them. */
const MAX_ASKED_COUNT = 8;
const MAX_ALL_ASKED_COUNT = 1_000;
const MAX_HELD_COUNT = 32;

export interface GrantWork {
  readonly signal: ControlRpc["signal"];
  readonly stillActs: (by: Actor) => Promise<boolean>;
  /** Throws when it cannot be put on record. */
  readonly record: (data: Record<string, string | number>) => Promise<void>;
  /** Has `sweep` called then. */
  readonly wakeAt: (at: number) => void;
}

const FULL = { ok: false, code: "overloaded" } as const;
const GONE = { ok: false, code: "unknown_id" } as const;

const grantOf = (db: Database, id: string): GrantRow | undefined => db.one<GrantRow>("SELECT * FROM grants WHERE id = ?", id);
const isWaiting = (row: GrantRow | undefined): row is GrantRow => row !== undefined && row.given_at === null && row.ended_at === null && Date.now() < row.until;

export class Grants {
  readonly #db: Database;
  readonly #work: GrantWork;
  readonly #asking = new Set<string>();

  constructor(db: Database, work: GrantWork) {
    this.#db = db;
    this.#work = work;
  }

  /** The same question again changes the one that waits. */
  async ask(asked: Parameters<ControlRpc["askGrant"]>[0]): ReturnType<ControlRpc["askGrant"]> {
    // One at a time of the same person and app: what waits is looked for, put on record, and put.
    const key = `${asked.user} ${asked.app}`;
    if (this.#asking.has(key)) return FULL;
    this.#asking.add(key);
    try {
      return await this.#ask(asked);
    } finally {
      this.#asking.delete(key);
    }
  }

  async #ask({ user, app, lasting, reason, connection }: Parameters<ControlRpc["askGrant"]>[0]): ReturnType<ControlRpc["askGrant"]> {
    // What was denied counts for who asked, so that nobody asks without end, and no more for everybody.
    const isFull = (): boolean => {
      const { n, mine } = this.#db.one<{ n: number | null; mine: number | null }>("SELECT sum(ended_at IS NULL) AS n, sum(user = ? AND (app <> ? OR ended_at IS NOT NULL)) AS mine FROM grants WHERE until > ? AND given_at IS NULL", user, app, Date.now()) ?? { n: 0, mine: 0 };
      return (n ?? 0) >= MAX_ALL_ASKED_COUNT || (mine ?? 0) >= MAX_ASKED_COUNT;
    };
    if (isFull()) return FULL;
    const waiting = this.#db.all<GrantRow>("SELECT * FROM grants WHERE user = ? AND app = ?", user, app).find(isWaiting);
    if (waiting?.lasting === lasting && waiting.reason === reason) return { ok: true, id: waiting.id, until: waiting.until };
    // Changed as often as somebody writes, not as often as a script does: each change is on record.
    if (waiting !== undefined && Date.now() < waiting.asked_at + ASK_AGAIN_MS) return FULL;
    const id = waiting?.id ?? newId();
    await this.#work.record({ act: "asked", id, user, app, lasting, reason });
    const now = Date.now();
    if (isFull() || (waiting !== undefined && !isWaiting(grantOf(this.#db, id)))) return FULL;
    const until = now + ASKED_MS;
    this.#put({ id, user, app, reason, lasting, connection: JSON.stringify(connection), asked_at: now, given_at: null, by: null, until, ended_at: null });
    return { ok: true, id, until };
  }

  /** On record before it is one: it allows more than before. The same request given again is the same grant. */
  async give({ id = newId(), user, app, lasting, reason, by }: Parameters<ControlRpc["giveGrant"]>[0], isAsked: boolean): ReturnType<ControlRpc["giveGrant"]> {
    if (by === "internal" || by.subject === user) return { ok: false, code: "own_grant" };
    const before = grantOf(this.#db, id);
    if (isAsked && (before?.user !== user || before.app !== app || before.ended_at !== null)) return GONE;
    if (before !== undefined && before.given_at !== null) return { ok: true, id, until: before.until };
    if (this.#holdsAll(user, app)) return FULL;
    await this.#work.record({ act: "given", id, user, app, lasting, reason, by: by.name });
    if (!(await this.#work.stillActs(by))) return ACTOR_CHANGED;
    // From here to the signal nothing is awaited: of two who give the same one does, and who denied it meanwhile did.
    const now = Date.now();
    const asked = grantOf(this.#db, id);
    if (isAsked && !isWaiting(asked)) return GONE;
    if (this.#holdsAll(user, app)) return FULL;
    const given = this.#given(user);
    // Later than whatever was said of this app before, and than the end of the one that it replaces.
    const givenAt = Math.max(now, ...given.filter((one) => one.app === app).map((one) => (one.ended_at ?? one.given_at ?? 0) + 2));
    const until = givenAt + lasting;
    this.#db.run("UPDATE grants SET ended_at = ? WHERE user = ? AND app = ? AND given_at IS NOT NULL AND ended_at IS NULL", givenAt - 1, user, app);
    this.#put({ id, user, app, reason, lasting, connection: "{}", asked_at: asked?.asked_at ?? now, given_at: givenAt, by: by.name, until, ended_at: null });
    const fact: Fact = { value: id, source: `operator:${by.name}`, observedAt: at(givenAt), expiresAt: at(until) };
    await this.#work.signal({ source: "grant", id, name: "given", target: { kind: "user", id: user }, effect: { kind: "facts", facts: { [grantFact(app)]: fact }, at: givenAt } });
    return { ok: true, id, until };
  }

  #given(user: UserId): readonly GrantRow[] {
    return this.#db.all<GrantRow>("SELECT * FROM grants WHERE user = ? AND given_at IS NOT NULL", user);
  }

  /** They hold as many as may be, and none of this app. Also what was taken back is a fact of theirs until it would have run out. */
  #holdsAll(user: UserId, app: AppId): boolean {
    return new Set(this.#given(user).map((one) => one.app)).add(app).size > MAX_HELD_COUNT;
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
  list(): ReturnType<ControlRpc["grants"]> {
    return Promise.resolve(this.#db.all("SELECT grants.*, email, name FROM grants LEFT JOIN people ON people.id = user WHERE until > ? AND ended_at IS NULL ORDER BY asked_at", Date.now()));
  }

  /** What is over goes; of a grant that ran out that is on record. */
  async sweep(): Promise<void> {
    for (const { id, user, app, given_at: givenAt, until, ended_at: ended } of this.#db.all<GrantRow>("SELECT * FROM grants WHERE until <= ? LIMIT 32", Date.now())) {
      if (givenAt !== null && ended === null) await this.#work.record({ act: "ran_out", id, user, app, until });
      this.#db.run("DELETE FROM grants WHERE id = ?", id);
    }
    const next = this.#db.one<{ at: number | null }>("SELECT min(until) AS at FROM grants")?.at ?? null;
    if (next !== null) this.#work.wakeAt(next);
  }

  #put(row: Omit<GrantRow, "email" | "name">): void {
    this.#db.run("REPLACE INTO grants VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row.id, row.user, row.app, row.reason, row.lasting, row.connection, row.asked_at, row.given_at, row.by, row.until, row.ended_at);
    this.#work.wakeAt(row.until);
  }
}

function newId(): string {
  return `g_${randomText(16)}`;
}

/** What a grant that was given is known by; undefined for a question. */
export const givenGrant = (db: Database, id: string): string | undefined => ((grantOf(db, id)?.given_at ?? null) === null ? undefined : id);

/**
 * Ends one, or all that a person was given or asked for until now; one that replaced another at the
 * same moment is dated a little later. What is to be told: false in place of the grant, for as long
 * as it would have lived. Asked again it says the same.
 */
export function endGrants(db: Database, of: "id" | "user", value: string, now: number): { readonly user: UserId | undefined; readonly news: News } {
  const lately = now + SECOND_MS;
  db.run(`UPDATE grants SET ended_at = max(?, coalesce(given_at + 1, 0)) WHERE ${of} = ? AND coalesce(given_at, asked_at) <= ? AND ended_at IS NULL`, now, value, lately);
  const rows = db.all<GrantRow>(`SELECT * FROM grants WHERE ${of} = ? AND given_at <= ? AND ended_at IS NOT NULL ORDER BY ended_at`, value, lately);
  const takenBack = ({ by, ended_at: ended, until }: GrantRow): Fact => ({ value: false, source: `operator:${by ?? ""}`, observedAt: at(ended ?? 0), expiresAt: at(until) });
  return { user: rows[0]?.user, news: Object.fromEntries(rows.map((row) => [grantFact(row.app), takenBack(row)])) };
}
