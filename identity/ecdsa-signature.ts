/**
 * The two numbers of an ECDSA signature as WebCrypto takes them, out of the DER that an authenticator
 * writes (RFC 3279 §2.2.3). Stands in for the same part of the passkeys' library (wrangler.toml
 * `[alias]`), whose general DER reader is larger than all the rest of it.
 */

/** COSE's number of P-256, the one curve of the algorithms that passkeys are asked for. */
const P256 = 1;
const P256_BYTES = 32;
const [SEQUENCE, INTEGER] = [0x30, 0x02];

/** r and s side by side. Throws for any other curve, and for what is not the one DER of two numbers. */
export function unwrapEC2Signature(der: Uint8Array, curve: number): Uint8Array<ArrayBuffer> {
  const next = 4 + (der[3] ?? 0);
  const end = next + 2 + (der[next + 1] ?? 0);
  const framed = der[0] === SEQUENCE && der[1] === der.length - 2 && der[2] === INTEGER && der[next] === INTEGER && end === der.length;
  if (curve !== P256 || !framed) throw new TypeError("not a signature");
  const raw = new Uint8Array(2 * P256_BYTES);
  for (const [number, limit] of [[der.subarray(4, next), P256_BYTES], [der.subarray(next + 2), 2 * P256_BYTES]] as const) {
    const [first = 0x80, second = 0x80] = number;
    const bytes = number.subarray(first === 0 ? 1 : 0);
    // Neither negative, nor longer than it needs to be.
    if (first >= 0x80 || (first === 0 && second < 0x80) || bytes.length > P256_BYTES) throw new TypeError("not a signature");
    raw.set(bytes, limit - bytes.length);
  }
  return raw;
}
