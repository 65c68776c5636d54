/**
 * What a lane may trust of each session, and for how long (M1, M4, M9). Pure but for the
 * question it is handed as a function. Not the streams: live-stream.ts holds those.
 */
import type { AppId, SessionId } from "../../core/ids.ts";
import { ASK_ATTEMPT_MS, LEASE_HOLD_MS, spreadOf } from "../lease-terms.ts";
import type { EndReason, LeaseAnswer, SessionSnapshot } from "../session/rpc.ts";
import type { Admitted } from "../signer/rpc.ts";
import { within } from "../within.ts";

export interface HeldLease {
  readonly snapshot: SessionSnapshot;
  /** This object's clock; counted from before the question was sent (M9). */
  readonly until: number;
  /** When this lane last saw a byte from the user; finer than the session's own note. */
  lastActiveAt: number;
}

export interface HeldAdmission extends Admitted {
  readonly until: number;
}

export type LeaseOutcome =
  | { readonly ok: true; readonly lease: HeldLease; readonly admission: HeldAdmission; readonly firstGrant: boolean }
  | { readonly ok: false; readonly code: EndReason | "unknown" | "unavailable" };

/** What an admission is for; another connector key, policy version or epoch needs another (M17). */
export interface AdmissionKey {
  readonly sid: SessionId;
  readonly app: AppId;
  readonly connector: string;
  readonly policyVersion: number;
  /** The launcher's origin that the assertion names; a browser may come by another port. */
  readonly issuer: string;
}

/** A reply that a push overtook is asked for again at most this often. Bounds a fight of pushes and questions. */
const MAX_ASK_COUNT = 4;

/** Leases that ran out are looked for this often. */
const SWEEP_MS = 1_000;
/** Leases that one sweep forgets: each may be a write to the store, and nothing else runs meanwhile. */
export const SWEPT_COUNT = 1_000;

/** Where the last word of a session outlives a lane's sleep; the object's storage. */
interface Kept {
  get(key: string): unknown;
  put(key: string, value: unknown): void;
  delete(key: string): unknown;
}
const keptName = (sid: SessionId): string => `lease/${sid}`;

const keyOf = (key: AdmissionKey): string => `${key.sid}\n${key.app}\n${key.connector}\n${key.policyVersion}\n${key.issuer}`;

export class LeaseTable {
  readonly #leases = new Map<SessionId, HeldLease>();
  readonly #admissions = new Map<string, HeldAdmission>();
  readonly #asking = new Map<string, Promise<LeaseOutcome>>();
  /** Questions in flight per session, and the highest epoch pushed meanwhile (M1). */
  readonly #inFlight = new Map<SessionId, { count: number; floor: number }>();
  readonly #kept: Kept | undefined;
  #sweptAt = 0;

  constructor(kept?: Kept) {
    this.#kept = kept;
  }

  get size(): number {
    return this.#leases.size;
  }

  lease(sid: SessionId, now: number): HeldLease | undefined {
    // Exact, whatever alarm is late: no lease outlives its session (class H).
    return now < this.until(sid) ? this.#leases.get(sid) : undefined;
  }

  /** When the lease runs out; 0 when there is none. */
  until(sid: SessionId): number {
    const held = this.#leases.get(sid);
    return held === undefined ? 0 : Math.min(held.until, held.snapshot.endsAt);
  }

  /** The last word of the session, even when its lease ran out: good for reports, never for passing bytes. */
  last(sid: SessionId): HeldLease | undefined {
    return this.#leases.get(sid) ?? (this.#kept?.get(keptName(sid)) as HeldLease | undefined);
  }

