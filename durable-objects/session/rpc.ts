/** Session: the calls it answers. Types only. */
import type { AppId, ReceiptId, SessionId, SiteId } from "../../core/ids.ts";
import type { Deadline } from "../../policy/deadlines.ts";
import type { Fact, Subject } from "../../policy/facts.ts";
import type { CodeRecord } from "../../identity/one-time-code.ts";
import type { CutReport } from "../cut-report.ts";
import type { Admitted } from "../signer/rpc.ts";
import type { News } from "../signal-facts.ts";
import type { StreamReport } from "../tunnel/rpc.ts";
import type { Display, NewCredential, Renewal, SignIn } from "../user/rpc.ts";

export interface SessionSnapshot {
  readonly v: 1;
  readonly sid: SessionId;
  readonly epoch: number;
  readonly subject: Subject;
  readonly display: Display;
  readonly facts: { readonly [name: string]: Fact };
  readonly startedAt: number;
  readonly lastActiveAt: number;
  readonly endsAt: number;
}

/** A tunnel's question: may I carry streams of this session at this app, and what do you know? (M1, M6) */
export interface LeaseQuestion {
  readonly v: 1;
  readonly site: SiteId;
  readonly lane: number;
  /** The asking instance: a replaced object has another (M6). */
  readonly nonce: string;
  readonly holds: "sockets" | "body";
  readonly app: AppId;
  readonly connector: string;
  readonly policyVersion: number;
  readonly issuer: string;
  /** When the user last sent a byte that this lane saw; 0 when none. */
  readonly lastActiveAt: number;
  /** Bytes that this lane carried at this app since it asked last (P7). */
  readonly usedBytes: number;
  /** Streams that it opened there since. */
  readonly requests: number;
  /** The lane has put this session's first grant at this app on record. */
  readonly recorded: boolean;
  /** Facts of the connection that asks; the session keeps the newest for reports (P17). */
  readonly connection: { readonly [name: string]: Fact };
}

export type LeaseAnswer =
  /** `firstGrant`: no stream of this session was at this app before; its allow is recorded first. */
  | { readonly ok: true; readonly snapshot: SessionSnapshot; readonly admitted: Admitted; readonly firstGrant: boolean; readonly usedBytes: number }
  | { readonly ok: false; readonly epoch: number; readonly code: EndReason | "unknown" };

/** What a browser brings to redeem a hand-off code: hashes, and the host that asks. */
export interface ShownCode {
  readonly codeHash: Uint8Array;
  readonly host: string;
  readonly nonceHash: Uint8Array;
}

export type EndReason = "revoked" | "signed_out" | "expired" | "idle";

/** When decisions on a lane's quiet streams at an app must be made again (P18): of those that pass, or of those that are frozen there. */
export interface Watched {
  readonly site: SiteId;
  readonly lane: number;
  readonly app: AppId;
  readonly deadlines: readonly Deadline[];
  /** Since when the first of them is frozen. They wait for a step-up: whatever is newer is told, whether or not it says something else. */
  readonly frozenAt?: number | undefined;
}

/** By app: a lane that slept does not remember it. */
export type FrozenSince = { readonly [app: string]: number };

export interface SessionRpc {
  create(sid: SessionId, signIn: SignIn, now: number): Promise<boolean>;
  /** `active`: the user is at the launcher, which no lane sees. */
  verify(audience: string, hash: string, active?: boolean): Promise<SessionSnapshot | undefined>;
  /** A one-time code for another host of this deployment (M19). */
  mintCode(
    launcher: { audience: string; hash: string },
    record: CodeRecord,
  ): Promise<boolean>;
  redeemCode(shown: ShownCode, credential: NewCredential): Promise<boolean>;
  /** Undefined: none was created here. */
  isLive(): Promise<boolean | undefined>;
  /** The ID token of the sign-in, for signing out at the provider. */
  signOutHint(proof: { audience: string; hash: string }): Promise<string | undefined>;
  /** A newer sign-in of the same subject (step-up). What it narrows is told to the lanes (M5). */
  refresh(renewal: Renewal, credential: NewCredential): Promise<boolean>;
  lease(question: LeaseQuestion): Promise<LeaseAnswer>;
  /** What a signal said at `at`: every lane decides again before this answers; what is only newer is told to nobody (M5). */
  observe(news: News, at: number): Promise<CutReport>;
  /** A lane tells when what it decided on a quiet stream must be decided again (P18); without a deadline, that none there is frozen any more. */
  watch(one: Watched): Promise<void>;
  end(reason: EndReason, revocation: ReceiptId | "self", isForgotten?: boolean): Promise<CutReport>;
  describe(): Promise<SessionDescription | undefined>;
}

export interface SessionDescription {
  readonly id: SessionId;
  readonly subject: Subject;
  readonly display: Display;
  readonly startedAt: number;
  readonly expiresAt: number;
  readonly ended?: EndReason;
  /** Its own facts and those of its newest connection. */
  readonly facts: { readonly [name: string]: Fact };
  readonly streams: readonly StreamReport[];
}
