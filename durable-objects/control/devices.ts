/** Which devices there are, as control knows them: whose, and whether they still may be. What they say is their own objects'. */
import type { DeviceId } from "../../core/ids.ts";
import type { Database } from "../sqlite.ts";

/** Bounds one person's devices, revoked ones included. */
const MAX_DEVICES_COUNT = 64;

/** Takes a device in before its object does, so that nothing is enrolled that cannot be found. False: it is revoked, somebody else's, or one too many. */
export function addDevice(db: Database, id: DeviceId, owner: string, now: number): boolean {
  const known = db.one<{ owner: string; revoked_at: number | null }>("SELECT owner, revoked_at FROM devices WHERE id = ?", id);
  if (known !== undefined) return known.owner === owner && known.revoked_at === null;
  const held = db.one<{ n: number }>("SELECT count(*) AS n FROM devices WHERE owner = ?", owner)?.n ?? 0;
  if (held >= MAX_DEVICES_COUNT) return false;
  db.run("INSERT INTO devices (id, owner, enrolled_at, revoked_at) VALUES (?, ?, ?, NULL)", id, owner, now);
  return true;
}

export const isDevice = (db: Database, id: string): boolean => db.one("SELECT 1 FROM devices WHERE id = ?", id) !== undefined;

export function revokeDevice(db: Database, id: string, now: number): void {
  db.run("UPDATE devices SET revoked_at = ? WHERE id = ? AND revoked_at IS NULL", now, id);
}

/** The newest first; bounds the calls of one listing. */
export const devices = (db: Database): readonly DeviceId[] => db.all<{ id: DeviceId }>("SELECT id FROM devices ORDER BY enrolled_at DESC LIMIT 1000").map(({ id }) => id);
