/**
 * Everything that a stream needs before it may open: a policy and a session under live leases, a
 * decision on both, a connector, and the first grant on record. Looks again after every wait, so
 * that what was checked still holds when it returns (M1).
 */
import type { SessionId, SiteId } from "../../core/ids.ts";
import { at } from "../../core/time.ts";
import type { CompiledPolicy } from "../../policy/compile.ts";
import { decide } from "../../policy/decide.ts";
import type { Decision } from "../../policy/decision.ts";
import type { Ask, Fact, Facts } from "../../policy/facts.ts";
import { FIRST_GRANT } from "../../policy/losses.ts";
import { sessionFacts } from "../../policy/session-facts.ts";
import { decisionEvent, isBreakGlass } from "../audit/decision-event.ts";
import { recordNow } from "../audit/record.ts";
import { laneName, type ObjectEnv, sessionOf, signerName } from "../bindings.ts";
import { LEASE_HOLD_MS } from "../lease-terms.ts";
import type { LeaseAnswer } from "../session/rpc.ts";
import type { Admitted } from "../signer/rpc.ts";
import type { ConnectorLink } from "./connector-link.ts";
import type { ConnectorLinks } from "./connector-links.ts";
import type { DecisionLog } from "./decision-log.ts";
import type { HeldLease, LeaseOutcome, LeaseTable } from "./lease-table.ts";
import type { PolicyHold } from "./policy-hold.ts";
import type { Losses } from "./losses.ts";
import type { OpenContext, Refusal } from "./rpc.ts";
import type { Targets } from "./targets.ts";
import type { Usage } from "./usage.ts";

/** What a lane is made of, shared by the parts beside tunnel.ts. */
export interface LaneParts {
  readonly env: ObjectEnv;
  readonly nonce: string;
  readonly policy: PolicyHold;
  readonly leases: LeaseTable;
  readonly usage: Usage;
  readonly links: ConnectorLinks;
  readonly targets: Targets;
  readonly losses: Losses;
  readonly log: DecisionLog;
  /** Undefined until the first call names this lane. */
  readonly lane: () => { readonly site: SiteId; readonly lane: number } | undefined;
}

export interface Admission {
  readonly policy: CompiledPolicy;
  readonly decision: Decision;
  readonly admitted: Admitted;
  readonly link: ConnectorLink;
}

/** Who asks for a lease: an open, or a live stream that renews. */
export interface Asker {
  readonly ask: Ask;
  readonly issuer: string;
  readonly connection: { readonly [name: string]: Fact };
}

export type Holds = "sockets" | "body";

/** How often an open is tried again because what it was decided on changed meanwhile. */
const MAX_ADMIT_COUNT = 5;
/** Bounds grants remembered between leases; one that is forgotten is recorded once more. */
const MAX_GRANTS_COUNT = 20_000;
/** Bounds admissions of public paths kept at once. */
const MAX_PUBLIC_COUNT = 1_000;
/** Stands for "nobody" in an admission of a public path. */
const PUBLIC_SID = "0".repeat(64) as SessionId;

export class Admissions {
  readonly #parts: LaneParts;
  /** First grants that wait for their record, and those that this lane stored; the session hears of them with the next lease. */
  readonly #owed = new Set<string>();
  readonly #recorded = new Set<string>();
  readonly #public = new Map<string, { readonly admitted: Admitted; readonly until: number }>();

  constructor(parts: LaneParts) {
    this.#parts = parts;
  }

