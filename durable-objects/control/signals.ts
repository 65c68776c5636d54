/**
 * Signals as control stores them: each once by its source's own id, so that a repetition finds its
 * receipt; and which sessions came of which session at a provider. Not what a signal does (effects.ts).
 */
import type { ReceiptId, SessionId } from "../../core/ids.ts";
import { DAY_MS, HOUR_MS } from "../../core/time.ts";
import type { Database } from "../sqlite.ts";
import type { Signal, SignalEffect, SignalTarget } from "./rpc.ts";

export interface StoredSignal {
  readonly name: string;
  readonly target: SignalTarget;
  readonly effect: SignalEffect;
  /** When it came, milliseconds since 1970. */
  readonly at: number;
}

/** How long a repetition is known as one, and its receipt is there; longer than any source's message is accepted. */
const KEPT_MS = 30 * DAY_MS;
/** Each that comes lets some go: no more than that are looked at, however many there are. */
const OLDEST = "signals ORDER BY rowid LIMIT 10";
/** How long it is remembered that a provider ended a session of its own: longer than an ID token of it is taken (identity/token-exchange.ts). */
const ENDED_LOGIN_MS = 25 * HOUR_MS;
/** Stands for the session of a login that its provider has ended. */
const NOBODY = "";

export function receiptOf(db: Database, source: string, id: string): ReceiptId | undefined {
  return db.one<{ receipt: ReceiptId }>("SELECT receipt FROM signals WHERE source = ? AND id = ?", source, id)?.receipt;
}

/** In the step that began its change: the newest receipt is never old, so that their row numbers only rise. */
export function add(db: Database, { source, id, name, target, effect }: Signal, receipt: ReceiptId, now: number): void {
  db.run(`DELETE FROM receipts WHERE id IN (SELECT receipt FROM ${OLDEST}) AND at < ? AND report IS NOT NULL`, now - KEPT_MS);
  db.run(`DELETE FROM signals WHERE rowid IN (SELECT rowid FROM ${OLDEST}) AND receipt NOT IN (SELECT id FROM receipts)`);
  db.run(
    "INSERT INTO signals (source, id, receipt, name, target, effect, at) VALUES (?, ?, ?, ?, ?, ?, ?)",
    source, id, receipt, name, JSON.stringify(target), JSON.stringify(effect), now,
  );
}

export function byReceipt(db: Database, receipt: ReceiptId): StoredSignal | undefined {
  const row = db.one<{ name: string; target: string; effect: string; at: number }>("SELECT name, target, effect, at FROM signals WHERE receipt = ?", receipt);
  return row === undefined ? undefined : { name: row.name, target: JSON.parse(row.target) as SignalTarget, effect: JSON.parse(row.effect) as SignalEffect, at: row.at };
}

/** False: the provider ended this login while the sign-in was under way. */
export function noteLogin(db: Database, { issuer, id, sid, endsAt }: { issuer: string; id: string; sid: SessionId; endsAt: number }, now: number): boolean {
  db.run("DELETE FROM logins WHERE rowid IN (SELECT rowid FROM logins WHERE until < ? LIMIT 10)", now);
  if (db.one("SELECT 1 FROM logins WHERE issuer = ? AND id = ? AND sid = ? AND until >= ?", issuer, id, NOBODY, now) !== undefined) return false;
  db.run("INSERT OR REPLACE INTO logins (issuer, id, sid, until) VALUES (?, ?, ?, ?)", issuer, id, sid, endsAt);
  return true;
}

/** Whether a session came of this login, or it is known to have ended. */
export function knowsLogin(db: Database, issuer: string, id: string): boolean {
  return db.one("SELECT 1 FROM logins WHERE issuer = ? AND id = ? LIMIT 1", issuer, id) !== undefined;
}

/** The sessions that came of a login. */
export function sessionsOf(db: Database, { issuer, id }: { issuer: string; id: string }): readonly SessionId[] {
  return db.all<{ sid: SessionId }>("SELECT sid FROM logins WHERE issuer = ? AND id = ? AND sid <> ?", issuer, id, NOBODY).map(({ sid }) => sid);
}

/** The same; and none comes of it any more. */
export function endLogin(db: Database, { issuer, id }: { issuer: string; id: string }, now: number): readonly SessionId[] {
  db.run("INSERT OR REPLACE INTO logins (issuer, id, sid, until) VALUES (?, ?, ?, ?)", issuer, id, NOBODY, now + ENDED_LOGIN_MS);
  return sessionsOf(db, { issuer, id });
}
