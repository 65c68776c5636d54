/** Sources of security events: raw to normalised, and what they say of providers. */
import type { ProviderId } from "../core/ids.ts";
import type { Provider, SignalSource } from "./document.ts";
import type { PathPart, Report } from "./problems.ts";
import { LOOPBACK } from "./read-app.ts";
import type { RawSignalSource } from "./schema.ts";
import { toList } from "./shapes.ts";
import { didYouMean } from "./suggest.ts";

export function readSignalSource(raw: RawSignalSource, path: readonly PathPart[], providers: readonly Provider[], report: Report): SignalSource {
  for (const key of ["issuer", "jwks_uri"] as const) {
    if (raw[key].startsWith("http:") && !LOOPBACK.test(raw[key])) {
      report({ code: "issuer", message: `an http ${key} is accepted on loopback only`, fix: "write https://", path: [...path, key] });
    }
  }
  if (!providers.some(({ id }) => id === raw.provider)) {
    report({ code: "dangling", message: `no provider "${raw.provider}"`, fix: didYouMean(raw.provider, providers.map(({ id }) => id)), path: [...path, "provider"] });
  }
  return {
    id: raw.id,
    issuer: raw.issuer,
    jwksUri: raw.jwks_uri,
    audience: [...toList(raw.audience)],
    provider: raw.provider as ProviderId,
    ...(raw.token === undefined ? {} : { token: { secret: raw.token.secret } }),
  };
}

/** Reports providers that share a SCIM token: it is what says whose directory is written. */
export function checkScimTokens(providers: readonly Provider[], report: Report): void {
  for (const [i, { scim }] of providers.entries()) {
    if (scim === undefined || providers.findIndex((one) => one.scim?.token.secret === scim.token.secret) === i) continue;
    report({ code: "scim", message: `two providers have the SCIM token ${scim.token.secret}`, fix: "give each a token of its own", path: ["identity", "providers", i, "scim", "token"] });
  }
}
