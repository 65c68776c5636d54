/**
 * Which connectors may still hold TCP streams of a session after their agent, or this lane, lost
 * them (M18): a revocation names the session to each, and a connector that is away is named in
 * the receipt, and told when it is back. Stored, because a lane that was replaced has no other memory of it.
 */
import type { AppId, ConnectorId, SessionId } from "../../core/ids.ts";
import { RESUME_MS } from "../../protocol/deadlines.ts";
import type { Cut } from "./cut-streams.ts";

interface SyncStore {
  get(key: string): unknown;
  put(key: string, value: unknown): void;
  delete(key: string): unknown;
  list(options: { prefix: string }): Iterable<[string, unknown]>;
}

/** By connector: until when it may hold streams that nobody is attached to; 0 while all have their agent. */
type Holders = { [connector: ConnectorId]: number };

/** What a cut names beside streams. */
export type Named = Pick<Cut, "sessions" | "apps">;

const PREFIX = "holders/";
const OWED = "owed/";
/** `what`: a letter for what it is, and its id. */
const owedName = (what: string): string => OWED + what;
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

  /** This ended while these were away: they are told when they are back. */
  owe({ sessions, apps = [] }: Named, connectors: readonly ConnectorId[], now: number): void {
    for (const what of [...sessions.map((id) => `s${id}`), ...apps.map((id) => `a${id}`)]) {
      const holders = { ...(this.#kv.get(owedName(what)) as Holders | undefined) };
      for (const connector of connectors) holders[connector] = now + RESUME_MS;
      this.#kv.put(owedName(what), holders);
    }
  }

  /** What a connector that is back must hear of, each time that it comes: it may hold streams that ended while it was away. */
  owed(connector: ConnectorId, now: number): Required<Named> {
    const [sessions, apps]: [SessionId[], AppId[]] = [[], []];
    for (const [name, holders] of [...this.#kv.list({ prefix: OWED })] as [string, Holders][]) {
      if (Object.values(holders).every((until) => now >= until)) this.#kv.delete(name);
      else if (now < (holders[connector] ?? 0)) (name.startsWith(owedName("s")) ? sessions : apps).push(name.slice(OWED.length + 1) as never);
    }
    return { sessions, apps };
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
