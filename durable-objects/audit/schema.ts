/** Audit: the tables of a shard (STORAGE.md "audit"). Append-only. */
import type { Migration } from "../sqlite.ts";

export const AUDIT_MIGRATIONS: readonly Migration[] = [
  `CREATE TABLE events (
    seq INTEGER PRIMARY KEY,
    writer TEXT NOT NULL,
    n INTEGER NOT NULL,
    id TEXT NOT NULL,
    at INTEGER NOT NULL,
    kind TEXT NOT NULL,
    data TEXT NOT NULL,
    hash TEXT NOT NULL
  )`,
  "CREATE INDEX events_by_id ON events (id)",
  "CREATE TABLE writers (writer TEXT PRIMARY KEY, last INTEGER NOT NULL, closed INTEGER NOT NULL)",
];
