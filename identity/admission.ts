/**
 * Admissions (M17): the edge's signed word to one connector that one session may reach one app,
 * for at most 30 s. Streams then name it by digest. It stops whoever can speak on a tunnel but
 * holds no signing key; it does not replace the connector's own allow-list.
 */
import { parseAppId, parseSessionId, parseSiteId } from "../core/ids.ts";
import type { AppId, SessionId, SiteId } from "../core/ids.ts";
import { err, ok } from "../core/result.ts";
import type { Result } from "../core/result.ts";
import { at, lasting, SECOND_MS } from "../core/time.ts";
import type { Millis } from "../core/time.ts";
import { digestOf } from "./digest.ts";
import type { PublicKeySet, SigningKey } from "./keys.ts";
import type { TokenProblem } from "./problems.ts";
import { checkLifetime, signLasting, verifyStrict } from "./strict-jws.ts";

export const ADMISSION_TYPE = "postern-admission+jwt";
/** Bounds how long a connector that heard no revocation goes on opening streams. */
export const ADMISSION_LIFETIME_MS = lasting(30 * SECOND_MS);
/** Clocks corrected by the hello still differ by its round trip. */
const ADMISSION_EARLY_MS = 5 * SECOND_MS;
/** Bounds what a tunnel can make a connector parse. */
const ADMISSION_MAX_CHARS = 2_048;

export interface Admission {
  readonly sid: SessionId;
  readonly app: AppId;
  readonly site: SiteId;
  /** The session's epoch and the policy version under which it was decided. */
  readonly epoch: number;
  readonly policyVersion: number;
  /** RFC 7638 thumbprint of the only connector key that may use it. */
  readonly connector: string;
}

export interface VerifiedAdmission extends Admission {
  /** On the connector's corrected clock; never later than ADMISSION_LIFETIME_MS after verification. */
  readonly expiresAt: Millis;
}

/** Signs an admission from now. `key` is of use "admission". */
export function signAdmission(admission: Admission, key: SigningKey, now: Millis): Promise<string> {
  const { sid, app, site, epoch, policyVersion, connector } = admission;
  return signLasting(ADMISSION_TYPE, { sid, app, site, epoch, pv: policyVersion, con: connector }, key, now, ADMISSION_LIFETIME_MS);
}

/**
 * Verifies an admission at the connector. `now` is the connector's clock corrected by the hello;
 * `uncertaintyMs` is how wrong that may be, and only shortens validity (M9). Errors: TokenProblem.
 */
export async function verifyAdmission(
  jws: string,
  keySet: PublicKeySet,
  expected: { readonly connectorThumbprint: string; readonly site: SiteId; readonly uncertaintyMs?: number },
  now: Millis,
): Promise<Result<VerifiedAdmission, TokenProblem>> {
  const verified = await verifyStrict(jws, { typ: ADMISSION_TYPE, alg: "EdDSA", keys: keySet, maxChars: ADMISSION_MAX_CHARS });
  if (!verified.ok) return verified;
  const { epoch, pv, con } = verified.value;
  const uncertainty = Math.abs(expected.uncertaintyMs ?? 0);
  const lifetime = checkLifetime(verified.value, at(now + uncertainty), ADMISSION_LIFETIME_MS, ADMISSION_EARLY_MS);
  if (!lifetime.ok) return lifetime;
  const sid = parseSessionId(textOf(verified.value["sid"]));
  const app = parseAppId(textOf(verified.value["app"]));
  const site = parseSiteId(textOf(verified.value["site"]));
  if (sid === undefined || app === undefined || site === undefined || typeof con !== "string") return err("claims_refused");
  if (!isCount(epoch) || !isCount(pv)) return err("claims_refused");
  if (con !== expected.connectorThumbprint || site !== expected.site) return err("not_for_us");
  const expiresAt = at(Math.min(lifetime.value.expiresAt - uncertainty, now + ADMISSION_LIFETIME_MS));
  return ok({ sid, app, site, epoch, policyVersion: pv, connector: con, expiresAt });
}

/** The name by which a stream-open cites an admission: base64url SHA-256 of the whole JWS. */
export const admissionDigest = digestOf;

/** The value if it is text, else "", which no id is. */
function textOf(value: unknown): string {
  return typeof value === "string" ? value : "";
}

function isCount(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}
