/**
 * What an ID token says, turned into an identity and the facts that a policy reads. The provider's
 * quirks end here. Not a verifier: the claims must come from verifyIdToken.
 */
import { concat, toBase64Url } from "../core/bytes.ts";
import { parseUserId } from "../core/ids.ts";
import type { UserId } from "../core/ids.ts";
import type { Json } from "../core/json.ts";
import { err, ok } from "../core/result.ts";
import type { Result } from "../core/result.ts";
import { at, SECOND_MS } from "../core/time.ts";
import type { Millis } from "../core/time.ts";
import { readGroups } from "./groups.ts";
import type { GroupsNote } from "./groups.ts";
import { readMfaMethods } from "./mfa-methods.ts";
import { oidcProblem } from "./problems.ts";
import type { OidcProblem } from "./problems.ts";
import { numericDate, PROVIDER_CLOCK_TOLERANCE_SECONDS } from "./provider-jws.ts";
import type { ProviderClaims } from "./provider-jws.ts";
import type { ProviderSettings } from "./provider.ts";

/** A fact as the policy takes it: policy/facts.ts holds the table of names and values. */
export interface IdentityFact {
  readonly value: Json;
  /** The provider id that vouches. */
  readonly source: string;
  readonly observedAt: Millis;
  readonly expiresAt?: Millis;
}

/** Why `email` is there or not, for the page and for `explain`. */
export type EmailNote = "trusted" | "absent" | "unverified" | "outside_domains";

export interface Identity {
  readonly issuer: string;
  readonly sub: string;
  readonly userId: UserId;
  /** Provider id. */
  readonly provider: string;
  /** Lower-case; only an address that policy may rely on (P14). */
  readonly email?: string;
  readonly emailNote: EmailNote;
  /** For display only. */
  readonly name?: string;
  readonly groupsNote: GroupsNote;
  /** The provider's own session id, which back-channel logout names. */
  readonly providerSession?: string;
  /** By policy's names: user, provider, and where known email, groups, mfa, auth. */
  readonly facts: { readonly [name: string]: IdentityFact };
}

/** When a sign-in was asked for and whether it forbade an existing session at the provider. */
export interface SignInMoment {
  readonly now: Millis;
  /** Set if the attempt demanded a new authentication: nothing earlier can have satisfied it. */
  readonly freshSince?: Millis;
}

