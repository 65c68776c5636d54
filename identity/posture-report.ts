/**
 * A device's word about itself: a compact JWS of the device's own key over its id, a number that
 * only rises, the time, what it found, and the last report that the edge kept, so that two machines
 * with one key contradict each other. What a report is worth is the device object's to judge.
 */
import type { DeviceId } from "../core/ids.ts";
import type { Millis } from "../core/time.ts";
import type { ConnectorKey } from "./connector-proof.ts";
import type { PublicJwk } from "./keys.ts";
import { signStrict, verifyStrict } from "./strict-jws.ts";

const REPORT_TYPE = "postern-posture+jwt";
/** Bounds what is read of a report before its signature is known. */
export const REPORT_MAX_CHARS = 16_384;
/** Names that a device may ever have facts under, and characters of a text among them. */
export const MAX_POSTURE_COUNT = 40;
export const MAX_POSTURE_CHARS = 256;

/** A posture fact's name; policy/criteria/device.ts looks it up as `device.<name>`. */
export const POSTURE_NAME = /^[a-z][a-z0-9_]{0,63}$/;
/** Others' verdict on a device, over the API or by a provider's event; no report speaks under this name. */
const COMPLIANT = "compliant";
/** What the edge and operators say of a device; no report and no verdict speaks under these names (P15). */
const NOT_POSTURE: readonly string[] = ["id", "registered", "managed", "tags", "owner", "owner_is_user", "max_age"];

export type PostureValue = string | number | boolean;
export interface PostureFacts {
  readonly [name: string]: PostureValue;
}

export interface PostureReport {
  readonly device: DeviceId;
  /** 1, 2, 3 …; the same number only for the same bytes. */
  readonly seq: number;
  /** By the device's clock, ms. */
  readonly at: number;
  /** Digest of the last report that the edge said it kept; "" before the first. */
  readonly previous: string;
  readonly facts: PostureFacts;
  /** Digest of a one-time code that binds a browser's session to the device. */
  readonly bind?: string;
}

export function deviceIdOf(key: Pick<PublicJwk, "kid">): DeviceId {
  return `d_${key.kid}` as DeviceId;
}

/** Whether this may be a posture fact, from a report or from somebody else. */
export function isPosture(name: string, value: unknown): value is PostureValue {
  if (!POSTURE_NAME.test(name) || NOT_POSTURE.includes(name)) return false;
  return typeof value === "boolean" || (typeof value === "number" ? Number.isFinite(value) : typeof value === "string" && value.length <= MAX_POSTURE_CHARS);
}

export function signReport(report: PostureReport, { privateJwk, publicJwk, thumbprint }: ConnectorKey): Promise<string> {
  return signStrict(REPORT_TYPE, { ...report }, { kid: thumbprint, alg: "EdDSA", use: "admission", privateJwk, publicJwk, createdAt: report.at as Millis });
}

/** The report, if this key signed it and it is whole. A fact of a wrong type is not among its facts: it is unknown (P1). */
export async function readReport(jws: string, key: PublicJwk): Promise<PostureReport | undefined> {
  const verified = await verifyStrict(jws, { typ: REPORT_TYPE, alg: "EdDSA", keys: { keys: [key] }, maxChars: REPORT_MAX_CHARS });
  if (!verified.ok) return undefined;
  const { device, seq, at, previous, facts, bind } = verified.value;
  const whole = device === deviceIdOf(key) && Number.isSafeInteger(seq) && (seq as number) > 0 && Number.isSafeInteger(at) && typeof previous === "string" && (bind === undefined || typeof bind === "string");
  if (!whole || typeof facts !== "object" || facts === null || Array.isArray(facts)) return undefined;
  const known = Object.entries(facts).filter((entry): entry is [string, PostureValue] => entry[0] !== COMPLIANT && isPosture(...entry));
  if (known.length > MAX_POSTURE_COUNT) return undefined;
  return { device: deviceIdOf(key), seq: seq as number, at: at as number, previous, facts: Object.fromEntries(known), ...(bind === undefined ? {} : { bind }) };
}
