/**
 * While a stream lives: may its next byte pass, and if what said so ran out, who says so now (M4,
 * M7). It decides again with the newest policy and facts, and cuts what nothing allows any more.
 */
import type { RequestId, SessionId } from "../../core/ids.ts";
import { at } from "../../core/time.ts";
import type { CompiledPolicy } from "../../policy/compile.ts";
import { decide } from "../../policy/decide.ts";
import { type Admissions, factsOf, type LaneParts } from "./admission.ts";
import type { CutReason, LiveStream, StreamTable } from "./live-stream.ts";

export class Freshness {
  readonly #parts: LaneParts;
  readonly #admissions: Admissions;
  readonly #streams: StreamTable;
  readonly #renewals = new Map<RequestId, Promise<boolean>>();

  constructor(parts: LaneParts, admissions: Admissions, streams: StreamTable) {
    this.#parts = parts;
    this.#admissions = admissions;
    this.#streams = streams;
  }

  /** A few comparisons per chunk: deadline, version, both leases, bytes left. */
  passes(stream: LiveStream, now: number): boolean {
    const { policy, leases } = this.#parts;
    // Decided under an older version than this lane now holds a lease on: not by anybody's push, so decide again (M7).
    if (stream.policyVersion !== policy.version) return false;
    if (now >= stream.redecideAt || !policy.isFresh(now) || this.#isUsedUp(stream)) return false;
    return stream.sid === undefined || leases.lease(stream.sid, now) !== undefined;
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
    if (this.#isUsedUp(stream)) return cut(stream, "limit");
    const policy = await this.#parts.policy.fresh(Date.now);
    if (policy === undefined) return cut(stream, "policy");
    if (stream.sid !== undefined && this.#parts.leases.lease(stream.sid, Date.now()) === undefined) {
      const link = this.#parts.links.byId(stream.link);
      if (link === undefined) return cut(stream, "link");
      const holds = stream.ask.protocol === "http" ? "body" : "sockets";
      const outcome = await this.#admissions.lease(stream.sid, stream, link, policy.version, holds);
      if (!outcome.ok) return cut(stream, outcome.code === "unavailable" ? "policy" : "revoked");
    }
    if (this.#streams.get(stream.id) === undefined) return false;
    return this.redecide(stream, policy) || cut(stream, "policy");
  }

  /**
   * Synchronous, asks nobody (M10). A stream whose session is not leased passes no byte before a
   * renewal; it ends at once when its last known facts were enough for the `previous` policy and
   * are not for this one. False: nothing allows it any more, and the caller cuts it.
   */
  redecide(stream: LiveStream, policy: CompiledPolicy, previous?: CompiledPolicy): boolean {
    const now = Date.now();
    const lease = stream.sid === undefined ? undefined : this.#parts.leases.lease(stream.sid, now);
    if (stream.sid !== undefined && lease === undefined) {
      stream.redecideAt = 0;
      return !this.#takesAway(stream, stream.sid, policy, previous, now);
    }
    const facts = factsOf(lease, stream.connection);
    const decision = decide(policy, stream.ask, facts, at(now));
    if (decision.effect !== "allow") {
      this.#parts.log.add(stream.id, stream.ask, facts, lease, stream.connection, decision, now);
      return false;
    }
    stream.redecideAt = decision.redecideAt ?? Number.POSITIVE_INFINITY;
    stream.limits = decision.limits;
    stream.policyVersion = policy.version;
    return true;
  }

  #takesAway(stream: LiveStream, sid: SessionId, policy: CompiledPolicy, previous: CompiledPolicy | undefined, now: number): boolean {
    const last = this.#parts.leases.last(sid);
    if (last === undefined || previous === undefined) return false;
    const facts = factsOf(last, stream.connection);
    if (decide(previous, stream.ask, facts, at(now)).effect !== "allow") return false;
    const decision = decide(policy, stream.ask, facts, at(now));
    if (decision.effect === "allow") return false;
    this.#parts.log.add(stream.id, stream.ask, facts, last, stream.connection, decision, now);
    return true;
  }
}

function cut(stream: LiveStream, why: CutReason): false {
  stream.cut(why);
  return false;
}
