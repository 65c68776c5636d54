/**
 * One person's passkeys as a pure machine: the keys, the challenges that wait for an answer, and who
 * may change them. Not whether an answer is true: identity/passkey.ts.
 */
import type { SessionId } from "../../core/ids.ts";
import { MINUTE_MS } from "../../core/time.ts";
import type { PasskeyKey } from "../../identity/passkey.ts";
import type { PasskeyAsk } from "./rpc.ts";

export interface Passkey extends PasskeyKey {
  readonly name: string;
  readonly createdAt: number;
  /** 0: never. */
  readonly usedAt: number;
}

interface Challenge {
  readonly challenge: string;
  /** It counts for this session alone. */
  readonly sid: SessionId;
  readonly act: PasskeyAsk["act"];
  readonly until: number;
}

export interface Passkeys {
  readonly v: 1;
  readonly keys: readonly Passkey[];
  readonly challenges: readonly Challenge[];
}

export const NO_PASSKEYS: Passkeys = { v: 1, keys: [], challenges: [] };

/** Bounds what one person stores, and the list that a browser is asked with. */
export const MAX_PASSKEYS_COUNT = 20;
/** Bounds challenges that nobody answers; the oldest goes first. */
export const MAX_CHALLENGES_COUNT = 32;
export const CHALLENGE_LIFE_MS = 5 * MINUTE_MS;

/**
 * Whoever has a passkey changes them with a second factor only: otherwise a password alone could add
 * one and be two factors. The first needs a fresh sign-in, so that a stolen cookie adds none; or the
 * provider's second factor, where the document says so: none of ours, which may be of a key that went.
 */
export const mayChange = (keys: readonly unknown[], proved: PasskeyAsk["proved"]): boolean => proved === "mfa" || proved === (keys.length === 0 ? "auth" : "passkey");

export function ask(state: Passkeys, { sid, act }: Pick<PasskeyAsk, "sid" | "act">, challenge: string, now: number): Passkeys {
  const open = state.challenges.filter((one) => now < one.until).slice(1 - MAX_CHALLENGES_COUNT);
  return { ...state, challenges: [...open, { challenge, sid, act, until: now + CHALLENGE_LIFE_MS }] };
}

/** Undefined when no such challenge waits in this session for this act. One that was answered is gone, whatever comes of it. */
export function spend(state: Passkeys, { sid, act }: Pick<PasskeyAsk, "sid" | "act">, challenge: string, now: number): Passkeys | undefined {
  const given = state.challenges.find((one) => one.challenge === challenge && one.sid === sid && one.act === act && now < one.until);
  return given === undefined ? undefined : { ...state, challenges: state.challenges.filter((one) => one !== given) };
}

/** Undefined when there are as many as there may be, or it is there already. */
export function add(state: Passkeys, key: Passkey): Passkeys | undefined {
  const refused = state.keys.length >= MAX_PASSKEYS_COUNT || state.keys.some(({ id }) => id === key.id);
  return refused ? undefined : { ...state, keys: [...state.keys, key] };
}

/** Undefined when the counter did not go on: somebody has a copy of the key (WebAuthn §6.1.1). One that counts nothing stays at 0. */
export function use(state: Passkeys, id: string, counter: number, now: number): Passkeys | undefined {
  const key = state.keys.find((one) => one.id === id);
  if (key === undefined || ((counter > 0 || key.counter > 0) && counter <= key.counter)) return undefined;
  return { ...state, keys: state.keys.map((one) => (one === key ? { ...key, counter, usedAt: now } : one)) };
}

export const remove = (state: Passkeys, id: string): Passkeys => ({ ...state, keys: state.keys.filter((one) => one.id !== id) });
