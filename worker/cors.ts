/**
 * P21: the edge answers an app's preflights itself, and makes its own refusals readable to the
 * origins that the app names. Without `cors` a preflight is a request like any other.
 */
import type { App } from "../policy/document.ts";
import type { Exchange } from "./exchange.ts";
import { REQUEST_ID_HEADER } from "./respond.ts";

/** How long a browser may remember a preflight's answer, seconds. */
const PREFLIGHT_MAX_AGE_SECONDS = 600;

/** The answer to a preflight; undefined when it is none, or when the app leaves them to itself. */
export function preflight(x: Exchange, app: App): Response | undefined {
  const { headers } = x.request;
  const origin = headers.get("origin");
  if (app.cors === undefined || x.method !== "OPTIONS" || origin === null || headers.get("access-control-request-method") === null) {
    return undefined;
  }
  // To any other origin this host answers as one without an app does: it is a request like any other.
  if (!app.cors.origins.includes(origin)) return undefined;
  const out = new Headers({ [REQUEST_ID_HEADER]: x.id, "cache-control": "no-store", vary: "Origin" });
  out.set("access-control-allow-origin", origin);
  out.set("access-control-allow-methods", app.cors.methods.join(", "));
  if (app.cors.headers.length > 0) out.set("access-control-allow-headers", app.cors.headers.join(", "));
  if (app.cors.credentials) out.set("access-control-allow-credentials", "true");
  out.set("access-control-max-age", String(PREFLIGHT_MAX_AGE_SECONDS));
  return new Response(null, { status: 204, headers: out });
}

/** Lets the app's named origins read our 401 and 403; an app's own answer is left alone. */
export function readable(x: Exchange, app: App | undefined, response: Response): Response {
  if (app?.cors === undefined || (response.status !== 401 && response.status !== 403)) return response;
  const origin = x.request.headers.get("origin");
  if (origin === null || !app.cors.origins.includes(origin)) return response;
  if (response.headers.has("access-control-allow-origin")) return response;
  const out = new Response(response.body, response);
  out.headers.set("access-control-allow-origin", origin);
  if (app.cors.credentials) out.headers.set("access-control-allow-credentials", "true");
  out.headers.append("vary", "Origin");
  return out;
}
