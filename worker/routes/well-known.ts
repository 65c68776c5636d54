/** What anybody may read: our public keys, readiness, the files of our pages. */
import { CONTROL_NAME } from "../../durable-objects/bindings.ts";
import type { Exchange } from "../exchange.ts";
import { PAGE_FILES } from "../pages/headers.ts";
import { json, refuse, REQUEST_ID_HEADER } from "../respond.ts";

/** How long an origin may keep our key set, seconds; far below the time a key is announced before use. */
const KEYS_MAX_AGE_SECONDS = 300;
const FILE_MAX_AGE_SECONDS = 3_600;

/** GET /.postern/jwks.json */
export async function keys(x: Exchange): Promise<Response> {
  const all = await x.env.CONTROL.getByName(CONTROL_NAME).publicKeys();
  return json(x, { keys: all }, 200, { "cache-control": `public, max-age=${KEYS_MAX_AGE_SECONDS}` });
}

/** GET /.postern/ready: 200 when control answers; `policy_version` is 0 while no document is live. */
export async function ready(x: Exchange): Promise<Response> {
  await x.env.CONTROL.getByName(CONTROL_NAME).setupOpen();
  return json(x, { ready: true, policy_version: x.policy?.version ?? 0 });
}

/** GET /.postern/connector.mjs and its SHA-256: the connector as one file, made by the same build as this Worker. */
export function connectorFile(x: Exchange): Promise<Response> {
  const type = x.url.path.endsWith(".mjs") ? "text/javascript; charset=utf-8" : "text/plain; charset=utf-8";
  return asset(x, type, "no-store");
}

/** The files of our pages, the same on every host; undefined for any other path. */
export function pageFile(x: Exchange): Promise<Response> | Response | undefined {
  const type = Object.hasOwn(PAGE_FILES, x.url.path) ? PAGE_FILES[x.url.path] : undefined;
  if (type === undefined) return undefined;
  if (x.method !== "GET" && x.method !== "HEAD") return refuse(x, "method_not_allowed");
  return asset(x, type, `public, max-age=${FILE_MAX_AGE_SECONDS}`);
}

/** A file that the build put beside the Worker (scripts/build-assets.ts). */
async function asset(x: Exchange, type: string, caching: string): Promise<Response> {
  const name = x.url.path.slice("/.postern/".length);
  const file = await x.env.ASSETS?.fetch(`https://assets.internal/${name}`);
  if (file?.status !== 200) return refuse(x, "unknown_id", { detail: "This deployment was built without its files." });
  return new Response(x.method === "HEAD" ? null : file.body, {
    headers: { "content-type": type, "cache-control": caching, "x-content-type-options": "nosniff", [REQUEST_ID_HEADER]: x.id },
  });
}
