/**
 * User as a pure machine: which sessions are registered, and since when older sign-ins are
 * refused. Not the sessions' state: each owns its own.
 */
import type { SessionId } from "../../core/ids.ts";
import { type News, NO_SIGNALS, type SignalFacts, takeNews } from "../signal-facts.ts";
import { ATTEMPT_SKEW_MS } from "./rpc.ts";

export interface UserState {
  readonly v: 1;
  /** Sign-in attempts that began before this (plus the skew guard) are refused. 0: never revoked. */
  readonly revokedAt: number;
  readonly sessions: readonly { readonly sid: SessionId; readonly endsAt: number }[];
  /** Sessions told to end and not yet confirmed; a repeated revocation asks them again. */
  readonly ending: readonly SessionId[];
  /** Absent: no signal came. */
  readonly signals?: SignalFacts;
}

export const EMPTY: UserState = { v: 1, revokedAt: 0, sessions: [], ending: [] };

/** Bounds one person's sessions; the next sign-in is refused until one ends. */
export const MAX_SESSIONS_COUNT = 1_000;

export function register(
  state: UserState,
  sid: SessionId,
  attemptStartedAt: number,
  endsAt: number,
  now: number,
): { ok: true; state: UserState } | { ok: false; code: "revoked" | "full" } {
  if (state.revokedAt > 0 && attemptStartedAt < state.revokedAt + ATTEMPT_SKEW_MS) return { ok: false, code: "revoked" };
  const live = state.sessions.filter((one) => now < one.endsAt && one.sid !== sid);
  if (live.length >= MAX_SESSIONS_COUNT) return { ok: false, code: "full" };
  return { ok: true, state: { ...state, sessions: [...live, { sid, endsAt }] } };
}

/** A newer sign-in makes a session last longer. Undefined: it is none of this person's, or the attempt is older than a revocation. */
export function renew(state: UserState, sid: SessionId, attemptStartedAt: number, endsAt: number): UserState | undefined {
  const isBarred = state.revokedAt > 0 && attemptStartedAt < state.revokedAt + ATTEMPT_SKEW_MS;
  if (isBarred || !state.sessions.some((one) => one.sid === sid)) return undefined;
  return { ...state, sessions: state.sessions.map((one) => (one.sid === sid ? { sid, endsAt: Math.max(one.endsAt, endsAt) } : one)) };
}

/** Every session, those of an unfinished revocation included, and the moment that bars older attempts. */
export function revoke(state: UserState, now: number): { state: UserState; ending: readonly SessionId[] } {
  const ending = [...new Set([...state.ending, ...state.sessions.map((one) => one.sid)])];
  return { state: { ...state, revokedAt: Math.max(state.revokedAt, now), sessions: [], ending }, ending };
}

export function observe(state: UserState, news: News, at: number, now: number): UserState {
  return { ...state, signals: takeNews(state.signals ?? NO_SIGNALS, news, at, now) };
}

export function ended(state: UserState, done: readonly SessionId[]): UserState {
  return { ...state, ending: state.ending.filter((sid) => !done.includes(sid)) };
}

export function forget(state: UserState, sid: SessionId): UserState {
  return { ...state, sessions: state.sessions.filter((one) => one.sid !== sid) };
}
