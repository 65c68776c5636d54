/**
 * Session: the shell of the machine beside it. It stores, calls and wakes; it decides nothing.
 * Storage: STORAGE.md "session". Alarm: the session's end; an ending or news to take up again;
 * when a quiet stream must be decided again (watched.ts); what an ended one leaves goes.
 */
import { DurableObject } from "cloudflare:workers";
import type { ReceiptId, SessionId } from "../../core/ids.ts";
import { DAY_MS } from "../../core/time.ts";
import type { CodeRecord } from "../../identity/one-time-code.ts";
import { laneName, type ObjectEnv, signerName } from "../bindings.ts";
import { addReports, type CutReport, NOTHING_CUT } from "../cut-report.ts";
import { LEASE_WAIT_MS, PUSH_ATTEMPT_MS, PUSH_RETRY_MS } from "../lease-terms.ts";
import type { Admitted } from "../signer/rpc.ts";
import type { NewCredential, Renewal, SignIn } from "../user/rpc.ts";
import { joined, type News, NO_SIGNALS, type SignalFacts, takeNews } from "../signal-facts.ts";
import { within } from "../within.ts";
import * as machine from "./machine.ts";
import { dueOf, frozenOf, heard, nextDue, waitingOf, watch } from "./watched.ts";
import type { EndReason, LeaseAnswer, LeaseQuestion, SessionDescription, SessionRpc, SessionSnapshot, ShownCode, Watched } from "./rpc.ts";

const STATE = "session";
const REPORT = "report";
const EARLY = "early";
/** How often an admission is signed anew because something was said meanwhile. */
const MAX_ADMIT_COUNT = 3;

interface LastReport {
  readonly revocation: ReceiptId | "self";
  readonly report: CutReport;
}

/** How long an ended session remembers that it ended; any later call finds nothing, which is a no as well. */
const TOMBSTONE_MS = DAY_MS;

export class Session extends DurableObject<ObjectEnv> implements SessionRpc {
  #cached: machine.SessionState | undefined;
  #running: Promise<CutReport> | undefined;
  #telling: Promise<CutReport> | undefined;
  /** The person's object needs no word that this has ended. */
  #isForgotten = false;

