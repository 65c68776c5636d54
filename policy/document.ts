/**
 * The policy document as everything else sees it: plain JSON with every default filled in and
 * every duration in milliseconds. Nothing here reads text (document-of.ts) or decides.
 */
import type { AppId, PolicyId, ProviderId, SiteId } from "../core/ids.ts";
import type { Json } from "../core/json.ts";
import { canonicalJson } from "../core/json.ts";
import type { IdentityProvider } from "../core/provider.ts";
import type { Role } from "./decision.ts";
import type { LossRules } from "./losses.ts";
import type { When } from "./when.ts";

export { hostOf } from "./naming.ts";
export type { Problem } from "./problems.ts";

/** The name of a Worker secret (locally: of an environment variable). Never the value. */
export interface SecretName {
  readonly secret: string;
}

export interface Provider extends IdentityProvider<ProviderId, SecretName> {
  /** Its users and groups are written to us (SCIM); groups come from there, not from tokens. */
  readonly scim?: {
    readonly token: SecretName;
    /** What joins a person who signs in with an entry: `sub` with its externalId, or the verified address with its own. */
    readonly match: "sub" | "email";
  };
}

/** A system that pushes security events about a provider's people (Shared Signals). */
export interface SignalSource {
  readonly id: string;
  /** `iss` of its events, exactly. */
  readonly issuer: string;
  readonly jwksUri: string;
  /** Values of `aud` that mean us. */
  readonly audience: readonly string[];
  /** Whose people it may speak of. */
  readonly provider: ProviderId;
  /** A bearer that each push must carry. */
  readonly token?: SecretName;
}

export interface Site {
  readonly id: SiteId;
  /** Location hint for the site's objects. */
  readonly region?: string;
  readonly lanes: number;
  /** The team's offline public key, base64url of 32 bytes. */
  readonly trustKey?: string;
}

/** Durations in ms. */
export interface SessionLimits {
  readonly max?: number;
  readonly idle?: number;
}

export interface Cors {
  readonly origins: readonly string[];
  readonly methods: readonly string[];
  readonly headers: readonly string[];
  readonly credentials: boolean;
}

export interface HeaderRules {
  /** Lower-case names; values may hold ${user.email}, ${user.sub}, ${user.groups}. */
  readonly set: { readonly [name: string]: string };
  readonly remove: readonly string[];
}

export interface AppTls {
  readonly serverName?: string;
  /** PEM certificates. */
  readonly ca?: string;
  /** "sha256/…" of the leaf's public key; one of them must match. Empty: none demanded. */
  readonly pin: readonly string[];
  readonly clientCert?: SecretName;
  readonly verify: boolean;
}

export interface Health {
  readonly path: string;
  /** ms. */
  readonly every: number;
  /** Status codes that mean healthy. */
  readonly expect: readonly number[];
}

export type InsecurePath = "encoded_slash" | "double_slash";

export interface App {
  readonly id: AppId;
  readonly site: SiteId;
  /** First healthy is used (P25). `http://host:port`, `https://host:port` or `tcp://host:port`, port always written. */
  readonly upstreams: readonly string[];
  readonly protocol: "http" | "tcp";
  readonly hostname?: string;
  /** For people; the launcher shows it. */
  readonly name?: string;
  readonly tags: readonly string[];
  readonly session?: SessionLimits;
  /** Stricter than the defaults. */
  readonly onLoss?: Partial<LossRules>;
  readonly cors?: Cors;
  /** Empty: the app's own origin (P22). */
  readonly websocket: { readonly origins: readonly string[] };
  readonly host: "forwarded" | "upstream" | { readonly literal: string };
  readonly headers: { readonly request: HeaderRules; readonly response: HeaderRules };
  readonly tls: AppTls;
  readonly insecurePaths: readonly InsecurePath[];
  readonly pathCase: "sensitive" | "insensitive";
  readonly health?: Health;
  /** ms. */
  readonly timeouts: { readonly connect: number; readonly firstByte: number; readonly idle?: number };
  /** Bytes of a request body. Absent: not limited. */
  readonly maxBody?: number;
  readonly visible: boolean;
}

export interface HttpNarrowing {
  /** Exact; absent: all. */
  readonly methods?: readonly string[];
  readonly paths?: readonly string[];
}

export interface PolicyLimits {
  /** ms. */
  readonly session?: number;
  readonly idle?: number;
  readonly maxBytes?: number;
  readonly readOnly?: boolean;
  readonly role?: Role;
}

export type SubjectWord = "user" | "service" | "device";

export interface Policy {
  readonly id: PolicyId;
  readonly effect: "allow" | "deny" | "limit";
  /** App ids, "tag:x" or "*" (P11). */
  readonly apps: readonly string[];
  readonly except: readonly string[];
  /** Absent: P13's default. */
  readonly subject?: readonly SubjectWord[];
  readonly when: When;
  readonly http?: HttpNarrowing;
  readonly limits?: PolicyLimits;
}

export interface Defaults {
  readonly session: { readonly max: number; readonly idle: number };
  /** While a part is down. Absent: a document stored before there were such rules. */
  readonly onLoss?: LossRules;
}

export type FriendlyFacts = { readonly [name: string]: Json | undefined };

export interface DocumentTest {
  /** As written; tests-facts.ts reads it (P26). */
  readonly as: FriendlyFacts;
  readonly app: AppId;
  readonly request: { readonly method: string; readonly path: string; readonly protocol: "http" | "websocket" | "tcp" };
  /** ms since the epoch. Absent: the caller's now. */
  readonly at?: number;
  readonly expect: "allow" | "deny" | "step_up";
  readonly by?: PolicyId;
  /** 1-based line of the test in its file; absent where the document came as JSON. */
  readonly line?: number;
}

export interface PolicyDocument {
  readonly version: 1;
  /** Lower-case. The launcher's host. */
  readonly domain: string;
  readonly providers: readonly Provider[];
  /** What a person's first passkey of ours needs: a second factor of the provider's, or nothing will do. Absent: a sign-in. */
  readonly passkeys?: "after_mfa" | "off";
  /** Absent: none. */
  readonly signals?: readonly SignalSource[];
  readonly sites: readonly Site[];
  readonly apps: readonly App[];
  readonly policies: readonly Policy[];
  readonly defaults: Defaults;
  readonly lists: { readonly [name: string]: readonly string[] };
  readonly conditions: { readonly [name: string]: When };
  readonly tests: readonly DocumentTest[];
}

/** The document's single spelling, for a digest: equal documents give equal text. */
export function canonicalDocument(document: PolicyDocument): string {
  return canonicalJson(document as unknown as Json);
}
