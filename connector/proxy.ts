/**
 * Which forward proxy leads to the edge: HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY as curl
 * reads them. Not for origins, which are always dialled directly.
 */
import { err, ok } from "../core/result.ts";
import type { Result } from "../core/result.ts";
import { canonicalHost, isLocalhostName } from "./address-guard.ts";

export interface Proxy {
  /** The proxy itself is spoken to over TLS. */
  readonly tls: boolean;
  readonly host: string;
  readonly port: number;
  /** The value of Proxy-Authorization (RFC 7617), never logged. */
  readonly authorization: string | undefined;
}

type Environment = Readonly<Record<string, string | undefined>>;

/** The proxy for `edge`, or undefined for a direct connection. An unreadable setting is an error, never "direct". */
export function proxyFor(edge: URL, environment: Environment): Result<Proxy | undefined, "bad_proxy_url"> {
  const secure = edge.protocol === "https:";
  // The upper-case HTTP_PROXY is left alone, as curl does: CGI lets a request header set it.
  const names = secure ? ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"] : ["http_proxy", "all_proxy", "ALL_PROXY"];
  const setting = names.map((name) => environment[name]).find((value) => value !== undefined && value !== "");
  if (setting === undefined || isExempt(edge, environment)) return ok(undefined);
  const url = URL.parse(setting.includes("://") ? setting : `http://${setting}`);
  if (url === null || (url.protocol !== "http:" && url.protocol !== "https:") || url.hostname === "") return err("bad_proxy_url");
  const tls = url.protocol === "https:";
  let authorization: string | undefined;
  if (url.username !== "" || url.password !== "") {
    try {
      const pair = `${decodeURIComponent(url.username)}:${decodeURIComponent(url.password)}`;
      authorization = `Basic ${Buffer.from(pair, "utf8").toString("base64")}`;
    } catch {
      return err("bad_proxy_url");
    }
  }
  const host = url.hostname.startsWith("[") ? url.hostname.slice(1, -1) : url.hostname;
  return ok({ tls, host, port: Number(url.port) || (tls ? 443 : 80), authorization });
}

/** NO_PROXY: "*", a host, ".suffix" or "suffix", each with an optional port. Loopback is always exempt. */
function isExempt(edge: URL, environment: Environment): boolean {
  const host = canonicalHost(edge.hostname) ?? edge.hostname;
  if (isLocalhostName(host) || host === "127.0.0.1" || host === "::1") return true;
  const port = edge.port === "" ? (edge.protocol === "https:" ? "443" : "80") : edge.port;
  const list = environment["no_proxy"] ?? environment["NO_PROXY"] ?? "";
  return list.split(/[\s,]+/).some((raw) => {
    const entry = raw.toLowerCase();
    if (entry === "") return false;
    if (entry === "*") return true;
    const match = /^(\[[^\]]+\]|[^:]+)(?::([0-9]+))?$/.exec(entry);
    const named = match?.[1] ?? entry;
    if (match?.[2] !== undefined && match[2] !== port) return false;
    const suffix = named.replace(/^\*?\./, "");
    return host === (canonicalHost(suffix) ?? suffix) || host.endsWith(`.${suffix}`);
  });
}
