/** Who makes a change, looked at again in the step that commits it: what was decided at the edge may be over meanwhile. */
import { type ObjectEnv, sessionOf } from "../bindings.ts";
import type { Database } from "../sqlite.ts";
import type { Actor } from "./rpc.ts";

export const ACTOR_CHANGED = { ok: false, code: "actor_changed" } as const;
export const nameOf = (actor: Actor): string => (actor === "internal" ? actor : actor.name);

/**
 * Whether whoever asked may still: the same policy is live, the session is, and no revocation of
 * it has begun. The caller commits in the same step, before it awaits anything.
 */
export async function stillActs(db: Database, env: ObjectEnv, actor: Actor, liveVersion: () => number): Promise<boolean> {
  if (actor === "internal") return true;
  const { sid, subject, policyVersion } = actor;
  const seen = db.one<{ n: number }>("SELECT coalesce(max(rowid), 0) AS n FROM receipts")?.n ?? 0;
  const live = await sessionOf(env, sid).isLive();
  if (!live || liveVersion() !== policyVersion) return false;
  // Also of a grant by which they may have acted.
  const theirs = "target IN (SELECT ?1 UNION SELECT ?2 UNION SELECT id FROM grants WHERE user = ?2)";
  const begun = `SELECT 1 FROM receipts WHERE report IS NULL AND ${theirs} UNION ALL SELECT 1 FROM receipts WHERE rowid > ?3 AND ${theirs} LIMIT 1`;
  return db.one(begun, sid, subject, seen) === undefined;
}
