/**
 * X-Postern-Assertion: what an app's origin is told about who asks, as a JWT that it can verify
 * with `/.postern/jwks.json`. For that one app and one minute; not a session and not a credential.
 */
import type { AppId, SessionId } from "../core/ids.ts";
import { err, ok } from "../core/result.ts";
import type { Result } from "../core/result.ts";
import { lasting, SECOND_MS } from "../core/time.ts";
import type { Millis } from "../core/time.ts";
import type { PublicKeySet, SigningKey } from "./keys.ts";
import type { TokenProblem } from "./problems.ts";
import { checkLifetime, signLasting, verifyStrict } from "./strict-jws.ts";

export const ASSERTION_TYPE = "postern-assertion+jwt";
/** Bounds how long an origin may rely on what may since have been revoked. */
export const ASSERTION_LIFETIME_MS = lasting(60 * SECOND_MS);
/** An origin's clock may run this far behind ours. */
const ASSERTION_EARLY_MS = 5 * SECOND_MS;

export interface AssertionClaims {
  /** The launcher's origin. */
  readonly issuer: string;
  readonly app: AppId;
  /** User id or service name, stable for ever. */
  readonly sub: string;
  readonly sid: SessionId;
  readonly email?: string;
  readonly groups?: readonly string[];
  readonly amr?: readonly string[];
}

/** Signs an assertion valid from now for at most ASSERTION_LIFETIME_MS. `key` is of use "assertion". */
export function signAssertion(claims: AssertionClaims, key: SigningKey, now: Millis): Promise<string> {
  const { issuer, app, sub, sid, email, groups, amr } = claims;
  return signLasting(ASSERTION_TYPE, { iss: issuer, aud: app, sub, sid, email, groups, amr }, key, now, ASSERTION_LIFETIME_MS);
}

export interface VerifiedAssertion extends Omit<AssertionClaims, "sid" | "app"> {
  readonly app: string;
  readonly sid: string;
  readonly expiresAt: number;
}

/** What an origin must check before it believes the header. Errors: every TokenProblem. */
export async function verifyAssertion(
  jws: string,
  keys: PublicKeySet,
  expected: { readonly issuer: string; readonly app: string },
  now: Millis,
): Promise<Result<VerifiedAssertion, TokenProblem>> {
  const verified = await verifyStrict(jws, { typ: ASSERTION_TYPE, alg: "ES256", keys });
  if (!verified.ok) return verified;
  const { iss, aud, sub, sid, email, groups, amr } = verified.value;
  const lifetime = checkLifetime(verified.value, now, ASSERTION_LIFETIME_MS, ASSERTION_EARLY_MS);
  if (!lifetime.ok) return lifetime;
  if (iss !== expected.issuer || aud !== expected.app) return err("not_for_us");
  if (typeof sub !== "string" || typeof sid !== "string") return err("claims_refused");
  return ok({
    issuer: expected.issuer,
    app: expected.app,
    sub,
    sid,
    ...(typeof email === "string" ? { email } : {}),
    ...(isTextList(groups) ? { groups } : {}),
    ...(isTextList(amr) ? { amr } : {}),
    expiresAt: lifetime.value.expiresAt,
  });
}

function isTextList(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((item) => typeof item === "string");
}
