/**
 * Device as a pure machine: whose it is, what it said last and others say of it, and which sessions
 * go by that. A report either counts, or was heard before, or is refused; or it shows that two
 * machines speak with one key, and then neither is believed (P15). The shell stores, then tells.
 */
import { canonicalJson } from "../../core/json.ts";
import type { DeviceId, SessionId } from "../../core/ids.ts";
import { at, DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS } from "../../core/time.ts";
import type { PublicJwk } from "../../identity/keys.ts";
import { deviceIdOf, MAX_POSTURE_COUNT, type PostureFacts, type PostureReport } from "../../identity/posture-report.ts";
import type { Fact } from "../../policy/facts.ts";
import { type News, NO_SIGNALS, type SignalFacts, takeNews } from "../signal-facts.ts";
import type { Enrolment, ReportFault } from "./rpc.ts";

/** A report that nobody renews counts this long: eight times as long as an agent is silent. */
export const REPORT_LIFE_MS = 2 * HOUR_MS;
/** That the device holds its key is believed longer; a policy's max_age shortens both. */
const PROOF_LIFE_MS = DAY_MS;
/** What another system said without an end; all that is told of a device has one (signal-facts.ts). */
const VERDICT_LIFE_MS = 30 * DAY_MS;
/** Bounds a replayed report, and how wrong a device's clock may be. */
export const MAX_REPORT_AGE_MS = 5 * MINUTE_MS;
export const MAX_REPORT_AHEAD_MS = 60 * SECOND_MS;
/** Bounds what a bound session is told, and one device's sessions. */
export const MAX_NAMES_COUNT = MAX_POSTURE_COUNT;
/** Beyond what the device may fill, for names that others bring. */
export const MAX_OTHERS_NAMES_COUNT = 8;
/** Names that always have a place: what others are asked for first. */
const PLACED: readonly string[] = ["compliant", "managed"];
export const MAX_SESSIONS_COUNT = 32;
/** A code that binds a browser waits this long for its person. */
export const LINK_LIFE_MS = 60 * SECOND_MS;
const MAX_RECENT_COUNT = 8;

/** Where the sequence stands: what was counted last, stored or not. */
export interface Last {
  readonly seq: number;
  /** When it was found, by this side's reckoning: never back, never ahead. */
  readonly at: number;
  /** Digests of reports that were counted, the newest last; one of these again is no contradiction. */
  readonly recent: readonly string[];
}

export interface DeviceState {
  readonly v: 1;
  readonly key: PublicJwk;
  readonly owner: string;
  readonly name: string;
  readonly enrolledAt: number;
  readonly tags: readonly string[];
  readonly managed?: boolean;
  /** What other systems said of it. */
  readonly said: SignalFacts;
  /** Of the last report that was stored. */
  readonly last: Last;
  /** Digest of that report, which the next ones name; "" before the first. */
  readonly kept: string;
  readonly facts: PostureFacts;
  /** Every name that a session was ever told. */
  readonly names: readonly string[];
  readonly sessions: readonly SessionId[];
  /** Sessions are not all told of what is stored. */
  readonly owed: boolean;
  readonly link?: { readonly hash: string; readonly until: number };
  readonly barred?: "revoked" | "cloned";
}

export const idOf = ({ key }: DeviceState): DeviceId => deviceIdOf(key);

export function enrolled({ key, owner, name }: Enrolment, now: number): DeviceState {
  return { v: 1, key, owner, name, enrolledAt: now, tags: [], said: NO_SIGNALS, last: { seq: 0, at: now, recent: [] }, kept: "", facts: {}, names: [], sessions: [], owed: false };
}

export type Judged =
  | { readonly kind: "counted"; readonly last: Last; readonly state: DeviceState; readonly store: boolean; readonly changed: boolean }
  | { readonly kind: "repeated" }
  | { readonly kind: "refused"; readonly fault: ReportFault };

/**
 * What a report with a valid signature is worth. `last` is `state.last` or newer: what this instance
 * counted without storing it. A number that was used for other words, or a report that names another
 * last stored one than ours, cannot come from the one machine that we speak with.
 */
