/**
 * Turns a failed connection to the edge into what, why and the next step. Each cause that an
 * operator meets in practice has a code of its own. Not for failures of origins.
 */
import { READY_PATH } from "../protocol/paths.ts";
import { ProxyRefused } from "./edge-dial.ts";
import { Failure, errorCode } from "./failure.ts";

/** The edge, or something in its place, answered the WebSocket upgrade with a plain HTTP status. */
export class UpgradeRefused extends Error {
  readonly status: number;
  /** The answer's Date header in milliseconds since 1970, if it had one. */
  readonly date: number | undefined;
  /** True if the answer carries Postern-Request-Id: then it is the edge's own. */
  readonly fromEdge: boolean;

  constructor(status: number, date: number | undefined, fromEdge: boolean) {
    super(`upgrade answered ${status}`);
    this.name = "UpgradeRefused";
    this.status = status;
    this.date = date;
    this.fromEdge = fromEdge;
  }
}

/** The clock may be off by this much before certificates and signatures are blamed on it. */
const CLOCK_TOLERANCE_MS = 60_000;

const UNKNOWN_ISSUER: ReadonlySet<string> = new Set([
  "UNABLE_TO_GET_ISSUER_CERT", "UNABLE_TO_GET_ISSUER_CERT_LOCALLY", "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
  "SELF_SIGNED_CERT_IN_CHAIN", "DEPTH_ZERO_SELF_SIGNED_CERT", "CERT_UNTRUSTED",
]);
const NOT_NOW: ReadonlySet<string> = new Set(["CERT_NOT_YET_VALID", "CERT_HAS_EXPIRED"]);

/** Explains `error` of an attempt to reach `edge` (its host only is shown). */
export function diagnose(error: unknown, edge: URL, proxied: boolean): Failure {
  const host = edge.host;
  if (error instanceof Failure) return error;
  if (error instanceof ProxyRefused) return diagnoseProxy(error.status, host);
  if (error instanceof UpgradeRefused) return diagnoseUpgrade(error, host);
  const code = errorCode(error) ?? "unknown";
  if (UNKNOWN_ISSUER.has(code)) {
    return new Failure("tls_inspected", `the certificate of ${host} was issued by an authority that this machine does not know (${code})`,
      "most often a proxy on the way opens TLS connections and signs with the company's own authority",
      "give the authority's certificate: --ca FILE (or exempt the edge from inspection)");
  }
  if (NOT_NOW.has(code)) {
    return new Failure("clock_or_certificate", `the certificate of ${host} is not valid at this machine's time (${code})`,
      "this machine's clock is wrong, or the certificate really is outside its validity", "check the clock: date -u; timedatectl status");
  }
  if (code === "ERR_TLS_CERT_ALTNAME_INVALID") {
    return new Failure("tls_wrong_name", `the certificate presented for ${host} is for another name`,
      "the edge URL is misspelled, or something else answers at that address", "check the edge URL");
  }
  if (code === "ENOTFOUND" || code === "EAI_AGAIN") {
    return new Failure("dns", `the name ${host} cannot be resolved (${code})`, "no DNS answer on this network",
      "check the edge URL and DNS; behind a proxy set HTTPS_PROXY");
  }
  return new Failure("unreachable", `${proxied ? "the proxy or the edge" : "the edge"} ${host} cannot be reached (${code})`,
    "outbound port 443 may be closed, or the other end is down", `check: curl -sS ${edge.origin}${READY_PATH}`);
}

function diagnoseProxy(status: number, host: string): Failure {
  if (status === 407) {
    return new Failure("proxy_auth", "the proxy asks for credentials (407)", "HTTPS_PROXY has none, or they are wrong; Basic is the only scheme spoken",
      "set HTTPS_PROXY=http://USER:PASSWORD@PROXY:PORT in the service's environment file");
  }
  return new Failure("proxy_refused", `the proxy refuses a tunnel to ${host} (${status})`, "its rules do not allow CONNECT to this host and port",
    `have ${host} allowed in the proxy, or exempt it: NO_PROXY=${host}`);
}

function diagnoseUpgrade(error: UpgradeRefused, host: string): Failure {
  if (!error.fromEdge) {
    return new Failure("websocket_blocked", `${host} answered ${error.status} where a WebSocket was asked for, and it was not Postern that answered`,
      "a proxy or firewall on the way blocks or strips WebSocket upgrades, or the edge URL is another site",
      "allow WebSocket (RFC 6455) to the edge, or exempt it from inspection");
  }
  if (error.status === 426) {
    return new Failure("version", "the edge does not speak this connector's protocol version (426)", "the edge serves the two newest versions", "update the connector");
  }
  return new Failure("edge_refused", `the edge refused the connection (${error.status})`, "the connector is unknown there, or was revoked",
    "`postern connectors` says whether it was revoked; to enrol anew: postern enroll-token SITE, then postern-connector enroll");
}

/** A failure if this machine's clock and the edge's differ by more than the tolerance; undefined otherwise. */
export function diagnoseClock(edgeNow: number, localNow: number): Failure | undefined {
  const skew = localNow - edgeNow;
  if (Math.abs(skew) <= CLOCK_TOLERANCE_MS) return undefined;
  return new Failure("clock", `this machine's clock is ${Math.round(Math.abs(skew) / 1000)} s ${skew > 0 ? "ahead of" : "behind"} the edge's`,
    "signatures are only valid for seconds, so the clocks must agree", "set the clock: timedatectl set-ntp true");
}
