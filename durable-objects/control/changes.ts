/**
 * Changes of trust and their receipts: stored before they begin, carried out to the end whoever
 * asked and whatever crashes, acknowledged once they took effect and are on record. Not what a
 * change does: control.ts hands that in.
 */
import type { ReceiptId } from "../../core/ids.ts";
import type { CutReport } from "../cut-report.ts";
import { randomText } from "../random-text.ts";
import type { Database } from "../sqlite.ts";
import type { Receipt } from "./rpc.ts";

export interface ReceiptRow {
  readonly id: ReceiptId;
  readonly kind: Receipt["kind"];
  readonly target: string;
  readonly version: number;
  readonly at: number;
  readonly by: string;
  readonly report: string | null;
}

export interface Work {
  readonly effect: (row: ReceiptRow) => Promise<CutReport>;
  /** Puts the change on record; throws when it cannot. */
  readonly record: (row: ReceiptRow) => Promise<void>;
  /** Has `resume` called after a while. */
  readonly soon: () => void;
}

interface ObjectContext {
  readonly storage: {
    readonly kv: { get(key: string): unknown; put(key: string, value: unknown): void; delete(key: string): unknown };
  };
  waitUntil(work: Promise<unknown>): void;
}

/** What a change did, until it is on record too. */
const doneKey = (id: ReceiptId): string => `done:${id}`;

export class Changes {
  readonly #db: Database;
  readonly #ctx: ObjectContext;
  readonly #work: Work;
  readonly #running = new Map<string, Promise<Receipt>>();

  constructor(db: Database, ctx: ObjectContext, work: Work) {
    this.#db = db;
    this.#ctx = ctx;
    this.#work = work;
  }

  /** Stores that the change is under way, in the same step as whatever the caller stored before or stores by `store`, and carries it out. */
  async begin(change: { kind: Receipt["kind"]; target: string; by: string; version: number }, store?: (id: ReceiptId) => void): Promise<Receipt> {
    const id = `rcpt_${randomText(16)}` as ReceiptId;
    const now = Date.now();
    this.#db.run("INSERT INTO receipts (id, kind, target, version, at, by, report) VALUES (?, ?, ?, ?, ?, ?, NULL)", id, change.kind, change.target, change.version, now, change.by);
    store?.(id);
    this.#work.soon();
    return this.#run({ id, ...change, at: now, report: null });
  }

  async receipt(id: string): Promise<Receipt | undefined> {
    const running = this.#running.get(id);
    if (running !== undefined) return running;
    const row = this.#db.one<ReceiptRow>("SELECT * FROM receipts WHERE id = ?", id);
    if (row === undefined) return undefined;
    return row.report === null ? this.#run(row) : finished(row, JSON.parse(row.report) as CutReport);
  }

  /** Takes up every change that has no report yet. Each that fails again asks for the next alarm at once; that comes when all of this one have ended. */
  async resume(): Promise<void> {
    const open = this.#db.all<ReceiptRow>("SELECT * FROM receipts WHERE report IS NULL");
    await Promise.all(open.map((row) => this.#run(row).catch(this.#work.soon)));
  }

  #run(row: ReceiptRow): Promise<Receipt> {
    const running = this.#running.get(row.id);
    if (running !== undefined) return running;
    const work = this.#carryOut(row).finally(() => this.#running.delete(row.id));
    this.#running.set(row.id, work);
    // The change completes even if whoever asked is gone (CONTRACT "The receipt").
    this.#ctx.waitUntil(work.catch(() => undefined));
    return work;
  }

  /** First the effect, which only takes trust away; then the record; then the acknowledgement. */
  async #carryOut(row: ReceiptRow): Promise<Receipt> {
    const { kv } = this.#ctx.storage;
    const startedAt = Date.now();
    let done = kv.get(doneKey(row.id)) as CutReport | undefined;
    if (done === undefined) {
      const report = await this.#work.effect(row);
      done = { ...report, slowestMs: Math.max(report.slowestMs, Date.now() - startedAt) };
      kv.put(doneKey(row.id), done);
    }
    await this.#work.record(row);
    this.#db.run("UPDATE receipts SET report = ? WHERE id = ?", JSON.stringify(done), row.id);
    kv.delete(doneKey(row.id));
    return finished(row, done);
  }
}

function finished(row: ReceiptRow, report: CutReport): Receipt {
  const { id, kind, target, version, at } = row;
  return { id, kind, target, version, at, report, complete: report.unconfirmed.length === 0 };
}
