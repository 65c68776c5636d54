/**
 * The code that hands a sign-in from the launcher's host to an app's host (M19): the one value of
 * ours allowed in a URL, because without the `__Host-` nonce of that browser on that host it is
 * worth nothing. Pure: the object that stores the record makes redeeming it atomic.
 */
import { equalSecrets, fromBase64Url, toBase64Url } from "../core/bytes.ts";
import { parseSessionId } from "../core/ids.ts";
import type { SessionId } from "../core/ids.ts";
import { err, ok } from "../core/result.ts";
import type { Result } from "../core/result.ts";
import { after, lasting, SECOND_MS } from "../core/time.ts";
import type { Millis } from "../core/time.ts";
import type { Random } from "./provider.ts";
import { hashSecret } from "./session-token.ts";

/** Bounds how long a code in a history or a proxy's log could be worth anything. */
export const CODE_LIFETIME_MS = lasting(30 * SECOND_MS);
const SECRET_BYTES = 32;
const CODE = /^poc_([0-9a-f]{64})\.([A-Za-z0-9_-]{43})$/;

/** A code as it travels: the session that holds its record, and the secret. */
export interface OneTimeCode {
  readonly sid: SessionId;
  readonly secret: Uint8Array;
}

/** What is stored of a code; hashes only. */
export interface CodeRecord {
  readonly codeHash: Uint8Array;
  /** The app host that may redeem it: exact, lower-case, with port if any. */
  readonly host: string;
  readonly nonceHash: Uint8Array;
  readonly expiresAt: Millis;
  readonly redeemed: boolean;
}

export type CodeProblem = "unknown" | "redeemed" | "expired" | "other_host" | "other_browser";

/** Reads `poc_<64 hex>.<43 base64url>`; undefined for any other text. */
export function parseOneTimeCode(text: string): OneTimeCode | undefined {
  const match = CODE.exec(text);
  const sid = match?.[1] === undefined ? undefined : parseSessionId(match[1]);
  const secret = match?.[2] === undefined ? undefined : fromBase64Url(match[2]);
  return sid === undefined || secret === undefined ? undefined : { sid, secret };
}

export const formatOneTimeCode = (code: OneTimeCode): string => `poc_${code.sid}.${toBase64Url(code.secret)}`;

/** A nonce for an app host's `__Host-` cookie (43 base64url characters) and the hash that the code is bound to. */
export async function newHostNonce(random: Random): Promise<{ readonly nonce: string; readonly nonceHash: Uint8Array }> {
  const secret = random(SECRET_BYTES);
  return { nonce: toBase64Url(secret), nonceHash: await hashSecret(secret) };
}

/** The hash of a nonce that a browser brought; undefined unless it is 32 bytes in base64url. */
export async function hashHostNonce(nonce: string): Promise<Uint8Array | undefined> {
  const secret = nonce.length > 64 ? undefined : fromBase64Url(nonce);
  return secret?.length === SECRET_BYTES ? hashSecret(secret) : undefined;
}

/** A fresh code for one host and one browser, and the record to store. */
export async function createOneTimeCode(
  binding: { readonly sid: SessionId; readonly host: string; readonly nonceHash: Uint8Array },
  random: Random,
  now: Millis,
): Promise<{ readonly code: string; readonly record: CodeRecord }> {
  const secret = random(SECRET_BYTES);
  const record: CodeRecord = {
    codeHash: await hashSecret(secret),
    host: binding.host,
    nonceHash: binding.nonceHash,
    expiresAt: after(now, CODE_LIFETIME_MS),
    redeemed: false,
  };
  return { code: formatOneTimeCode({ sid: binding.sid, secret }), record };
}

/**
 * Redeems a code against its record; the caller stores the returned record before it acts. Any
 * attempt with the right secret uses the code up, so `spent` comes back with those failures too.
 */
export function redeemOneTimeCode(
  record: CodeRecord | undefined,
  shown: { readonly codeHash: Uint8Array; readonly host: string; readonly nonceHash: Uint8Array },
  now: Millis,
): Result<{ readonly spent: CodeRecord }, { readonly problem: CodeProblem; readonly spent?: CodeRecord }> {
  if (record === undefined || !equalSecrets(record.codeHash, shown.codeHash)) return err({ problem: "unknown" });
  if (record.redeemed) return err({ problem: "redeemed" });
  const spent: CodeRecord = { ...record, redeemed: true };
  if (now >= record.expiresAt) return err({ problem: "expired", spent });
  if (shown.host !== record.host) return err({ problem: "other_host", spent });
  if (!equalSecrets(record.nonceHash, shown.nonceHash)) return err({ problem: "other_browser", spent });
  return ok({ spent });
}