  /** Stores the last word of a session whose socket may outlive this instance; written only when it is news (M3, M7). */
  keep(sid: SessionId): void {
    const lease = this.#leases.get(sid);
    if (lease === undefined || this.#kept === undefined) return;
    const before = this.#kept.get(keptName(sid)) as HeldLease | undefined;
    if (before?.snapshot.epoch === lease.snapshot.epoch && JSON.stringify(before.snapshot.facts) === JSON.stringify(lease.snapshot.facts)) return;
    this.#kept.put(keptName(sid), { ...lease, until: 0 } satisfies HeldLease);
  }

  admission(key: AdmissionKey, now: number): HeldAdmission | undefined {
    const held = this.#admissions.get(keyOf(key));
    return held !== undefined && now < held.until ? held : undefined;
  }

  /**
   * A lease and an admission, asking the session when either is missing or ran out. Questions
   * for the same key share one flight. Whoever awaits this must look at the table again,
   * synchronously, before it lets a stream open. `aheadMs`: a lease with less left than that is renewed.
   */
  ensure(key: AdmissionKey, ask: () => Promise<LeaseAnswer>, clock: () => number, aheadMs = 0): Promise<LeaseOutcome> {
    const now = clock();
    const lease = this.lease(key.sid, now + aheadMs);
    const admission = this.admission(key, now);
    if (lease !== undefined && admission !== undefined) return Promise.resolve({ ok: true, lease, admission, firstGrant: false });
    const name = keyOf(key);
    const running = this.#asking.get(name);
    if (running !== undefined) return running;
    const flight = this.#ask(key, ask, clock).finally(() => this.#asking.delete(name));
    this.#asking.set(name, flight);
    return flight;
  }

  async #ask(key: AdmissionKey, ask: () => Promise<LeaseAnswer>, clock: () => number): Promise<LeaseOutcome> {
    const flight = this.#inFlight.get(key.sid) ?? { count: 0, floor: 0 };
    this.#inFlight.set(key.sid, flight);
    flight.count++;
    try {
      for (let attempt = 0; attempt < MAX_ASK_COUNT; attempt++) {
        const sentAt = clock();
        const answer = await within(ASK_ATTEMPT_MS, ask());
        if (answer === undefined) return { ok: false, code: "unavailable" };
        if (!answer.ok) {
          this.drop(key.sid);
          return { ok: false, code: answer.code };
        }
        // A push overtook this reply: it speaks of a session as it was before (M1).
        if (answer.snapshot.epoch < flight.floor) continue;
        const before = this.#leases.get(key.sid);
        if (before !== undefined && before.snapshot.epoch > answer.snapshot.epoch) continue;
        const until = sentAt + LEASE_HOLD_MS - spreadOf(key.sid);
        const lastActiveAt = Math.max(before?.lastActiveAt ?? 0, answer.snapshot.lastActiveAt);
        const lease: HeldLease = { snapshot: answer.snapshot, until: Math.max(until, before?.until ?? 0), lastActiveAt };
        const admission: HeldAdmission = { ...answer.admitted, until: sentAt + answer.admitted.usableMs };
        this.#leases.set(key.sid, lease);
        this.#admissions.set(keyOf(key), admission);
        return { ok: true, lease, admission, firstGrant: answer.firstGrant };
      }
      return { ok: false, code: "unavailable" };
    } finally {
      flight.count--;
      if (flight.count === 0) this.#inFlight.delete(key.sid);
    }
  }

  /** A push: everything known of the session is void, and replies still under way count only from `epoch` on. */
  push(sid: SessionId, epoch: number): void {
    const flight = this.#inFlight.get(sid);
    if (flight !== undefined) flight.floor = Math.max(flight.floor, epoch);
    this.drop(sid);
  }

  /**
   * Newer facts of the session: what was leased stands on them for as long as it had left, replies
   * still under way count only from their epoch on, and assertions are made anew. False: newer ones are known.
   */
  learn(snapshot: SessionSnapshot): boolean {
    const { sid, epoch } = snapshot;
    const before = this.last(sid);
    if (before !== undefined && before.snapshot.epoch > epoch) return false;
    const isKept = this.#kept?.get(keptName(sid)) !== undefined;
    this.push(sid, epoch);
    this.#leases.set(sid, { snapshot, until: before?.until ?? 0, lastActiveAt: Math.max(snapshot.lastActiveAt, before?.lastActiveAt ?? 0) });
    if (isKept) this.keep(sid);
    return true;
  }

  drop(sid: SessionId): void {
    this.#leases.delete(sid);
    this.#kept?.delete(keptName(sid));
    const prefix = `${sid}\n`;
    for (const name of this.#admissions.keys()) if (name.startsWith(prefix)) this.#admissions.delete(name);
  }

  noteActivity(sid: SessionId, now: number): void {
    const lease = this.#leases.get(sid);
    if (lease !== undefined) lease.lastActiveAt = now;
  }

  /** Once a second at most, and only when a stream ends. */
  sweepAtTimes(now: number, inUse: () => ReadonlySet<SessionId | undefined>): void {
    if (now < this.#sweptAt + SWEEP_MS) return;
    this.#sweptAt = now;
    this.sweep(now, inUse());
  }

  /** Forgets what ran out and is not in use, so much at a time; the rest with the next sweep. No admission outlives the lease that it came with. */
  sweep(now: number, inUse: ReadonlySet<SessionId | undefined>): void {
    let left = SWEPT_COUNT;
    for (const [sid, lease] of this.#leases) {
      if (now < lease.until || inUse.has(sid)) continue;
      if (left-- === 0) break;
      this.#leases.delete(sid);
      this.#kept?.delete(keptName(sid));
    }
    for (const [name, admission] of this.#admissions) if (now >= admission.until) this.#admissions.delete(name);
  }
}