  /** `besides`: a connector that lost the request already. */
  async admit(open: OpenContext, holds: Holds, besides?: ConnectorLink): Promise<Admission | Refusal> {
    const { policy: hold, leases, links, targets, losses, log, env } = this.#parts;
    let isConfirmed = false;
    let isAsked = false;
    for (let attempt = 0; attempt < MAX_ADMIT_COUNT; attempt++) {
      if (log.overloaded) return { code: "overloaded", policyVersion: hold.version };
      const policy = await hold.fresh(Date.now);
      if (policy === undefined) return hold.version > 0 ? { code: "control_lost", policyVersion: hold.version } : { code: "unavailable", policyVersion: 0, detail: "no policy" };
      // The edge acted on an older document: its settings of the app may be old too (M7).
      const seen = open.stamp?.policyVersion ?? policy.version;
      if (seen < policy.version) return { code: "stale", policyVersion: policy.version };
      if (seen > policy.version) {
        await hold.renew(Date.now);
        continue;
      }
      const link = links.choose(besides, open.connector);
      if (link === undefined) return { code: "no_connector", policyVersion: policy.version };
      const wasLeased = open.sid !== undefined && leases.lease(open.sid, Date.now()) !== undefined;
      const known = await this.#known(open, policy, link, holds);
      if ("code" in known) return known;
      await targets.settled(open.ask.app);
      if (!this.#stillHolds(open, policy, link)) continue;
      const now = Date.now();
      const lease = open.sid === undefined ? undefined : leases.lease(open.sid, now);
      const { revision } = targets;
      const asked = losses.beside(targets.beside(open.connection, open.ask.app));
      const around = losses.has("audit") && this.#isFirst(open, known.firstGrant) ? { ...asked, [FIRST_GRANT]: { value: true, source: "postern", observedAt: at(now) } } : asked;
      const facts = factsOf(lease, around);
      const decision = decide(policy, open.ask, facts, at(now));
      if (decision.effect !== "allow") {
        // Ages may have been renewed at the session, which told no lane (M5): a denial is by its newest word (M7).
        if (open.sid !== undefined && wasLeased && !isConfirmed) {
          isConfirmed = true;
          await this.lease(open.sid, open, link, policy.version, holds, LEASE_HOLD_MS);
          continue;
        }
        const { reason } = decision;
        // Control may know by now that the provider is back.
        if (reason === "identity_lost" && !isAsked) {
          isAsked = true;
          await hold.renew(Date.now);
          continue;
        }
        if (reason === "audit_lost" || reason === "control_lost" || reason === "identity_lost") {
          // Said to nobody whom the policy would not let in. It waits for the record like an allow, and is refused like one when too much does.
          log.add(open.request, open.ask, facts, lease, around, decision, now);
          return { code: reason, policyVersion: policy.version };
        }
        if (open.sid !== undefined) await recordNow(env, open.sid, decisionEvent(open.request, open.ask, facts, decision, now));
        const active = lease === undefined ? {} : { lastActiveAt: lease.lastActiveAt };
        return { code: decision.effect === "step_up" ? "step_up" : "denied", policyVersion: policy.version, ...active, ...(open.sid === undefined ? {} : { recorded: true }) };
      }
      const { maxBytes } = decision.limits;
      if (maxBytes !== undefined && open.sid !== undefined && this.#parts.usage.total(open.sid, open.ask.app) >= maxBytes) {
        return { code: "limit_reached", policyVersion: policy.version };
      }
      if (this.#isFirst(open, known.firstGrant) || isBreakGlass(facts.subject)) {
        try {
          await recordNow(env, open.sid ?? "", decisionEvent(open.request, open.ask, facts, decision, now));
        } catch {
          return { code: "audit_lost", policyVersion: policy.version };
        }
        if (open.sid !== undefined) this.#storedGrant(grantOf(open.sid, open.ask.app));
        // The wait may have let a revocation in: the next round takes the lease from the table.
        if (!this.#stillHolds(open, policy, link) || targets.revision !== revision) continue;
      } else log.add(open.request, open.ask, facts, lease, around, decision, now);
      if (open.sid !== undefined) this.#parts.usage.opened(open.sid, open.ask.app);
      return { policy, decision, admitted: known.admitted, link };
    }
    return { code: "unavailable", policyVersion: hold.version, detail: "changed too often" };
  }

  /** Not on record as granted before, as far as the session was told and this lane knows. */
  #isFirst({ sid, ask }: OpenContext, firstGrant: boolean): boolean {
    if (sid === undefined) return false;
    const grant = grantOf(sid, ask.app);
    if (firstGrant && !this.#recorded.has(grant)) this.#owed.add(grant);
    return this.#owed.has(grant);
  }

  #storedGrant(grant: string): void {
    if (this.#recorded.size >= MAX_GRANTS_COUNT) this.#recorded.clear();
    if (this.#owed.size >= MAX_GRANTS_COUNT) this.#owed.clear();
    this.#recorded.add(grant);
    this.#owed.delete(grant);
  }

  /** Synchronous: the policy is the newest and leased, the session is leased, the connector is there. */
  #stillHolds(open: OpenContext, policy: CompiledPolicy, link: ConnectorLink): boolean {
    const { policy: hold, leases, links } = this.#parts;
    const now = Date.now();
    const leased = open.sid === undefined || leases.lease(open.sid, now) !== undefined;
    return leased && hold.isFresh(now) && hold.version === policy.version && links.holds(link) && !link.draining;
  }

  async #known(open: OpenContext, policy: CompiledPolicy, link: ConnectorLink, holds: Holds): Promise<{ admitted: Admitted; firstGrant: boolean } | Refusal> {
    const { sid, ask, issuer } = open;
    if (sid === undefined) return { admitted: await this.#publicAdmission(ask, policy.version, link, issuer), firstGrant: false };
    const outcome = await this.lease(sid, open, link, policy.version, holds);
    if (outcome.ok) return { admitted: outcome.admission, firstGrant: outcome.firstGrant };
    return { code: outcome.code === "unavailable" ? "unavailable" : "revoked", policyVersion: policy.version, detail: outcome.code };
  }

  /** A lease on a session, asking it when there is none. Callers look at the table again afterwards. */
  async lease(sid: SessionId, asker: Asker, link: ConnectorLink, policyVersion: number, holds: Holds, aheadMs = 0): Promise<LeaseOutcome> {
    const key = { sid, app: asker.ask.app, connector: link.thumbprint, policyVersion, issuer: asker.issuer };
    const { leases } = this.#parts;
    const outcome = await leases.ensure(key, () => this.#askSession(sid, asker, link.thumbprint, policyVersion, holds), Date.now, aheadMs);
    if (holds === "sockets") leases.keep(sid);
    return outcome;
  }

  async #askSession(sid: SessionId, asker: Asker, connector: string, policyVersion: number, holds: Holds): Promise<LeaseAnswer> {
    const { env, leases, nonce, usage } = this.#parts;
    const lane = this.#parts.lane();
    if (lane === undefined) throw new Error("a lane without a name");
    const { app } = asker.ask;
    const usedBytes = usage.tell(sid, app);
    const question = {
      v: 1 as const,
      ...lane,
      nonce,
      holds,
      app,
      connector,
      policyVersion,
      issuer: asker.issuer,
      connection: asker.connection,
      lastActiveAt: leases.last(sid)?.lastActiveAt ?? 0,
      usedBytes,
      requests: usage.tellRequests(sid, app),
      recorded: this.#recorded.has(grantOf(sid, app)),
    };
    try {
      const answer = await sessionOf(env, sid).lease(question);
      // What the session knows now need not be remembered here.
      if (answer.ok && question.recorded) this.#recorded.delete(grantOf(sid, app));
      if (answer.ok) usage.learn(sid, app, answer.usedBytes);
      return answer;
    } catch (cause) {
      usage.untell(sid, app, usedBytes);
      throw cause;
    }
  }

  async #publicAdmission({ app }: Ask, policyVersion: number, link: ConnectorLink, issuer: string): Promise<Admitted> {
    const key = `${app}\n${policyVersion}\n${link.thumbprint}\n${issuer}`;
    const now = Date.now();
    const held = this.#public.get(key);
    if (held !== undefined && now < held.until) return held.admitted;
    const lane = this.#parts.lane();
    if (lane === undefined) throw new Error("a lane without a name");
    const admitted = await this.#parts.env.SIGNER.getByName(signerName(laneName(lane.site, lane.lane))).admit({
      sid: PUBLIC_SID,
      app,
      site: lane.site,
      epoch: 0,
      policyVersion,
      connector: link.thumbprint,
      issuer,
      assert: false,
      user: { sub: "" },
    });
    if (this.#public.size >= MAX_PUBLIC_COUNT) this.#public.clear();
    this.#public.set(key, { admitted, until: now + admitted.usableMs });
    return admitted;
  }
}

const grantOf = (sid: SessionId, app: string): string => `${sid}\n${app}`;

/** What a decision on a stream looks at: the lease's facts, and those of the stream's own connection (P17) and of its app. */
export function factsOf(lease: HeldLease | undefined, connection: { readonly [name: string]: Fact }): Facts {
  return sessionFacts(lease === undefined ? undefined : { ...lease.snapshot, lastActiveAt: lease.lastActiveAt }, connection);
}
