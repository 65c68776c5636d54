/**
 * Raw providers, sites and apps to normalised ones, with what their values may not be: issuers,
 * upstreams, header names and values. References between parts: references.ts.
 */
import type { AppId, ProviderId, SiteId } from "../core/ids.ts";
import type { App, Cors, HeaderRules, Health, Provider, SessionLimits, Site } from "./document.ts";
import type { PathPart, Report } from "./problems.ts";
import { parsePattern } from "./paths.ts";
import { readLosses } from "./read-losses.ts";
import { parseBytes } from "./quantity.ts";
import type { RawApp, RawProvider, RawSite } from "./schema.ts";
import { toList, toMs } from "./shapes.ts";
import { didYouMean } from "./suggest.ts";

const CONNECT_TIMEOUT_MS = 5_000;
const FIRST_BYTE_TIMEOUT_MS = 60_000;
const HEALTH_EVERY_MS = 10_000;

/** http is for a provider on this machine. */
export const LOOPBACK = /^http:\/\/(?:localhost|[a-z0-9-]+(?:\.[a-z0-9-]+)*\.localhost|127(?:\.[0-9]{1,3}){3}|\[::1\])(?::[0-9]{1,5})?(?:\/|$)/;
/** Issuers that speak for many organisations: nobody but the address's owner could vouch for an address (Providers). */
const MULTI_TENANT = /^https:\/\/(?:login\.microsoftonline\.com\/(?:common|organizations|consumers)(?:\/|$)|accounts\.google\.com\/?$)/;

export function readProvider(raw: RawProvider, path: readonly PathPart[], report: Report): Provider {
  const { issuer } = raw;
  if (/\{[^}]*\}/.test(issuer)) {
    report({
      code: "issuer",
      message: "an issuer with a placeholder accepts every tenant",
      fix: "write your tenant's own issuer, for example https://login.microsoftonline.com/<tenant id>/v2.0",
      path: [...path, "issuer"],
    });
  } else if (issuer.startsWith("http:") && !LOOPBACK.test(issuer)) {
    report({ code: "issuer", message: "an http issuer is accepted on loopback only", fix: "write https://", path: [...path, "issuer"] });
  }
  const emailDomains = raw.email_domains === undefined ? [] : toList(raw.email_domains);
  if (raw.trust_email === true && (emailDomains.length === 0 || MULTI_TENANT.test(issuer))) {
    report({
      code: "trust_email",
      message: emailDomains.length === 0 ? "trust_email needs email_domains" : "trust_email needs the issuer of a single tenant",
      fix: emailDomains.length === 0 ? "list the domains that this provider may vouch for" : "leave trust_email out",
      path: [...path, "trust_email"],
    });
  }
  const scopes = raw.scopes === undefined ? ["openid", "email", "profile"] : toList(raw.scopes);
  if (!scopes.includes("openid")) report({ code: "scopes", message: 'scopes must hold "openid"', path: [...path, "scopes"] });
  const auth = raw.client_auth ?? (raw.client_secret === undefined ? "none" : "client_secret_basic");
  if (auth !== "none" && raw.client_secret === undefined) {
    report({ code: "client_auth", message: `client_auth ${auth} needs client_secret`, path: [...path, "client_auth"] });
  }
  if (raw.scim !== undefined && raw.groups_claim !== undefined) reportUnused("groups_claim", "a provider with scim has its groups from there", [...path, "groups_claim"], report);
  if (raw.scim?.match === "email" && emailDomains.length === 0) {
    report({ code: "scim", message: "match: email needs email_domains", fix: "list the domains that this provider may vouch for", path: [...path, "scim", "match"] });
  }
  return {
    id: raw.id as ProviderId,
    issuer,
    clientId: raw.client_id,
    ...(raw.client_secret === undefined ? {} : { clientSecret: { secret: raw.client_secret.secret } }),
    clientAuth: auth,
    scopes: [...scopes],
    ...(raw.groups_claim === undefined ? {} : { groupsClaim: raw.groups_claim }),
    emailDomains: [...emailDomains].sort(),
    trustEmail: raw.trust_email ?? false,
    acrValues: raw.acr_values === undefined ? [] : [...toList(raw.acr_values)],
    tokenAudiences: raw.token_audiences === undefined ? [] : [...toList(raw.token_audiences)],
    ...(raw.scim === undefined ? {} : { scim: { token: { secret: raw.scim.token.secret }, match: raw.scim.match ?? "sub" } }),
  };
}

