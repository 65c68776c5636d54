/** Control: the calls it answers. Types only. */
import type { PublicJwk } from "../../identity/keys.ts";
import type { Fact } from "../../policy/facts.ts";
import type { AppId, ConnectorId, DeviceId, ReceiptId, SessionId, SiteId, UserId } from "../../core/ids.ts";
import type { PolicyDocument } from "../../policy/document.ts";
import type { CutReport } from "../cut-report.ts";
import type { News } from "../signal-facts.ts";
import type { Result } from "../../core/result.ts";
import type { ScimProblem } from "../../identity/scim-change.ts";
import type { DirectoryAnswer, DirectoryRequest, Standing } from "./directory.ts";
import type { Told } from "./hearing.ts";
import type { LoginCodeDecision, LoginCodePoll, LoginCodeRequest } from "./login-codes.ts";

/** One policy version as everybody else sees it. Version 0 is "nothing is live": every app denies. */
export interface PolicySnapshot {
  readonly version: number;
  /** Base64url SHA-256 of the canonical document. */
  readonly digest: string;
  readonly document: PolicyDocument;
}

/** What a lane trusts until it asks again: what it did not hear by push, it hears so. */
export interface PolicyLease {
  /** Absent: the version that the lane knows is the newest. */
  readonly newer?: PolicySnapshot;
  /** Revoked connectors of its site. */
  readonly barred: readonly ConnectorId[];
  /** Identity providers that do not answer, and for how long, in ms. */
  readonly away?: Readonly<Record<string, number>>;
}

export type RevokeKind = "session" | "user" | "device" | "connector" | "app" | "grant" | "service";

/** Whose trust changes. `login`: a session at a provider, by that provider's own name of it. */
export type SignalTarget =
  | { readonly kind: "user"; readonly id: UserId }
  | { readonly kind: "session"; readonly id: SessionId }
  | { readonly kind: "login"; readonly issuer: string; readonly id: string };

/** end: as a revocation. facts: these replace the facts of the same name, null takes one back, for what was observed until `at` (now, if absent). */
export type SignalEffect = { readonly kind: "end" } | { readonly kind: "facts"; readonly facts: News; readonly at?: number };

/** What another system, or another part of Postern, says of trust. */
export interface Signal {
  /** Who says it: "scim:corp", "backchannel:corp", "ssf:okta", "posture:<source>", "risk". */
  readonly source: string;
  /** Unique at its source: the same again changes nothing and gets the first receipt. */
  readonly id: string;
  /** In the source's own word. */
  readonly name: string;
  readonly target: SignalTarget;
  readonly effect: SignalEffect;
}

export interface Receipt {
  readonly id: ReceiptId;
  readonly kind: RevokeKind | "policy" | "signal";
  readonly target: string;
  /** The policy version that it proves. */
  readonly version: number;
  readonly at: number;
  readonly report: CutReport;
  readonly complete: boolean;
}

export interface ConnectorRecord {
  readonly id: ConnectorId;
  readonly site: SiteId;
  readonly name: string;
  readonly publicKey: PublicJwk;
  readonly thumbprint: string;
  readonly enrolledAt: number;
  readonly revokedAt?: number;
}

export interface ServiceRecord {
  readonly name: string;
  readonly tokenId: string;
  readonly createdAt: number;
  readonly expiresAt: number;
  readonly revokedAt?: number;
}

export interface VersionRecord {
  readonly version: number;
  readonly digest: string;
  readonly at: number;
  readonly by: string;
}

export interface PersonRecord {
  readonly id: string;
  readonly issuer: string;
  readonly sub: string;
  readonly email?: string;
  readonly name?: string;
  readonly lastSignInAt: number;
}

/** A question for access, or the access that was given, as it is stored (grants.ts). Times are milliseconds since 1970. */
export interface GrantRow {
  readonly id: string;
  readonly user: UserId;
  readonly app: AppId;
  readonly reason: string;
  /** Milliseconds. */
  readonly lasting: number;
  /** JSON: facts of the connection that asked. */
  readonly connection: string;
  readonly asked_at: number;
  /** Null: it waits for an answer. */
  readonly given_at: number | null;
  readonly by: string | null;
  /** When it is over by itself. */
  readonly until: number;
  readonly ended_at: number | null;
}

/**
 * Who makes a change, and on what that was decided. Control looks again in the step that commits:
 * an operator may lose the right while a request is under way. "internal": no request is behind it.
 */
export type Actor = "internal" | { readonly name: string; readonly sid: SessionId; readonly subject: string; readonly policyVersion: number };

export type Refused<Code extends string> = { readonly ok: false; readonly code: Code; readonly detail?: string };

/** What is done with the break-glass account. `codes` are base64url SHA-256 of codes, never codes; `by` looks as any operator. */
export type GlassAct =
  | { readonly act: "seal"; readonly codes: readonly string[]; readonly delayMs: number; readonly by: Actor }
  | { readonly act: "cancel"; readonly by: Actor }
  | { readonly act: "open"; readonly codes: readonly string[]; readonly source: string; readonly tokenId: string; readonly hash: string; readonly expiresAt: number }
  | { readonly act: "show" };

/** A seal that is whole has `people`; a clock that runs or ran out, `opensAt`; a token that is valid, `openUntil`. */
export interface GlassState {
  readonly people?: number;
  readonly delayMs?: number;
  readonly sealedAt?: number;
  readonly sealedBy?: string;
  readonly opensAt?: number;
  readonly openUntil?: number;
}
/** Of an attempt: `openUntil` if these codes opened it, else `opensAt`. */
export type GlassAnswer = { readonly ok: true; readonly state: GlassState } | Refused<"actor_changed" | "refused" | "overloaded">;

