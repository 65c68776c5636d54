/**
 * A `when` block as decisions use it: the shape of the document with every value normalised
 * (durations in ms, groups as provider:name, lists expanded). All keys of a block must hold (P1).
 * Not the text an operator writes: document.ts makes one from the other.
 */
export type Risk = "low" | "medium" | "high";

/** Why a person's risk is what it is (docs/risk.md). */
export const RISK_REASONS = ["new_country", "new_network", "new_device", "new_app", "unusual_hour", "impossible_travel", "elsewhere", "second_session", "denial_burst", "byte_volume", "request_rate", "reported"] as const;
export type RiskReason = (typeof RISK_REASONS)[number];

export interface MfaValue {
  /** ms; absent: the fact's own lifetime. */
  readonly maxAge?: number;
  /** One of these `amr` values; empty: any method. */
  readonly methods: readonly string[];
}

export interface TimeWindowValue {
  /** 0 = Sunday … 6 = Saturday, ascending. The day is the one on which the window opens. */
  readonly days: readonly number[];
  /** Minutes after local midnight; [from, to), and from > to crosses midnight (P12). */
  readonly from: number;
  readonly to: number;
  /** IANA name. */
  readonly zone: string;
}

export type PostureValue = string | number | boolean;

export interface DeviceValue {
  readonly registered?: boolean;
  readonly managed?: boolean;
  /** At least one of these. */
  readonly tags?: readonly string[];
  readonly ownerIsUser?: boolean;
  /** Posture facts by name, each one of the values. */
  readonly posture: { readonly [fact: string]: readonly PostureValue[] };
  /** ms, for every fact named here; absent: the fact's own lifetime, at most 24 h (P15). */
  readonly maxAge?: number;
}

export interface TargetValue {
  readonly healthy?: boolean;
  readonly version?: readonly string[];
  readonly digest?: readonly string[];
  /** At most so many findings. */
  readonly critical?: number;
  readonly high?: number;
  /** ms, for all but healthy; absent: 24 h. */
  readonly maxAge?: number;
}

/** What each criterion's value is once read. A list means any of its values (P12). */
export interface CriterionValues {
  /** "provider:sub" or a user id "u_…". */
  readonly user: readonly string[];
  readonly email: readonly string[];
  readonly email_domain: readonly string[];
  /** "provider:name". */
  readonly group: readonly string[];
  readonly provider: readonly string[];
  readonly service: readonly string[];
  readonly country: readonly string[];
  /** Canonical CIDR. */
  readonly ip_range: readonly string[];
  readonly mfa: MfaValue;
  readonly session_age: { readonly max: number };
  readonly time_window: readonly TimeWindowValue[];
  readonly device: DeviceValue;
  /** The acceptable levels. */
  readonly risk: readonly Risk[];
  readonly risk_reason: readonly RiskReason[];
  /** ms: a grant older than this counts no more. */
  readonly grant: { readonly max: number };
  readonly target: TargetValue;
  readonly anyone: true;
}

export type CriterionName = keyof CriterionValues;

export interface When extends Partial<CriterionValues> {
  readonly any?: readonly When[];
  readonly all?: readonly When[];
  readonly not?: When;
  /** Names of reusable conditions; any of them (P12, P16). */
  readonly use?: readonly string[];
}