  async create(sid: SessionId, signIn: SignIn, now: number): Promise<boolean> {
    // A tombstone (revoked before it was created) or a second creation: no.
    if (this.#state() !== undefined || this.ctx.storage.kv.get("tombstone") !== undefined) return false;
    // Signals that found no session yet (observe) came in any order with what the user's object adds.
    const early = this.ctx.storage.kv.get(EARLY) as SignalFacts | undefined;
    this.#store(machine.create(sid, early === undefined ? signIn : { ...signIn, signals: joined(signIn.signals ?? NO_SIGNALS, early) }, now));
    this.ctx.storage.kv.delete(EARLY);
    await this.#setAlarm();
    return true;
  }

  async verify(audience: string, hash: string, active = false): Promise<SessionSnapshot | undefined> {
    const now = Date.now();
    const state = this.#state();
    if (state === undefined || !machine.isLive(state, now) || !machine.holds(state, audience, hash, now)) return undefined;
    // Being asked is not being used: a request must not renew what it is then decided by (P19).
    if (active) this.#store(machine.touch(state, now));
    return machine.snapshot(state);
  }

  async mintCode(
    launcher: { audience: string; hash: string },
    record: CodeRecord,
  ): Promise<boolean> {
    const now = Date.now();
    const state = this.#state();
    if (state === undefined || !machine.isLive(state, now) || !machine.holds(state, launcher.audience, launcher.hash, now)) return false;
    this.#store(machine.mintCode(state, record, now));
    return true;
  }

  async redeemCode(shown: ShownCode, credential: NewCredential): Promise<boolean> {
    const now = Date.now();
    const state = this.#state();
    if (state === undefined || !machine.isLive(state, now)) return false;
    const redeemed = machine.redeemCode(state, shown, now);
    const next = redeemed.fits ? machine.addCredential(redeemed.state, credential, now) : redeemed.state;
    this.#store(next ?? redeemed.state);
    return redeemed.fits && next !== undefined;
  }

  async isLive(): Promise<boolean | undefined> {
    const state = this.#state();
    return state && machine.isLive(state, Date.now());
  }

  async signOutHint(proof: { audience: string; hash: string }): Promise<string | undefined> {
    const now = Date.now();
    const state = this.#state();
    return state !== undefined && machine.holds(state, proof.audience, proof.hash, now) ? state.display.idToken : undefined;
  }

  async refresh(renewal: Renewal, credential: NewCredential): Promise<boolean> {
    const now = Date.now();
    const state = this.#state();
    if (state === undefined || !machine.isLive(state, now)) return false;
    const refreshed = machine.refresh(state, renewal, now);
    const next = machine.addCredential(refreshed.state, credential, now);
    if (next === undefined) return false;
    this.#store(next);
    await this.#setAlarm();
    // A lane that is not reached now is told later, or forgets by itself when its lease ends.
    if (refreshed.narrowed) await within(PUSH_ATTEMPT_MS, this.#tellNews());
    else await this.#decideAgain(waitingOf(next.watched), now);
    return true;
  }

  async lease(question: LeaseQuestion): Promise<LeaseAnswer> {
    const state = this.#state();
    if (state === undefined) return { ok: false, epoch: 0, code: "unknown" };
    const over = machine.endedBecause(state, Date.now());
    if (over !== undefined) return { ok: false, epoch: state.epoch, code: over };
    const firstGrant = !question.recorded && !state.granted.includes(question.app);
    // Stored before anything is awaited: a revocation from here on finds this lane (M1). Its bytes count with
    // the answer: a lane that gets none tells them again.
    this.#store(machine.lease(state, { ...question, usedBytes: 0 }, Date.now()));
    // What was signed while something was said of the person speaks of them as they were (M1).
    let [asked, admitted] = [state, await this.#admit(state, question)];
    for (let attempt = 1; this.#state()?.epoch !== asked.epoch && attempt < MAX_ADMIT_COUNT; attempt++) {
      asked = this.#state() ?? asked;
      admitted = await this.#admit(asked, question);
    }
    const now = Date.now();
    const current = this.#state();
    if (current === undefined || !machine.isLive(current, now)) {
      return { ok: false, epoch: current?.epoch ?? 0, code: current === undefined ? "unknown" : (machine.endedBecause(current, now) ?? "revoked") };
    }
    if (current.epoch !== asked.epoch) throw new Error("changed too often");
    // The wait is counted from the answer (M9): the awaited calls above took time.
    const { state: leased, event } = machine.noteUse(machine.lease(current, question, now), question, now);
    this.#store(leased);
    // After the answer, upward (M10): what it changes comes back as a signal.
    if (event !== undefined) this.ctx.waitUntil(this.env.USER.getByName(leased.owner).note(event).catch(() => undefined));
    return { ok: true, snapshot: machine.snapshot(leased), admitted, firstGrant, usedBytes: leased.used[question.app] ?? 0 };
  }

  #admit(state: machine.SessionState, question: LeaseQuestion): Promise<Admitted> {
    const { display } = state;
    const facts = machine.factsOf(state);
    const groups = facts["groups"]?.value;
    const amr = (facts["mfa"]?.value as { methods?: string[] } | undefined)?.methods;
    return this.env.SIGNER.getByName(signerName(state.sid)).admit({
      sid: state.sid,
      app: question.app,
      site: question.site,
      epoch: state.epoch,
      policyVersion: question.policyVersion,
      connector: question.connector,
      issuer: question.issuer,
      assert: true,
      user: {
        // Ours, not the provider's: the same for ever, and never another provider's or a service's.
        sub: state.subject.kind === "service" ? `service:${state.subject.id}` : state.subject.id,
        ...(display.email === undefined ? {} : { email: display.email }),
        ...(Array.isArray(groups) ? { groups: groups as string[] } : {}),
        ...(amr === undefined ? {} : { amr }),
      },
    });
  }

  async observe(news: News, at: number): Promise<CutReport> {
    const now = Date.now();
    const state = this.#state();
    if (state === undefined) {
      // Registered and about to be created, or long gone: kept as long as a tombstone.
      this.ctx.storage.kv.put(EARLY, takeNews((this.ctx.storage.kv.get(EARLY) as SignalFacts | undefined) ?? NO_SIGNALS, news, at, now));
      await this.ctx.storage.setAlarm(now + TOMBSTONE_MS);
      return NOTHING_CUT;
    }
    if (state.ended !== undefined) return state.ending === undefined ? NOTHING_CUT : this.#finishEnding();
    const observed = machine.observe(state, news, at, now);
    this.#store(observed.state);
    await this.#setAlarm();
    if (observed.state.news !== undefined) return this.#tellNews();
    return this.#decideAgain(waitingOf(observed.state.watched), now);
  }

  async watch(one: Watched): Promise<void> {
    const state = this.#state();
    if (state === undefined || state.ended !== undefined) return;
    this.#store({ ...state, watched: watch(state.watched ?? [], one) });
    await this.#setAlarm();
  }

  /** The next moment at which this object has something to do by itself. */
  async #setAlarm(): Promise<void> {
    const state = this.#state();
    if (state === undefined || state.ended !== undefined) return;
    const retold = state.news === undefined ? Number.POSITIVE_INFINITY : Date.now() + PUSH_ATTEMPT_MS;
    await this.ctx.storage.setAlarm(Math.min(state.endsAt, state.lastActiveAt + state.idleMs, retold, nextDue(state.watched ?? [], machine.factsOf(state))));
  }

  async end(reason: EndReason, revocation: ReceiptId | "self", isForgotten = false): Promise<CutReport> {
    this.#isForgotten ||= isForgotten;
    const now = Date.now();
    const state = this.#state();
    if (state === undefined) {
      this.ctx.storage.kv.put("tombstone", now);
      await this.ctx.storage.setAlarm(now + TOMBSTONE_MS);
      return NOTHING_CUT;
    }
    const ended = machine.end(state, reason, revocation, now);
    if (ended !== undefined) {
      this.#store(ended);
      // Whom no lane knows ends in one write: a person may have a thousand sessions.
      if (ended.ending?.waiting.length !== 0) await this.ctx.storage.setAlarm(now + PUSH_ATTEMPT_MS);
    } else if (state.ending === undefined) return this.#lastReport(revocation);
    return this.#finishEnding();
  }

  async describe(): Promise<SessionDescription | undefined> {
    const state = this.#state();
    if (state === undefined) return undefined;
    const now = Date.now();
    const lanes = new Map(state.leases.map((one) => [laneName(one.site, one.lane), one]));
    const answers = await Promise.all(
      [...lanes.keys()].map((name) => within(PUSH_ATTEMPT_MS, this.env.TUNNEL.getByName(name).streams(state.sid))),
    );
    const ended = machine.endedBecause(state, now);
    return {
      id: state.sid,
      subject: state.subject,
      display: machine.snapshot(state).display,
      startedAt: state.startedAt,
      expiresAt: state.endsAt,
      ...(ended === undefined ? {} : { ended }),
      facts: { ...machine.factsOf(state), ...state.connection },
      streams: answers.flatMap((one) => one?.streams ?? []),
    };
  }

  override async alarm(): Promise<void> {
    const now = Date.now();
    let state = this.#state();
    if (state === undefined || (state.ended !== undefined && state.ending === undefined)) {
      await this.ctx.storage.deleteAll();
      this.#cached = undefined;
      return;
    }
    if (state.ended !== undefined) {
      await this.#finishEnding();
      return;
    }
    if (now >= state.lastActiveAt + state.idleMs && now < state.endsAt) state = await this.#askForActivity(state);
    const over = machine.endedBecause(state, now);
    if (over !== undefined) return void (await this.end(over, "self"));
    if (state.news !== undefined) await this.#tellNews();
    const watched = this.#state()?.watched;
    if (watched !== undefined) await this.#decideAgain(dueOf(watched, machine.factsOf(state), now), now);
    await this.#setAlarm();
  }

  /** What quiet streams depend on ran out and nobody renewed it, or what frozen ones wait for may have come: their lanes decide again (P18). */
  async #decideAgain(due: readonly Watched[], now: number): Promise<CutReport> {
    const state = this.#state();
    if (state === undefined || state.ended !== undefined || due.length === 0) return NOTHING_CUT;
    const lanes = new Map(due.map((one) => [laneName(one.site, one.lane), one]));
    const answers = await Promise.all([...lanes.keys()].map(async (name) => [name, await this.#tellSnapshot(name, state)] as const));
    const report = addReports(answers.flatMap(([, answer]) => answer ?? []));
    const latest = this.#state();
    if (latest === undefined || latest.ended !== undefined) return report;
    let watched = latest.watched ?? [];
    for (const [name, answer] of answers) if (answer !== undefined) watched = heard(watched, state.watched, name);
    // A lane that was not reached is asked again; what lanes told while they were asked stands.
    this.#store({ ...latest, watched: watched.map((one) => (due.includes(one) ? { ...one, deadlines: [{ at: now + PUSH_ATTEMPT_MS }] } : one)) });
    return report;
  }

  #tellSnapshot(name: string, state: machine.SessionState): Promise<CutReport | undefined> {
    return within(PUSH_ATTEMPT_MS, this.env.TUNNEL.getByName(name).observe(machine.snapshot(state), frozenOf(state.watched, name)));
  }

  /** Tells every lane of new facts until all decided again or their leases ran out. One run at a time; what comes meanwhile joins it. */
  #tellNews(): Promise<CutReport> {
    this.#telling ??= this.#tellNewsToAll().finally(() => {
      this.#telling = undefined;
    });
    return this.#telling;
  }

  async #tellNewsToAll(): Promise<CutReport> {
    for (;;) {
      const state = this.#state();
      if (state?.news === undefined) return NOTHING_CUT;
      const lanes = new Map(state.news.waiting.map((one) => [laneName(one.site, one.lane), one]));
      await Promise.all([...lanes.entries()].map(([name, one]) => this.#tellLane(name, one, "news")));
      const latest = this.#state();
      // It ended meanwhile: whoever waits for the news waits for that.
      if (latest?.ended !== undefined) return latest.ending === undefined ? NOTHING_CUT : this.#finishEnding();
      if (latest?.news === undefined) return NOTHING_CUT;
      if (latest.news.waiting.length > 0) continue;
      const { news, ...rest } = latest;
      this.#store(rest);
      return news.report;
    }
  }

  /** Before a session ends for idleness, its lanes say when the user last sent a byte (P19). */
  async #askForActivity(before: machine.SessionState): Promise<machine.SessionState> {
    const answers = await Promise.all(
      before.leases.map((one) => within(PUSH_ATTEMPT_MS, this.env.TUNNEL.getByName(laneName(one.site, one.lane)).streams(before.sid))),
    );
    const latest = Math.max(0, ...answers.map((one) => one?.lastActiveAt ?? 0));
    const state = this.#state() ?? before;
    const next = machine.touch(state, Math.min(latest, Date.now()));
    if (next !== state) this.#store(next);
    return next;
  }

  /** Tells every lane until all confirmed or their leases ran out. One run at a time; repeating gives the same report. */
  #finishEnding(): Promise<CutReport> {
    this.#running ??= this.#tellLanes().finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  async #tellLanes(): Promise<CutReport> {
    const ending = this.#state()?.ending;
    if (ending === undefined) return NOTHING_CUT;
    const lanes = new Map(ending.waiting.map((one) => [laneName(one.site, one.lane), one]));
    if (lanes.size > 0) await Promise.all([...lanes.entries()].map(([name, one]) => this.#tellLane(name, one)));
    const state = this.#state();
    const report = state?.ending?.report ?? NOTHING_CUT;
    if (state?.ending !== undefined) {
      const { ending: _done, ...rest } = state;
      this.#store(rest);
      this.ctx.storage.kv.put(REPORT, { revocation: ending.revocation, report } satisfies LastReport);
      await this.ctx.storage.setAlarm(Date.now() + TOMBSTONE_MS);
      // Nobody is called upward before the answer (M10).
      if (!this.#isForgotten) this.ctx.waitUntil(this.env.USER.getByName(state.owner).forget(state.sid).catch(() => undefined));
    }
    return report;
  }

  /** What this revocation did when it was asked for before; another one finds nothing left to end. */
  #lastReport(revocation: ReceiptId | "self"): CutReport {
    const last = this.ctx.storage.kv.get(REPORT) as LastReport | undefined;
    return last?.revocation === revocation ? last.report : NOTHING_CUT;
  }

  async #tellLane(name: string, lane: machine.Lease, told: "ending" | "news" = "ending"): Promise<void> {
    for (;;) {
      const state = this.#state();
      const telling = state?.[told];
      if (state === undefined || telling === undefined) return;
      const answer = await (told === "news"
        ? this.#tellSnapshot(name, state)
        : within(PUSH_ATTEMPT_MS, this.env.TUNNEL.getByName(name).endSession(state.sid, state.epoch, state.ended?.reason ?? "revoked")));
      const now = Date.now();
      const latest = this.#state();
      const still = latest?.[told];
      if (latest === undefined || still === undefined) return;
      const leaseEnd = Math.max(...still.waiting.filter((one) => laneName(one.site, one.lane) === name).map((one) => one.until), lane.until);
      if (answer !== undefined) {
        // Newer facts came meanwhile: what this lane did counts, and it is told once more.
        const confirmed = machine.confirm(latest, lane, answer, now, told);
        const again = latest.epoch !== state.epoch && told === "news";
        if (!again) return this.#store(told === "news" ? { ...confirmed, watched: heard(confirmed.watched ?? [], state.watched, name) } : confirmed);
        this.#store({ ...confirmed, news: { ...still, report: addReports([still.report, { ...answer, slowestMs: now - still.startedAt }]) } });
        continue;
      }
      if (now >= Math.min(leaseEnd, telling.startedAt + LEASE_WAIT_MS)) {
        this.#store(machine.confirm(latest, lane, "lease_over", now, told));
        return;
      }
      await new Promise((resolve) => setTimeout(resolve, PUSH_RETRY_MS));
    }
  }

  #state(): machine.SessionState | undefined {
    this.#cached ??= this.ctx.storage.kv.get(STATE) as machine.SessionState | undefined;
    return this.#cached;
  }

  #store(state: machine.SessionState): void {
    this.ctx.storage.kv.put(STATE, state);
    this.#cached = state;
  }
}
