/**
 * Who is asking, by Postern's assertion: copy this into an app that stands behind Postern.
 * Not part of Postern; the only package it needs is jose.
 */
import { createRemoteJWKSet, type JWTVerifyGetKey, jwtVerify } from "jose";

export interface Caller {
  readonly subject: string;
  readonly email: string | undefined;
  readonly groups: readonly string[];
}

/**
 * A function that turns the header's value into the caller, or undefined when it proves nothing.
 * `launcher` is an origin such as https://access.example.com; `app` is the app's id. `keys` is
 * for tests; left out, the launcher's key set is fetched and cached.
 */
export function assertionVerifier(
  launcher: string,
  app: string,
  keys: JWTVerifyGetKey = createRemoteJWKSet(new URL("/.postern/jwks.json", launcher)),
): (assertion: string | undefined) => Promise<Caller | undefined> {
  return async (assertion) => {
    if (assertion === undefined) return undefined;
    try {
      const { payload } = await jwtVerify(assertion, keys, {
        issuer: launcher,
        audience: app,
        algorithms: ["ES256"],
        typ: "postern-assertion+jwt",
        requiredClaims: ["exp", "sub"],
      });
      return {
        subject: payload.sub ?? "",
        email: typeof payload["email"] === "string" ? payload["email"] : undefined,
        groups: Array.isArray(payload["groups"]) ? payload["groups"].filter((group) => typeof group === "string") : [],
      };
    } catch {
      return undefined;
    }
  };
}
