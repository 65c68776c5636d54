/**
 * Which certificate authorities the connector believes for the edge: Node's own, the system's,
 * NODE_EXTRA_CA_CERTS and --ca, together. Verification cannot be turned off.
 */
import { readFileSync } from "node:fs";
// As a whole: an older Node, which has no getCACertificates, could not even load a file that names it.
import tls from "node:tls";
import { Failure } from "./failure.ts";

const PEM = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

/** PEM certificates for tls.connect's `ca`. An unreadable --ca file is a failure, not fewer CAs. */
export function trustedAuthorities(caFile: string | undefined): string[] {
  const trusted = [...tls.getCACertificates("bundled"), ...tls.getCACertificates("system"), ...tls.getCACertificates("extra")];
  if (caFile === undefined) return trusted;
  let text: string;
  try {
    text = readFileSync(caFile, "utf8");
  } catch {
    throw new Failure("ca_unreadable", `the file ${caFile} cannot be read`, "it was named by --ca", "check the path and its permissions");
  }
  const given = text.match(PEM) ?? [];
  if (given.length === 0) {
    throw new Failure("ca_empty", `the file ${caFile} holds no PEM certificate`, "--ca takes a file of PEM certificates", "openssl x509 -in FILE -inform der -out FILE.pem");
  }
  return [...trusted, ...given];
}
