/**
 * While a stream lives: may its next byte pass, and if what said so ran out, who says so now (M4,
 * M7). It decides again with the newest policy and facts, and cuts what nothing allows any more.
 */
import type { RequestId } from "../../core/ids.ts";
import { at } from "../../core/time.ts";
import type { CompiledPolicy } from "../../policy/compile.ts";
import { decide } from "../../policy/decide.ts";
import type { Facts } from "../../policy/facts.ts";
import { passkeysThatHelp } from "../../policy/passkey.ts";
import { LEASE_HOLD_MS, RENEW_AHEAD_MS, RENEW_RETRY_MS } from "../lease-terms.ts";
import { type Admissions, factsOf, type LaneParts } from "./admission.ts";
import { Freezing } from "./freezing.ts";
import type { HeldLease } from "./lease-table.ts";
import type { CutReason, LiveStream, StreamTable } from "./live-stream.ts";

/** What changes while it is asked about is asked about so often, and then it ends. */
const MAX_RENEW_COUNT = 3;

/** What a decision on a live stream means for it. freezes: it goes on after a step-up. */
export type Verdict = "stays" | "freezes" | "ends";

export class Freshness {
  readonly freezing = new Freezing();
  readonly #parts: LaneParts;
  readonly #admissions: Admissions;
  readonly #streams: StreamTable;
  readonly #renewals = new Map<RequestId, Promise<boolean>>();
  /** What looks after the bodies of each stream that are piped. */
  readonly #guards = new Map<LiveStream, readonly (() => void)[]>();

  constructor(parts: LaneParts, admissions: Admissions, streams: StreamTable) {
    this.#parts = parts;
    this.#admissions = admissions;
    this.#streams = streams;
  }

