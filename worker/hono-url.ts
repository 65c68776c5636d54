/**
 * What of hono's reading of URLs the Worker uses: patterns put together, a parameter decoded.
 * wrangler.toml's `[alias]` puts it in the whole's place. The path that routes see is canonical.ts's
 * (`getPath` of app.ts), and nobody asks hono for a query.
 */
import { leftOut } from "./left-out.ts";

export { mergePath, tryDecodeURIComponent } from "hono/utils/url";
export { leftOut as getPath, leftOut as getPathNoStrict, leftOut as getQueryParam, leftOut as getQueryParams };
