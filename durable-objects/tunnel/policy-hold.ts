/**
 * The policy as this lane holds it: compiled, stored for a wake, and trusted only while its lease
 * from control lasts (M8). Not the decision.
 */
import { compile, type CompiledPolicy } from "../../policy/compile.ts";
import type { PolicySnapshot } from "../control/rpc.ts";
import { LEASE_HOLD_MS, PUSH_ATTEMPT_MS } from "../lease-terms.ts";
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
  #compiled: CompiledPolicy | undefined;
  #until = 0;
  #asking: Promise<CompiledPolicy | undefined> | undefined;
  #loaded = false;

  /** `learned` is called after a newer version was taken from an answer, not from a push. */
  constructor(store: SyncStore, ask: (known: number) => Promise<PolicySnapshot | undefined>, learned: () => void) {
    this.#store = store;
    this.#ask = ask;
    this.#learned = learned;
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
    return this.isFresh(clock()) ? Promise.resolve(this.#load()) : this.renew(clock);
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
    const answer = await within(PUSH_ATTEMPT_MS, this.#ask(this.version).then((newer) => ({ newer })));
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
