/**
 * Whether a token says that more than one factor was shown, and which (RFC 8176 `amr`, and `acr`
 * where the operator listed values). Says nothing about when: that is `auth_time`'s.
 */
import type { ProviderClaims } from "./provider-jws.ts";

const METHODS_MAX_COUNT = 32;
const METHOD = /^[A-Za-z0-9._:/#-]{1,128}$/;
/** Values by which a provider itself says "multi-factor". */
const MULTI = ["mfa", "ngcmfa"];
/** RFC 8176 values by the kind of factor; two different kinds are multi-factor. */
const KINDS: readonly (readonly string[])[] = [
  ["pwd", "pin", "kba"],
  ["otp", "hwk", "swk", "sc", "sms", "tel", "pop", "fido", "rsa"],
  ["face", "fpt", "iris", "retina", "vbm"],
];

/**
 * The methods of a multi-factor authentication, sorted and without repetition, always with "mfa"
 * among them; undefined if the token does not say that there was one.
 */
export function readMfaMethods(claims: ProviderClaims, acrValues: readonly string[]): readonly string[] | undefined {
  const amr = claims["amr"];
  const sent = Array.isArray(amr) ? (amr as readonly unknown[]) : [];
  if (sent.length > METHODS_MAX_COUNT) return undefined;
  const methods = new Set(sent.filter((method): method is string => typeof method === "string" && METHOD.test(method)));
  const kinds = KINDS.filter((kind) => kind.some((method) => methods.has(method))).length;
  const byAcr = typeof claims["acr"] === "string" && acrValues.includes(claims["acr"]);
  if (!byAcr && kinds < 2 && !MULTI.some((method) => methods.has(method))) return undefined;
  return [...methods.add("mfa")].sort();
}
