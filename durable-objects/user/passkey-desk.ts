/**
 * A person's passkeys: what is stored, verified, put on record, and told to the session that used
 * one. What counts is in passkeys.ts. Nothing takes effect before it is on record, or for a session
 * that ended meanwhile.
 */
import { at } from "../../core/time.ts";
import { type CeremonyPlace, newPasskey, type PasskeyKind, passkeyUse } from "../../identity/passkey.ts";
import { passkeyFact } from "../../policy/passkey.ts";
import { recordNow } from "../audit/record.ts";
import { type ObjectEnv, sessionOf } from "../bindings.ts";
import { randomText } from "../random-text.ts";
import * as machine from "./passkeys.ts";
import type { PasskeyAnswer, PasskeyAsk, PasskeyChallenge } from "./rpc.ts";

const PASSKEYS = "passkeys";
const CHALLENGE_BYTES = 32;
const REFUSED = { ok: false, code: "passkey_refused" } as const;
const TOO_OLD = { ok: false, code: "step_up_required" } as const;

export class PasskeyDesk {
  readonly #kv: DurableObjectStorage["kv"];
  readonly #env: ObjectEnv;
  /** One that a revocation ended is none of the person's. */
  readonly #isSession: (asked: PasskeyAsk) => boolean;

  constructor(kv: DurableObjectStorage["kv"], env: ObjectEnv, isSession: (asked: PasskeyAsk) => boolean) {
    this.#kv = kv;
    this.#env = env;
    this.#isSession = isSession;
  }

  get state(): machine.Passkeys {
    return (this.#kv.get(PASSKEYS) as machine.Passkeys | undefined) ?? machine.NO_PASSKEYS;
  }

  ask(asked: PasskeyAsk): PasskeyChallenge {
    const { state } = this;
    if (!this.#isSession(asked)) return REFUSED;
    if (asked.act === "add" && !machine.mayChange(state.keys, asked.proved)) return TOO_OLD;
    const challenge = randomText(CHALLENGE_BYTES);
    this.#store(machine.ask(state, asked, challenge, Date.now()));
    return { ok: true, challenge, keys: state.keys.map(({ id, kind }) => ({ id, kind })) };
  }

  async answer(asked: PasskeyAsk, { name, place, answer }: { name: string; place: CeremonyPlace; answer: unknown }): Promise<PasskeyAnswer> {
    if (!this.#isSession(asked)) return REFUSED;
    const spend = (challenge: string): boolean => {
      const spent = machine.spend(this.state, asked, challenge, Date.now());
      if (spent !== undefined) this.#store(spent);
      return spent !== undefined;
    };
    return asked.act === "add" ? this.#add(asked, name, await newPasskey(answer, place, spend)) : this.#use(asked, place, answer, spend);
  }

  async remove(asked: PasskeyAsk, id: string): Promise<PasskeyAnswer> {
    if (!this.#isSession(asked)) return REFUSED;
    const { keys } = this.state;
    if (!machine.mayChange(keys, asked.proved)) return TOO_OLD;
    if (keys.some((one) => one.id === id)) await this.#record(asked, "removed", id);
    if (!this.#isSession(asked)) return this.#refuse(asked, "not removed", id);
    this.#store(machine.remove(this.state, id));
    return { ok: true };
  }

  /** Of somebody whose access was revoked: whoever had it may have added one. */
  forget(): void {
    this.#kv.delete(PASSKEYS);
  }

  async #add(asked: PasskeyAsk, name: string, made: Awaited<ReturnType<typeof newPasskey>>): Promise<PasskeyAnswer> {
    if (made === undefined) return this.#refuse(asked, "not verified");
    const added = (): machine.Passkeys | undefined => (this.#isSession(asked) && machine.mayChange(this.state.keys, asked.proved) ? machine.add(this.state, { ...made, name, createdAt: Date.now(), usedAt: 0 }) : undefined);
    if (added() !== undefined) await this.#record(asked, "added", made.id, { name, kind: made.kind });
    // What came meanwhile counts: another key, or the first one, or the session's end.
    const state = added();
    if (state === undefined) return this.#refuse(asked, "not added", made.id);
    this.#store(state);
    return { ok: true };
  }

  async #use(asked: PasskeyAsk, place: CeremonyPlace, answer: unknown, spend: (challenge: string) => boolean): Promise<PasskeyAnswer> {
    const id = (answer as { id?: unknown } | null)?.id;
    const key = this.state.keys.find((one) => one.id === id);
    const counter = key === undefined ? undefined : await passkeyUse(answer, key, place, spend);
    if (key === undefined || counter === undefined || !this.#isSession(asked)) return this.#refuse(asked, "not verified");
    const now = Date.now();
    // Stored before it counts for anything: the same counter never passes twice.
    const used = machine.use(this.state, key.id, counter, now);
    if (used === undefined) return this.#refuse(asked, "counter", key.id);
    this.#store(used);
    await this.#record(asked, "used", key.id);
    await sessionOf(this.#env, asked.sid).observe({ mfa: passkeyFact(key.kind satisfies PasskeyKind, at(now)) }, now);
    return { ok: true };
  }

  async #refuse(asked: PasskeyAsk, why: string, id?: string): Promise<PasskeyAnswer> {
    await this.#record(asked, "refused", id, { why });
    return REFUSED;
  }

  #record({ request, owner, sid, act }: PasskeyAsk, done: string, passkey?: string, more: { readonly [name: string]: string } = {}): Promise<void> {
    return recordNow(this.#env, sid, { id: request, at: Date.now(), kind: "passkey", data: { user: owner, sid, act, done, passkey, ...more } });
  }

  #store(state: machine.Passkeys): void {
    this.#kv.put(PASSKEYS, state);
  }
}
