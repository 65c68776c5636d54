/**
 * What the edge itself puts on record: denials of known subjects, stored before they are shown;
 * anonymous ones counted and sampled per source, never one row each (M20).
 */
import { decisionEvent } from "../durable-objects/audit/decision-event.ts";
import { recordNow } from "../durable-objects/audit/record.ts";
import type { AuditKind } from "../durable-objects/audit/rpc.ts";
import type { Json } from "../core/json.ts";
import type { Decision } from "../policy/decision.ts";
import type { Ask, Facts } from "../policy/facts.ts";
import { randomText } from "../durable-objects/random-text.ts";
import { addressOf } from "./connection-facts.ts";
import type { Exchange } from "./exchange.ts";

/** Stores a decision about a known subject. Throws when it cannot be stored. */
export function recordDecision(x: Exchange, key: string, ask: Ask, facts: Facts, decision: Decision): Promise<void> {
  return recordNow(x.env, key, decisionEvent(x.id, ask, facts, decision, x.now));
}

/** Stores an act or a sign-in. Throws when it cannot be stored. */
export function recordAct(x: Exchange, kind: AuditKind, key: string, data: Readonly<Record<string, Json | undefined>>): Promise<void> {
  return recordNow(x.env, key, { id: x.id, at: x.now, kind, data });
}

interface Tally {
  counts: Map<string, number>;
  total: number;
  since: number;
}

/**
 * How long counted anonymous denials wait, and how many at most. Best effort: what an isolate
 * holds when it is ended before that is lost. Shorter than the time that the runtime lets work
 * outlast an answer (30 s).
 */
const TALLY_MS = 10_000;
const TALLY_COUNT = 1_000;
/** Bounds sources told apart in one tally; the rest count together. */
const TALLY_SOURCES_COUNT = 256;

const tallies = new WeakMap<object, Tally>();

/** Counts a request of nobody in particular that was refused. */
export function countAnonymousDenial(x: Exchange): void {
  let tally = tallies.get(x.env.AUDIT);
  if (tally === undefined) tally = begin(x);
  const ip = addressOf(x.connection) || "unknown";
  const source = tally.counts.has(ip) || tally.counts.size < TALLY_SOURCES_COUNT ? ip : "others";
  tally.counts.set(source, (tally.counts.get(source) ?? 0) + 1);
  tally.total++;
  if (tally.total >= TALLY_COUNT || x.now - tally.since >= TALLY_MS) x.later(write(x, tally));
}

/** The request that begins a tally also ends it, so that the last denials of a burst are written without another request. */
function begin(x: Exchange): Tally {
  const tally: Tally = { counts: new Map(), total: 0, since: x.now };
  tallies.set(x.env.AUDIT, tally);
  x.later(new Promise<void>((wake) => setTimeout(wake, TALLY_MS)).then(() => write(x, tally)));
  return tally;
}

/** Writes a tally once; the sample is the request that writes it. */
async function write(x: Exchange, tally: Tally): Promise<void> {
  if (tallies.get(x.env.AUDIT) !== tally) return;
  tallies.delete(x.env.AUDIT);
  const data = { total: tally.total, since: tally.since, sources: Object.fromEntries(tally.counts), sample: { host: x.url.host, path: x.url.path.slice(0, 256) } };
  const id = `a_${randomText(16)}`;
  await recordNow(x.env, "anonymous", { id, at: Date.now(), kind: "anonymous_denials", data });
}
