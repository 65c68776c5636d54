/**
 * What control knows of services, connectors, enrolment tokens and people: rows in, records
 * out. Not the changes to live streams: control.ts carries those.
 */
import type { PublicJwk } from "../../identity/keys.ts";
import type { ConnectorId, SessionId, SiteId, UserId } from "../../core/ids.ts";
import type { Database } from "../sqlite.ts";
import type { ConnectorRecord, PersonRecord, ServiceRecord } from "./rpc.ts";

interface ServiceRow {
  readonly token_id: string;
  readonly name: string;
  readonly sid: SessionId;
  readonly created_at: number;
  readonly expires_at: number;
  readonly revoked_at: number | null;
}
interface ConnectorRow {
  readonly id: ConnectorId;
  readonly site: SiteId;
  readonly name: string;
  readonly public_key: string;
  readonly thumbprint: string;
  readonly enrolled_at: number;
  readonly revoked_at: number | null;
}
interface PersonRow {
  readonly id: string;
  readonly issuer: string;
  readonly sub: string;
  readonly email: string | null;
  readonly name: string | null;
  readonly last_sign_in_at: number;
}

/** The tokens of this service that are valid, whatever became of their sessions. */
export function validTokens(db: Database, name: string, now: number): readonly { readonly sid: SessionId; readonly until: number }[] {
  return db.all("SELECT sid, expires_at AS until FROM services WHERE name = ? AND revoked_at IS NULL AND expires_at > ?", name, now);
}

/** A row is never older than a revocation that came before it, whatever the clock says. */
export function addService(
  db: Database,
  one: { name: string; tokenId: string; sid: SessionId; createdAt: number; expiresAt: number },
): void {
  db.run("INSERT INTO services (token_id, name, sid, created_at, expires_at, revoked_at) SELECT ?, ?2, ?, max(?, coalesce(max(revoked_at), 0)), ?, NULL FROM services WHERE name = ?2", one.tokenId, one.name, one.sid, one.createdAt, one.expiresAt);
}

/** When the row of a token was made. Undefined: there is none, or it was revoked. */
export function madeAt(db: Database, tokenId: string): number | undefined {
  return db.one<{ at: number }>("SELECT created_at AS at FROM services WHERE token_id = ? AND revoked_at IS NULL", tokenId)?.at;
}

/** A token that could not be made takes no place. */
export function dropToken(db: Database, tokenId: string): void {
  db.run("DELETE FROM services WHERE token_id = ?", tokenId);
}

export function services(db: Database): readonly ServiceRecord[] {
  return db.all<ServiceRow>("SELECT * FROM services ORDER BY name, created_at").map((row) => ({
    name: row.name,
    tokenId: row.token_id,
    createdAt: row.created_at,
    expiresAt: row.expires_at,
    ...(row.revoked_at === null ? {} : { revokedAt: row.revoked_at }),
  }));
}

export const isService = (db: Database, name: string): boolean => db.one("SELECT 1 FROM services WHERE name = ?", name) !== undefined;

/** The moment of it: every row that was there is older, whatever the clock says. */
export function revokeService(db: Database, name: string, now: number): number {
  const at = Math.max(now, 1 + (db.one<{ at: number | null }>("SELECT max(created_at) AS at FROM services WHERE name = ?", name)?.at ?? 0));
  db.run("UPDATE services SET revoked_at = ? WHERE name = ? AND revoked_at IS NULL", at, name);
  return at;
}

export function addEnrollToken(db: Database, one: { site: SiteId; hash: string; expiresAt: number }): void {
  db.run("INSERT INTO enroll_tokens (hash, site, expires_at, used_at) VALUES (?, ?, ?, NULL)", one.hash, one.site, one.expiresAt);
}

