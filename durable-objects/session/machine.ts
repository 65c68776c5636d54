/**
 * Session: one signed-in subject as a pure machine. Every transition takes the state and gives
 * the next one; the shell stores it before it answers anybody (M1). Not the decision: a tunnel
 * decides with the facts that a lease carries.
 */
import { equalSecrets } from "../../core/bytes.ts";
import { canonicalJson } from "../../core/json.ts";
import type { ReceiptId, SessionId, SiteId } from "../../core/ids.ts";
import { at, MINUTE_MS } from "../../core/time.ts";
import { type CodeRecord, redeemOneTimeCode } from "../../identity/one-time-code.ts";
import type { Fact, Subject } from "../../policy/facts.ts";
import { addReports, type CutReport, NOTHING_CUT } from "../cut-report.ts";
import { type News, NO_SIGNALS, type SignalFacts, takeNews, withSignals } from "../signal-facts.ts";
import { LEASE_WAIT_MS } from "../lease-terms.ts";
import type { Display, NewCredential, Renewal, RiskEvent, SignIn } from "../user/rpc.ts";
import type { EndReason, LeaseQuestion, SessionSnapshot, ShownCode, Watched } from "./rpc.ts";

/** One lane's right to trust what it knows of this session until `until` (this object's clock, M9). */
export interface Lease {
  readonly site: SiteId;
  readonly lane: number;
  readonly nonce: string;
  readonly holds: "sockets" | "body";
  readonly until: number;
}

/** Lanes that are being told, and what they did: of an end, stored so that an alarm resumes it after a crash (M6), or of new facts. */
export interface Telling {
  readonly revocation: ReceiptId | "self";
  readonly startedAt: number;
  readonly waiting: readonly Lease[];
  readonly report: CutReport;
}

export interface SessionState {
  readonly v: 1;
  readonly sid: SessionId;
  readonly owner: string;
  readonly subject: Subject;
  readonly display: Display;
  readonly facts: { readonly [name: string]: Fact };
  readonly startedAt: number;
  readonly lastActiveAt: number;
  readonly endsAt: number;
  readonly idleMs: number;
  readonly epoch: number;
  readonly ended?: { readonly reason: EndReason; readonly at: number };
  readonly ending?: Telling;
  /** New facts on their way to the lanes; begun anew should this object be replaced meanwhile. */
  readonly news?: Telling;
  /** Absent: none came. */
  readonly signals?: SignalFacts;
  /** When decisions on quiet streams must be made again (watched.ts). */
  readonly watched?: readonly Watched[];
  readonly credentials: readonly NewCredential[];
  readonly codes: readonly CodeRecord[];
  readonly leases: readonly Lease[];
  /** Apps that this session was granted once; the first grant of each is recorded first. */
  readonly granted: readonly string[];
  /** Bytes used by app, all lanes together (P7). */
  readonly used: { readonly [app: string]: number };
  /** What the person's risk is to hear of: where and at what this session was used, and what moved since it was told. */
  readonly noted?: Noted;
  /** Facts of the newest connection that asked for a lease; for reports, never for a decision (P17). */
  readonly connection: { readonly [name: string]: Fact };
}

export interface Noted {
  readonly uses: readonly string[];
  readonly bytes: number;
  readonly requests: number;
  /** When it was told last. */
  readonly at?: number;
}
const NOTHING_NOTED: Noted = { uses: [], bytes: 0, requests: 0 };
/** That a session is still in use is told so often: less than what counts as in use (user/risk/history.ts). */
const NOTE_EVERY_MS = 10 * MINUTE_MS;
/** Told once so much moved; less is told with the next use that is new. */
const NOTE_BYTES = 10_000_000;
const NOTE_REQUESTS_COUNT = 500;
const MAX_USES_COUNT = 32;

/** The event that the person's risk is to hear of, if it is one. */
export function noteUse(state: SessionState, { connection, app, usedBytes, requests }: LeaseQuestion, now: number): { readonly state: SessionState; readonly event?: RiskEvent } {
  const said = { country: connection["country"]?.value, asn: connection["asn"]?.value };
  const country = typeof said.country === "string" ? said.country : undefined;
  const asn = typeof said.asn === "number" ? said.asn : undefined;
  const { uses, at: toldAt = state.startedAt, ...moved } = state.noted ?? NOTHING_NOTED;
  const use = `${country ?? "?"} ${asn ?? "?"} ${app}`;
  const bytes = moved.bytes + usedBytes;
  const total = moved.requests + (requests ?? 0);
  const isNew = !uses.includes(use);
  const isDue = isNew || bytes >= NOTE_BYTES || total >= NOTE_REQUESTS_COUNT || now >= toldAt + NOTE_EVERY_MS;
  if (state.subject.kind !== "user" || !isDue) return { state: { ...state, noted: { uses, bytes, requests: total, at: toldAt } } };
  const event: RiskEvent = {
    kind: "use",
    at: now,
    sid: state.sid,
    app,
    bytes,
    requests: total,
    country,
    asn,
  };
  return { state: { ...state, noted: { uses: isNew ? [...uses, use].slice(-MAX_USES_COUNT) : uses, bytes: 0, requests: 0, at: now } }, event };
}

