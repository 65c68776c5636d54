/**
 * A hundred thousand sessions, each an object of its own, of two hundred people: stored, revoked five
 * hundred at once with their person, a tenth of them left to expire while a lane, a person's object
 * and control go on answering; then the edge is killed, and what was acknowledged is so on the disk.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { deserialize } from "node:v8";
import { startOwnIssuer } from "../../test/e2e/credentials/own-issuer.ts";
import { seeded } from "../../test/seeded.ts";
import { cpuMicroseconds } from "../measure/proc.ts";
import { Client, keptInMemory, makeSessions, syncMs } from "./many-sessions.ts";
import { startSite, type SoakSite } from "./site.ts";
import { Failures, type Outcome, pause, type Soak, type SoakOptions } from "./soak.ts";

const PEOPLE_COUNT = 200;
const OWN_SESSIONS_COUNT = 500;
/** People, in memory and on disk. */
const REVOKED_COUNT = 5;
/** Of a person's sessions, those that a lane knows of when they are revoked. */
const IN_USE_COUNT = 20;
const LOOKUPS_COUNT = 2_000;
const LOOKUP_P99_MS = 25;
const REVOKE_WITHIN_MS = 1_000;
const LEAVING_SHARE = 0.1;
/** The leaving expire one after the other, a person's sessions all in so long. */
const LEAVE_WITHIN_MS = 5_000;
/** From when their sessions are begun to the first expiry: for the rest of them, and the revocations in between. */
const LEAVE_AFTER_MS = 45_000;
const LEAVE_AFTER_EACH_MS = 15_000;
const PROBE_EVERY_MS = 20;
const PROBED_BEFORE_MS = 10_000;
/** Nothing is held up for longer by what expires, beyond what it is held up without. */
const HELD_UP_MS = 50;
/** While sessions are made the edge holds those of the last seconds, and after the first fifth its heap breathes by so much. */
const MAX_BREATH_MB = 400;
/** For every session the engine holds an alarm besides; an object that were kept is ten times as much. */
const MAX_SESSION_KB = 8;

const at = (sorted: readonly number[], share: number): number => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
const sorted = (values: readonly number[]): number[] => values.toSorted((a, b) => a - b);

/** Asks a lane, control and the object of somebody whose sessions expire, in turn, until the time is over; how long each answer took. */
async function probe(site: SoakSite, client: Client, idToken: () => Promise<string>, until: number, failures: Failures): Promise<number[]> {
  const launcher = new URL(site.stack.launcher).host;
  const probes = [
    () => client.call(site.host, "/", { token: site.tokens[0] ?? "" }),
    () => client.call(launcher, "/.postern/api/v1/receipts/rcpt_none", { token: site.operatorToken }),
    async () => client.exchange(launcher, await idToken()),
  ];
  const took: number[] = [];
  for (let n = 0; Date.now() < until; n++) {
    const answer = await probes[n % probes.length]?.();
    if (answer === undefined || answer.status >= 500) failures.add(`a question during the expiry was answered with ${answer?.status}`);
    else took.push(answer.ms);
    await pause(PROBE_EVERY_MS);
  }
  return took;
}

/** Of these sessions, how many have not ended by themselves: read from where they are stored. */
function notExpired(folder: string, sids: readonly string[]): number {
  const files = join(folder, "stack/objects/postern-Session");
  return sids.filter((sid) => {
    if (!existsSync(join(files, `${sid}.sqlite`))) return true;
    const database = new DatabaseSync(join(files, `${sid}.sqlite`));
    try {
      const row = database.prepare("SELECT value FROM _cf_KV WHERE key = 'session'").get() as { readonly value: Uint8Array } | undefined;
      const state = row === undefined ? undefined : (deserialize(row.value) as { readonly ended?: { readonly reason: string } });
      return state?.ended?.reason !== "expired" && state?.ended?.reason !== "idle";
    } finally {
      database.close();
    }
  }).length;
}

