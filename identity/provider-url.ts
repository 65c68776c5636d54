/**
 * Which URLs of a provider we talk to. https everywhere; http only between loopback names, for a
 * provider that runs on the same machine. Not a resolver: addresses are judged as they are written.
 */
const URL_MAX_CHARS = 2_048;

/** Whether a host name can only mean this machine (RFC 6761 §6.3). */
export function isLoopbackHost(hostname: string): boolean {
  if (hostname === "localhost" || hostname.endsWith(".localhost")) return true;
  return hostname === "[::1]" || /^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(hostname);
}

/** Names and literals that mean a private network, never a public provider. */
function isPrivateHost(hostname: string): boolean {
  if (hostname.startsWith("[") || /^\d+\.\d+\.\d+\.\d+$/.test(hostname)) return true;
  return isLoopbackHost(hostname) || !hostname.includes(".") || /\.(?:local|internal)\.?$/.test(hostname);
}

/** The issuer as a URL if we may talk to it: https, or http on loopback; no query, fragment or user. */
export function parseIssuer(issuer: string): URL | undefined {
  if (issuer.length > URL_MAX_CHARS || !URL.canParse(issuer)) return undefined;
  const url = new URL(issuer);
  if (url.username !== "" || url.password !== "" || issuer.includes("?") || issuer.includes("#")) return undefined;
  if (url.protocol === "https:") return url;
  return url.protocol === "http:" && isLoopbackHost(url.hostname) ? url : undefined;
}

/**
 * Whether an endpoint named by the issuer's metadata may be used: https, or http when both are
 * loopback; and a private or literal host only when it is the issuer's own, so that metadata
 * cannot point us at a neighbour (class F, substitution).
 */
export function isUsableEndpoint(issuer: URL, endpoint: unknown): endpoint is string {
  if (typeof endpoint !== "string" || endpoint.length > URL_MAX_CHARS || !URL.canParse(endpoint)) return false;
  const url = new URL(endpoint);
  if (url.username !== "" || url.password !== "" || url.hash !== "") return false;
  const bothLoopback = isLoopbackHost(issuer.hostname) && isLoopbackHost(url.hostname);
  if (url.protocol === "http:") return issuer.protocol === "http:" && bothLoopback;
  if (url.protocol !== "https:") return false;
  return !isPrivateHost(url.hostname) || url.hostname === issuer.hostname || bothLoopback;
}
