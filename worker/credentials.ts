/**
 * Which credential a request presents, and to what. At most one counts: a token that is ours, or
 * the host's own cookie. Not whether it is valid: session-cache.ts asks the session.
 */
import { bearerAudience, hostAudience } from "../core/audience.ts";
import { ADMIN_APP, type AppId, parseSessionId } from "../core/ids.ts";
import { parseAuthorization, parseSessionToken, type SessionToken } from "../identity/session-token.ts";
import { cookieOf, SESSION_COOKIE } from "./cookies.ts";
import type { Env } from "./env.ts";
import type { Presented } from "./session-cache.ts";

export type Credential =
  | { readonly kind: "none" }
  | { readonly kind: "malformed" }
  | {
      readonly kind: "presented";
      readonly presented: Presented;
      /** Sent by the browser by itself: state-changing routes then also need an Origin. */
      readonly cookie: boolean;
      readonly stripAuthorization: boolean;
    };

/** Cookies read lately: every request of a page brings the same one. Bounds what is kept; emptied when full. */
const MAX_KEPT_COUNT = 2_000;
const kept = new Map<string, SessionToken>();

function readToken(value: string): SessionToken | undefined {
  const known = kept.get(value);
  if (known !== undefined) return known;
  const token = parseSessionToken(value);
  if (token === undefined) return undefined;
  if (kept.size >= MAX_KEPT_COUNT) kept.clear();
  kept.set(value, token);
  return token;
}

/** `host`: what a cookie must be for; `app`: what a bearer must be for, undefined where none is taken. */
export function readCredential(request: Request, env: Env, host: string, app: AppId | undefined): Credential {
  const { headers } = request;
  const authorization = parseAuthorization({
    authorization: headers.get("authorization"),
    clientId: headers.get("postern-client-id"),
    clientSecret: headers.get("postern-client-secret"),
  });
  switch (authorization.kind) {
    case "malformed":
      return { kind: "malformed" };
    case "service": {
      const { token, clientId, stripAuthorization } = authorization;
      const sid = parseSessionId(env.SESSION.idFromName(`service:${token.id}`).toString());
      if (sid === undefined) return { kind: "malformed" };
      // A client id that is not the token's own must be the service's name, which the session knows.
      const service = clientId === undefined || clientId === token.id ? {} : { service: clientId };
      return { kind: "presented", presented: { sid, secret: token.secret, audience: bearerAudience(app), ...service }, cookie: false, stripAuthorization };
    }
    case "session": {
      const { sid, secret } = authorization.token;
      // An operator token opens the administration and no app; an app bearer opens its app and nothing else.
      const forAdmin = app === ADMIN_APP;
      if ((authorization.as === "operator") !== forAdmin) return { kind: "malformed" };
      return { kind: "presented", presented: { sid, secret, audience: bearerAudience(app) }, cookie: false, stripAuthorization: true };
    }
    case "none":
    case "foreign": {
      const value = cookieOf(request, SESSION_COOKIE);
      const token = value === undefined ? undefined : readToken(value);
      if (token === undefined) return { kind: "none" };
      return { kind: "presented", presented: { ...token, audience: hostAudience(host) }, cookie: true, stripAuthorization: false };
    }
    default:
      authorization satisfies never;
      return { kind: "malformed" };
  }
}