/** Revokes these people, each with sessions that a lane knows of; what it took at the operator's, and of the edge's CPU. */
async function revokeAll(site: SoakSite, client: Client, people: readonly (readonly [string, readonly string[]])[], failures: Failures): Promise<{ readonly ms: number[]; readonly cpuMs: number[] }> {
  const [ms, cpuMs]: [number[], number[]] = [[], []];
  const launcher = new URL(site.stack.launcher).host;
  for (const [address, bearers] of people) {
    const used = bearers.slice(0, IN_USE_COUNT);
    for (const token of used) {
      const { status } = await client.call(site.host, "/", { token });
      if (status !== 200) failures.add(`a session was refused before its end: ${status}`);
    }
    const before = cpuMicroseconds(site.stack.edge().pid);
    const revocation = await client.call(launcher, "/.postern/api/v1/revoke", { token: site.operatorToken, json: { kind: "user", id: address } });
    cpuMs.push((cpuMicroseconds(site.stack.edge().pid) - before) / 1_000);
    ms.push(revocation.ms);
    if (revocation.status !== 200 || (JSON.parse(revocation.text) as { readonly complete: boolean }).complete !== true) failures.add(`a revocation was answered with ${revocation.status}: ${revocation.text.slice(0, 200)}`);
    await allRefused(site, client, [...used, ...bearers.filter((_, n) => n % 50 === 49)], failures);
  }
  const worst = Math.max(...ms);
  if (worst > REVOKE_WITHIN_MS) failures.add(`revoking somebody with ${OWN_SESSIONS_COUNT} sessions took ${Math.round(worst)} ms`);
  return { ms: sorted(ms), cpuMs: sorted(cpuMs) };
}

async function allRefused(site: SoakSite, client: Client, bearers: readonly string[], failures: Failures): Promise<void> {
  for (const token of bearers) {
    const { status } = await client.call(site.host, "/", { token });
    if (status !== 401) failures.add(`a session that had ended was answered with ${status}`);
  }
}

/** Cold lookups, one after the other, in milliseconds from the fastest. */
async function lookUp(site: SoakSite, client: Client, bearers: readonly string[], count: number, random: () => number, failures: Failures): Promise<number[]> {
  const took: number[] = [];
  for (let n = 0; n < count; n++) {
    const { status, ms } = await client.call(site.host, "/.postern/me", { token: bearers[Math.floor(random() * bearers.length)] ?? "" });
    if (status !== 200) failures.add(`a session was not found: ${status}`);
    took.push(ms);
  }
  const p99 = at(sorted(took), 0.99);
  if (p99 > LOOKUP_P99_MS) failures.add(`p99 of a lookup is ${p99.toFixed(1)} ms`);
  return sorted(took);
}