/** A key that is read for a later version: silence would be taken for protection. */
function reportUnused(key: string, instead: string, path: readonly PathPart[], report: Report): void {
  report({ code: "no_effect", message: `"${key}" has no effect in this version: ${instead}`, fix: "do not rely on it", path, atKey: true, warning: true });
}

export function readSite(raw: RawSite, path: readonly PathPart[], report: Report): Site {
  if (raw.trust_key !== undefined) reportUnused("trust_key", "a site's configuration is signed with the edge's own keys only", [...path, "trust_key"], report);
  return {
    id: raw.id as SiteId,
    ...(raw.region === undefined ? {} : { region: raw.region }),
    lanes: raw.lanes ?? 1,
    ...(raw.trust_key === undefined ? {} : { trustKey: raw.trust_key }),
  };
}

/** `scheme://host:port` with the port always written, or undefined. */
function readUpstream(written: string): { scheme: "http" | "https" | "tcp"; text: string } | undefined {
  const match = /^(https?|tcp):\/\/(\[[^\]]+\]|[^:/]+)(?::([0-9]+))?\/?$/.exec(written);
  const scheme = match?.[1] as "http" | "https" | "tcp" | undefined;
  if (match === null || scheme === undefined || match[2] === undefined) return undefined;
  const port = match[3] === undefined ? { http: 80, https: 443, tcp: 0 }[scheme] : Number(match[3]);
  if (port < 1 || port > 65_535) return undefined;
  return { scheme, text: `${scheme}://${match[2].toLowerCase()}:${port}` };
}

function readSession(raw: NonNullable<RawApp["session"]>): SessionLimits {
  return {
    ...(raw.max === undefined ? {} : { max: toMs(raw.max) }),
    ...(raw.idle === undefined ? {} : { idle: toMs(raw.idle) }),
  };
}

export function readApp(raw: RawApp, path: readonly PathPart[], report: Report): App {
  const onLoss = readLosses(raw);
  const upstreams: string[] = [];
  const schemes = new Set<string>();
  for (const [i, written] of toList(raw.upstream).entries()) {
    const at = Array.isArray(raw.upstream) ? [...path, "upstream", i] : [...path, "upstream"];
    const upstream = readUpstream(written);
    if (upstream === undefined) {
      report({ code: "upstream", message: "an upstream needs a port from 1 to 65535", fix: "write for example tcp://10.0.0.9:5432", path: at });
      continue;
    }
    schemes.add(upstream.scheme === "tcp" ? "tcp" : "http");
    if (!upstreams.includes(upstream.text)) upstreams.push(upstream.text);
  }
  if (schemes.size > 1) report({ code: "upstream", message: "an app is either http or tcp", fix: "make two apps", path: [...path, "upstream"] });
  const protocol = schemes.has("tcp") ? "tcp" : "http";
  if (protocol === "tcp") {
    for (const key of ["cors", "websocket", "host", "headers", "tls", "insecure_paths", "path_case", "max_body"] as const) {
      if (raw[key] !== undefined) report({ code: "tcp_app", message: `"${key}" means nothing for a tcp app`, fix: "remove it", path: [...path, key], atKey: true });
    }
  }
  if (raw.tls?.verify === false) report({ code: "tls_unverified", message: "the upstream's certificate is not verified", path: [...path, "tls", "verify"], warning: true });
  if (raw.tls?.client_cert !== undefined) reportUnused("tls.client_cert", "the connector shows the upstream no certificate", [...path, "tls", "client_cert"], report);
  return {
    id: raw.id as AppId,
    site: raw.site as SiteId,
    upstreams,
    protocol,
    ...(raw.hostname === undefined ? {} : { hostname: raw.hostname }),
    ...(raw.name === undefined ? {} : { name: raw.name }),
    tags: raw.tags === undefined ? [] : [...new Set(toList(raw.tags))].sort(),
    ...(raw.session === undefined ? {} : { session: readSession(raw.session) }),
    ...(Object.keys(onLoss).length === 0 ? {} : { onLoss }),
    ...(raw.cors === undefined ? {} : { cors: readCors(raw.cors) }),
    websocket: { origins: raw.websocket === undefined ? [] : [...toList(raw.websocket.origins)] },
    host: raw.host === undefined || raw.host === "forwarded" ? "forwarded" : raw.host === "upstream" ? "upstream" : { literal: typeof raw.host === "string" ? raw.host : raw.host.literal },
    headers: {
      request: readHeaders(raw.headers?.request, [...path, "headers", "request"], REQUEST_RESERVED, report),
      response: readHeaders(raw.headers?.response, [...path, "headers", "response"], RESPONSE_RESERVED, report),
    },
    tls: {
      ...(raw.tls?.server_name === undefined ? {} : { serverName: raw.tls.server_name }),
      ...(raw.tls?.ca === undefined ? {} : { ca: raw.tls.ca.trim() }),
      pin: raw.tls?.pin === undefined ? [] : [...toList(raw.tls.pin)],
      ...(raw.tls?.client_cert === undefined ? {} : { clientCert: { secret: raw.tls.client_cert.secret } }),
      verify: raw.tls?.verify ?? true,
    },
    insecurePaths: raw.insecure_paths === undefined ? [] : [...new Set(toList(raw.insecure_paths))].sort(),
    pathCase: raw.path_case ?? "sensitive",
    ...(raw.health === undefined ? {} : { health: readHealth(raw.health, [...path, "health"], report) }),
    timeouts: {
      connect: raw.timeouts?.connect === undefined ? CONNECT_TIMEOUT_MS : toMs(raw.timeouts.connect),
      firstByte: raw.timeouts?.first_byte === undefined ? FIRST_BYTE_TIMEOUT_MS : toMs(raw.timeouts.first_byte),
      ...(raw.timeouts?.idle === undefined || raw.timeouts.idle === "none" ? {} : { idle: toMs(raw.timeouts.idle) }),
    },
    ...(raw.max_body === undefined ? {} : { maxBody: parseBytes(raw.max_body) ?? 1 }),
    visible: raw.visible ?? false,
  };
}

