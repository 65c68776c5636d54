/**
 * The break-glass account's seal: who may open it, the clock that runs first if it has one, and the
 * one token that it gives (docs/decisions/0029). Whatever it gives is on record before; what takes
 * it back, once it did. Not what the token may do: that is decided like everything else.
 */
import { equalSecrets } from "../../core/bytes.ts";
import { BREAK_GLASS_SERVICE } from "../../core/ids.ts";
import { HOUR_MS, lasting, MINUTE_MS } from "../../core/time.ts";
import { type ObjectEnv, sessionOf } from "../bindings.ts";
import type { Database } from "../sqlite.ts";
import { ACTOR_CHANGED, nameOf } from "./actor.ts";
import type { Actor, GlassAct, GlassAnswer, GlassState } from "./rpc.ts";
import * as registry from "./registry.ts";
import { reserveToken, serviceSession, signInService } from "./service-sign-in.ts";

/** An answer may be lost: so long the same codes get the same token once more. */
export const GLASS_AGAIN_MS = lasting(5 * MINUTE_MS);
/** A clock that ran out counts so long; then it has to run again, lest a forgotten one leave no delay at all. */
export const GLASS_READY_MS = lasting(24 * HOUR_MS);
/** Attempts are counted over so long. */
const TRIES_MS = lasting(10 * MINUTE_MS);
/** Wrong attempts of one source that are recorded one by one; it hears that it is too many. Right codes open all the same: others may share the address. */
export const SOURCE_TRIES_COUNT = 10;
/** The same of all sources: no stranger can keep the glass whole, or the record busy. */
export const RECORDED_TRIES_COUNT = 100;

const KEY = "break-glass";
const TRIES_KEY = "break-glass-tries";
/** Compared where there is no seal: nothing hashes to it. */
const NO_CODES: readonly string[] = ["-".repeat(43)];

interface Seal {
  readonly v: 1;
  /** Base64url SHA-256 of each code; all of them are needed. */
  readonly codes: readonly string[];
  /** 0: no clock. */
  readonly delayMs: number;
  readonly sealedAt: number;
  readonly sealedBy: string;
  /** The clock runs, or ran out. */
  readonly opensAt?: number;
  readonly opened?: { readonly tokenId: string; readonly at: number; readonly expiresAt: number };
}

interface Tries {
  readonly since: number;
  /** Recorded ones, as `sources`. */
  readonly total: number;
  readonly sources: { readonly [source: string]: number };
  /** Those that no record tells of yet; the next one does. */
  readonly untold: number;
}

const NO_TRIES: Tries = { since: 0, total: 0, sources: {}, untold: 0 };

type Open = Extract<GlassAct, { act: "open" }>;

export interface GlassDeps {
  readonly kv: { get(key: string): unknown; put(key: string, value: unknown): void; delete(key: string): unknown };
  readonly db: Database;
  readonly env: ObjectEnv;
  /** Throws when it cannot be stored. */
  readonly record: (data: Record<string, string | number | undefined>) => Promise<void>;
  readonly stillActs: (by: Actor) => Promise<boolean>;
}

const REFUSED = { ok: false, code: "refused" } as const;

export class BreakGlass {
  readonly #deps: GlassDeps;
  /** Records on their way. */
  #telling = 0;
  #opening: Promise<GlassAnswer> | undefined;

  constructor(deps: GlassDeps) {
    this.#deps = deps;
  }

  async take(act: GlassAct): Promise<GlassAnswer> {
    const { kv, stillActs } = this.#deps;
    switch (act.act) {
      case "seal": {
        const { codes, delayMs } = act;
        const sealedBy = nameOf(act.by);
        await this.#record({ act: "seal", people: codes.length, delay_ms: delayMs, by: sealedBy });
        if (!(await stillActs(act.by))) return ACTOR_CHANGED;
        kv.put(KEY, { v: 1, codes, delayMs, sealedAt: Date.now(), sealedBy } satisfies Seal);
        return this.#shown();
      }
      case "cancel":
        if (!(await stillActs(act.by))) return ACTOR_CHANGED;
        kv.delete(KEY);
        await this.#record({ act: "cancel", by: nameOf(act.by) });
        return this.#shown();
      case "open":
        return this.#open(act);
      case "show":
        return this.#shown();
      default:
        act satisfies never;
        return REFUSED;
    }
  }

