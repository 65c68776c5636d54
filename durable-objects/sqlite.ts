/**
 * SQLite in an object: append-only migrations and rows read as plain records. Not an ORM.
 * Migrations run lazily, at the first write, so that a call to a name nobody uses stores nothing.
 */
export interface SqlStorage {
  exec(query: string, ...bindings: unknown[]): { toArray(): Record<string, unknown>[] };
}
interface Transactional {
  readonly sql: SqlStorage;
  transactionSync<T>(run: () => T): T;
}

/** One step of a schema's history. Never edited after release; a change is a new step. */
export type Migration = string;

const META = "CREATE TABLE IF NOT EXISTS _schema (version INTEGER NOT NULL)";

export class Database {
  readonly #storage: Transactional;
  readonly #migrations: readonly Migration[];
  #ready = false;

  constructor(storage: Transactional, migrations: readonly Migration[]) {
    this.#storage = storage;
    this.#migrations = migrations;
  }

  /** True when the schema exists: a read of an object that never wrote finds nothing. */
  get exists(): boolean {
    if (this.#ready) return true;
    const found = this.#storage.sql.exec("SELECT 1 FROM sqlite_master WHERE name = '_schema'").toArray();
    if (found.length === 0) return false;
    this.#migrate();
    return true;
  }

  all<Row>(query: string, ...bindings: unknown[]): Row[] {
    if (!this.exists) return [];
    return this.#storage.sql.exec(query, ...bindings).toArray() as Row[];
  }

  one<Row>(query: string, ...bindings: unknown[]): Row | undefined {
    return this.all<Row>(query, ...bindings)[0];
  }

  run(query: string, ...bindings: unknown[]): void {
    this.#migrate();
    this.#storage.sql.exec(query, ...bindings).toArray();
  }

  transaction<T>(run: () => T): T {
    this.#migrate();
    return this.#storage.transactionSync(run);
  }

  #migrate(): void {
    if (this.#ready) return;
    const { sql } = this.#storage;
    this.#storage.transactionSync(() => {
      sql.exec(META).toArray();
      const row = sql.exec("SELECT version FROM _schema").toArray()[0];
      const from = row === undefined ? 0 : Number(row["version"]);
      if (from > this.#migrations.length) throw new Error(`stored schema ${from} is newer than this code`);
      for (const step of this.#migrations.slice(from)) sql.exec(step).toArray();
      if (row === undefined) sql.exec("INSERT INTO _schema (version) VALUES (?)", this.#migrations.length).toArray();
      else sql.exec("UPDATE _schema SET version = ?", this.#migrations.length).toArray();
    });
    this.#ready = true;
  }
}
