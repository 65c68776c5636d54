/**
 * The break-glass account's seal: who may open it, the clock that runs first if it has one, and the
 * one token that it gives (docs/decisions/0029). Whatever it gives is on record before; what takes
 * it back, once it did. Not what the token may do: that is decided like everything else.
 */
import { equalSecrets } from "../../core/bytes.ts";
import { BREAK_GLASS_SERVICE } from "../../core/ids.ts";
import { HOUR_MS, lasting, MINUTE_MS } from "../../core/time.ts";
import type { ObjectEnv } from "../bindings.ts";
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
/** Attempts of one source that are looked at. */
export const SOURCE_TRIES_COUNT = 10;
/** Attempts of all that are stored one by one; above it a wrong one is counted only, and a right one opens all the same: no stranger can keep the glass whole. */
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
  readonly total: number;
  readonly sources: { readonly [source: string]: number };
}

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
  /** Wrong attempts that no record tells of yet. */
  #untold = 0;
  #opening: Promise<GlassAnswer> | undefined;

  constructor(deps: GlassDeps) {
    this.#deps = deps;
  }

  async take(act: GlassAct): Promise<GlassAnswer> {
    const { kv, record, stillActs } = this.#deps;
    switch (act.act) {
      case "seal": {
        const { codes, delayMs } = act;
        const sealedBy = nameOf(act.by);
        await record({ act: "seal", people: codes.length, delay_ms: delayMs, by: sealedBy });
        if (!(await stillActs(act.by))) return ACTOR_CHANGED;
        kv.put(KEY, { v: 1, codes, delayMs, sealedAt: Date.now(), sealedBy } satisfies Seal);
        return this.#shown();
      }
      case "cancel":
        if (!(await stillActs(act.by))) return ACTOR_CHANGED;
        kv.delete(KEY);
        await record({ act: "cancel", by: nameOf(act.by) });
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

  #shown(): GlassAnswer {
    const seal = this.#seal();
    const openUntil = registry.openUntil(this.#deps.db, BREAK_GLASS_SERVICE, Date.now());
    // A seal that was broken is none.
    const whole: GlassState = seal === undefined || seal.opened !== undefined ? {} : { people: seal.codes.length, delayMs: seal.delayMs, sealedAt: seal.sealedAt, sealedBy: seal.sealedBy, ...clockOf(seal, Date.now()) };
    return { ok: true, state: { ...whole, ...(openUntil === undefined ? {} : { openUntil }) } };
  }

  async #open(asked: Open): Promise<GlassAnswer> {
    const now = Date.now();
    const { record } = this.#deps;
    const { source } = asked;
    const tries = this.#count(source, now);
    if (tries.own > SOURCE_TRIES_COUNT) return { ok: false, code: "overloaded" };
    const seal = this.#seal();
    const isRight = fits(asked.codes, seal?.codes ?? NO_CODES);
    if (seal === undefined || !isRight || !this.#counts(seal, now)) {
      if (tries.total > RECORDED_TRIES_COUNT) this.#untold++;
      else {
        const untold = this.#untold;
        this.#untold = 0;
        await record({ act: "refused", source, ...(untold === 0 ? {} : { untold }) });
      }
      return REFUSED;
    }
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
    return opened === undefined || (now < Math.min(opened.at + GLASS_AGAIN_MS, opened.expiresAt) && registry.isUsable(this.#deps.db, opened.tokenId));
  }

  /** Starts the clock, or says how long it runs. */
  async #wait(seal: Seal, running: number | undefined, source: string): Promise<GlassAnswer> {
    const opensAt = running ?? Date.now() + seal.delayMs;
    await this.#deps.record({ act: running === undefined ? "clock_started" : "too_early", opens_at: opensAt, source });
    const now = this.#same(seal);
    if (now === undefined) return REFUSED;
    // Another may have started it while this was recorded.
    const stands = clockOf(now, Date.now()).opensAt;
    if (stands !== undefined) return { ok: true, state: { opensAt: stands } };
    this.#deps.kv.put(KEY, { ...now, opensAt } satisfies Seal);
    return { ok: true, state: { opensAt } };
  }

  async #break(seal: Seal, { tokenId, hash, expiresAt, source }: Open, now: number): Promise<GlassAnswer> {
    const { kv, db, env, record } = this.#deps;
    await record({ act: seal.opened === undefined ? "open" : "open_again", token: tokenId, expires_at: seal.opened?.expiresAt ?? expiresAt, source });
    const still = this.#same(seal);
    if (still === undefined || !this.#counts(still, now)) return REFUSED;
    const opened = still.opened ?? { tokenId, at: now, expiresAt };
    if (still.opened === undefined) {
      // One step: the seal is broken, the token has its row.
      kv.put(KEY, { ...still, opened } satisfies Seal);
      reserveToken(db, env, BREAK_GLASS_SERVICE, opened);
    }
    // An instance that was replaced before this came to nothing more than the row.
    const { SESSION } = env;
    const isSignedIn = await SESSION.get(SESSION.idFromName(serviceSession(opened.tokenId))).isLive();
    if (!isSignedIn) await signInService(db, env, BREAK_GLASS_SERVICE, { tokenId: opened.tokenId, hash, expiresAt: opened.expiresAt });
    return { ok: true, state: { openUntil: opened.expiresAt } };
  }

  /** How many this source and all have tried lately, this one included. */
  #count(source: string, now: number): { own: number; total: number } {
    const { kv } = this.#deps;
    const kept = kv.get(TRIES_KEY) as Tries | undefined;
    const tries = kept === undefined || now - kept.since >= TRIES_MS ? { since: now, total: 0, sources: {} } : kept;
    const own = (tries.sources[source] ?? 0) + 1;
    const total = tries.total + 1;
    // Above this nothing more is stored: bounded, whoever tries.
    if (total <= RECORDED_TRIES_COUNT) kv.put(TRIES_KEY, { since: tries.since, total, sources: { ...tries.sources, [source]: own } } satisfies Tries);
    return { own, total };
  }
}

/** The clock, unless it ran out too long ago. */
function clockOf({ opensAt }: Seal, now: number): { readonly opensAt?: number } {
  return opensAt === undefined || now >= opensAt + GLASS_READY_MS ? {} : { opensAt };
}

/** Every code of the seal is among those given, and no other is; takes as long whichever is wrong. */
function fits(given: readonly string[], sealed: readonly string[]): boolean {
  const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
  let all = given.length === sealed.length;
  for (const one of sealed) {
    let any = false;
    for (const code of given) any = equalSecrets(bytes(one), bytes(code)) || any;
    all = any && all;
  }
  return all;
}
