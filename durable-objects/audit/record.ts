/**
 * Writing to the record: at once (`recordNow`, for what is acknowledged) or in batches
 * (`AuditWriter`, for repeated allows of a lane; DESIGN §3 promise 8, M20). Not the store.
 */
import { CONTROL_AUDIT_NAME, edgeAuditName, type ObjectEnv } from "../bindings.ts";
import { canonicalJson } from "../../core/json.ts";
import { PUSH_ATTEMPT_MS } from "../lease-terms.ts";
import { within } from "../within.ts";
import type { AuditEvent, AuditRpc, WrittenEvent } from "./rpc.ts";

/** Nothing can be put on record: what must be there first does not happen. */
export class RecordLost extends Error {}

/** Stores one event before it returns. Throws RecordLost when the shard cannot store it or does not answer: the caller refuses then. */
export async function recordNow(env: Pick<ObjectEnv, "AUDIT">, key: string, event: AuditEvent): Promise<void> {
  const shard = key === CONTROL_AUDIT_NAME ? CONTROL_AUDIT_NAME : edgeAuditName(key);
  const stored = env.AUDIT.getByName(shard).append("direct", 0, [event]);
  if ((await within(PUSH_ATTEMPT_MS, stored)) === undefined) throw new RecordLost(await Promise.race([stored, Promise.reject(new Error("the record does not answer"))]).then(String, String));
}

/** A batch leaves after this long (DESIGN §3 promise 8: at most 2 s). */
export const AUDIT_FLUSH_MS = 1_500;
/** A batch leaves early at this many events. Bounds the loss by a crash, and how long storing it holds up whoever shares the thread. */
export const AUDIT_EARLY_COUNT = 64;
/** What gathered while a change was carried out leaves so long after it, behind the change's own record and its answer. */
export const AUDIT_HELD_MS = 250;
/** Events of one call: what gathered while another was under way goes together. */
export const AUDIT_BATCH_COUNT = 256;
/** Above this many waiting events the lane refuses new streams: the record cannot keep up (fail closed). */
export const AUDIT_BACKLOG_COUNT = 8_192;

export class AuditWriter {
  readonly #shard: () => AuditRpc;
  /** Unique to an instance of its object. */
  readonly name: string;
  readonly #keepAlive: (work: Promise<unknown>) => void;
  readonly #lost: (since: number | undefined) => void;
  #waiting: WrittenEvent[] = [];
  #next = 1;
  #busy = false;
  /** When the first of the attempts began that all failed. */
  #failing: number | undefined;
  #held = 0;
  /** The shard knows that records are coming: until they are stored and closed, a crash shows (M20). */
  #registered = false;
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** `keepAlive` is the object's waitUntil: a pending batch keeps it from being evicted. `lost`: nothing can be stored since then, or again. */
  constructor(shard: () => AuditRpc, name: string, keepAlive: (work: Promise<unknown>) => void, lost: (since: number | undefined) => void = () => undefined) {
    this.#shard = shard;
    this.name = name;
    this.#keepAlive = keepAlive;
    this.#lost = lost;
  }

  /** Nothing more may be allowed: the record cannot keep up. */
  get overloaded(): boolean {
    return this.#waiting.length >= AUDIT_BACKLOG_COUNT;
  }

  /** An instance of before could not store: so it is until this one could. */
  resume(since: number, event: AuditEvent): void {
    this.#failing = since;
    this.add(event);
    this.#start(0);
  }

  get pending(): number {
    return this.#waiting.length;
  }

  add(event: AuditEvent): void {
    this.#waiting.push({ ...event, data: canonicalJson(event.data) });
    if (!this.#busy) this.#register();
    if (this.#isCrowded) this.#start(0);
    else this.#timer ??= setTimeout(() => this.#start(0), AUDIT_FLUSH_MS);
  }

  get #isCrowded(): boolean {
    return this.#waiting.length >= AUDIT_EARLY_COUNT && this.#failing === undefined && this.#held === 0;
  }

  /** Until the answer is called no batch leaves early: somebody waits for something else of this thread. */
  hold(): () => void {
    this.#held++;
    return () => {
      this.#held--;
      // Behind whatever was waited for, until its caller has it.
      const [oldest] = this.#waiting;
      if (oldest !== undefined && this.#isCrowded) this.#start(Math.min(AUDIT_HELD_MS, Math.max(0, oldest.at + AUDIT_FLUSH_MS - Date.now())));
    };
  }

  #register(): void {
    if (this.#registered) return;
    this.#registered = true;
    this.#keepAlive(this.#shard().append(this.name, this.#next, []).catch(() => undefined));
  }

  #start(delayMs: number): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#busy || (this.#waiting.length === 0 && !this.#registered)) return;
    if (delayMs > 0) {
      this.#timer = setTimeout(() => this.#start(0), delayMs);
      return;
    }
    this.#busy = true;
    this.#keepAlive(this.#flush());
  }

  async #flush(): Promise<void> {
    const batch = this.#waiting.slice(0, AUDIT_BATCH_COUNT);
    // Without an answer the batch stays and is sent again under the same numbers; the shard stores it once.
    const startedAt = Date.now();
    const store = async (): Promise<boolean> => (await within(PUSH_ATTEMPT_MS, this.#shard().append(this.name, this.#next, batch))) !== undefined;
    let stored = batch.length === 0 || (await store());
    // A shard that was replaced a moment ago answers the second time.
    if (!stored && this.#failing === undefined && Date.now() < startedAt + AUDIT_FLUSH_MS) stored = await store();
    const before = this.#failing;
    this.#failing = stored ? undefined : (before ?? startedAt);
    if (this.#failing !== before) this.#lost(this.#failing);
    if (stored) {
      this.#waiting = this.#waiting.slice(batch.length);
      this.#next += batch.length;
    }
    // After a batch that was full more will come: closing and registering for each would cost as much as storing it.
    if (stored && this.#waiting.length === 0 && batch.length < AUDIT_EARLY_COUNT) {
      this.#registered = false;
      await within(PUSH_ATTEMPT_MS, this.#shard().close(this.name, this.#next - 1));
    }
    this.#busy = false;
    const [oldest] = this.#waiting;
    if (oldest === undefined) return this.#registered ? this.#start(AUDIT_FLUSH_MS) : undefined;
    this.#register();
    // The few that came meanwhile wait for company as the first did, each no longer than it may.
    const isFew = this.#waiting.length < AUDIT_EARLY_COUNT;
    this.#start(stored ? (isFew ? Math.max(0, oldest.at + AUDIT_FLUSH_MS - Date.now()) : 0) : AUDIT_FLUSH_MS);
  }
}
