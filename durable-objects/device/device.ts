/**
 * Device: the shell of the machine beside it. It stores, verifies and tells the bound sessions; an
 * unchanged report is stored by nobody but them. Storage: one record (STORAGE.md "device"). Alarm:
 * sessions that are not told yet.
 */
import { DurableObject } from "cloudflare:workers";
import { equalSecrets } from "../../core/bytes.ts";
import type { SessionId } from "../../core/ids.ts";
import { digestOf } from "../../identity/digest.ts";
import { readReport } from "../../identity/posture-report.ts";
import { recordNow } from "../audit/record.ts";
import { type ObjectEnv, sessionOf } from "../bindings.ts";
import { addReports, type CutReport, NOTHING_CUT } from "../cut-report.ts";
import { randomText } from "../random-text.ts";
import type { News } from "../signal-facts.ts";
import * as machine from "./machine.ts";
import type { DeviceDescription, DeviceRpc, Enrolment, Kept } from "./rpc.ts";

const STATE = "device";
/** Revoked before it was enrolled. */
const BARRED = "barred";
/** What is owed is told again this long after it was stored, should this object be replaced. */
const RETAKE_MS = 5_000;

export class Device extends DurableObject<ObjectEnv> implements DeviceRpc {
  #cached: machine.DeviceState | undefined;
  #last: machine.Last | undefined;
  /** Sessions are told one thing after the other, so that an older word never comes last. */
  #telling: Promise<unknown> = Promise.resolve();

  async enrol(enrolment: Enrolment): Promise<boolean> {
    const before = this.#state();
    if (this.ctx.storage.kv.get(BARRED) !== undefined || (before !== undefined && before.owner !== enrolment.owner)) return false;
    if (before === undefined) this.#store(machine.enrolled(enrolment, Date.now()));
    return this.#hasRoom(enrolment.sid);
  }

