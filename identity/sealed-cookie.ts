/**
 * A small value that a browser carries and can neither read nor change: AES-256-GCM under a key of
 * ours, bound to a context and to an expiry. For sign-in attempts; never for sessions, which must
 * be revocable and therefore live in an object.
 */
import { concat, fromBase64Url, toBase64Url } from "../core/bytes.ts";
import { canonicalJson } from "../core/json.ts";
import type { Json } from "../core/json.ts";
import { err, ok } from "../core/result.ts";
import type { Result } from "../core/result.ts";
import { at } from "../core/time.ts";
import type { Millis } from "../core/time.ts";
import type { LoginState } from "./oidc-login.ts";
import type { Random } from "./provider.ts";

/** Browsers drop cookies over 4,096 bytes; bounds the work on one before it is opened (class G). */
export const SEALED_MAX_CHARS = 3_072;
const VERSION = "v1";
const IV_BYTES = 12;
const KEY_BYTES = 32;

export type SealProblem = "too_large" | "malformed" | "not_ours" | "expired";

/** Makes a sealing key of 32 secret bytes (derive them from a Worker secret). Throws for another length. */
export async function importSealKey(bytes: Uint8Array): Promise<CryptoKey> {
  if (bytes.length !== KEY_BYTES) throw new RangeError("a sealing key has 32 bytes");
  return crypto.subtle.importKey("raw", new Uint8Array(bytes), "AES-GCM", false, ["encrypt", "decrypt"]);
}

function boundTo(context: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(`postern sealed ${VERSION} ${context}`);
}

/**
 * Seals `value` until `expiresAt`. `context` names the use and whatever it must not leave (host,
 * cookie name). Error: too_large.
 */
export async function seal(
  value: Json,
  context: string,
  expiresAt: Millis,
  key: CryptoKey,
  random: Random,
): Promise<Result<string, SealProblem>> {
  const plain = new TextEncoder().encode(canonicalJson({ e: expiresAt, v: value }));
  const iv = random(IV_BYTES);
  const sealed = await crypto.subtle.encrypt({ name: "AES-GCM", iv, additionalData: boundTo(context) }, key, plain);
  const text = `${VERSION}.${toBase64Url(concat([iv, new Uint8Array(sealed)]))}`;
  return text.length <= SEALED_MAX_CHARS ? ok(text) : err("too_large");
}

/** Opens what seal() made under the same key and context, until its expiry. */
export async function unseal(text: string, context: string, now: Millis, key: CryptoKey): Promise<Result<unknown, SealProblem>> {
  if (text.length > SEALED_MAX_CHARS) return err("too_large");
  const bytes = text.startsWith(`${VERSION}.`) ? fromBase64Url(text.slice(VERSION.length + 1)) : undefined;
  if (bytes === undefined || bytes.length <= IV_BYTES) return err("malformed");
  let plain: ArrayBuffer;
  try {
    const algorithm = { name: "AES-GCM", iv: bytes.subarray(0, IV_BYTES), additionalData: boundTo(context) };
    plain = await crypto.subtle.decrypt(algorithm, key, bytes.subarray(IV_BYTES));
  } catch {
    return err("not_ours");
  }
  const opened: unknown = JSON.parse(new TextDecoder().decode(plain));
  if (typeof opened !== "object" || opened === null || !("e" in opened) || !("v" in opened)) return err("malformed");
  return typeof opened.e === "number" && now < opened.e ? ok(opened.v) : err("expired");
}

const LOGIN_CONTEXT = "login";
/** State values long enough that two open attempts of one browser have cookies of their own. */
const COOKIE_NAME_STATE_CHARS = 12;

/** The `__Host-` cookie of one attempt; several tabs may sign in at once. Undefined if `state` is not one of ours. */
export function loginCookieName(state: string): string | undefined {
  if (!/^[A-Za-z0-9_-]{43}$/.test(state)) return undefined;
  return `__Host-postern-login-${state.slice(0, COOKIE_NAME_STATE_CHARS)}`;
}

/** Seals a sign-in attempt for its lifetime (at most 10 minutes from its start). */
export function sealLoginState(
  loginState: LoginState,
  expiresAt: Millis,
  key: CryptoKey,
  random: Random,
): Promise<Result<string, SealProblem>> {
  const { demand, ...rest } = loginState;
  return seal({ ...rest, demand: { ...demand } }, LOGIN_CONTEXT, expiresAt, key, random);
}

/** Opens a sealed sign-in attempt. What opens was written by us, so only its version can differ. */
export async function unsealLoginState(text: string, now: Millis, key: CryptoKey): Promise<Result<LoginState, SealProblem>> {
  const opened = await unseal(text, LOGIN_CONTEXT, now, key);
  if (!opened.ok) return opened;
  const value = opened.value;
  return isLoginState(value) ? ok({ ...value, startedAt: at(value.startedAt) }) : err("malformed");
}

function isLoginState(value: unknown): value is LoginState {
  if (typeof value !== "object" || value === null) return false;
  const fields: { readonly [name: string]: unknown } = { ...value };
  const texts = ["provider", "state", "nonce", "verifier", "redirectUri", "returnTo"];
  const objects = ["demand", "carry"];
  return (
    texts.every((name) => typeof fields[name] === "string") &&
    objects.every((name) => typeof fields[name] === "object" && fields[name] !== null) &&
    typeof fields["startedAt"] === "number"
  );
}
