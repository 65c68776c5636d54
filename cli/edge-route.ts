/** The way to the edge: its URL, what certificates are believed, which proxy leads there. Decides; http.ts sends. */
import { readFileSync } from "node:fs";
import { getCACertificates } from "node:tls";
import { isLocalhostName } from "../core/localhost.ts";
import { errorCode, Failure, usageFailure } from "./failure.ts";

export interface EdgeRoute {
  /** Scheme, host and port only. */
  readonly origin: URL;
  /** PEM; empty for http. Verification cannot be turned off. */
  readonly authorities: readonly string[];
  /** Variables that Node's agent reads proxies from; undefined: dial directly. */
  readonly proxyEnvironment: Readonly<Record<string, string | undefined>> | undefined;
}

const PEM = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

const isLoopback = (host: string): boolean => isLocalhostName(host) || host === "127.0.0.1" || host === "[::1]";

/** Parses an edge URL: https anywhere, http on loopback only. Throws Failure (exit 2). */
export function parseEdgeUrl(text: string): URL {
  const url = URL.parse(text);
  const usable = url !== null && (url.protocol === "https:" || url.protocol === "http:") && url.username === "" && url.password === "" && url.search === "";
  if (!usable) throw usageFailure("the edge's URL cannot be used", "it must look like https://access.example.com", "--edge URL, or POSTERN_EDGE");
  if (url.protocol === "http:" && !isLoopback(url.hostname)) throw usageFailure("http is for loopback only", "the token would cross the network in the clear", `--edge https://${url.host}`);
  return new URL(url.origin);
}

/** The route to an origin. Throws Failure for an unreadable --ca file. */
export function routeTo(origin: URL, ca: string | undefined, environment: Readonly<Record<string, string | undefined>>): EdgeRoute {
  return {
    origin,
    authorities: origin.protocol === "https:" ? trustedAuthorities(ca) : [],
    proxyEnvironment: isLoopback(origin.hostname) ? undefined : environment,
  };
}

/** Node's own, the system's, NODE_EXTRA_CA_CERTS and --ca, together. */
function trustedAuthorities(ca: string | undefined): string[] {
  const trusted = [...getCACertificates("bundled"), ...getCACertificates("system"), ...getCACertificates("extra")];
  if (ca === undefined) return trusted;
  let text: string;
  try {
    text = readFileSync(ca, "utf8");
  } catch (error) {
    throw new Failure("ca_unreadable", `${ca} cannot be read`, `it was named by --ca; the system says ${errorCode(error) ?? "no reason"}`, ["check the path and its permissions"]);
  }
  const given = text.match(PEM) ?? [];
  if (given.length === 0) throw new Failure("ca_empty", `${ca} holds no PEM certificate`, "--ca takes a file of PEM certificates", [`openssl x509 -in ${ca} -inform der -out ca.pem`]);
  return [...trusted, ...given];
}
