/**
 * The spellings of every secret that Postern hands out, and where a request may carry one.
 * Each has one strict grammar and is measured before it is looked at. Not a check of validity:
 * what parses here is then compared with a stored hash by the object that owns it.
 */
import { fromBase64Url, toBase64Url } from "../core/bytes.ts";
import { parseSessionId } from "../core/ids.ts";
import type { SessionId } from "../core/ids.ts";
import type { Random } from "./provider.ts";

/** Bounds the work on a credential before its grammar is known (class F). */
export const TOKEN_MAX_CHARS = 512;
/** Bounds what a Cookie header may cost; browsers send far less to one host (class G). */
export const COOKIE_HEADER_MAX_CHARS = 32_768;
export const COOKIE_MAX_COUNT = 256;
/** Bounds a foreign Authorization value that we only look through. */
const AUTHORIZATION_MAX_CHARS = 16_384;
const SECRET_BYTES = 32;
const CREDENTIAL_ID_BYTES = 16;

/** A credential that names a session: browser cookie, operator's or agent's token, one app's bearer. */
export interface SessionToken {
  readonly sid: SessionId;
  readonly secret: Uint8Array;
}
/** A credential with an id of its own: service and enrolment tokens. `id` is 22 base64url characters. */
export interface IdentifiedToken {
  readonly id: string;
  readonly secret: Uint8Array;
}

const SESSION_FORM = /^([0-9a-f]{64})\.([A-Za-z0-9_-]{43})$/;
const IDENTIFIED_FORM = /^([A-Za-z0-9_-]{22})\.([A-Za-z0-9_-]{43})$/;

/** 32 fresh random bytes for a new credential. */
export function newSecret(random: Random): Uint8Array<ArrayBuffer> {
  return random(SECRET_BYTES);
}

/** A fresh id for a service or enrolment token: 22 base64url characters. */
export function newCredentialId(random: Random): string {
  return toBase64Url(random(CREDENTIAL_ID_BYTES));
}

function parseSessionForm(text: string): SessionToken | undefined {
  const match = SESSION_FORM.exec(text);
  const sid = match?.[1] === undefined ? undefined : parseSessionId(match[1]);
  const secret = match?.[2] === undefined ? undefined : fromBase64Url(match[2]);
  return sid === undefined || secret === undefined ? undefined : { sid, secret };
}

function parseIdentifiedForm(text: string): IdentifiedToken | undefined {
  const match = IDENTIFIED_FORM.exec(text);
  const id = match?.[1];
  const secret = match?.[2] === undefined ? undefined : fromBase64Url(match[2]);
  if (id === undefined || fromBase64Url(id) === undefined || secret === undefined) return undefined;
  return { id, secret };
}

const prefixed =
  <T>(prefix: string, parse: (text: string) => T | undefined) =>
  (text: string): T | undefined =>
    text.length <= TOKEN_MAX_CHARS && text.startsWith(prefix) ? parse(text.slice(prefix.length)) : undefined;

/** Session cookie: 64 hex digits, a dot, 43 base64url characters. Undefined for any other text. */
export const parseSessionToken = prefixed("", parseSessionForm);
/** Operator or agent token `pso_…`: a session, carried as a bearer. */
export const parseOperatorToken = prefixed("pso_", parseSessionForm);
/** Bearer of one app `pab_…` (RFC 8693): a session that the object binds to that app. */
export const parseAppBearer = prefixed("pab_", parseSessionForm);
/** Service token `pst_…`. */
export const parseServiceToken = prefixed("pst_", parseIdentifiedForm);
/** Connector enrolment token `pen_…`. */
export const parseEnrolmentToken = prefixed("pen_", parseIdentifiedForm);

/** Code of the break-glass account's seal `pbg_…`. */
export const parseBreakGlassCode = prefixed("pbg_", (text) => (text.length === 43 ? fromBase64Url(text) : undefined));

export const formatSessionToken = (token: SessionToken): string => `${token.sid}.${toBase64Url(token.secret)}`;
export const formatOperatorToken = (token: SessionToken): string => `pso_${formatSessionToken(token)}`;
export const formatAppBearer = (token: SessionToken): string => `pab_${formatSessionToken(token)}`;
export const formatServiceToken = (token: IdentifiedToken): string => `pst_${token.id}.${toBase64Url(token.secret)}`;
export const formatBreakGlassCode = (secret: Uint8Array): string => `pbg_${toBase64Url(secret)}`;
export const formatEnrolmentToken = (token: IdentifiedToken): string => `pen_${token.id}.${toBase64Url(token.secret)}`;

/** SHA-256 of a secret, the only form in which one is stored. 256 random bits need no salt and no stretching. */
export async function hashSecret(secret: Uint8Array): Promise<Uint8Array<ArrayBuffer>> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", new Uint8Array(secret)));
}

/** The three headers that may carry a credential; null where absent, joined by ", " where repeated. */
export interface CredentialHeaders {
  readonly authorization: string | null;
  readonly clientId: string | null;
  readonly clientSecret: string | null;
}

export type Authorization =
  | { readonly kind: "none" }
  /** Not ours: passes to the origin untouched and says nothing about who asks. */
  | { readonly kind: "foreign" }
  /**
   * A service token. `clientId` is the Postern-Client-Id as sent: the caller requires it to be the
   * token's id or the service's name. `stripAuthorization` tells whether Authorization was ours.
   */
  | {
      readonly kind: "service";
      readonly token: IdentifiedToken;
      readonly clientId?: string;
      readonly stripAuthorization: boolean;
    }
  | { readonly kind: "session"; readonly as: "operator" | "app"; readonly token: SessionToken; readonly stripAuthorization: true }
  /** Holds something of ours in a form or place that we do not accept: 401, and nothing is forwarded. */
  | { readonly kind: "malformed" };