/** Bounds what one session can make its object store: one cookie a host, a few bearers. */
export const MAX_CREDENTIALS_COUNT = 512;
/** Bounds codes minted and not redeemed; the oldest goes first. */
export const MAX_CODES_COUNT = 32;

export function create(sid: SessionId, signIn: SignIn, now: number): SessionState {
  return {
    v: 1,
    sid,
    owner: signIn.owner,
    subject: signIn.subject,
    display: signIn.display,
    facts: signIn.facts,
    ...(signIn.signals === undefined ? {} : { signals: signIn.signals }),
    startedAt: now,
    lastActiveAt: now,
    endsAt: signIn.endsAt,
    idleMs: signIn.idleMs,
    epoch: 1,
    credentials: [signIn.credential],
    codes: [],
    leases: [],
    granted: [],
    used: {},
    connection: {},
  };
}

/** Why the session is over at `now`, if it is. Exact to the millisecond, whatever alarms do. */
export function endedBecause(state: SessionState, now: number): EndReason | undefined {
  if (state.ended !== undefined) return state.ended.reason;
  if (now >= state.endsAt) return "expired";
  if (now >= state.lastActiveAt + state.idleMs) return "idle";
  return undefined;
}

export const isLive = (state: SessionState, now: number): boolean => endedBecause(state, now) === undefined;

/** The ID token stays in the session: it is a hint for signing out and no business of lanes and edges. */
function withoutIdToken({ idToken: _secret, ...shown }: Display): Display {
  return shown;
}

/** All that is known of the subject: what the sign-in proved, as signals left it. */
export const factsOf = ({ facts, signals = NO_SIGNALS }: SessionState): SessionState["facts"] => withSignals(facts, signals);

export function snapshot(state: SessionState): SessionSnapshot {
  return {
    v: 1,
    sid: state.sid,
    epoch: state.epoch,
    subject: state.subject,
    display: withoutIdToken(state.display),
    facts: factsOf(state),
    startedAt: state.startedAt,
    lastActiveAt: state.lastActiveAt,
    endsAt: state.endsAt,
  };
}

/** The credential that this secret opens at this audience, compared in constant time. */
export function holds(state: SessionState, audience: string, hash: string, now: number): boolean {
  const encoder = (text: string): Uint8Array => Uint8Array.from(text, (c) => c.charCodeAt(0) & 255);
  const given = encoder(hash);
  let found = false;
  for (const one of state.credentials) {
    const fits = one.audience === audience || one.audience === "any";
    if (equalSecrets(encoder(one.hash), given) && fits && now < one.expiresAt) found = true;
  }
  return found;
}

export function touch(state: SessionState, activeAt: number): SessionState {
  return activeAt > state.lastActiveAt ? { ...state, lastActiveAt: activeAt } : state;
}

/** Undefined when the session carries as many credentials as it may. */
export function addCredential(state: SessionState, credential: NewCredential, now: number): SessionState | undefined {
  const live = state.credentials.filter(
    (one) => now < one.expiresAt && !(one.kind === "cookie" && one.audience === credential.audience),
  );
  return live.length >= MAX_CREDENTIALS_COUNT ? undefined : { ...state, credentials: [...live, credential] };
}

export function mintCode(state: SessionState, record: CodeRecord, now: number): SessionState {
  const codes = state.codes.filter((one) => now < one.expiresAt && !one.redeemed).slice(-(MAX_CODES_COUNT - 1));
  return { ...state, codes: [...codes, record] };
}

/** A code that was tried with its secret is spent, whether or not it fits. */
export function redeemCode(state: SessionState, shown: ShownCode, now: number): { state: SessionState; fits: boolean } {
  const record = state.codes.find((one) => equalSecrets(one.codeHash, shown.codeHash));
  const redeemed = redeemOneTimeCode(record, shown, at(now));
  const spent = redeemed.ok ? redeemed.value.spent : redeemed.error.spent;
  const codes = spent === undefined ? state.codes : state.codes.map((one) => (one === record ? spent : one));
  return { state: { ...state, codes }, fits: redeemed.ok };
}

const sameLane = (a: { site: string; lane: number }, b: { site: string; lane: number }): boolean =>
  a.site === b.site && a.lane === b.lane;