/** Spends the token and enrols, in one transaction. Undefined for a token that is unknown, spent or over. */
export function redeemEnrollToken(
  db: Database,
  request: { tokenHash: string; publicKey: PublicJwk; thumbprint: string; name: string },
  id: ConnectorId,
  now: number,
): ConnectorRecord | undefined {
  return db.transaction(() => {
    const token = db.one<{ site: SiteId; expires_at: number; used_at: number | null }>(
      "SELECT site, expires_at, used_at FROM enroll_tokens WHERE hash = ?", request.tokenHash,
    );
    if (token === undefined || token.used_at !== null || now >= token.expires_at) return undefined;
    db.run("UPDATE enroll_tokens SET used_at = ? WHERE hash = ?", now, request.tokenHash);
    db.run(
      "INSERT INTO connectors (id, site, name, public_key, thumbprint, enrolled_at, revoked_at) VALUES (?, ?, ?, ?, ?, ?, NULL)",
      id, token.site, request.name, JSON.stringify(request.publicKey), request.thumbprint, now,
    );
    return connector(db, id);
  });
}

const connectorOf = (row: ConnectorRow): ConnectorRecord => ({
  id: row.id,
  site: row.site,
  name: row.name,
  publicKey: JSON.parse(row.public_key) as PublicJwk,
  thumbprint: row.thumbprint,
  enrolledAt: row.enrolled_at,
  ...(row.revoked_at === null ? {} : { revokedAt: row.revoked_at }),
});

export function connector(db: Database, id: string): ConnectorRecord | undefined {
  const row = db.one<ConnectorRow>("SELECT * FROM connectors WHERE id = ?", id);
  return row === undefined ? undefined : connectorOf(row);
}

export function connectors(db: Database): readonly ConnectorRecord[] {
  return db.all<ConnectorRow>("SELECT * FROM connectors ORDER BY site, enrolled_at").map(connectorOf);
}

export function revokeConnector(db: Database, id: string, now: number): void {
  db.run("UPDATE connectors SET revoked_at = ? WHERE id = ? AND revoked_at IS NULL", now, id);
}

/** Bounds what a lease carries; a connector that was revoked before these is not known to any lane any more. */
const MAX_BARRED_COUNT = 1_000;

export function barredConnectors(db: Database, site: SiteId): readonly ConnectorId[] {
  return db
    .all<{ id: ConnectorId }>("SELECT id FROM connectors WHERE site = ? AND revoked_at IS NOT NULL ORDER BY revoked_at DESC LIMIT ?", site, MAX_BARRED_COUNT)
    .map((row) => row.id);
}

export function notePerson(db: Database, one: PersonRecord): void {
  db.run(
    `INSERT INTO people (id, issuer, sub, email, name, last_sign_in_at) VALUES (?, ?, ?, ?, ?, ?)
     ON CONFLICT (id) DO UPDATE SET email = excluded.email, name = excluded.name, last_sign_in_at = excluded.last_sign_in_at`,
    one.id, one.issuer, one.sub, one.email ?? null, one.name ?? null, one.lastSignInAt,
  );
}

export function people(db: Database): readonly PersonRecord[] {
  return db.all<PersonRow>("SELECT * FROM people ORDER BY last_sign_in_at DESC LIMIT 10000").map((row) => ({
    id: row.id,
    issuer: row.issuer,
    sub: row.sub,
    ...(row.email === null ? {} : { email: row.email }),
    ...(row.name === null ? {} : { name: row.name }),
    lastSignInAt: row.last_sign_in_at,
  }));
}

/** Bounds what one message of a provider can reach. */
const MAX_PERSONS_COUNT = 100;

export function personsOf(db: Database, issuer: string, email: string): readonly UserId[] {
  return db.all<{ id: UserId }>("SELECT id FROM people WHERE issuer = ? AND email = ? LIMIT ?", issuer, email.toLowerCase(), MAX_PERSONS_COUNT).map(({ id }) => id);
}

/** The one person with this verified address; none when two identities share it. */
export function personByEmail(db: Database, email: string): string | undefined {
  const rows = db.all<{ id: string }>("SELECT id FROM people WHERE email = ? LIMIT 2", email.toLowerCase());
  return rows.length === 1 ? rows[0]?.id : undefined;
}
