/**
 * Which connectors may still hold TCP streams of a session after their agent, or this lane, lost
 * them (M18): a revocation names the session to each, and a connector that is away is named in
 * the receipt. Stored, because a lane that was replaced has no other memory of it.
 */
import type { ConnectorId, SessionId } from "../../core/ids.ts";
import { RESUME_MS } from "../../protocol/deadlines.ts";

interface SyncStore {
  get(key: string): unknown;
  put(key: string, value: unknown): void;
  delete(key: string): unknown;
  list(options: { prefix: string }): Iterable<[string, unknown]>;
}

/** By connector: until when it may hold streams that nobody is attached to; 0 while all have their agent. */
type Holders = { [connector: ConnectorId]: number };

const PREFIX = "holders/";
const nameOf = (sid: SessionId): string => PREFIX + sid;

export class StreamHolders {
  readonly #kv: SyncStore;
  readonly #startedAt: number;
  readonly #known = new Map<SessionId, Holders>();

  constructor(kv: SyncStore, now: number) {
    this.#kv = kv;
    this.#startedAt = now;
  }

  /** A stream of this session begins there, or lost its agent or its way. */
  note(sid: SessionId, connector: ConnectorId, now: number, lost: boolean): void {
    const holders = this.#of(sid);
    const before = holders[connector];
    if (before !== undefined && !lost) return;
    holders[connector] = lost ? now + RESUME_MS : 0;
    this.#kv.put(nameOf(sid), holders);
  }

  /** Connectors that may hold a stream of this session which nobody is attached to. */
  of(sid: SessionId, now: number): ConnectorId[] {
    return Object.entries(this.#of(sid)).flatMap(([connector, until]) => (now < until ? [connector as ConnectorId] : []));
  }

  /** Connectors that may hold such a stream of anybody's. */
  all(now: number): ConnectorId[] {
    return [...this.#kv.list({ prefix: PREFIX })].flatMap(([name]) => this.of(name.slice(PREFIX.length) as SessionId, now));
  }

  forget(sid: SessionId): void {
    this.#known.delete(sid);
    this.#kv.delete(nameOf(sid));
  }

  #of(sid: SessionId): Holders {
    let holders = this.#known.get(sid);
    if (holders === undefined) {
      holders = { ...(this.#kv.get(nameOf(sid)) as Holders | undefined) };
      // Written by an instance before this one: what it had live may have been lost with it.
      for (const one of Object.keys(holders) as ConnectorId[]) holders[one] = Math.max(holders[one] ?? 0, this.#startedAt + RESUME_MS);
      this.#known.set(sid, holders);
    }
    return holders;
  }
}
