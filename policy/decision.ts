/**
 * Decision: the answer of `decide()`. Not the trace: `explain()` builds that when somebody asks.
 */
import type { PolicyId } from "../core/ids.ts";
import type { DurationMs, Millis } from "../core/time.ts";
import type { LossPart } from "./losses.ts";

export type Effect = "allow" | "deny" | "step_up";
export type Role = "viewer" | "responder" | "operator";

/** Obligations that an allow carries (P6). Absent: not limited. */
export interface Limits {
  /** The session is over for this app at this instant (the earliest of P19's and every `limits.session`). */
  readonly sessionEndsAt?: Millis;
  /** The session is over for this app after this long without a byte from the user. */
  readonly idle?: DurationMs;
  /** Bytes per session and app, both directions; the stream ends when they are used up (P7). */
  readonly maxBytes?: number;
  readonly readOnly: boolean;
  /** Only for the app postern:admin. */
  readonly role?: Role;
}

/**
 * Why the effect is what it is, in one stable word:
 * allowed · denied (a deny counted) · no_allow (nothing granted) · read_only (P7) ·
 * unknown_app · session_over (P19) · step_up (P3) · a part that is down forbids it (P19)
 */
export type DecisionReason =
  | "allowed"
  | "denied"
  | "no_allow"
  | "read_only"
  | "unknown_app"
  | "session_over"
  | "step_up"
  | LostReason;

export type LostReason = `${LossPart}_lost`;

export interface Decision {
  readonly effect: Effect;
  readonly reason: DecisionReason;
  readonly policyVersion: number;
  /** The policies that decided, sorted; empty when nothing matched. */
  readonly decidedBy: readonly PolicyId[];
  readonly limits: Limits;
  /**
   * Present when effect is step_up: what a re-authentication must achieve (P4). `mfa`: a second
   * factor, one of `methods` unless that is empty. Without it a fresh sign-in is enough.
   */
  readonly stepUp?: { readonly maxAge: DurationMs; readonly methods: readonly string[]; readonly mfa: boolean };
  /** The instant from which this decision no longer stands (P18). Absent: only a new policy or fact changes it. */
  readonly redecideAt?: Millis;
  /** A denial that may say why ("Explained or blank"). Always true for allow and step_up. */
  readonly explained: boolean;
}
