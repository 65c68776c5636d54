/**
 * Branded identifiers and their parsers. A string from outside becomes an id by its parser
 * here; the cast elsewhere is for ids that we make, that we stored, and that a document's schema
 * has checked. Not for secrets.
 */
declare const brand: unique symbol;
type Id<Kind extends string> = string & { readonly [brand]: Kind };

/** `postern.yaml` names: apps, sites, providers, policies. Also a DNS label. */
export type AppId = Id<"app">;
export type SiteId = Id<"site">;
export type ProviderId = Id<"provider">;
export type PolicyId = Id<"policy">;
/** A session: the 64 hex digits of its durable object's id, which only our namespace can mint. */
export type SessionId = Id<"session">;
/** A user: `u_` and base64url of SHA-256 over issuer and subject. Never the email. */
export type UserId = Id<"user">;
export type ServiceId = Id<"service">;
export type ConnectorId = Id<"connector">;
/** A device: `d_` and the RFC 7638 thumbprint of its key. Another key is another device. */
export type DeviceId = Id<"device">;
/** One request or connection; also the decision id that `postern explain` takes. */
export type RequestId = Id<"request">;
export type ReceiptId = Id<"receipt">;

/** A DNS label of at most 63 characters: lower-case letters, digits and inner hyphens. */
const LABEL = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;

const matching =
  <T extends string>(pattern: RegExp) =>
  (text: string): T | undefined =>
    pattern.test(text) ? (text as T) : undefined;

/** The app that administers Postern itself; it has no host of its own and must be named in a policy (P11). */
export const ADMIN_APP = "postern:admin" as AppId;
/** The service that a broken seal lets act (docs/decisions/0029); no token is made for it otherwise. */
export const BREAK_GLASS_SERVICE = "break-glass";

export const parseAppId = (text: string): AppId | undefined =>
  text === ADMIN_APP ? ADMIN_APP : LABEL.test(text) ? (text as AppId) : undefined;
export const parseSiteId = matching<SiteId>(LABEL);
export const parseProviderId = matching<ProviderId>(LABEL);
export const parsePolicyId = matching<PolicyId>(/^(?:postern:)?[a-z0-9](?:[a-z0-9_-]{0,62})$/);
export const parseSessionId = matching<SessionId>(/^[0-9a-f]{64}$/);
export const parseUserId = matching<UserId>(/^u_[A-Za-z0-9_-]{43}$/);
export const parseServiceId = matching<ServiceId>(/^(?:postern:)?[a-z0-9](?:[a-z0-9_-]{0,62})$/);
export const parseConnectorId = matching<ConnectorId>(/^c_[A-Za-z0-9_-]{22}$/);
export const parseDeviceId = matching<DeviceId>(/^d_[A-Za-z0-9_-]{43}$/);
export const parseRequestId = matching<RequestId>(/^r_[A-Za-z0-9_-]{22}$/);
export const parseReceiptId = matching<ReceiptId>(/^rcpt_[A-Za-z0-9_-]{22}$/);
