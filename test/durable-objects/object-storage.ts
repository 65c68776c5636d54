/**
 * An object's storage for tests in plain Node: the same narrow interfaces, over node:sqlite and a
 * map that clones what it holds. Not a model of durability: what is written is written.
 */
import { DatabaseSync, type SQLInputValue, type SQLOutputValue } from "node:sqlite";

export class ObjectStorage {
  readonly #values = new Map<string, unknown>();
  #database: DatabaseSync | undefined;
  /** The one alarm, milliseconds; undefined when none is set. */
  alarmAt: number | undefined;
  /** Every write throws this while it is set: the store is down. */
  broken: Error | undefined;

  readonly kv = {
    get: (key: string): unknown => structuredClone(this.#values.get(key)),
    put: (key: string, value: unknown): void => {
      this.#check();
      this.#values.set(key, structuredClone(value));
    },
    delete: (key: string): boolean => {
      this.#check();
      return this.#values.delete(key);
    },
    list: ({ prefix }: { prefix: string }): [string, unknown][] =>
      structuredClone([...this.#values].filter(([key]) => key.startsWith(prefix)).sort(([a], [b]) => (a < b ? -1 : 1))),
  };

  readonly sql = {
    exec: (query: string, ...bindings: unknown[]): { toArray(): Record<string, SQLOutputValue>[] } => {
      if (!/^\s*select/i.test(query)) this.#check();
      this.#database ??= new DatabaseSync(":memory:");
      const rows = this.#database.prepare(query).all(...(bindings as SQLInputValue[]));
      return { toArray: () => rows.map((row) => ({ ...row })) };
    },
  };

  transactionSync<T>(run: () => T): T {
    this.sql.exec("BEGIN");
    try {
      const result = run();
      this.sql.exec("COMMIT");
      return result;
    } catch (cause) {
      this.#database?.exec("ROLLBACK");
      throw cause;
    }
  }

  async setAlarm(at: number): Promise<void> {
    this.#check();
    this.alarmAt = at;
  }

  async deleteAll(): Promise<void> {
    this.#check();
    this.#values.clear();
    this.alarmAt = undefined;
  }

  keys(): string[] {
    return [...this.#values.keys()];
  }

  close(): void {
    this.#database?.close();
    this.#database = undefined;
  }

  #check(): void {
    if (this.broken !== undefined) throw this.broken;
  }
}
