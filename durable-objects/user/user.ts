/**
 * User: one person or service, and the sessions that are theirs. A session counts only after it
 * was registered here (M1); revoking the user ends every one of them and refuses sign-ins begun
 * before. Storage: one record (STORAGE.md "user").
 */
import { DurableObject } from "cloudflare:workers";
import type { ReceiptId, SessionId } from "../../core/ids.ts";
import { parseSessionId } from "../../core/ids.ts";
import type { ObjectEnv } from "../bindings.ts";
import { addReports, type CutReport } from "../cut-report.ts";
import type { News } from "../signal-facts.ts";
import type { SignIn, UserRpc } from "./rpc.ts";
import * as machine from "./machine.ts";

const STATE = "user";

export class User extends DurableObject<ObjectEnv> implements UserRpc {
  async signIn(request: SignIn): Promise<{ ok: true; sid: SessionId } | { ok: false; code: "revoked" | "full" }> {
    const id = request.sessionName === undefined ? this.env.SESSION.newUniqueId() : this.env.SESSION.idFromName(request.sessionName);
    const sid = parseSessionId(id.toString());
    if (sid === undefined) return { ok: false, code: "full" };
    const now = Date.now();
    const registered = machine.register(this.#state(), sid, request.attemptStartedAt, request.endsAt, now);
    if (!registered.ok) return { ok: false, code: registered.code };
    // Registered before it is created: a revocation between the two leaves a tombstone there.
    this.#store(registered.state);
    const { signals } = registered.state;
    const created = await this.env.SESSION.get(id).create(sid, signals === undefined ? request : { ...request, signals }, now);
    if (!created || !this.#state().sessions.some((one) => one.sid === sid)) return { ok: false, code: "revoked" };
    return { ok: true, sid };
  }

  async sessions(): Promise<readonly SessionId[]> {
    return this.#state().sessions.map((one) => one.sid);
  }

  async revoke(revocation: ReceiptId): Promise<CutReport> {
    const { state, ending } = machine.revoke(this.#state(), Date.now());
    this.#store(state);
    const reports = await Promise.all(
      ending.map((sid) => this.env.SESSION.get(this.env.SESSION.idFromString(sid)).end("revoked", revocation)),
    );
    this.#store(machine.ended(this.#state(), ending));
    return addReports(reports);
  }

  async observe(news: News, at: number): Promise<CutReport> {
    const state = machine.observe(this.#state(), news, at, Date.now());
    this.#store(state);
    return addReports(await Promise.all(state.sessions.map(({ sid }) => this.env.SESSION.get(this.env.SESSION.idFromString(sid)).observe(news, at))));
  }

  async forget(sid: SessionId): Promise<void> {
    this.#store(machine.forget(this.#state(), sid));
  }

  #state(): machine.UserState {
    return (this.ctx.storage.kv.get(STATE) as machine.UserState | undefined) ?? machine.EMPTY;
  }

  #store(state: machine.UserState): void {
    this.ctx.storage.kv.put(STATE, state);
  }
}
