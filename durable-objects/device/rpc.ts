/** Device: the calls it answers. Types only. */
import type { DeviceId, SessionId } from "../../core/ids.ts";
import type { Json } from "../../core/json.ts";
import type { PublicJwk } from "../../identity/keys.ts";
import type { Refused } from "../control/rpc.ts";
import type { CutReport } from "../cut-report.ts";
import type { News } from "../signal-facts.ts";

export interface Enrolment {
  readonly key: PublicJwk;
  readonly owner: string;
  readonly name: string;
  /** The session in which its owner enrols it, to be bound to it. */
  readonly sid: SessionId;
}

/** What the device must know to go on: the number and the digest of the last report that is stored. */
export interface Kept {
  readonly ok: true;
  readonly seq: number;
  readonly kept: string;
}

export type ReportFault = "invalid" | "stale" | "early" | "cloned";

export interface DeviceRpc {
  /** Again, with the same key and owner, for one more session. False: the key is barred or somebody else's, or too many sessions are bound. Binds none itself, so that what follows from it is on record before. */
  enrol(enrolment: Enrolment): Promise<boolean>;
  /** Answered once every bound session has decided again by what changed. */
  report(jws: string): Promise<Kept | Refused<"unknown_id" | "device_barred"> | (Refused<"report_refused"> & { readonly fault: ReportFault })>;
  /** Whether this is the digest of a one-time code that a report announced, and the session may be bound by it; once, and for the owner only. */
  redeem(code: string, owner: string, sid: SessionId): Promise<boolean>;
  /** The session goes by this device from now on; whoever asks has enrolled it in that session or redeemed its code. */
  bind(sid: SessionId): Promise<boolean>;
  /** The session is another device's from now on. */
  forget(sid: SessionId): Promise<void>;
  /** What an operator says of it. */
  set(change: { readonly tags?: readonly string[]; readonly managed?: boolean }): Promise<CutReport | undefined>;
  /** What another system says of it, each fact with its end. "full": all its names are used up, and nothing of this is kept; `compliant` and `managed` always find place. */
  say(news: News, at: number): Promise<CutReport | "full" | undefined>;
  /** For ever: the key is its name. */
  revoke(): Promise<CutReport>;
  describe(): Promise<DeviceDescription | undefined>;
}

export interface DeviceDescription {
  readonly id: DeviceId;
  readonly owner: string;
  readonly name: string;
  readonly enrolledAt: number;
  readonly state: "enrolled" | "revoked" | "cloned";
  readonly reportedAt?: number;
  /** As its sessions know them. */
  readonly facts: { readonly [name: string]: Json };
  readonly sessions: number;
}