/** Records who may trust this session; called again once the answer is about to leave (M9). */
export function lease(state: SessionState, question: LeaseQuestion, now: number): SessionState {
  const { site, lane, nonce, holds: kind } = question;
  const until = now + LEASE_WAIT_MS;
  // A lease of another instance on the same lane stays until it ran out: the old one may still hold bodies (M6).
  // Another lane's stays when it ran out too: a quiet socket may still be open there (M4).
  const others = state.leases.filter((one) => !sameLane(one, question) || (now < one.until && one.nonce !== nonce));
  const before = state.leases.find((one) => sameLane(one, question) && one.nonce === nonce);
  const holdsBody = kind === "body" || before?.holds === "body";
  const next: Lease = { site, lane, nonce, holds: holdsBody ? "body" : "sockets", until };
  const granted = question.recorded && !state.granted.includes(question.app) ? [...state.granted, question.app] : state.granted;
  const used = question.usedBytes === 0 ? state.used : { ...state.used, [question.app]: (state.used[question.app] ?? 0) + question.usedBytes };
  return touch({ ...state, leases: [...others, next], granted, used, connection: question.connection }, Math.min(question.lastActiveAt, now));
}

/** What facts say, without when it was observed. */
const saidIn = (facts: { readonly [name: string]: Fact }, but: readonly string[] = []): string =>
  canonicalJson(Object.fromEntries(Object.entries(facts).filter(([name]) => !but.includes(name)).map(([name, { value }]) => [name, value])));

/**
 * What a signal said at `at`. `changed`: something other than an age is new, so is the epoch, and
 * the lanes are to be told (M5).
 */
export function observe(state: SessionState, news: News, at: number, now: number): { readonly state: SessionState; readonly changed: boolean } {
  const next = { ...state, signals: takeNews(state.signals ?? NO_SIGNALS, news, at, now) };
  const changed = saidIn(factsOf(state)) !== saidIn(factsOf(next));
  return { state: changed ? toTell(next, now) : next, changed };
}

/** A new epoch that every lane is to hear of, together with what is still on its way to them. */
function toTell(state: SessionState, now: number): SessionState {
  const { startedAt, report } = state.news ?? { startedAt: now, report: NOTHING_CUT };
  return { ...state, epoch: state.epoch + 1, news: { revocation: "self", startedAt, waiting: state.leases, report } };
}

/** Facts that stay true of an earlier sign-in when a newer one says nothing of them; their age bounds them. */
const PERFORMED: readonly string[] = ["mfa", "auth"];

/**
 * A newer sign-in of the same subject: what the provider says of a person is replaced whole, so
 * that a group that is gone is gone. `narrowed`: something other than its age changed, the epoch
 * is new, and the lanes must be told (M5).
 */
export function refresh(
  state: SessionState,
  { facts, display, endsAt }: Renewal,
  now: number,
): { readonly state: SessionState; readonly narrowed: boolean } {
  const kept = Object.entries(state.facts).filter(([name]) => PERFORMED.includes(name));
  // A new authentication begins the session anew (P3, P19); nothing that is open ends by it.
  const begun = { startedAt: now, endsAt: Math.max(state.endsAt, endsAt) };
  const next: SessionState = { ...state, ...begun, display, facts: { ...Object.fromEntries(kept), ...facts } };
  const narrowed = saidIn(factsOf(state), PERFORMED) !== saidIn(factsOf(next), PERFORMED);
  return { state: touch(narrowed ? toTell(next, now) : next, now), narrowed };
}

/**
 * Ends the session: the new epoch and the list of lanes to tell are one step (M1). A lane whose
 * lease ran out is told too: it passes no byte, but a quiet socket of the session may still be
 * open there. Undefined when it had ended before.
 */
export function end(
  state: SessionState,
  reason: EndReason,
  revocation: ReceiptId | "self",
  now: number,
): SessionState | undefined {
  if (state.ended !== undefined) return undefined;
  const { news: _covered, watched: _moot, ...rest } = state;
  return {
    ...rest,
    epoch: state.epoch + 1,
    ended: { reason, at: now },
    ending: { revocation, startedAt: now, waiting: state.leases, report: NOTHING_CUT },
    leases: [],
    credentials: [],
    codes: [],
  };
}

/**
 * A lane confirmed (or its lease ran out): takes it off the waiting list of what it was told and
 * adds its report. A lane answers only once no older instance of it can pipe a body
 * (tunnel/body-fence.ts, M6).
 */
export function confirm(
  state: SessionState,
  lane: { site: string; lane: number },
  answer: CutReport | "lease_over",
  now: number,
  told: "ending" | "news" = "ending",
): SessionState {
  const telling = state[told];
  if (telling === undefined) return state;
  const mine = telling.waiting.filter((one) => sameLane(one, lane));
  const rest = telling.waiting.filter((one) => !sameLane(one, lane));
  if (mine.length === 0) return state;
  let report = telling.report;
  if (answer !== "lease_over") report = addReports([report, { ...answer, slowestMs: now - telling.startedAt }]);
  // Also one whose lease ran out long ago: it passes no byte, but what is open there was not counted.
  const lost = answer === "lease_over" ? mine.map((one) => ({ site: one.site, lane: one.lane, leaseEndsAt: one.until })) : [];
  report = { ...report, unconfirmed: [...report.unconfirmed, ...lost] };
  return { ...state, [told]: { ...telling, waiting: rest, report } };
}
