/**
 * What is usual for a person, from what they did: counted, bounded, and forgotten when it does not
 * come again. Holds no address and no page, only what the signs compare with.
 */
import { DAY_MS, HOUR_MS, MINUTE_MS } from "../../../core/time.ts";
import type { RiskEvent } from "../rpc.ts";

/** When something was seen last, by its name; the least recent goes first. */
export type Seen = { readonly [name: string]: number };

export interface RiskHistory {
  readonly v: 1;
  readonly signIns: number;
  readonly countries: Seen;
  readonly networks: Seen;
  readonly devices: Seen;
  readonly apps: Seen;
  /** Sign-ins by hour of the day, UTC. */
  readonly hours: readonly number[];
  /** Where and when somebody was placed last. */
  readonly placed?: { readonly at: number; readonly latitude: number; readonly longitude: number };
  /** Where each session was used last. */
  readonly sessions: { readonly [sid: string]: { readonly at: number; readonly from: string } };
  /** Denials of the last minutes. */
  readonly denials: readonly number[];
  readonly bytes: Pace;
  readonly requests: Pace;
}

/** How much moved in the running window, and in the busiest one so far, which fades. */
export interface Pace {
  readonly since: number;
  readonly now: number;
  readonly most: number;
  /** Windows that are over. */
  readonly windows: number;
}

/** How long ago a session was used that still counts as in use. */
export const IN_USE_MS = 15 * MINUTE_MS;
/** Sign-ins after which something that never was is news, and not just the beginning. */
export const LEARNED_COUNT = 5;
export const DENIALS_WINDOW_MS = 5 * MINUTE_MS;
export const BYTES_WINDOW_MS = DAY_MS;
export const REQUESTS_WINDOW_MS = 10 * MINUTE_MS;
/** What was not seen for so long is new again. */
const FORGET_MS = 90 * DAY_MS;
const MAX_SEEN_COUNT = 32;
const MAX_SESSIONS_COUNT = 32;
const MAX_DENIALS_COUNT = 64;
const FADES = 0.95;

const NO_PACE: Pace = { since: 0, now: 0, most: 0, windows: 0 };
export const NO_HISTORY: RiskHistory = { v: 1, signIns: 0, countries: {}, networks: {}, devices: {}, apps: {}, hours: Array.from({ length: 24 }, () => 0), sessions: {}, denials: [], bytes: NO_PACE, requests: NO_PACE };

export const isLearned = ({ signIns }: RiskHistory): boolean => signIns >= LEARNED_COUNT;
export const hourOf = (at: number): number => Math.floor(at / HOUR_MS) % 24;
export const fromOf = ({ country, asn }: RiskEvent): string => `${country ?? "?"}/${asn ?? "?"}`;

function see(seen: Seen, name: string | undefined, at: number): Seen {
  if (name === undefined) return seen;
  const others = Object.entries(seen).filter(([known, when]) => known !== name && at < when + FORGET_MS);
  const kept = others.sort(([, a], [, b]) => b - a).slice(0, MAX_SEEN_COUNT - 1);
  return { ...Object.fromEntries(kept), [name]: Math.max(at, seen[name] ?? 0) };
}

export const isKnown = (seen: Seen, name: string | undefined, at: number): boolean => name === undefined || at < (seen[name] ?? -FORGET_MS) + FORGET_MS;

/** The pace with `more` of it; a window that is over becomes the one to compare with, if it was busier. */
export function paced(pace: Pace, more: number, windowMs: number, at: number): Pace {
  if (at < pace.since + windowMs) return { ...pace, now: pace.now + more };
  const over = pace.since > 0;
  return { since: at, now: more, most: Math.max(pace.now, pace.most * FADES), windows: pace.windows + (over ? 1 : 0) };
}

/** What is known once the event came. */
export function remember(before: RiskHistory, event: RiskEvent): RiskHistory {
  const { at, sid, kind } = event;
  if (kind === "denied") {
    const more = Array.from({ length: Math.min(event.count ?? 1, MAX_DENIALS_COUNT) }, () => at);
    return { ...before, denials: [...before.denials.filter((one) => at < one + DENIALS_WINDOW_MS), ...more].slice(-MAX_DENIALS_COUNT) };
  }
  // Where nothing is known of the place, it is where it was.
  const from = event.country === undefined && event.asn === undefined ? (before.sessions[sid ?? ""]?.from ?? fromOf(event)) : fromOf(event);
  const sessions = Object.entries(before.sessions).filter(([known, one]) => known !== sid && at < one.at + DAY_MS).sort(([, a], [, b]) => b.at - a.at);
  const signedIn = kind === "sign_in";
  return {
    ...before,
    signIns: before.signIns + (signedIn ? 1 : 0),
    countries: see(before.countries, event.country, at),
    networks: see(before.networks, event.asn === undefined ? undefined : String(event.asn), at),
    devices: signedIn ? see(before.devices, event.device, at) : before.devices,
    apps: see(before.apps, event.app, at),
    hours: signedIn ? before.hours.map((count, hour) => (hour === hourOf(at) ? count + 1 : count)) : before.hours,
    ...(event.location === undefined ? {} : { placed: { at, ...event.location } }),
    sessions: { ...Object.fromEntries(sessions.slice(0, MAX_SESSIONS_COUNT - 1)), ...(sid === undefined ? {} : { [sid]: { at, from } }) },
    bytes: paced(before.bytes, event.bytes ?? 0, BYTES_WINDOW_MS, at),
    requests: paced(before.requests, event.requests ?? 0, REQUESTS_WINDOW_MS, at),
  };
}
