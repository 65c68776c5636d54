/**
 * The connector's own veto: which HOST:PORT it may dial, given on its command line and stored in
 * its state, so that no edge can widen it. Not a policy about people.
 */
import { isIP } from "node:net";
import { err, ok } from "../core/result.ts";
import type { Result } from "../core/result.ts";
import { addressKind, canonicalHost, isLocalhostName } from "./address-guard.ts";
import type { AddressKind } from "./address-guard.ts";

/** A place to dial; `host` is in canonicalHost's spelling, without brackets. */
export interface Endpoint {
  readonly host: string;
  readonly port: number;
}

export type AllowRule = { readonly kind: "list"; readonly endpoints: readonly Endpoint[] } | { readonly kind: "site_config" };

/** Why the connector itself will not dial: safe to log and to send to the edge. */
export type DialRefusal =
  | { readonly kind: "not_in_allow_list" }
  | { readonly kind: "bad_host" }
  | { readonly kind: "forbidden_address"; readonly address: AddressKind };

const HOST_PORT = /^(.+):([1-9][0-9]{0,4})$/;

/** Parses "HOST:PORT", an IPv6 host in brackets; undefined for other spellings of a host or a port above 65535. */
export function parseEndpoint(text: string): Endpoint | undefined {
  const match = HOST_PORT.exec(text.trim());
  if (match?.[1] === undefined || match[2] === undefined) return undefined;
  const bare = match[1];
  if (bare.includes(":") && !bare.startsWith("[")) return undefined;
  const host = canonicalHost(bare);
  const port = Number(match[2]);
  return host === undefined || port > 65_535 ? undefined : { host, port };
}

/** The way back: brackets around IPv6. */
export function formatEndpoint(endpoint: Endpoint): string {
  return endpoint.host.includes(":") ? `[${endpoint.host}]:${endpoint.port}` : `${endpoint.host}:${endpoint.port}`;
}

/** Whoever gives this connector a canary names the place on its command line, as --allow would. */
export function withCanary(rule: AllowRule, canary: Endpoint | undefined): AllowRule {
  return canary === undefined || rule.kind === "site_config" ? rule : { kind: "list", endpoints: [...rule.endpoints, canary] };
}

/** Whether the local rule names this place; site_config names whatever the signed configuration does. */
export function isNamed(rule: AllowRule, endpoint: Endpoint): boolean {
  if (rule.kind === "site_config") return true;
  return rule.endpoints.some(({ host, port }) => host === endpoint.host && port === endpoint.port);
}

/**
 * Whether a connection meant for `endpoint` may go to `address`, one of the addresses it resolved
 * to. Loopback, link-local, metadata and the like pass only if the address itself ("localhost" for
 * loopback) is literally named: by the local list, or, where the operator trusts the site's
 * configuration, for loopback only, by the upstream there.
 */
export function mayDial(rule: AllowRule, endpoint: Endpoint, address: string): Result<undefined, DialRefusal> {
  if (!isNamed(rule, endpoint)) return err({ kind: "not_in_allow_list" });
  const kind = addressKind(address);
  if (kind === undefined) return err({ kind: "bad_host" });
  if (kind === "ordinary") return ok(undefined);
  const literal = { host: canonicalHost(address) ?? "", port: endpoint.port };
  const spelledOut = isIP(endpoint.host) !== 0 ? endpoint.host === literal.host : kind === "loopback" && isLocalhostName(endpoint.host);
  const permitted =
    rule.kind === "list"
      ? spelledOut || rule.endpoints.some(({ host, port }) => host === literal.host && port === literal.port)
      : spelledOut && kind === "loopback";
  return permitted ? ok(undefined) : err({ kind: "forbidden_address", address: kind });
}
