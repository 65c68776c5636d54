/** User: the calls it answers. Types, and the one constant that callers share. */
import type { ReceiptId, SessionId, UserId } from "../../core/ids.ts";
import type { Json } from "../../core/json.ts";
import type { CeremonyPlace, PasskeyKind } from "../../identity/passkey.ts";
import type { Fact, Subject } from "../../policy/facts.ts";
import type { CutReport } from "../cut-report.ts";
import type { News, SignalFacts } from "../signal-facts.ts";

/**
 * The edge's clock stamps the attempt, this object's clock the revocation; an attempt that began
 * within this long after a revocation is refused too (M9: skew only shortens).
 */
export const ATTEMPT_SKEW_MS = 5_000;
/** What a sign-in proved, ready to become a session. */
export interface SignIn {
  readonly owner: UserId | string;
  readonly subject: Subject;
  readonly display: Display;
  readonly facts: { readonly [name: string]: Fact };
  /** When the attempt began: an attempt older than a revocation is refused (CONTRACT "The receipt"). */
  readonly attemptStartedAt: number;
  /** Absolute end; the policy's `defaults.session.max` at sign-in. */
  readonly endsAt: number;
  readonly idleMs: number;
  readonly credential: NewCredential;
  /** What signals said of this person before; the user's object adds it. */
  readonly signals?: SignalFacts;
  /** From where; absent for services. */
  readonly from?: Pick<RiskEvent, "country" | "asn" | "device" | "location">;
  /** For a service token: the name its session object is found by. */
  readonly sessionName?: string;
}

/** What happens to a person's sessions as far as risk is concerned (risk/). */
export interface RiskEvent {
  /** use: a session was asked for more trust by a lane; it tells what moved since it was asked last. */
  readonly kind: "sign_in" | "use" | "denied";
  /** Of denials: how many since the last word of them. */
  readonly count?: number;
  /** Milliseconds since 1970. */
  readonly at: number;
  readonly sid?: string;
  /** The person's sessions that have not ended; the person's object adds them. */
  readonly live?: readonly string[];
  readonly country?: string | undefined;
  readonly asn?: number | undefined;
  /** The device, as far as it is told apart: an enrolled one's id, or the program's own words. */
  readonly device?: string | undefined;
  /** Degrees north and east, as the platform places the address. */
  readonly location?: { readonly latitude: number; readonly longitude: number } | undefined;
  readonly app?: string;
  readonly bytes?: number;
  readonly requests?: number;
}

export interface Display {
  readonly sub: string;
  readonly provider?: string;
  readonly email?: string;
  readonly name?: string;
  /** id_token_hint for sign-out at the provider. */
  readonly idToken?: string;
}

/** What a newer sign-in of the same person proved: it replaces what the one before said. */
export interface Renewal {
  readonly facts: { readonly [name: string]: Fact };
  readonly display: Display;
  /** Absolute end, counted from this sign-in. */
  readonly endsAt: number;
}

/** A secret that opens a session for one audience: a host, "postern:admin", "any" or one app. */
export interface NewCredential {
  readonly kind: "cookie" | "service" | "operator" | "app_bearer";
  readonly audience: string;
  /** Base64url SHA-256 of the secret. */
  readonly hash: string;
  readonly expiresAt: number;
}

/** Somebody who deals with their own passkeys, as the edge found them to be. */
export interface PasskeyAsk {
  /** The edge's request, for the record. */
  readonly request: string;
  readonly owner: string;
  readonly sid: SessionId;
  readonly act: "add" | "use" | "remove";
  /** What the session proved in the last minutes that the document lets count: a second factor, one of ours that does for no first passkey, a sign-in at the provider, or nothing. */
  readonly proved: "mfa" | "passkey" | "auth" | "nothing";
}

type PasskeyRefused = { readonly ok: false; readonly code: "passkey_refused" | "step_up_required" };
export type PasskeyChallenge = { readonly ok: true; readonly challenge: string; readonly keys: readonly { readonly id: string; readonly kind: PasskeyKind }[] } | PasskeyRefused;
export type PasskeyAnswer = { readonly ok: true } | PasskeyRefused;

/** A passkey as its owner sees it. */
export interface PasskeyShown {
  readonly id: string;
  readonly kind: PasskeyKind;
  readonly name: string;
  readonly createdAt: number;
  /** 0: never. */
  readonly usedAt: number;
}

export interface UserRpc {
  signIn(request: SignIn): Promise<{ ok: true; sid: SessionId } | { ok: false; code: "revoked" | "full" }>;
  /** Before a session is refreshed by a newer sign-in: from here on everything that is said of this person reaches it until its new end. */
  renew(sid: SessionId, renewal: Pick<SignIn, "attemptStartedAt" | "endsAt" | "from">): Promise<boolean>;
  sessions(): Promise<readonly SessionId[]>;
  /** `passkeys`: they go too; only an operator's own word takes them. */
  revoke(revocation: ReceiptId, passkeys?: boolean, at?: number): Promise<CutReport>;
  /** What a signal said of this person at `at`: kept for later sessions, and told to every live one. */
  observe(news: News, at: number): Promise<CutReport>;
  /** What a person's sessions do, for their risk. */
  note(event: RiskEvent): Promise<void>;
  /** A session tells that it ended by itself. */
  forget(sid: SessionId): Promise<void>;
  passkeys(): Promise<readonly PasskeyShown[]>;
  /** A challenge for one answer in this session, good for minutes. */
  askPasskey(asked: PasskeyAsk): Promise<PasskeyChallenge>;
  /** What a browser answered: a key is added, or the session has a second factor from now on. */
  answerPasskey(asked: PasskeyAsk, answered: { readonly name: string; readonly place: CeremonyPlace; readonly answer: Json }): Promise<PasskeyAnswer>;
  removePasskey(asked: PasskeyAsk, id: string): Promise<PasskeyAnswer>;
}
