/**
 * User: one person or service, and the sessions that are theirs. A session counts only after it
 * was registered here (M1); revoking the user ends every one of them and refuses sign-ins begun
 * before. What signals and their own use say of the person is told to every session. Alarm: a sign
 * of risk stops to count, or some session may not have heard of the risk. Their passkeys are
 * passkey-desk.ts. Storage: STORAGE.md "user".
 */
import { DurableObject } from "cloudflare:workers";
import type { ReceiptId, SessionId } from "../../core/ids.ts";
import { parseSessionId } from "../../core/ids.ts";
import type { Json } from "../../core/json.ts";
import { at } from "../../core/time.ts";
import type { Fact } from "../../policy/facts.ts";
import { type ObjectEnv, sessionOf } from "../bindings.ts";
import { addReports, type CutReport } from "../cut-report.ts";
import type { News } from "../signal-facts.ts";
import { PasskeyDesk } from "./passkey-desk.ts";
import * as machine from "./machine.ts";
import { assess, heed, NO_RISK, report, type RiskState } from "./risk/assess.ts";
import type { PasskeyAnswer, PasskeyAsk, PasskeyChallenge, PasskeyShown, RiskEvent, SignIn, UserRpc } from "./rpc.ts";

const STATE = "user";
const RISK = "risk";
/** There is a word of risk that some session may not have heard: it is said to all again. */
const OWED = "risk-owed";
const RETELL_MS = 5_000;
/** Sessions that ended are gathered for so long. */
const FORGET_MS = 1_000;
const RISK_FACT = "risk";
/** Why it is so, in the codes of risk/: for the record and for `explain`. */
const REASONS_FACT = "risk.reasons";

interface Judged {
  readonly judged: machine.UserState;
  /** What of it is news to live sessions. */
  readonly news: News;
  /** Which word of risk that is, of this instance. */
  readonly word?: number;
}

export class User extends DurableObject<ObjectEnv> implements UserRpc {
  #cached: machine.UserState | undefined;
  #forgetting: ReturnType<typeof setTimeout> | undefined;
  readonly #desk = new PasskeyDesk(this.ctx.storage.kv, this.env, ({ sid }) => this.#holds(sid));
  /** Words of risk so far: an older one that all heard says nothing of a newer one. */
  #words = 0;

