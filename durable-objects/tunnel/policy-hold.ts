/**
 * The policy as this lane holds it: compiled, stored for a wake, and trusted only while its lease
 * from control lasts (M8). Not the decision.
 */
import { compile, type CompiledPolicy } from "../../policy/compile.ts";
import type { PolicySnapshot } from "../control/rpc.ts";
import { ASK_ATTEMPT_MS, LEASE_HOLD_MS, RENEW_AHEAD_MS, RENEW_RETRY_MS } from "../lease-terms.ts";
import { within } from "../within.ts";

const STORED = "policy";

interface SyncStore {
  get(key: string): unknown;
  put(key: string, value: unknown): void;
}

export class PolicyHold {
  readonly #store: SyncStore;
  readonly #ask: (known: number) => Promise<PolicySnapshot | undefined>;
  readonly #learned: () => void;
  readonly #lost: (since: number | undefined) => void;
  #askedAt = 0;
  #lostAt: number | undefined;
  #compiled: CompiledPolicy | undefined;
  #until = 0;
  #asking: Promise<CompiledPolicy | undefined> | undefined;
  #loaded = false;

  /** `learned` is called after a newer version was taken from an answer, not from a push. `lost`: control does not answer since then, or again. */
  constructor(store: SyncStore, ask: (known: number) => Promise<PolicySnapshot | undefined>, learned: () => void, lost: (since: number | undefined) => void = () => undefined) {
    this.#store = store;
    this.#ask = ask;
    this.#learned = learned;
    this.#lost = lost;
  }

  /** The newest known version, whether or not its lease lasts; 0 when there is none. */
  get version(): number {
    return this.#load()?.version ?? 0;
  }

  get compiled(): CompiledPolicy | undefined {
    return this.#load();
  }

  /** When its lease from control runs out. */
  get until(): number {
    return this.#until;
  }

  isFresh(now: number): boolean {
    return now < this.#until;
  }

  /** The policy under a live lease; undefined when control cannot be asked or nothing is live. */
  fresh(clock: () => number): Promise<CompiledPolicy | undefined> {
    const now = clock();
    if (!this.isFresh(now)) return this.renew(clock);
    this.keep(now, clock);
    return Promise.resolve(this.#load());
  }

  /** Somebody goes by it: asked for ahead of its end, so that control's being away is found out while it may be said what goes on. Nobody waits for that. */
  keep(now: number, clock: () => number): void {
    if (this.#asking === undefined && now >= this.#until - RENEW_AHEAD_MS && now >= this.#askedAt + RENEW_RETRY_MS) this.renew(clock).catch(() => undefined);
  }

  /** Asks control, whatever lease is left: somebody knows of a newer version. */
  renew(clock: () => number): Promise<CompiledPolicy | undefined> {
    this.#asking ??= this.#renew(clock).finally(() => {
      this.#asking = undefined;
    });
    return this.#asking;
  }

  /**
   * A push from control. An older version than the known one is not taken. It prolongs no lease: it
   * may have been under way for long, and control counts leases by the questions that it answered (M9).
   */
  take(snapshot: PolicySnapshot): CompiledPolicy | undefined {
    if (snapshot.version >= this.version) {
      this.#compiled = compile(snapshot.document, snapshot.version);
      this.#store.put(STORED, snapshot);
    }
    return this.#load();
  }

  async #renew(clock: () => number): Promise<CompiledPolicy | undefined> {
    const sentAt = clock();
    const ask = (): Promise<{ newer: PolicySnapshot | undefined } | undefined> => within(ASK_ATTEMPT_MS, this.#ask(this.version).then((newer) => ({ newer })));
    let answer = await ask();
    // Control that was replaced a moment ago answers the second time.
    if (answer === undefined && this.#lostAt === undefined && clock() < sentAt + RENEW_RETRY_MS) answer = await ask();
    this.#askedAt = clock();
    const before = this.#lostAt;
    this.#lostAt = answer === undefined ? (before ?? sentAt) : undefined;
    if (this.#lostAt !== before) this.#lost(this.#lostAt);
    if (answer === undefined) return undefined;
    if (answer.newer !== undefined) {
      this.take(answer.newer);
      this.#learned();
    }
    if (this.version > 0) this.#until = Math.max(this.#until, sentAt + LEASE_HOLD_MS);
    return this.isFresh(clock()) ? this.#load() : undefined;
  }

  #load(): CompiledPolicy | undefined {
    if (!this.#loaded) {
      this.#loaded = true;
      const stored = this.#store.get(STORED) as PolicySnapshot | undefined;
      if (stored !== undefined) this.#compiled = compile(stored.document, stored.version);
    }
    return this.#compiled;
  }
}
