/**
 * Audit: one shard of the record. It appends, finds and verifies; it calls nobody. Batches are
 * stored in one transaction, and what is sent again is stored once: a batch by its numbers, an
 * event of its own by all that it says.
 */
import { createHash } from "node:crypto";
import { DurableObject } from "cloudflare:workers";
import type { ObjectEnv } from "../bindings.ts";
import { Database } from "../sqlite.ts";
import { canonicalJson } from "../../core/json.ts";
import { GENESIS, hashOfText, verifyChain } from "./chain.ts";
import { AUDIT_MIGRATIONS } from "./schema.ts";
import type { AuditEvent, AuditRpc, AuditVerdict, StoredEvent, WrittenEvent } from "./rpc.ts";

interface Row {
  readonly seq: number;
  readonly writer: string;
  readonly n: number;
  readonly id: string;
  readonly at: number;
  readonly kind: string;
  readonly data: string;
  readonly hash: string;
}

/** Rows of one statement: the platform binds at most 100 values, and a statement costs more than a row. */
const ROWS_COUNT = 12;
const COLUMNS_COUNT = 8;
/** Bounds one read of the log. */
const MAX_TAIL_COUNT = 1_000;
const VERIFY_PAGE_COUNT = 500;

const sha256 = (text: string): string => createHash("sha256").update(text).digest("base64url");
const stored = (row: Row): StoredEvent => ({ ...row, kind: row.kind as StoredEvent["kind"], data: JSON.parse(row.data) });

export class Audit extends DurableObject<ObjectEnv> implements AuditRpc {
  readonly #db = new Database(this.ctx.storage, AUDIT_MIGRATIONS);

  async append(writer: string, firstNumber: number, events: readonly (AuditEvent | WrittenEvent)[]): Promise<{ seq: number }> {
    return this.#db.transaction(() => {
      const last = this.#db.one<{ seq: number; hash: string }>("SELECT seq, hash FROM events ORDER BY seq DESC LIMIT 1");
      let seq = last?.seq ?? 0;
      let previous = last?.hash ?? GENESIS;
      const known = this.#db.one<{ last: number }>("SELECT last FROM writers WHERE writer = ?", writer)?.last ?? 0;
      let n = firstNumber;
      let rows: unknown[] = [];
      for (const { id, at, kind, data } of events) {
        const number = firstNumber === 0 ? 0 : n++;
        if (number !== 0 && number <= known) continue;
        const text = typeof data === "string" ? data : canonicalJson(data);
        if (number === 0 && this.#db.one("SELECT 1 FROM events WHERE id = ? AND n = 0 AND at = ? AND kind = ? AND data = ?", id, at, kind, text) !== undefined) continue;
        seq++;
        previous = hashOfText(previous, { seq, writer, n: number, id, at, kind }, text, sha256);
        rows.push(seq, writer, number, id, at, kind, text, previous);
        if (rows.length === ROWS_COUNT * COLUMNS_COUNT) {
          this.#insert(rows);
          rows = [];
        }
      }
      this.#insert(rows);
      if (firstNumber !== 0) {
        this.#db.run(
          "INSERT INTO writers (writer, last, closed) VALUES (?, ?, 0) ON CONFLICT (writer) DO UPDATE SET last = max(last, excluded.last), closed = 0",
          writer, firstNumber + events.length - 1,
        );
      }
      return { seq };
    });
  }

  #insert(rows: readonly unknown[]): void {
    const count = rows.length / COLUMNS_COUNT;
    if (count > 0) this.#db.run(`INSERT INTO events (seq, writer, n, id, at, kind, data, hash) VALUES ${Array(count).fill("(?, ?, ?, ?, ?, ?, ?, ?)").join(", ")}`, ...rows);
  }

  async close(writer: string, lastNumber: number): Promise<void> {
    this.#db.transaction(() => {
      const known = this.#db.one<{ last: number }>("SELECT last FROM writers WHERE writer = ?", writer)?.last ?? 0;
      // A writer that says it wrote more than is here stays open, so that the gap shows.
      this.#db.run(
        "INSERT INTO writers (writer, last, closed) VALUES (?, ?, ?) ON CONFLICT (writer) DO UPDATE SET closed = excluded.closed",
        writer, known, lastNumber <= known ? 1 : 0,
      );
    });
  }

  async find(id: string): Promise<readonly StoredEvent[]> {
    return this.#db.all<Row>("SELECT * FROM events WHERE id = ? ORDER BY seq LIMIT 100", id).map(stored);
  }

  async since(after: number, limit: number): Promise<readonly StoredEvent[]> {
    const count = Math.min(Math.max(1, limit), MAX_TAIL_COUNT);
    return this.#db.all<Row>("SELECT * FROM events WHERE seq > ? ORDER BY seq LIMIT ?", after, count).map(stored);
  }

  async verify(): Promise<AuditVerdict> {
    const verdict = verifyChain(this.#everything(), sha256);
    const open = this.#db.all<{ writer: string; after: number }>("SELECT writer, last AS after FROM writers WHERE closed = 0");
    // The chain alone does not show that its end was cut off; what each writer had stored does.
    const cutOff = this.#db.all<{ writer: string; after: number }>(
      `SELECT w.writer, coalesce(max(e.n), 0) AS after FROM writers w LEFT JOIN events e ON e.writer = w.writer
       GROUP BY w.writer, w.last HAVING after < w.last`,
    );
    return { ...verdict, gaps: [...verdict.gaps, ...open, ...cutOff] };
  }

  *#everything(): Generator<StoredEvent> {
    let after = 0;
    for (;;) {
      const rows = this.#db.all<Row>("SELECT * FROM events WHERE seq > ? ORDER BY seq LIMIT ?", after, VERIFY_PAGE_COUNT);
      for (const row of rows) yield stored(row);
      const last = rows.at(-1);
      if (last === undefined) return;
      after = last.seq;
    }
  }
}