export function judge(state: DeviceState, last: Last, report: PostureReport, hash: string, now: number): Judged {
  if (last.recent.includes(hash)) return { kind: "repeated" };
  if (report.at < now - MAX_REPORT_AGE_MS) return { kind: "refused", fault: "stale" };
  if (report.at > now + MAX_REPORT_AHEAD_MS) return { kind: "refused", fault: "early" };
  if (report.seq <= last.seq || report.previous !== state.kept) return { kind: "refused", fault: "cloned" };
  // Later than the last one whatever the device's clock says: the sequence says so.
  const found = Math.max(last.at, Math.min(report.at, now));
  const next: Last = { seq: report.seq, at: found, recent: [...last.recent, hash].slice(-MAX_RECENT_COUNT) };
  const names = namesWith(state.names, Object.keys(report.facts), MAX_NAMES_COUNT);
  const facts = Object.fromEntries(Object.entries(report.facts).filter(([name]) => names.includes(name)));
  const changed = state.kept === "" || canonicalJson(facts) !== canonicalJson(state.facts);
  const store = changed || report.bind !== undefined || now - state.last.at >= REPORT_LIFE_MS / 2;
  if (!store) return { kind: "counted", last: next, state, store, changed };
  const link = report.bind === undefined ? state.link : { hash: report.bind, until: now + LINK_LIFE_MS };
  return { kind: "counted", last: next, state: { ...state, last: next, kept: hash, facts, names, owed: state.owed || changed, ...(link === undefined ? {} : { link }) }, store, changed };
}

/** A device that never stops inventing names gets no more of them: what it says under them is unknown. */
function namesWith(known: readonly string[], more: readonly string[], most: number): readonly string[] {
  return [...new Set([...known, ...more])].slice(0, Math.max(known.length, most));
}

export function bind(state: DeviceState, sid: SessionId): DeviceState | undefined {
  if (state.sessions.includes(sid)) return state;
  return state.sessions.length >= MAX_SESSIONS_COUNT ? undefined : { ...state, sessions: [...state.sessions, sid] };
}

export const unbind = (state: DeviceState, gone: readonly SessionId[]): DeviceState => ({ ...state, sessions: state.sessions.filter((sid) => !gone.includes(sid)) });

export function bar(state: DeviceState, why: "revoked" | "cloned"): DeviceState {
  const { link: _moot, ...rest } = state;
  return { ...rest, barred: state.barred ?? why, owed: true };
}

/** Undefined when it brings more names than there is place for: no verdict is dropped unnoticed. */
export function heard(state: DeviceState, news: News, when: number, now: number): DeviceState | undefined {
  const names = namesWith(state.names, Object.keys(news).filter((name) => news[name] !== null), Infinity);
  const places = names.filter((name) => !PLACED.includes(name));
  if (places.length > MAX_NAMES_COUNT + MAX_OTHERS_NAMES_COUNT && places.some((name) => !state.names.includes(name))) return undefined;
  const known = Object.fromEntries(Object.entries(news).filter(([name]) => names.includes(name)));
  return { ...state, said: takeNews(state.said, known, when, now), names, owed: true };
}

/** All that sessions are to know of the device, whole: a name without a fact is taken back. */
export function newsOf(state: DeviceState, last: Last, now: number): News {
  const news: Record<string, Fact | null> = Object.fromEntries(["id", "owner", "tags", "managed", ...state.names].map((name) => [`device.${name}`, null]));
  const by = (source: string, value: Fact["value"], life: number): Fact => ({ value, source, observedAt: at(last.at), expiresAt: at(last.at + life) });
  if (state.barred !== undefined) return { ...news, "device.registered": { value: false, source: "postern", observedAt: at(now) } };
  const id = idOf(state);
  for (const [name, value] of Object.entries({ id, registered: true, owner: state.owner })) news[`device.${name}`] = by("postern", value, PROOF_LIFE_MS);
  news["device.tags"] = by("operator", state.tags, PROOF_LIFE_MS);
  // Nobody has said that it is the company's.
  news["device.managed"] = by("postern", false, PROOF_LIFE_MS);
  const own: Record<string, Fact> = Object.fromEntries(Object.entries(state.facts).map(([name, value]) => [name, by(`device:${id}`, value, REPORT_LIFE_MS)]));
  if (state.managed !== undefined) own["managed"] = by("operator", state.managed, PROOF_LIFE_MS);
  for (const name of new Set([...Object.keys(own), ...Object.keys(state.said.facts)])) {
    const heardOf = state.said.facts[name];
    const each = [own[name], heardOf === undefined ? undefined : { ...heardOf, expiresAt: heardOf.expiresAt ?? at(heardOf.observedAt + VERDICT_LIFE_MS) }].filter((one): one is Fact => one !== undefined && now < (one.expiresAt ?? 0));
    // Two who contradict each other: nobody can say.
    const agree = each.every((one) => one.value === each[0]?.value);
    news[`device.${name}`] = agree ? (each.at(-1) ?? null) : null;
  }
  return news;
}

/** What is known, without who says it. */
export function valuesOf(news: News): { readonly [name: string]: Fact["value"] } {
  return Object.fromEntries(Object.entries(news).flatMap(([name, fact]) => (fact === null ? [] : [[name.slice("device.".length), fact.value]])));
}
