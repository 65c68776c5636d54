/** Control after years: tables with 200,000 rows each; nothing that it does for one sign-in, signal, change or alarm takes long, sweeps of what is over among it. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { ReceiptId, SessionId, UserId } from "../../../core/ids.ts";
import { DAY_MS } from "../../../core/time.ts";
import { endGrants, Grants } from "../../../durable-objects/control/grants.ts";
import * as registry from "../../../durable-objects/control/registry.ts";
import { CONTROL_MIGRATIONS } from "../../../durable-objects/control/schema.ts";
import * as signals from "../../../durable-objects/control/signals.ts";
import { Database } from "../../../durable-objects/sqlite.ts";
import { ObjectStorage } from "../object-storage.ts";
import { T0 } from "../samples.ts";

const ROWS_COUNT = 200_000;
/** A sweep may hold the object up for 50 ms; these have nothing to wait for. */
const WITHIN_MS = 10;

const storage = new ObjectStorage();
const db = new Database(storage, CONTROL_MIGRATIONS);
const fill = (into: string, values: string): void => db.run(`INSERT INTO ${into} WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${ROWS_COUNT}) SELECT ${values} FROM n`);
beforeAll(() => {
  db.transaction(() => {
    fill("signals (source, id, receipt, name, target, effect, at)", `'ssf:feed', 'j' || i, 'rcpt_' || i, 'session-revoked', '{}', '{}', ${T0} - 40 * ${DAY_MS} + i`);
    fill("logins (issuer, id, sid, until)", `'https://idp', 'l' || i, 's' || i, ${T0} + 1000 + i`);
    fill("services (token_id, name, sid, created_at, expires_at, revoked_at)", `'t' || i, 'n' || i, 's' || i, ${T0}, ${T0} + 1000000, NULL`);
    fill("people (id, issuer, sub, email, name, last_sign_in_at)", `'u_' || i, 'https://idp', 'p' || i, 'p' || i || '@example.com', 'P', ${T0} + i`);
    fill("receipts (id, kind, target, version, at, by, report)", `'rcpt_' || i, 'user', 'u_' || i, 1, ${T0}, 'x', '${"{}".padEnd(300)}'`);
    fill("devices (id, owner, enrolled_at, revoked_at)", `'d_' || i, 'u_' || i, ${T0} + i, NULL`);
    fill("grants (id, user, app, reason, lasting, connection, asked_at, given_at, by, until, ended_at)", `'g_' || i, 'u_' || i, 'wiki', 'why', 1000, '{}', ${T0}, ${T0}, 'user:u_0', ${T0} + 1000 + i, ${T0} + 1000 + i`);
  });
}, 60_000);
afterAll(() => storage.close());

const never = (): never => {
  throw new Error("not asked for");
};
const grants = new Grants(db, { signal: never, stillActs: never, record: never, wakeAt: () => undefined });

/** The middle one of nine runs: a machine that does something else too does not count. */
function msOf(run: (i: number) => unknown): number {
  const took = Array.from({ length: 9 }, (_, i) => {
    const began = performance.now();
    run(i);
    return performance.now() - began;
  });
  return took.sort((a, b) => a - b)[4] ?? 0;
}

describe("control with 200,000 rows of each kind", () => {
  it.each<[string, (i: number) => unknown]>([
    ["forgets signals that are over with the next one", (i) => signals.add(db, { source: "s", id: `n${i}`, name: "x", target: { kind: "user", id: "u_1" as UserId }, effect: { kind: "end" } }, `r${i}` as ReceiptId, T0)],
    ["stores a signal while none is over", (i) => signals.add(db, { source: "s", id: `m${i}`, name: "x", target: { kind: "user", id: "u_1" as UserId }, effect: { kind: "end" } }, `r${i}` as ReceiptId, T0 - 20 * DAY_MS)],
    ["forgets logins that are over with the next one", (i) => signals.noteLogin(db, { issuer: "i", id: `n${i}`, sid: "s" as SessionId, endsAt: T0 }, T0 + 1_000 + 20 * i)],
    ["ends a login", (i) => signals.endLogin(db, { issuer: "https://idp", id: `l${9_000 + i}` }, T0)],
    ["notes a person", (i) => registry.notePerson(db, { id: `u_${i}`, issuer: "https://idp", sub: `p${i}`, lastSignInAt: T0 })],
    ["finds people by their address", (i) => registry.personsOf(db, "https://idp", `p${i}@example.com`)],
    ["finds the one with an address", (i) => registry.personByEmail(db, `p${i}@example.com`)],
    ["counts a service's tokens", (i) => registry.validTokens(db, `n${i}`, T0)],
    ["knows a service", (i) => registry.isService(db, `n${i}`)],
    ["revokes a service", (i) => registry.revokeService(db, `n${i}`, T0)],
    ["lists grants that live and questions that wait", () => grants.list()],
    ["forgets grants that are over", () => void grants.sweep()],
    ["ends what a person was given", (i) => endGrants(db, "user", `u_${i}`, T0)],
    ["takes up changes under way", () => db.all("SELECT * FROM receipts WHERE report IS NULL")],
    ["looks for changes of a target", (i) => db.one("SELECT 1 FROM receipts WHERE target IN (?, ?) AND report IS NULL LIMIT 1", `s${i}`, `u_${i}`)],
  ])("%s within milliseconds", (_title, run) => {
    expect(msOf(run)).toBeLessThan(WITHIN_MS);
  });
});