const SUB_MAX_CHARS = 255;
const NAME_MAX_CHARS = 200;
const EMAIL_MAX_CHARS = 254;
const PROVIDER_SESSION_MAX_CHARS = 255;
/** ASCII only: Unicode case folding maps look-alikes onto letters. */
const EMAIL = /^[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@([A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?)$/;
const CONTROL = /\p{C}/u;
const GOOGLE_ISSUER = "https://accounts.google.com";

/**
 * The user's id: `u_` and base64url of SHA-256 over issuer and subject, each with its length before
 * it, so that no two pairs share a text. Never the email (class E, accounts keyed by address).
 */
export async function userIdOf(issuer: string, sub: string): Promise<UserId> {
  const parts = [issuer, sub].flatMap((text) => {
    const bytes = new TextEncoder().encode(text);
    const length = new Uint8Array(4);
    new DataView(length.buffer).setUint32(0, bytes.length);
    return [length, bytes];
  });
  const digest = await crypto.subtle.digest("SHA-256", concat(parts));
  const id = parseUserId(`u_${toBase64Url(new Uint8Array(digest))}`);
  if (id === undefined) throw new Error("a SHA-256 digest always makes a user id");
  return id;
}

/** Verified ID-token claims to an identity. Error: token_invalid if `sub` is unusable. */
export async function identityFromClaims(
  claims: ProviderClaims,
  provider: ProviderSettings,
  moment: SignInMoment,
): Promise<Result<Identity, OidcProblem>> {
  const sub = claims["sub"];
  if (typeof sub !== "string" || sub.length === 0 || sub.length > SUB_MAX_CHARS || CONTROL.test(sub)) {
    return err(oidcProblem(provider.id, "token_invalid", "sub is missing or unusable"));
  }
  const issuedAt = at(Math.min((numericDate(claims["iat"]) ?? 0) * SECOND_MS, moment.now));
  const said = (value: Json, observedAt: Millis = issuedAt): IdentityFact => ({ value, source: provider.id, observedAt });
  const facts: { [name: string]: IdentityFact } = { user: said(`${provider.id}:${sub}`), provider: said(provider.id) };

  const email = readEmail(claims, provider);
  if (email.address !== undefined) facts["email"] = said(email.address);

  const groups = readGroups(claims, provider.groupsClaim);
  if (groups.names !== undefined) facts["groups"] = said(groups.names.map((name) => `${provider.id}:${name}`));

  const authTime = readAuthTime(claims, moment.now);
  // Without auth_time nobody says when the factors were shown; `iat` would call any token fresh.
  const methods = readMfaMethods(claims, provider.acrValues);
  if (authTime !== undefined && methods !== undefined) facts["mfa"] = said({ methods }, authTime);
  const authenticatedAt = authTime ?? (claims["auth_time"] === undefined ? moment.freshSince : undefined);
  if (authenticatedAt !== undefined) facts["auth"] = said(true, authenticatedAt);

  const name = readName(claims);
  const providerSession = claims["sid"];
  return ok({
    issuer: provider.issuer,
    sub,
    userId: await userIdOf(provider.issuer, sub),
    provider: provider.id,
    ...(email.address === undefined ? {} : { email: email.address }),
    emailNote: email.note,
    ...(name === undefined ? {} : { name }),
    groupsNote: groups.note,
    ...(typeof providerSession === "string" && providerSession.length <= PROVIDER_SESSION_MAX_CHARS ? { providerSession } : {}),
    facts,
  });
}

/** `auth_time` as an instant, unless absent, no date, or later than now: a claim from the future proves nothing. */
export function readAuthTime(claims: ProviderClaims, now: Millis): Millis | undefined {
  const seconds = numericDate(claims["auth_time"]);
  if (seconds === undefined || seconds * SECOND_MS > now + PROVIDER_CLOCK_TOLERANCE_SECONDS * SECOND_MS) return undefined;
  return at(Math.min(seconds * SECOND_MS, now));
}

function readEmail(claims: ProviderClaims, provider: ProviderSettings): { readonly note: EmailNote; readonly address?: string } {
  const email = claims["email"];
  if (typeof email !== "string" || email.length > EMAIL_MAX_CHARS) return { note: "absent" };
  const domain = EMAIL.exec(email)?.[1]?.toLowerCase();
  if (domain === undefined) return { note: "absent" };
  if (!provider.emailDomains.includes(domain)) return { note: "outside_domains" };
  return isVerified(claims, provider, domain) ? { note: "trusted", address: email.toLowerCase() } : { note: "unverified" };
}

function isVerified(claims: ProviderClaims, provider: ProviderSettings, domain: string): boolean {
  const verified = claims["email_verified"];
  // Google vouches for an address of somebody else's domain only if a Workspace owns it (`hd`).
  if (provider.issuer === GOOGLE_ISSUER) {
    return verified === true && (domain === "gmail.com" || typeof claims["hd"] === "string");
  }
  // Exactly true: "true" and 1 are other things. trust_email fills a gap, it never overrules a no.
  return verified === true || (verified === undefined && provider.trustEmail);
}

function readName(claims: ProviderClaims): string | undefined {
  for (const claim of ["name", "preferred_username"]) {
    const value = claims[claim];
    if (typeof value !== "string") continue;
    const name = value.slice(0, NAME_MAX_CHARS).replace(/\p{C}/gu, "").trim();
    if (name !== "") return name;
  }
  return undefined;
}