  #seal(): Seal | undefined {
    return this.#deps.kv.get(KEY) as Seal | undefined;
  }

  /** This seal as it is now; undefined once it was cancelled or another took its place. */
  #same({ codes }: Seal): Seal | undefined {
    const now = this.#seal();
    return now?.codes.join() === codes.join() ? now : undefined;
  }

  async #shown(): Promise<GlassAnswer> {
    const { db, env } = this.#deps;
    // One whose session ended opens nothing; one that nobody can tell of may.
    const tokens = registry.validTokens(db, BREAK_GLASS_SERVICE, Date.now());
    const untils = await Promise.all(tokens.map(async ({ sid, until }) => ((await sessionOf(env, sid).isLive().catch(() => true)) === false ? 0 : until)));
    const openUntil = Math.max(0, ...untils) || undefined;
    const seal = this.#seal();
    // A seal that was broken is none.
    const whole: GlassState = seal === undefined || seal.opened !== undefined ? {} : { people: seal.codes.length, delayMs: seal.delayMs, sealedAt: seal.sealedAt, sealedBy: seal.sealedBy, ...clockOf(seal, Date.now()) };
    return { ok: true, state: { ...whole, ...(openUntil === undefined ? {} : { openUntil }) } };
  }

  async #open(asked: Open): Promise<GlassAnswer> {
    const now = Date.now();
    const { source } = asked;
    const seal = this.#seal();
    const isRight = fits(asked.codes, seal?.codes ?? NO_CODES);
    if (seal === undefined || !isRight || !this.#counts(seal, now) || (seal.opened !== undefined && (await this.#isSignedIn(seal.opened)) === false)) return (await this.#tried({ act: "refused", source }, now)) ? REFUSED : { ok: false, code: "overloaded" };
    const { opensAt } = clockOf(seal, now);
    if (seal.delayMs > 0 && seal.opened === undefined && (opensAt === undefined || now < opensAt)) return this.#wait(seal, opensAt, source);
    // Those who come while it opens get what it gives: one record, one token.
    this.#opening ??= this.#break(seal, asked, now).finally(() => {
      this.#opening = undefined;
    });
    return this.#opening;
  }

  /** Not broken yet, or so lately that the answer may have been lost, and not closed since. */
  #counts({ opened }: Seal, now: number): boolean {
    return opened === undefined || (now < Math.min(opened.at + GLASS_AGAIN_MS, opened.expiresAt) && registry.madeAt(this.#deps.db, opened.tokenId) !== undefined);
  }

  /** False: its session is over. Undefined: an instance that was replaced came to nothing more than the row. */
  async #isSignedIn({ tokenId }: { readonly tokenId: string }): Promise<boolean | undefined> {
    const { SESSION } = this.#deps.env;
    return SESSION.get(SESSION.idFromName(serviceSession(tokenId))).isLive();
  }

  /** Starts the clock, or says how long it runs. */
  async #wait(seal: Seal, running: number | undefined, source: string): Promise<GlassAnswer> {
    const opensAt = running ?? Date.now() + seal.delayMs;
    if (running === undefined) await this.#record({ act: "clock_started", opens_at: opensAt, source });
    else await this.#tried({ act: "too_early", opens_at: opensAt, source }, Date.now());
    const now = this.#same(seal);
    if (now === undefined) return REFUSED;
    // Another may have started it while this was recorded.
    const stands = clockOf(now, Date.now()).opensAt;
    if (stands !== undefined) return { ok: true, state: { opensAt: stands } };
    this.#deps.kv.put(KEY, { ...now, opensAt } satisfies Seal);
    return { ok: true, state: { opensAt } };
  }

  async #break(seal: Seal, { tokenId, hash, expiresAt, source }: Open, now: number): Promise<GlassAnswer> {
    const { kv, db, env } = this.#deps;
    await this.#record({ act: seal.opened === undefined ? "open" : "open_again", token: tokenId, expires_at: seal.opened?.expiresAt ?? expiresAt, source });
    const still = this.#same(seal);
    if (still === undefined || !this.#counts(still, now)) return REFUSED;
    const opened = still.opened ?? { tokenId, at: now, expiresAt };
    if (still.opened === undefined) {
      // One step: the seal is broken, the token has its row.
      kv.put(KEY, { ...still, opened } satisfies Seal);
      reserveToken(db, env, BREAK_GLASS_SERVICE, opened);
    }
    const isSignedIn = await this.#isSignedIn(opened);
    if (isSignedIn === false) return REFUSED;
    if (isSignedIn === undefined) await signInService(db, env, BREAK_GLASS_SERVICE, { tokenId: opened.tokenId, hash, expiresAt: opened.expiresAt });
    return { ok: true, state: { openUntil: opened.expiresAt } };
  }

  /** Puts an attempt that opens nothing on record; above a bound it is only counted, until a record tells the number. False: too many of its source. */
  async #tried(data: { readonly source: string; readonly [name: string]: string | number }, now: number): Promise<boolean> {
    const { kv } = this.#deps;
    const kept = this.#tries();
    const tries = { ...(now - kept.since < TRIES_MS ? kept : { ...NO_TRIES, since: now }), untold: kept.untold + 1 };
    const own = tries.sources[data.source] ?? 0;
    const isFew = own < SOURCE_TRIES_COUNT;
    if (isFew && tries.total < RECORDED_TRIES_COUNT) {
      kv.put(TRIES_KEY, { ...tries, total: tries.total + 1, sources: { ...tries.sources, [data.source]: own + 1 } } satisfies Tries);
      await this.#record(data, 1);
    } else kv.put(TRIES_KEY, tries);
    return isFew;
  }

  /** Tells with it of the attempts that no record does; `own` of them are what this one is about. One that could not be stored told nothing. */
  async #record(data: Parameters<GlassDeps["record"]>[0], own = 0): Promise<void> {
    const told = this.#telling++ === 0 ? this.#tries().untold : own;
    await this.#deps.record(told === own ? data : { ...data, untold: told - own }).finally(() => this.#telling--);
    const tries = this.#tries();
    this.#deps.kv.put(TRIES_KEY, { ...tries, untold: tries.untold - told } satisfies Tries);
  }

  #tries(): Tries {
    return { ...NO_TRIES, ...(this.#deps.kv.get(TRIES_KEY) as Partial<Tries> | undefined) };
  }
}

/** The clock, unless it ran out too long ago. */
function clockOf({ opensAt }: Seal, now: number): { readonly opensAt?: number } {
  return opensAt === undefined || now >= opensAt + GLASS_READY_MS ? {} : { opensAt };
}

/** The codes given are those of the seal, in whatever order; takes as long whichever is wrong. */
function fits(given: readonly string[], sealed: readonly string[]): boolean {
  const bytes = (codes: readonly string[]): Uint8Array => new TextEncoder().encode([...codes].sort().join());
  return equalSecrets(bytes(given), bytes(sealed));
}