function readCors(raw: NonNullable<RawApp["cors"]>): Cors {
  return {
    origins: [...toList(raw.origins)],
    methods: raw.methods === undefined ? ["GET", "HEAD", "POST"] : [...toList(raw.methods)],
    headers: raw.headers === undefined ? [] : toList(raw.headers).map((header) => header.toLowerCase()),
    credentials: raw.credentials ?? false,
  };
}

function readHealth(raw: NonNullable<RawApp["health"]>, path: readonly PathPart[], report: Report): Health {
  const pattern = parsePattern(raw.path);
  if (typeof pattern === "string" || raw.path.includes("*")) {
    report({ code: "path", message: "health.path is one path, without patterns", path: [...path, "path"] });
  }
  return { path: raw.path, every: raw.every === undefined ? HEALTH_EVERY_MS : toMs(raw.every), expect: raw.expect === undefined ? [200] : [...toList(raw.expect)] };
}

/** Hop by hop (RFC 9110 §7.6.1), framing, routing, and what only Postern says: never an operator's. */
const RESERVED = /^(?:connection|keep-alive|te|trailer|transfer-encoding|upgrade|content-length|host|forwarded|via|expect|x-real-ip|(?:x-)?postern-.*|proxy-.*|x-forwarded-.*|cf-.*|sec-websocket-.*|http2-settings)$/;
const REQUEST_RESERVED = (name: string): boolean => RESERVED.test(name) || name === "cookie";
const RESPONSE_RESERVED = (name: string): boolean => RESERVED.test(name) || name === "set-cookie";
const VARIABLES = ["user.email", "user.sub", "user.groups"];

function readHeaders(
  raw: NonNullable<RawApp["headers"]>["request"],
  path: readonly PathPart[],
  reserved: (name: string) => boolean,
  report: Report,
): HeaderRules {
  const set: Record<string, string> = {};
  for (const [name, value] of Object.entries(raw?.set ?? {})) {
    const at = [...path, "set", name];
    if (reserved(name.toLowerCase())) report({ code: "reserved_header", message: `the header "${name}" is Postern's own`, path: at, atKey: true });
    // CR, LF and NUL end or split a header (RFC 9110 §5.5, class of request smuggling).
    if (/[^\t\x20-\x7e]/.test(value)) report({ code: "header_value", message: "a header value is printable ASCII on one line", path: at });
    for (const [, variable = ""] of value.matchAll(/\$\{([^}]*)\}?/g)) {
      if (VARIABLES.includes(variable)) continue;
      report({ code: "header_value", message: `no variable "\${${variable}}"`, fix: didYouMean(variable, VARIABLES) ?? `known: ${VARIABLES.join(", ")}`, path: at });
    }
    set[name.toLowerCase()] = value;
  }
  const remove = raw?.remove === undefined ? [] : toList(raw.remove);
  for (const [i, name] of remove.entries()) {
    const at = Array.isArray(raw?.remove) ? [...path, "remove", i] : [...path, "remove"];
    if (reserved(name.toLowerCase())) report({ code: "reserved_header", message: `the header "${name}" is Postern's own`, path: at });
  }
  return { set, remove: [...new Set(remove.map((name) => name.toLowerCase()))].sort() };
}
