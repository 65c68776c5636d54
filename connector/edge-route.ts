/** The way to the edge, from its URL, the environment's proxies and --ca. Decides; edge-dial.ts dials. */
import type { EdgeRoute } from "./edge-dial.ts";
import { Failure, usageFailure } from "./failure.ts";
import { isLocalhostName } from "./address-guard.ts";
import { proxyFor } from "./proxy.ts";
import { trustedAuthorities } from "./trust.ts";

/** Parses an edge URL: https anywhere, http on loopback only. Throws Failure (exit 2). */
export function parseEdgeUrl(text: string): URL {
  const url = URL.parse(text);
  const usable = url !== null && (url.protocol === "https:" || url.protocol === "http:") && url.username === "" && url.password === "" && url.search === "";
  if (!usable) throw usageFailure(`"${text.slice(0, 100)}" is no edge URL`, "it looks like https://access.example.com");
  const local = isLocalhostName(url.hostname) || url.hostname === "127.0.0.1" || url.hostname === "[::1]";
  if (url.protocol === "http:" && !local) throw usageFailure("http is for loopback only", "the token would cross the network in the clear; use https");
  return new URL(url.origin);
}

/** The route to `edge`. Throws Failure for an unreadable proxy setting or --ca file. */
export function edgeRoute(edge: URL, environment: Readonly<Record<string, string | undefined>>, ca: string | undefined): EdgeRoute {
  const proxy = proxyFor(edge, environment);
  if (!proxy.ok) {
    throw new Failure("bad_proxy_url", "the proxy setting in the environment cannot be read", "HTTPS_PROXY (or http_proxy, ALL_PROXY) must be http://[USER:PASSWORD@]HOST:PORT", "correct it, or unset it");
  }
  return { edge, proxy: proxy.value, authorities: edge.protocol === "https:" || proxy.value?.tls === true ? trustedAuthorities(ca) : [] };
}
