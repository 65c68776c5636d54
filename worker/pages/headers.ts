/**
 * The headers of every page, and the files that pages load. One place, so that all answers for
 * people carry the same policy. Not for answers of apps: their headers are theirs.
 */

export interface PageHeaderOptions {
  /** The page loads a script of ours. */
  readonly script?: boolean;
  /** That script asks this host, and no other. */
  readonly asks?: boolean;
  /** Origins besides our own that a form's redirects may end at (a provider's logout): Chromium checks those too. */
  readonly formOrigins?: readonly string[];
}

/**
 * Headers of a page. `no-store`: no shared cache may keep an answer made for one person (class I).
 * `same-origin` and not `no-referrer`: the latter would make our own forms send `Origin: null`.
 */
export function pageHeaders(options: PageHeaderOptions = {}): Readonly<Record<string, string>> {
  const forms = ["'self'", ...(options.formOrigins ?? []).filter((origin) => URL.canParse(origin) && new URL(origin).origin === origin)];
  return {
    "content-type": "text/html; charset=utf-8",
    "cache-control": "no-store",
    "content-security-policy": `default-src 'none'; style-src 'self'; img-src 'self' data:;${options.script === true ? " script-src 'self';" : ""}${options.asks === true ? " connect-src 'self';" : ""} form-action ${forms.join(" ")}; frame-ancestors 'none'; base-uri 'none'`,
    "referrer-policy": "same-origin",
    "x-content-type-options": "nosniff",
    "cross-origin-resource-policy": "same-origin",
  };
}

/** The files that pages load, by path, and their types: public, the same on every host, without a cookie. They lie beside this one. */
export const PAGE_FILES: Readonly<Record<string, string>> = {
  "/.postern/style.css": "text/css; charset=utf-8",
  "/.postern/icon.svg": "image/svg+xml",
  "/.postern/fragment.js": "text/javascript; charset=utf-8",
  "/.postern/passkey.js": "text/javascript; charset=utf-8",
};