async function run({ seed, scale, folder, say }: SoakOptions): Promise<Outcome> {
  const random = seeded(seed);
  const failures = new Failures();
  const people = Math.max(4, Math.round(PEOPLE_COUNT * scale));
  const sessions = people * OWN_SESSIONS_COUNT;
  const leaving = Math.max(1, Math.round(people * LEAVING_SHARE));
  const revoked = Math.min(REVOKED_COUNT, Math.floor(people / 4));
  const issuer = await startOwnIssuer();
  const site = await startSite({ folder, lanes: 1, services: 1, issuer: issuer.issuer });
  const memory = await keptInMemory(site, folder, sessions);
  const client = new Client(site.stack.port);
  try {
    let leavesAt = 0;
    const idTokenOf = (person: number, n: number): Promise<string> => {
      const claims = issuer.claimsOf(`p${person}`, "robots");
      const place = person - people + leaving;
      if (place < 0) return issuer.sign(claims);
      if (leavesAt === 0) leavesAt = Date.now() + LEAVE_AFTER_MS + LEAVE_AFTER_EACH_MS * leaving;
      return issuer.sign({ ...claims, exp: (leavesAt + (place + n / OWN_SESSIONS_COUNT) * LEAVE_WITHIN_MS) / 1_000 });
    };
    const made = await makeSessions(site, people, OWN_SESSIONS_COUNT, idTokenOf, failures, say);
    const stored = made.bearers.reduce((sum, one) => sum + one.length, 0);
    if (stored < sessions) failures.add(`${stored} of ${sessions} sessions were stored`);
    const grownMB = made.peakMB - made.earlyMB;
    const mostMB = MAX_BREATH_MB + (sessions * MAX_SESSION_KB) / 1_024;
    if (grownMB > mostMB) failures.add(`the edge grew by ${Math.round(grownMB)} MB after the first fifth`);
    say(`${stored} sessions, ${made.perSecond.toFixed(0)} a second`);

    const of = (from: number): [string, readonly string[]][] => made.bearers.slice(from, from + revoked).map((bearers, n) => [`p${from + n}@example.com`, bearers]);
    const inMemory = await revokeAll(site, client, of(0), failures);
    say(`revoked ${revoked} people in ${inMemory.ms.map(Math.round).join(", ")} ms`);

    if (Date.now() > leavesAt - PROBED_BEFORE_MS) failures.add("the questions took longer than the sessions that were to expire after them");
    const fresh = (): Promise<string> => issuer.idToken(`p${people - 1}`, "robots");
    await pause(Math.max(0, leavesAt - PROBED_BEFORE_MS - Date.now()));
    const before = sorted(await probe(site, client, fresh, leavesAt, failures));
    const during = sorted(await probe(site, client, fresh, leavesAt + leaving * LEAVE_WITHIN_MS, failures));
    if (at(during, 1) > at(before, 1) + HELD_UP_MS) failures.add(`while sessions expired an answer took ${Math.round(at(during, 1))} ms; before, ${Math.round(at(before, 1))}`);
    say(`while ${leaving * OWN_SESSIONS_COUNT} expired, answers took up to ${Math.round(at(during, 1))} ms; before, ${Math.round(at(before, 1))}`);

    await memory.toDisk();
    const syncsMs = syncMs(folder);
    say(`the edge was killed and has them on disk, where a page takes ${syncsMs.toFixed(2)} ms`);
    await allRefused(site, client, of(0).map(([, bearers]) => bearers[7] ?? ""), failures);
    // A bearer names its session.
    const left = made.bearers.slice(people - leaving).flat().map((bearer) => /[0-9a-f]{64}/.exec(bearer)?.[0] ?? "");
    const alive = notExpired(folder, left.filter((_, n) => n % 10 === 0));
    if (alive > 0) failures.add(`${alive} of ${Math.ceil(left.length / 10)} sessions are stored as alive after their end`);
    const lookupMs = await lookUp(site, client, made.bearers.slice(2 * revoked, people - leaving).flat(), LOOKUPS_COUNT * Math.min(1, scale * 2), random, failures);
    const onDisk = await revokeAll(site, client, of(revoked), failures);
    say(`on disk, revoked ${revoked} people in ${onDisk.ms.map(Math.round).join(", ")} ms`);
    return {
      n: stored,
      failures: failures.lines,
      figures: {
        sessions: stored,
        made_per_second: made.perSecond,
        edge_MB_peak: made.peakMB,
        edge_MB_grown: grownMB,
        edge_files_peak: made.files,
        revoked_people: revoked,
        revoke_p50_ms: at(inMemory.ms, 0.5),
        revoke_worst_ms: at(inMemory.ms, 1),
        revoke_edge_cpu_p50_ms: at(inMemory.cpuMs, 0.5),
        expired_sessions: left.length,
        answer_before_p50_ms: at(before, 0.5),
        answer_before_worst_ms: at(before, 1),
        answer_during_p50_ms: at(during, 0.5),
        answer_during_p99_ms: at(during, 0.99),
        answer_during_worst_ms: at(during, 1),
        disk_sync_ms: syncsMs,
        disk_lookup_p50_ms: at(lookupMs, 0.5),
        disk_lookup_p99_ms: at(lookupMs, 0.99),
        disk_revoke_p50_ms: at(onDisk.ms, 0.5),
        disk_revoke_worst_ms: at(onDisk.ms, 1),
      },
    };
  } finally {
    client.close();
    await site.stop();
    await issuer.close();
    await memory.leave();
  }
}

export const sessions100k: Soak = { name: "sessions-100k", about: "100,000 sessions: found cold, revoked 500 at once with their person, left to expire together", minutes: 25, run };
