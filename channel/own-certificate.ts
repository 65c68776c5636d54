/**
 * A certificate that says nothing but a public key: what TLS needs to carry an Ed25519 key of our
 * own. Nobody issues or verifies it and it does not run out; whoever reads it pins the key.
 */
import { createPrivateKey, createPublicKey, sign } from "node:crypto";
import { AsnConvert } from "@peculiar/asn1-schema";
import { AlgorithmIdentifier, Certificate, Name, SubjectPublicKeyInfo, TBSCertificate, Validity, Version } from "@peculiar/asn1-x509";

const ED25519 = "1.3.101.112";
/** RFC 5280 §4.1.2.5: 99991231235959Z is "no well-defined expiration date". */
const NEVER = new Date("9999-12-31T23:59:59Z");

/** A private Ed25519 JWK; secret. */
export interface OwnKey {
  readonly kty: string;
  readonly crv: string;
  readonly x: string;
  readonly d: string;
}

/** Key and self-signed certificate, both PEM; the key is secret. */
export function ownCertificate({ kty, crv, x, d }: OwnKey): { readonly key: string; readonly cert: string } {
  const key = createPrivateKey({ key: { kty, crv, x, d }, format: "jwk" });
  const signature = new AlgorithmIdentifier({ algorithm: ED25519 });
  const body = new TBSCertificate({
    version: Version.v3,
    serialNumber: new Uint8Array([1]).buffer,
    signature,
    issuer: new Name(),
    subject: new Name(),
    validity: new Validity({ notBefore: new Date(0), notAfter: NEVER }),
    subjectPublicKeyInfo: AsnConvert.parse(createPublicKey(key).export({ type: "spki", format: "der" }), SubjectPublicKeyInfo),
  });
  const signed = sign(null, new Uint8Array(AsnConvert.serialize(body)), key);
  const certificate = new Certificate({ tbsCertificate: body, signatureAlgorithm: signature, signatureValue: new Uint8Array(signed).buffer });
  const text = Buffer.from(AsnConvert.serialize(certificate)).toString("base64").match(/.{1,64}/g) ?? [];
  return {
    key: key.export({ type: "pkcs8", format: "pem" }) as string,
    cert: `-----BEGIN CERTIFICATE-----\n${text.join("\n")}\n-----END CERTIFICATE-----\n`,
  };
}