  async signIn(request: SignIn): Promise<{ ok: true; sid: SessionId } | { ok: false; code: "revoked" | "full" }> {
    const id = request.sessionName === undefined ? this.env.SESSION.newUniqueId() : this.env.SESSION.idFromName(request.sessionName);
    const sid = parseSessionId(id.toString());
    if (sid === undefined) return { ok: false, code: "full" };
    const now = Date.now();
    const registered = machine.register(this.#state(), sid, request.attemptStartedAt, request.endsAt, now);
    if (!registered.ok) return { ok: false, code: registered.code };
    const risen: Judged = request.from === undefined ? { judged: registered.state, news: {} } : this.#risen(registered.state, { ...request.from, kind: "sign_in", at: now, sid });
    // Registered before it is created: a revocation between the two leaves a tombstone there.
    this.#store(risen.judged);
    const { signals, sessions } = risen.judged;
    const created = await this.env.SESSION.get(id).create(sid, signals === undefined ? request : { ...request, signals }, now);
    // The person's other sessions hear of what this sign-in says of all of them; who could not be told is no reason to refuse it.
    await this.#tell(risen, now, sessions.filter((one) => one.sid !== sid)).catch(() => undefined);
    if (!created || !this.#state().sessions.some((one) => one.sid === sid)) return { ok: false, code: "revoked" };
    return { ok: true, sid };
  }

  async renew(sid: SessionId, { attemptStartedAt, endsAt, from }: Parameters<UserRpc["renew"]>[1]): Promise<boolean> {
    const state = machine.renew(this.#state(), sid, attemptStartedAt, endsAt);
    if (state === undefined) return false;
    const now = Date.now();
    const risen: Judged = from === undefined ? { judged: state, news: {} } : this.#risen(state, { ...from, kind: "sign_in", at: now, sid });
    this.#store(risen.judged);
    await this.#tell(risen, now).catch(() => undefined);
    return true;
  }

  async sessions(): Promise<readonly SessionId[]> {
    return this.#state().sessions.map((one) => one.sid);
  }

  async revoke(revocation: ReceiptId, passkeys = false, when = Date.now()): Promise<CutReport> {
    if (passkeys) this.#desk.forget();
    const { state, ending } = machine.revoke(this.#state(), when);
    this.#store(state);
    const reports = await Promise.all(
      ending.map((sid) => sessionOf(this.env, sid).end("revoked", revocation, true)),
    );
    this.#store(machine.ended(this.#state(), ending));
    return addReports(reports);
  }

  async observe(news: News, when: number): Promise<CutReport> {
    const { [RISK_FACT]: reported, ...rest } = news;
    if (reported !== undefined) this.#storeRisk(report(this.#risk(), reported, when));
    const state = machine.observe(this.#state(), rest, when, Date.now());
    const judged = this.#judged(state, Date.now());
    this.#store(judged.judged);
    return this.#tell({ ...judged, news: { ...rest, ...judged.news } }, when);
  }

  async note(event: RiskEvent): Promise<void> {
    const state = this.#state();
    const risen = this.#risen(state, event);
    if (risen.judged !== state) this.#store(risen.judged);
    await this.#tell(risen, Date.now());
  }

  /** A sign of risk, or what was reported, stops to count; or what is owed is said again, and the alarm for the next time is set. */
  override async alarm(): Promise<void> {
    const now = Date.now();
    const judged = this.#judged(this.#state(), now);
    this.#store(judged.judged);
    await this.#tell(judged, now).catch(() => undefined);
  }

  async #tell({ judged, news, word }: Judged, when: number, to = judged.sessions): Promise<CutReport> {
    if (Object.keys(news).length === 0) return addReports([]);
    const reports = await Promise.all(to.map(({ sid }) => sessionOf(this.env, sid).observe(news, when)));
    if (word === this.#words) this.ctx.storage.kv.delete(OWED);
    return addReports(reports);
  }

  #risen(state: machine.UserState, event: RiskEvent): Judged {
    this.#storeRisk(heed(this.#risk(), { ...event, live: state.sessions.map(({ sid }) => sid) }));
    return this.#judged(state, Date.now());
  }

  /** The state with what the risk is now among its facts, and what of that is news. An alarm stands before anybody is told. */
  #judged(state: machine.UserState, now: number): Judged {
    const { kv } = this.ctx.storage;
    const assessed = assess(this.#risk(), now);
    const known = state.signals?.facts;
    const said = [known?.[RISK_FACT]?.value, known?.[REASONS_FACT]?.value];
    const isNews = kv.get(OWED) !== undefined || JSON.stringify(said) !== JSON.stringify([assessed?.level, assessed?.reasons]);
    const next = isNews ? now + RETELL_MS : (assessed?.until ?? Infinity);
    if (next !== Infinity) void this.ctx.storage.setAlarm(next);
    if (!isNews) return { judged: state, news: {} };
    kv.put(OWED, true);
    const fact = (value: Json | undefined): Fact | null => (value === undefined ? null : { value, source: "postern", observedAt: at(now) });
    const news = { [RISK_FACT]: fact(assessed?.level), [REASONS_FACT]: fact(assessed?.reasons) };
    return { judged: machine.observe(state, news, now, now), news, word: ++this.#words };
  }

  #risk(): RiskState {
    return (this.ctx.storage.kv.get(RISK) as RiskState | undefined) ?? NO_RISK;
  }

  #storeRisk(risk: RiskState): void {
    this.ctx.storage.kv.put(RISK, risk);
  }

  async forget(sid: SessionId): Promise<void> {
    // One that a revocation of all ended is no longer among them.
    if (!this.#holds(sid)) return;
    this.#cached = machine.forget(this.#state(), sid);
    // Those that end together go with one write; one that is not written is over all the same, and goes when its time is.
    if (this.#forgetting !== undefined) return;
    this.#forgetting = setTimeout(() => {
      this.#forgetting = undefined;
      this.#store(this.#state());
    }, FORGET_MS);
  }

  async passkeys(): Promise<readonly PasskeyShown[]> {
    return this.#desk.state.keys;
  }

  async askPasskey(asked: PasskeyAsk): Promise<PasskeyChallenge> {
    return this.#desk.ask(asked);
  }

  async answerPasskey(asked: PasskeyAsk, answered: Parameters<UserRpc["answerPasskey"]>[1]): Promise<PasskeyAnswer> {
    return this.#desk.answer(asked, answered);
  }

  async removePasskey(asked: PasskeyAsk, id: string): Promise<PasskeyAnswer> {
    return this.#desk.remove(asked, id);
  }

  #holds(sid: SessionId): boolean {
    return this.#state().sessions.some((one) => one.sid === sid);
  }

  #state(): machine.UserState {
    return (this.#cached ??= (this.ctx.storage.kv.get(STATE) as machine.UserState | undefined) ?? machine.EMPTY);
  }

  #store(state: machine.UserState): void {
    this.ctx.storage.kv.put(STATE, state);
    this.#cached = state;
  }
}
