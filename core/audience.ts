/**
 * What a credential of a session is for, as text with one spelling. A secret opens its session at
 * its own audience and nowhere else. Not the `aud` of an assertion or of a provider's token.
 */
import { ADMIN_APP, type AppId } from "./ids.ts";

declare const audience: unique symbol;
export type Audience = string & { readonly [audience]: true };

/** A browser's cookie at one host. `host` is canonical, without a port. */
export const hostAudience = (host: string): Audience => `host:${host}` as Audience;
/** A program's bearer at one app. */
export const appAudience = (app: AppId): Audience => `app:${app}` as Audience;
/** What `postern login` gives: the administration, and streams of an agent; no app's host. */
export const OPERATOR_AUDIENCE = "operator" as Audience;
/** A service's token: every app and the administration; who may do what is the policy's. */
export const ANY_AUDIENCE = "any" as Audience;
/** What no credential is for: presented at a place that takes no bearer. */
export const NO_AUDIENCE = "" as Audience;

/** The audience of a bearer that is presented to `app`; undefined where no app is. */
export function bearerAudience(app: AppId | undefined): Audience {
  if (app === undefined) return NO_AUDIENCE;
  return app === ADMIN_APP ? OPERATOR_AUDIENCE : appAudience(app);
}
