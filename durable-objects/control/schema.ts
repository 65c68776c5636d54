/** Control: its tables (STORAGE.md "control"). Append-only. */
import type { Migration } from "../sqlite.ts";

export const CONTROL_MIGRATIONS: readonly Migration[] = [
  `CREATE TABLE versions (
    version INTEGER PRIMARY KEY,
    digest TEXT NOT NULL,
    text TEXT NOT NULL,
    document TEXT NOT NULL,
    at INTEGER NOT NULL,
    by TEXT NOT NULL,
    names_operator INTEGER NOT NULL
  )`,
  `CREATE TABLE lanes (
    site TEXT NOT NULL,
    lane INTEGER NOT NULL,
    lease_until INTEGER NOT NULL,
    PRIMARY KEY (site, lane)
  )`,
  `CREATE TABLE receipts (
    id TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    target TEXT NOT NULL,
    version INTEGER NOT NULL,
    at INTEGER NOT NULL,
    by TEXT NOT NULL,
    report TEXT
  )`,
  `CREATE TABLE services (
    token_id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    sid TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    revoked_at INTEGER
  )`,
  `CREATE TABLE enroll_tokens (
    hash TEXT PRIMARY KEY,
    site TEXT NOT NULL,
    expires_at INTEGER NOT NULL,
    used_at INTEGER
  )`,
  `CREATE TABLE connectors (
    id TEXT PRIMARY KEY,
    site TEXT NOT NULL,
    name TEXT NOT NULL,
    public_key TEXT NOT NULL,
    thumbprint TEXT NOT NULL,
    enrolled_at INTEGER NOT NULL,
    revoked_at INTEGER
  )`,
  `CREATE TABLE people (
    id TEXT PRIMARY KEY,
    issuer TEXT NOT NULL,
    sub TEXT NOT NULL,
    email TEXT,
    name TEXT,
    last_sign_in_at INTEGER NOT NULL
  )`,
  `CREATE TABLE signals (
    source TEXT NOT NULL,
    id TEXT NOT NULL,
    receipt TEXT NOT NULL,
    name TEXT NOT NULL,
    target TEXT NOT NULL,
    effect TEXT NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (source, id)
  )`,
  "CREATE INDEX signals_by_receipt ON signals (receipt)",
  `CREATE TABLE logins (
    issuer TEXT NOT NULL,
    id TEXT NOT NULL,
    sid TEXT NOT NULL,
    until INTEGER NOT NULL,
    PRIMARY KEY (issuer, id, sid)
  )`,
  "CREATE INDEX people_by_sub ON people (sub)",
  `CREATE TABLE devices (
    id TEXT PRIMARY KEY,
    owner TEXT NOT NULL,
    enrolled_at INTEGER NOT NULL,
    revoked_at INTEGER
  )`,
  // data: the entry itself (JSON). gone: deleted there, kept so that it bars whom it was. settled: the revision whose effect on sessions is done.
  `CREATE TABLE directory (
    id TEXT PRIMARY KEY,
    provider TEXT NOT NULL,
    kind TEXT NOT NULL,
    data TEXT NOT NULL,
    gone INTEGER NOT NULL DEFAULT 0,
    person TEXT,
    revision INTEGER NOT NULL DEFAULT 0,
    settled INTEGER NOT NULL DEFAULT 0
  )`,
  "CREATE UNIQUE INDEX directory_name ON directory (provider, kind, lower(data ->> 'name')) WHERE gone = 0",
  "CREATE UNIQUE INDEX directory_external ON directory (provider, kind, data ->> 'externalId') WHERE gone = 0",
  "CREATE INDEX directory_by_external ON directory (provider, data ->> 'externalId')",
  "CREATE INDEX directory_by_email ON directory (provider, data ->> 'email')",
  "CREATE INDEX directory_person ON directory (person)",
  "CREATE INDEX directory_open ON directory (provider) WHERE revision > settled",
  `CREATE TABLE directory_members (
    group_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    PRIMARY KEY (group_id, user_id)
  )`,
  "CREATE INDEX directory_members_user ON directory_members (user_id)",
  "CREATE INDEX receipts_open ON receipts (target) WHERE report IS NULL",
  "CREATE INDEX logins_until ON logins (until)",
  "CREATE INDEX services_name ON services (name)",
  "CREATE INDEX people_email ON people (email)",
  `CREATE TABLE grants (
    id TEXT PRIMARY KEY,
    user TEXT NOT NULL,
    app TEXT NOT NULL,
    reason TEXT NOT NULL,
    lasting INTEGER NOT NULL,
    connection TEXT NOT NULL,
    asked_at INTEGER NOT NULL,
    given_at INTEGER,
    by TEXT,
    until INTEGER NOT NULL,
    ended_at INTEGER
  )`,
  "CREATE INDEX grants_of ON grants (user, app)",
  "CREATE INDEX grants_until ON grants (until)",
];