  /** A few comparisons per chunk: deadline, version, both leases, bytes left. */
  passes(stream: LiveStream, now: number): boolean {
    const { policy, leases } = this.#parts;
    if (stream.frozenAt !== undefined) return false;
    policy.keep(now, Date.now);
    // Decided under an older version than this lane now holds a lease on: not by anybody's push, so decide again (M7).
    if (stream.policyVersion !== policy.version) return false;
    if (now >= stream.redecideAt || !policy.isFresh(now) || this.#isUsedUp(stream)) return false;
    return stream.sid === undefined || leases.lease(stream.sid, now) !== undefined;
  }

  /**
   * Looks after a body that is piped without JavaScript, which nothing can hold between two
   * chunks: renews ahead of the end of what lets it pass, decides again in time, and cuts it
   * at the end (M4). The answer stops it. `up`: what moves are the user's own bytes (P19).
   */
  guard(stream: LiveStream, up: boolean): () => void {
    const { policy, leases } = this.#parts;
    const end = (): number => Math.min(policy.until, stream.sid === undefined ? Number.POSITIVE_INFINITY : leases.until(stream.sid));
    let timer: ReturnType<typeof setTimeout> | undefined;
    const look = (): void => {
      clearTimeout(timer);
      const now = Date.now();
      const until = end();
      if (up && stream.sid !== undefined) leases.noteActivity(stream.sid, now);
      const { compiled } = policy;
      if (now >= until || compiled === undefined || !(this.passes(stream, now) || this.redecide(stream, compiled) === "stays")) return void cut(stream, "policy");
      const due = Math.min(until, stream.redecideAt) - RENEW_AHEAD_MS;
      if (now >= due) void this.#renewAhead(stream).then(() => end() === 0 && look(), () => undefined);
      timer = setTimeout(look, Math.min(stream.redecideAt, now < due ? due : until, now + (now < due ? LEASE_HOLD_MS : RENEW_RETRY_MS)) - now);
    };
    const others = (): readonly (() => void)[] => (this.#guards.get(stream) ?? []).filter((one) => one !== look);
    this.#guards.set(stream, [...others(), look]);
    look();
    return () => {
      clearTimeout(timer);
      const left = others();
      if (left.length > 0) this.#guards.set(stream, left);
      else this.#guards.delete(stream);
    };
  }

  /** Something was learned or forgotten: every piped body is looked at now. */
  lookAgain(): void {
    for (const look of [...this.#guards.values()].flat()) look();
  }

  async #renewAhead(stream: LiveStream): Promise<void> {
    const { policy, links } = this.#parts;
    if (policy.until - Date.now() <= RENEW_AHEAD_MS) await policy.renew(Date.now);
    const link = links.byId(stream.link);
    // What will run out soon may have been renewed at the session, which told no lane (M5).
    const isDue = Date.now() >= stream.redecideAt - RENEW_AHEAD_MS;
    if (stream.sid !== undefined && link !== undefined) await this.#admissions.lease(stream.sid, stream, link, policy.version, "body", isDue ? LEASE_HOLD_MS : RENEW_AHEAD_MS);
    if (isDue && policy.compiled !== undefined && this.redecide(stream, policy.compiled) !== "stays") cut(stream, "policy");
  }

  #isUsedUp({ limits, sid, ask, bytesIn, bytesOut }: LiveStream): boolean {
    if (limits.maxBytes === undefined) return false;
    return (sid === undefined ? bytesIn + bytesOut : this.#parts.usage.total(sid, ask.app)) >= limits.maxBytes;
  }

  /** False when the stream was cut. One renewal at a time per stream. */
  renew(stream: LiveStream): Promise<boolean> {
    const running = this.#renewals.get(stream.id);
    if (running !== undefined) return running;
    const work = this.#renew(stream)
      .catch(() => cut(stream, "policy"))
      .finally(() => this.#renewals.delete(stream.id));
    this.#renewals.set(stream.id, work);
    return work;
  }

  async #renew(stream: LiveStream): Promise<boolean> {
    for (let attempt = 0; attempt < MAX_RENEW_COUNT; attempt++) {
      if (this.#isUsedUp(stream)) return cut(stream, "limit");
      const policy = await this.#parts.policy.fresh(Date.now);
      if (policy === undefined) return cut(stream, "policy");
      const now = Date.now();
      // What ran out may have been renewed at the session, which told no lane (M5).
      const ahead = now >= stream.redecideAt ? LEASE_HOLD_MS : 0;
      if (stream.sid !== undefined && this.#parts.leases.lease(stream.sid, now + ahead) === undefined) {
        const link = this.#parts.links.byId(stream.link);
        if (link === undefined) return cut(stream, "link");
        const holds = stream.ask.protocol === "http" ? "body" : "sockets";
        const outcome = await this.#admissions.lease(stream.sid, stream, link, policy.version, holds, ahead);
        if (!outcome.ok) return cut(stream, outcome.code === "unavailable" ? "policy" : "revoked");
      }
      if (this.#streams.get(stream.id) === undefined) return false;
      const verdict = this.redecide(stream, policy);
      if (verdict === "ends") return cut(stream, stream.frozenAt === undefined ? "policy" : "step_up");
      if (verdict === "freezes") {
        await this.freezing.wait(stream);
        if (this.#streams.get(stream.id) === undefined) return false;
        // However often it is asked about: MAX_FROZEN_MS bounds it.
        attempt = -1;
        continue;
      }
      // Not so when the wait let a newer policy or a revocation in: then everything is asked anew.
      if (this.passes(stream, Date.now())) return true;
    }
    return cut(stream, "policy");
  }

  /**
   * Synchronous, asks nobody (M10). A stream whose session is not leased passes no byte before a
   * renewal; it ends at once when its last known facts were enough for the `previous` policy and
   * are not for this one.
   */
  redecide(stream: LiveStream, policy: CompiledPolicy, previous?: CompiledPolicy): Verdict {
    const now = Date.now();
    const { leases } = this.#parts;
    const lease = stream.sid === undefined ? undefined : leases.lease(stream.sid, now);
    if (stream.sid === undefined || lease !== undefined) return this.#judge(stream, policy, lease, now);
    stream.redecideAt = 0;
    const last = leases.last(stream.sid);
    if (last === undefined || previous === undefined) return "stays";
    const before = decide(previous, stream.ask, factsOf(last, this.#around(stream)), at(now)).effect;
    return before === "allow" ? this.#judge(stream, policy, last, now) : "stays";
  }

  /** New facts of its session or its app, or old ones that ran out: decided again at once, whatever is leased. */
  observed(stream: LiveStream): Verdict {
    const { policy, leases } = this.#parts;
    return policy.compiled === undefined ? "ends" : this.#judge(stream, policy.compiled, stream.sid === undefined ? undefined : leases.last(stream.sid), Date.now());
  }

  #around({ connection, ask }: LiveStream): Facts["known"] {
    const { targets, losses } = this.#parts;
    return losses.beside(targets.beside(connection, ask.app));
  }

  /** What the newest word allows. The caller cuts what it ends. */
  #judge(stream: LiveStream, policy: CompiledPolicy, lease: HeldLease | undefined, now: number): Verdict {
    const around = this.#around(stream);
    const facts = factsOf(lease, around);
    const decision = decide(policy, stream.ask, facts, at(now));
    const isPiped = this.#guards.has(stream);
    stream.policyVersion = policy.version;
    if (decision.effect === "allow") {
      stream.redecideAt = decision.redecideAt ?? Number.POSITIVE_INFINITY;
      stream.limits = decision.limits;
      this.freezing.thaw(stream);
      // Bytes of a piped body cannot be counted against a limit.
      return isPiped && stream.limits.maxBytes !== undefined ? "ends" : "stays";
    }
    this.#parts.log.add(stream.id, stream.ask, facts, lease, around, decision, now);
    // Nor can it be held.
    const { stepUp } = decision;
    if (stepUp === undefined || isPiped || !this.freezing.mayStay(stream, now)) return "ends";
    this.freezing.freeze(stream, () => ({ ...stepUp, passkey: passkeysThatHelp(policy, stream.ask, facts, at(now)) }), now);
    return "freezes";
  }
}

function cut(stream: LiveStream, why: CutReason): false {
  stream.cut(why);
  return false;
}
