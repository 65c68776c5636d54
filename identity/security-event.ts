/**
 * A security event token (RFC 8417) of a Shared Signals transmitter: verified, then turned into
 * what it means here: whom it names (RFC 9493) and what no longer holds of them (CAEP, RISC). Not
 * who that is among our sessions: durable-objects/control/hearing.ts.
 */
import { err, ok } from "../core/result.ts";
import type { Result } from "../core/result.ts";
import { at, SECOND_MS } from "../core/time.ts";
import type { IdentityFact } from "./claims.ts";
import { readGroups } from "./groups.ts";
import { oidcProblem } from "./problems.ts";
import type { OidcProblem } from "./problems.ts";
import { numericDate } from "./provider-jws.ts";
import { isUsableEndpoint, parseIssuer } from "./provider-url.ts";
import type { OidcIo } from "./provider.ts";
import { isObject, type Payload, shortText, verifyStatement } from "./statement.ts";

/** A source as the policy document describes it, with what it needs of its provider. */
export interface EventSource {
  readonly id: string;
  readonly issuer: string;
  readonly jwksUri: string;
  readonly audience: readonly string[];
  /** Whose people it may speak of. */
  readonly provider: { readonly id: string; readonly issuer: string; readonly groupsClaim?: string; readonly scim?: unknown };
}

/** Whom a statement names, by what the provider knows them by. */
export interface Named {
  readonly sub?: string;
  readonly email?: string;
  readonly providerSession?: string;
  readonly device?: string;
}

export type Consequence =
  | { readonly kind: "end" }
  /** For what was observed until `at`. */
  | { readonly kind: "facts"; readonly facts: { readonly [name: string]: IdentityFact | null }; readonly at?: number };

/** One event that changes something. */
export interface Statement {
  /** In the source's own word. */
  readonly name: string;
  readonly named: Named;
  readonly effect: Consequence;
}

const EVENT = /^https:\/\/schemas\.openid\.net\/secevent\/(?:caep|risc)\/event-type\/([a-z-]{1,64})$/;

/**
 * The token's id and its events that change something; none is no error (verification, events of
 * other kinds). Errors: provider_misconfigured, those of verifyStatement, with `cause` "subject" for one that it may not name.
 */
export async function readSecurityEvents(
  token: string,
  source: EventSource,
  io: OidcIo,
): Promise<Result<{ readonly jti: string; readonly statements: readonly Statement[] }, OidcProblem>> {
  const issuer = parseIssuer(source.issuer);
  if (issuer === undefined || !isUsableEndpoint(issuer, source.jwksUri)) return err(oidcProblem(source.id, "provider_misconfigured", "jwks_uri"));
  // Its key set is its own, even where its issuer is that of a provider.
  const signer = { id: source.id, issuer: source.jwksUri };
  const verified = await verifyStatement(token, ["secevent+jwt"], signer, { jwks_uri: source.jwksUri }, source, io);
  if (!verified.ok) return verified;
  const { jti, claims, events } = verified.value;
  const observedAt = at(Math.min((numericDate(claims["iat"]) ?? 0) * SECOND_MS, io.now()));
  const statements: Statement[] = [];
  for (const [type, payload] of events) {
    const name = EVENT.exec(type)?.[1];
    const effect = name === undefined ? undefined : consequence(name, payload, source, observedAt);
    if (name === undefined || effect === undefined) continue;
    // Drafts had the subject within the event.
    const named = readSubject(claims["sub_id"] ?? payload["subject"], source.provider.issuer);
    if (named === undefined) return err(oidcProblem(source.id, "token_invalid", "subject"));
    statements.push({ name, named, effect });
  }
  return ok({ jti, statements });
}

/** What an event takes away; undefined when it takes nothing. What it leaves open is read as the worse. */
function consequence(name: string, payload: Payload, { id, provider }: EventSource, observedAt: IdentityFact["observedAt"]): Consequence | undefined {
  const facts = (all: { readonly [name: string]: IdentityFact | null }): Consequence => ({ kind: "facts", facts: all, at: observedAt });
  const noMfa = facts({ mfa: null });
  switch (name) {
    case "session-revoked":
    case "account-disabled":
      return { kind: "end" };
    case "credential-change":
      return payload["change_type"] === "create" ? undefined : noMfa;
    case "assurance-level-change":
      return payload["change_direction"] === "increase" ? undefined : noMfa;
    case "account-credential-change-required":
      return facts({ mfa: null, auth: null });
    case "device-compliance-change":
      return facts({ "device.compliant": { value: payload["current_status"] === "compliant", source: `posture:${id}`, observedAt } });
    case "token-claims-change": {
      // A provider with a directory has its groups from there.
      const claim = provider.groupsClaim;
      const { claims } = payload;
      if (provider.scim !== undefined || claim === undefined || !isObject(claims) || !Object.hasOwn(claims, claim)) return undefined;
      const { names } = readGroups(claims, claim);
      return facts({ groups: names === undefined ? null : { value: names.map((one) => `${provider.id}:${one}`), source: provider.id, observedAt } });
    }
    default:
      return undefined;
  }
}

/** RFC 9493, as far as it names people, sessions and devices of this issuer; undefined for anybody else's. */
function readSubject(subject: unknown, issuer: string): Named | undefined {
  if (!isObject(subject)) return undefined;
  const { user, session, device, iss } = subject;
  if (iss !== undefined && iss !== issuer) return undefined;
  // Drafts called it subject_type, and wrote "iss-sub".
  const format = subject["format"] ?? subject["subject_type"] ?? "complex";
  const text = (name: string, of: unknown = subject): string | undefined => (isObject(of) ? shortText(of[name]) : undefined);
  switch (format) {
    case "complex": {
      const named = user === undefined ? {} : readSubject(user, issuer);
      // One that cannot be read is named all the same.
      const [providerSession, deviceId] = [text("id", session), device === undefined ? undefined : (text("id", device) ?? "")];
      if (named === undefined || (user ?? providerSession ?? device) === undefined) return undefined;
      return { ...named, ...(providerSession === undefined ? {} : { providerSession }), ...(deviceId === undefined ? {} : { device: deviceId }) };
    }
    case "opaque":
    case "iss-sub":
    case "iss_sub": {
      const sub = text(format === "opaque" ? "id" : "sub");
      return sub === undefined || (format !== "opaque" && iss === undefined) ? undefined : { sub };
    }
    case "email":
    case "account": {
      const email = text(format === "email" ? "email" : "uri")?.replace(/^acct:/, "").toLowerCase();
      return email === undefined ? undefined : { email };
    }
    default:
      return undefined;
  }
}
