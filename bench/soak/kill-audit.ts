/**
 * The edge is killed (SIGKILL) right behind an acknowledgement, hundreds of times: what it said had
 * happened is there after the restart (a denial in the record, a receipt, a service, a revocation),
 * and at the end every shard's hash chain verifies, with no gap that is not a crash's (promise 8, F10).
 */
import { createHash } from "node:crypto";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { verifyChain } from "../../durable-objects/audit/chain.ts";
import type { StoredEvent } from "../../durable-objects/audit/rpc.ts";
import { loopbackFetch } from "../../start/loopback-http.ts";
import { seeded } from "../../test/seeded.ts";
import { startSite, type SoakSite } from "./site.ts";
import { Failures, type Outcome, pause, type Soak, type SoakOptions } from "./soak.ts";

const REPEATS_COUNT = 200;
const SERVICES_COUNT = 4;
/** Killed at most this long after the answer: sometimes at once, sometimes while a batch of the record is under way. */
const MAX_LAG_MS = 40;
const AUDIT_FOLDER = "postern-Audit";

interface Acknowledged {
  readonly what: string;
  /** Looks for it after the restart. */
  readonly isThere: () => Promise<boolean>;
}

/** Each answers only once it happened (CONTRACT: what a 2xx acknowledged is stored first; a denial too). */
function acts(site: SoakSite, random: () => number): ((repeat: number) => Promise<Acknowledged>)[] {
  const post = async (path: string, body: unknown): Promise<Record<string, unknown>> => {
    const answer = await loopbackFetch(`${site.stack.launcher}/.postern/api/v1${path}`, { method: "POST", headers: { authorization: `Bearer ${site.operatorToken}`, "content-type": "application/json" }, body: JSON.stringify(body) });
    if (answer.status < 200 || answer.status > 299) throw new Error(`${path} answered ${answer.status}: ${answer.text.slice(0, 200)}`);
    return JSON.parse(answer.text) as Record<string, unknown>;
  };
  const services = async (): Promise<readonly Record<string, unknown>[]> => (await site.api("/services")).json as Record<string, unknown>[];
  const closed = `http://${site.host.replace("soak.", "closed.")}/`;
  return [
    async (repeat) => {
      const denied = await loopbackFetch(`${closed}?${repeat}`, { headers: { authorization: `Bearer ${site.tokens[Math.floor(random() * SERVICES_COUNT)]}` } });
      if (denied.status !== 403) throw new Error(`the closed app answered ${denied.status}`);
      const id = String(denied.headers["postern-request-id"]);
      return { what: `the denial ${id}`, isThere: async () => (await site.api(`/explain/${id}`)).status === 200 };
    },
    async (repeat) => {
      const name = `made-${repeat}`;
      await post("/services", { name, expires: "1d" });
      return { what: `the service ${name}`, isThere: async () => (await services()).some((one) => one["name"] === name) };
    },
    async (repeat) => {
      const name = `gone-${repeat}`;
      const made = await post("/services", { name, expires: "1d" });
      const receipt = await post("/revoke", { kind: "service", id: name });
      return {
        what: `the revocation of ${name}`,
        isThere: async () => {
          const found = await site.api(`/receipts/${String(receipt["id"])}`);
          const used = await loopbackFetch(`http://${site.host}/`, { headers: { authorization: `Bearer ${String(made["token"])}` } });
          return found.status === 200 && used.status === 401;
        },
      };
    },
  ];
}

/** Every shard on disk, walked offline. */
function verifyShards(folder: string, failures: Failures): { readonly shards: number; readonly records: number } {
  const digest = (text: string): string => createHash("sha256").update(text).digest("base64url");
  const files = readdirSync(folder).filter((name) => /^[0-9a-f]{64}\.sqlite$/.test(name));
  let records = 0;
  for (const file of files) {
    const database = new DatabaseSync(join(folder, file));
    try {
      // An object that was only read from, or killed before its first record.
      if (database.prepare("SELECT 1 FROM sqlite_master WHERE name = 'events'").get() === undefined) continue;
      const rows = database.prepare("SELECT * FROM events ORDER BY seq").all() as unknown as (Omit<StoredEvent, "data"> & { readonly data: string })[];
      const verdict = verifyChain(rows.map((row): StoredEvent => ({ ...row, data: JSON.parse(row.data) as StoredEvent["data"] })), digest);
      records += verdict.records;
      for (const { seq, what } of verdict.broken) failures.add(`shard ${file.slice(0, 8)}: record ${seq} ${what}`);
      for (const { writer, after } of verdict.gaps) failures.add(`shard ${file.slice(0, 8)}: a gap of ${writer} after ${after}`);
    } finally {
      database.close();
    }
  }
  return { shards: files.length, records };
}

async function run({ minutes, seed, scale, folder, say }: SoakOptions): Promise<Outcome> {
  const random = seeded(seed);
  const failures = new Failures();
  const site = await startSite({ folder, lanes: 1, services: SERVICES_COUNT });
  const all = acts(site, random);
  const until = performance.now() + minutes * 60_000;
  const repeats = Math.max(3, Math.round(REPEATS_COUNT * scale));
  let n = 0;
  try {
    while (n < repeats && performance.now() < until) {
      const done: Acknowledged[] = [];
      // Each repeat kills behind another kind of act; the others are under way or done by then.
      for (let kind = 1; kind <= all.length; kind++) done.push((await all[(n + kind) % all.length]?.(n)) as Acknowledged);
      await pause(random() * MAX_LAG_MS);
      site.stack.edge().process.kill("SIGKILL");
      await site.stack.edge().exited;
      await site.stack.restartEdge();
      for (const { what, isThere } of done) if (!(await isThere())) failures.add(`repeat ${n}: ${what} was acknowledged and is gone`);
      n++;
      if (n % 20 === 0) say(`${n} of ${repeats} kills`);
    }
  } finally {
    await site.stop();
  }
  const { shards, records } = verifyShards(join(folder, "stack/objects", AUDIT_FOLDER), failures);
  if (records < n) failures.add(`only ${records} records for ${n} repeats`);
  return { n, failures: failures.lines, figures: { kills: n, shards, records } };
}

export const killAudit: Soak = { name: "kill-audit", about: "200 kills right behind an acknowledgement: nothing acknowledged is lost, every chain verifies", minutes: 20, run };