export interface ControlRpc {
  /** The live policy, or undefined when `known` is still it. */
  policy(known?: number): Promise<PolicySnapshot | undefined>;
  /** A tunnel asks whether its version is still the newest; counts as a lease (M8). */
  leasePolicy(lane: { site: SiteId; lane: number }, known: number): Promise<PolicyLease>;
  /** Somebody is about to sign in there. True: it is known not to answer. */
  providerAway(id: string): Promise<boolean>;
  policyText(): Promise<{ version: number; digest: string; text: string } | undefined>;
  /** One past or live version, for making a recorded decision again. */
  version(version: number): Promise<PolicySnapshot | undefined>;
  history(): Promise<readonly VersionRecord[]>;
  setupOpen(): Promise<boolean>;
  setup(request: {
    document: PolicyDocument;
    text: string;
    namesOperator: boolean;
    token: { tokenId: string; hash: string; expiresAt: number };
  }): Promise<{ ok: true; receipt: Receipt; previous: number } | Refused<"setup_closed">>;
  apply(request: {
    document: PolicyDocument;
    text: string;
    expectVersion?: number;
    by: Actor;
    namesOperator: boolean;
  }): Promise<{ ok: true; receipt: Receipt; previous: number } | Refused<"version_conflict" | "actor_changed">>;
  revoke(request: { kind: RevokeKind; id: string; by: Actor }): Promise<{ ok: true; receipt: Receipt } | Refused<"unknown_id" | "actor_changed">>;
  /** Carried out to the end whoever hangs up, and answered with what it did. */
  signal(signal: Signal): Promise<{ ok: true; receipt: Receipt; repeated: boolean } | Refused<"unknown_id">>;
  /** Resolves once all that it states took effect; throws when it did not, and then it may be told again. */
  hear(told: Told): Promise<void>;
  /** A provider writes its directory, or reads it. Resolves once everybody whom it concerns was told. */
  provision(provider: string, request: DirectoryRequest): Promise<Result<DirectoryAnswer, ScimProblem>>;
  /** What the directory of their provider says of somebody who is about to sign in; undefined if there is none. */
  standing(person: Pick<PersonRecord, "id" | "issuer" | "sub" | "email">): Promise<Standing | undefined>;
  receipt(id: string): Promise<Receipt | undefined>;

  /** `until`: when the question is over. */
  askGrant(request: Pick<GrantRow, "user" | "app" | "lasting" | "reason"> & { readonly connection: Readonly<Record<string, Fact>> }): Promise<{ ok: true; id: string; until: number } | Refused<"overloaded">>;
  /** Gives what was asked for by this id, or, without one, of one's own accord. Who may be given it was looked at before. */
  giveGrant(request: { id?: string; by: Actor } & Pick<GrantRow, "user" | "app" | "lasting" | "reason">): Promise<{ ok: true; id: string; until: number } | Refused<"unknown_id" | "actor_changed" | "own_grant" | "overloaded">>;
  denyGrant(id: string, by: Actor): Promise<{ ok: true } | Refused<"unknown_id" | "actor_changed">>;
  /** Questions that wait and grants that live. */
  grants(): Promise<readonly (GrantRow & { readonly email: string | null; readonly name: string | null })[]>;

  createService(request: {
    name: string;
    tokenId: string;
    hash: string;
    expiresAt: number;
    by: Actor;
  }): Promise<{ ok: true } | Refused<"too_many_tokens" | "actor_changed">>;
  services(): Promise<readonly ServiceRecord[]>;
  breakGlass(act: GlassAct): Promise<GlassAnswer>;

  createEnrollToken(request: { site: SiteId; hash: string; expiresAt: number; by: Actor }): Promise<{ ok: true } | Refused<"unknown_site" | "actor_changed">>;
  /** Redeems once: of fifty parallel calls one succeeds. */
  enroll(request: {
    tokenHash: string;
    publicKey: PublicJwk;
    thumbprint: string;
    name: string;
  }): Promise<{ ok: true; connector: ConnectorRecord; lanes: number; keySet: string } | Refused<"enroll_token_invalid">>;
  connector(id: string): Promise<{ record: ConnectorRecord; lanes: number; keySet: string } | undefined>;
  connectors(): Promise<readonly ConnectorRecord[]>;

  /** False: the device is revoked, somebody else's, or one too many. */
  enrolDevice(id: DeviceId, owner: UserId): Promise<boolean>;
  /** Whether it was ever enrolled; once it was, for ever. */
  isDevice(id: DeviceId): Promise<boolean>;
  devices(): Promise<readonly DeviceId[]>;

  /** Programs that wait to be let in (login-codes.ts). */
  beginLoginCode(request: LoginCodeRequest): Promise<boolean>;
  loginCode(userCode: string): Promise<LoginCodeRequest | undefined>;
  decideLoginCode(userCode: string, decision: LoginCodeDecision): Promise<boolean>;
  pollLoginCode(deviceHash: string): Promise<LoginCodePoll>;

  /** False: the provider has ended this session of its own meanwhile, or its directory made them inactive: who signed in must end. */
  noteSignIn(person: PersonRecord, login?: { id: string; sid: SessionId; endsAt: number }): Promise<boolean>;
  people(): Promise<readonly PersonRecord[]>;
  /** 32 secret bytes that seal sign-in attempts in browsers' cookies; made once. */
  sealKey(): Promise<Uint8Array<ArrayBuffer>>;
  publicKeys(): Promise<readonly PublicJwk[]>;
  lanes(): Promise<readonly { site: SiteId; lane: number }[]>;
}
