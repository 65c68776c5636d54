/**
 * Counts the stored decisions on requests of an app, in the record's own tables on disk: one for
 * each request there must be. Reads beside the running edge; changes nothing.
 */
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";

const AUDIT_FOLDER = "postern-Audit";

/** Distinct requests of the app whose decision is stored. */
export async function recordsIn(objectsFolder: string, app: string): Promise<number> {
  const folder = join(objectsFolder, AUDIT_FOLDER);
  // workerd keeps a file of its own beside the objects'.
  const shards = (await readdir(folder)).filter((name) => /^[0-9a-f]{64}\.sqlite$/.test(name));
  let count = 0;
  for (const shard of shards) {
    const database = new DatabaseSync(join(folder, shard), { readOnly: true });
    try {
      const row = database.prepare("SELECT count(DISTINCT id) AS n FROM events WHERE kind = 'decision' AND json_extract(data, '$.app') = ?").get(app);
      count += Number(row?.["n"] ?? 0);
    } finally {
      database.close();
    }
  }
  return count;
}