const OURS = /(?:^|[^A-Za-z0-9_-])(?:pst|pso|pab|pen|poc)_[A-Za-z0-9_-]{16,}/;
const BEARER = /^bearer +(\S+)$/i;
const BASIC = /^basic +([A-Za-z0-9+/]+={0,2})$/i;
const CLIENT_ID = /^[A-Za-z0-9_-][A-Za-z0-9:_-]{0,79}$/;

/**
 * Finds our credential in a request's headers (CONTRACT, "Signing in without a browser"). A value
 * that is not ours is foreign; one that has a token of ours anywhere but as a whole Bearer value
 * or a Basic password is malformed, so that no secret of ours reaches an origin by accident.
 */
export function parseAuthorization(headers: CredentialHeaders): Authorization {
  const bearer = parseAuthorizationValue(headers.authorization);
  if (headers.clientId === null && headers.clientSecret === null) return bearer;
  const named = parseClientPair(headers.clientId, headers.clientSecret);
  // Two credentials of ours in one request: which one was meant is not ours to guess.
  return bearer.kind === "none" || bearer.kind === "foreign" ? named : { kind: "malformed" };
}

function parseClientPair(clientId: string | null, clientSecret: string | null): Authorization {
  if (clientId === null || clientSecret === null || !CLIENT_ID.test(clientId)) return { kind: "malformed" };
  const token = parseServiceToken(clientSecret);
  if (token === undefined) return { kind: "malformed" };
  return { kind: "service", token, clientId, stripAuthorization: false };
}

function parseAuthorizationValue(value: string | null): Authorization {
  if (value === null) return { kind: "none" };
  if (value.length > AUTHORIZATION_MAX_CHARS) return { kind: "malformed" };
  const bearer = BEARER.exec(value)?.[1];
  if (bearer !== undefined) {
    const ours = parseBearer(bearer);
    if (ours !== undefined) return ours;
  }
  const basic = BASIC.exec(value)?.[1];
  if (basic !== undefined) {
    const pair = decodeBasic(basic);
    if (pair === undefined) return { kind: "foreign" };
    const token = parseServiceToken(pair.password);
    if (token !== undefined && !OURS.test(pair.user)) return { kind: "service", token, stripAuthorization: true };
    if (OURS.test(pair.user) || OURS.test(pair.password)) return { kind: "malformed" };
    return { kind: "foreign" };
  }
  // Repeated header lines arrive joined; a Basic value among them may hold a token of ours too.
  const hidden = value.split(",").some((part) => holdsOurs(BASIC.exec(part.trim())?.[1]));
  return hidden || OURS.test(value) ? { kind: "malformed" } : { kind: "foreign" };
}

function holdsOurs(encoded: string | undefined): boolean {
  const pair = encoded === undefined ? undefined : decodeBasic(encoded);
  return pair !== undefined && (OURS.test(pair.user) || OURS.test(pair.password));
}

function parseBearer(text: string): Authorization | undefined {
  const service = parseServiceToken(text);
  if (service !== undefined) return { kind: "service", token: service, stripAuthorization: true };
  const operator = parseOperatorToken(text);
  if (operator !== undefined) return { kind: "session", as: "operator", token: operator, stripAuthorization: true };
  const app = parseAppBearer(text);
  if (app !== undefined) return { kind: "session", as: "app", token: app, stripAuthorization: true };
  return undefined;
}

/** RFC 7617: base64 of "user:password". Undefined if it is not base64 of text with a colon. */
function decodeBasic(encoded: string): { readonly user: string; readonly password: string } | undefined {
  const padless = encoded.replace(/=+$/, "").replaceAll("+", "-").replaceAll("/", "_");
  const bytes = fromBase64Url(padless);
  if (bytes === undefined) return undefined;
  const text = new TextDecoder("latin1").decode(bytes);
  const colon = text.indexOf(":");
  return colon < 0 ? undefined : { user: text.slice(0, colon), password: text.slice(colon + 1) };
}

export type CookieReading =
  | { readonly kind: "absent" }
  | { readonly kind: "found"; readonly value: string }
  /** `duplicate`: a sibling host planted a second one (M19); believe neither. */
  | { readonly kind: "refused"; readonly reason: "duplicate" | "too_large" };

/**
 * Reads one cookie of ours from a Cookie header (RFC 6265 §5.4). Names compare exactly; a name
 * that occurs twice is refused, since the order in which a browser sends them is an attacker's.
 */
export function readCookie(header: string | null, name: string): CookieReading {
  if (header === null) return { kind: "absent" };
  if (header.length > COOKIE_HEADER_MAX_CHARS) return { kind: "refused", reason: "too_large" };
  let found: string | undefined;
  let count = 0;
  for (const part of header.split(";")) {
    if (++count > COOKIE_MAX_COUNT) return { kind: "refused", reason: "too_large" };
    // Only the blanks of the grammar: trimming Unicode spaces would let a sibling forge our name.
    const pair = part.replace(/^[ \t]+|[ \t]+$/g, "");
    if (!pair.startsWith(`${name}=`)) continue;
    if (found !== undefined) return { kind: "refused", reason: "duplicate" };
    found = pair.slice(name.length + 1);
  }
  return found === undefined ? { kind: "absent" } : { kind: "found", value: found };
}
