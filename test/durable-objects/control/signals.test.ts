/** What control keeps of signals and their receipts: bounded by time, and never read whole. */
import { afterEach, describe, expect, it, vi } from "vitest";
import type { ReceiptId, UserId } from "../../../core/ids.ts";
import { DAY_MS } from "../../../core/time.ts";
import { Changes } from "../../../durable-objects/control/changes.ts";
import { CONTROL_MIGRATIONS } from "../../../durable-objects/control/schema.ts";
import * as signals from "../../../durable-objects/control/signals.ts";
import { NOTHING_CUT } from "../../../durable-objects/cut-report.ts";
import { Database } from "../../../durable-objects/sqlite.ts";
import { ObjectStorage } from "../object-storage.ts";
import { T0 } from "../samples.ts";

const target = { kind: "user" as const, id: "u_ann" as UserId };
const signal = (id: string): Parameters<typeof signals.add>[1] => ({ source: "ssf:okta", id, name: "session-revoked", target, effect: { kind: "end" } });

const storage = new ObjectStorage();
afterEach(() => {
  vi.useRealTimers();
  storage.close();
});

describe("signals and their receipts", () => {
  it("go together after 30 days once they are finished; what is open, and what an operator did, stays", async () => {
    const db = new Database(storage as never, CONTROL_MIGRATIONS);
    const broken = new Set<string>();
    const effect = ({ id }: { id: ReceiptId }): Promise<typeof NOTHING_CUT> => (broken.has(id) ? Promise.reject(new Error("down")) : Promise.resolve(NOTHING_CUT));
    const changes = new Changes(db, { storage, waitUntil: () => undefined } as never, { effect, record: () => Promise.resolve(), soon: () => undefined });
    const begin = (id: string, days: number, fails = false): Promise<unknown> => {
      vi.setSystemTime(T0 + days * DAY_MS);
      return changes.begin({ kind: "signal", target: target.id, by: "ssf:okta", version: 1 }, (receipt) => {
        if (fails) broken.add(receipt);
        signals.add(db, signal(id), receipt, Date.now());
      }).catch(() => undefined);
    };
    const kinds = (): unknown => db.all<{ kind: string; open: number }>("SELECT kind, report IS NULL AS open FROM receipts ORDER BY rowid").map(({ kind, open }) => (open === 1 ? `${kind}, open` : kind));
    const known = (): string[] => db.all<{ id: string }>("SELECT id FROM signals ORDER BY rowid").map(({ id }) => id);
    vi.useFakeTimers({ now: T0, toFake: ["Date"] });
    await changes.begin({ kind: "user", target: target.id, by: "ops", version: 1 });
    await begin("first", 0);
    await begin("broken", 0, true);
    await begin("third", 0);
    await begin("later", 29);
    expect(kinds()).toEqual(["user", "signal", "signal, open", "signal", "signal"]);
    const last = db.one<{ n: number }>("SELECT max(rowid) AS n FROM receipts")?.n ?? 0;
    await begin("much later", 31);
    expect(known()).toEqual(["broken", "later", "much later"]);
    expect(kinds()).toEqual(["user", "signal, open", "signal", "signal"]);
    expect(db.one<{ n: number }>("SELECT max(rowid) AS n FROM receipts")?.n).toBeGreaterThan(last);
    // The same word again is a new one by now.
    await begin("first", 31);
    expect(known()).toContain("first");
  });

  it.each([
    "SELECT * FROM receipts WHERE report IS NULL",
    "SELECT 1 FROM receipts WHERE target IN ('a', 'b') AND report IS NULL",
    "SELECT rowid FROM logins WHERE until < 1 LIMIT 10",
  ])("are found without looking at all of them: %s", (query) => {
    const db = new Database(storage as never, CONTROL_MIGRATIONS);
    db.run("DELETE FROM signals");
    const plan = storage.sql.exec(`EXPLAIN QUERY PLAN ${query}`).toArray().map(({ detail }) => String(detail));
    expect(plan.join()).toMatch(/USING (?:COVERING )?INDEX (?:receipts_open|logins_until)/);
  });
});