  async report(jws: string): ReturnType<DeviceRpc["report"]> {
    const known = this.#state();
    if (known === undefined) return { ok: false, code: "unknown_id" };
    const [report, hash] = await Promise.all([readReport(jws, known.key), digestOf(jws)]);
    const state = this.#state();
    if (report === undefined || state === undefined) return { ok: false, code: "report_refused", fault: "invalid" };
    if (state.barred !== undefined) return { ok: false, code: "device_barred" };
    const now = Date.now();
    const judged = machine.judge(state, this.#newest(state), report, hash, now);
    if (judged.kind === "refused") {
      if (judged.fault === "cloned") await this.#keep(machine.bar(state, "cloned")).then(() => this.#tell());
      return { ok: false, code: "report_refused", fault: judged.fault };
    }
    if (judged.kind === "counted") {
      this.#last = judged.last;
      if (judged.store) {
        await this.#keep(judged.state);
        await this.#prune();
      }
    }
    await this.#tell();
    return this.#kept();
  }

  async redeem(code: string, owner: string, sid: SessionId): Promise<boolean> {
    const state = this.#state();
    const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
    if (state?.link === undefined || state.owner !== owner || !equalSecrets(bytes(state.link.hash), bytes(code))) return false;
    const { link, ...spent } = state;
    this.#store(spent);
    return Date.now() < link.until && this.#hasRoom(sid);
  }

  async bind(sid: SessionId): Promise<boolean> {
    const bound = this.#bound(sid);
    if (bound === undefined) return false;
    this.#store(bound);
    await this.#tell(sid);
    return true;
  }

  async forget(sid: SessionId): Promise<void> {
    const state = this.#state();
    if (state?.sessions.includes(sid) !== true) return;
    this.#store(machine.unbind(state, [sid]));
    const news = Object.fromEntries(Object.keys(machine.newsOf(state, this.#newest(state), Date.now())).map((name) => [name, null]));
    await this.#after(() => sessionOf(this.env, sid).observe(news, Date.now()));
  }

  async set({ tags, managed }: { readonly tags?: readonly string[]; readonly managed?: boolean }): Promise<CutReport | undefined> {
    return this.#change((state) => ({ ...state, ...(tags === undefined ? {} : { tags }), ...(managed === undefined ? {} : { managed }), owed: true }));
  }

  async say(news: News, at: number): Promise<CutReport | "full" | undefined> {
    const state = this.#state();
    const next = state === undefined ? undefined : machine.heard(state, news, at, Date.now());
    return next === undefined ? state && "full" : this.#change(() => next);
  }

  async revoke(): Promise<CutReport> {
    const report = await this.#change((state) => machine.bar(state, "revoked"));
    if (report === undefined) this.ctx.storage.kv.put(BARRED, true);
    return report ?? NOTHING_CUT;
  }

  async describe(): Promise<DeviceDescription | undefined> {
    const state = this.#state();
    if (state === undefined) return undefined;
    const { owner, name, enrolledAt, barred, sessions } = state;
    const last = this.#newest(state);
    const facts = machine.valuesOf(machine.newsOf(state, last, Date.now()));
    return { id: machine.idOf(state), owner, name, enrolledAt, state: barred ?? "enrolled", ...(last.seq === 0 ? {} : { reportedAt: last.at }), facts, sessions: sessions.length };
  }

  override async alarm(): Promise<void> {
    // For as long as it takes: the platform itself gives an alarm that fails up.
    if (this.#state()?.owed === true) await this.#tell().catch(() => this.ctx.storage.setAlarm(Date.now() + RETAKE_MS));
  }

  async #change(next: (state: machine.DeviceState) => machine.DeviceState): Promise<CutReport | undefined> {
    const state = this.#state();
    if (state === undefined) return undefined;
    await this.#keep(next(state));
    return this.#tell();
  }

  /** Room for one more session, or it is bound already. */
  async #hasRoom(sid: SessionId): Promise<boolean> {
    await this.#prune();
    return this.#bound(sid) !== undefined;
  }

  #bound(sid: SessionId): machine.DeviceState | undefined {
    const state = this.#state();
    return state === undefined || state.barred !== undefined ? undefined : machine.bind(state, sid);
  }

  /** Sessions that ended are told no more. */
  async #prune(): Promise<void> {
    const asked = await Promise.all((this.#state()?.sessions ?? []).map(async (sid) => ((await sessionOf(this.env, sid).isLive().catch(() => true)) ? [] : [sid])));
    const gone = asked.flat();
    const state = this.#state();
    if (gone.length > 0 && state !== undefined) this.#store(machine.unbind(state, gone));
  }

  /** Tells one session or all what is known now. Throws when one cannot be told; the alarm tries again. */
  #tell(only?: SessionId): Promise<CutReport> {
    return this.#after(async () => {
      const state = this.#state();
      if (state === undefined) return NOTHING_CUT;
      const last = this.#newest(state);
      const now = Date.now();
      const news = machine.newsOf(state, last, now);
      const reports = await Promise.all((only === undefined ? state.sessions : [only]).map((sid) => sessionOf(this.env, sid).observe(news, now)));
      if (only === undefined && state.owed && state.barred === "cloned") await this.#record(state);
      // What came meanwhile is told by whoever brought it.
      if (only === undefined && state.owed && this.#cached === state) {
        // One that is none any more has said its last word: the sessions may be another device's from here on.
        this.#store({ ...state, owed: false, sessions: state.barred === undefined ? state.sessions : [] });
        await this.ctx.storage.deleteAlarm();
      }
      return addReports(reports);
    });
  }

  #record(state: machine.DeviceState): Promise<void> {
    const device = machine.idOf(state);
    return recordNow(this.env, device, { id: `a_${randomText(16)}`, at: Date.now(), kind: "device", data: { act: "cloned", device, owner: state.owner } });
  }

  #after<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#telling.then(work);
    this.#telling = done.catch(() => undefined);
    return done;
  }

  async #keep(state: machine.DeviceState): Promise<void> {
    this.#store(state);
    if (state.owed) await this.ctx.storage.setAlarm(Date.now() + RETAKE_MS);
  }

  #kept(): Kept {
    const state = this.#state();
    return { ok: true, seq: state === undefined ? 0 : this.#newest(state).seq, kept: state?.kept ?? "" };
  }

  #newest({ last }: machine.DeviceState): machine.Last {
    return this.#last !== undefined && this.#last.seq > last.seq ? this.#last : last;
  }

  #state(): machine.DeviceState | undefined {
    this.#cached ??= this.ctx.storage.kv.get(STATE) as machine.DeviceState | undefined;
    return this.#cached;
  }

  #store(state: machine.DeviceState): void {
    this.ctx.storage.kv.put(STATE, state);
    this.#cached = state;
  }
}
