/**
 * The ONE place an error becomes an answer: a page for a person's browser, JSON for everything
 * else, and the blank answer that a stranger cannot tell from nothing (POLICY "Explained or
 * blank"). Not for answers of apps.
 */
import { ERROR_STATUS, RETRY_AFTER_SECONDS, type ErrorCode } from "../core/errors.ts";
import { errorWords } from "./error-words.ts";
import { blankPage } from "./pages/blank.ts";
import { errorPage } from "./pages/error.ts";
import { pageHeaders, type PageHeaderOptions } from "./pages/headers.ts";
import type { Advice } from "./pages/layout.ts";
import { type Exchange, isNavigation, originOf } from "./exchange.ts";

export const REQUEST_ID_HEADER = "Postern-Request-Id";

export interface RefusalWords {
  readonly detail?: string | undefined;
  readonly advice?: readonly Advice[];
  readonly fix?: readonly string[];
  readonly signInUrl?: string | undefined;
  readonly launcherUrl?: string | undefined;
  readonly retryUrl?: string | undefined;
  readonly headers?: Readonly<Record<string, string>>;
  readonly extra?: Readonly<Record<string, unknown>>;
}

/** An HTML page of ours. */
export function page(x: Exchange, html: string, status = 200, options: PageHeaderOptions = {}, headers: [string, string][] = []): Response {
  const body = x.method === "HEAD" ? null : html;
  return new Response(body, { status, headers: [...Object.entries(pageHeaders(options)), [REQUEST_ID_HEADER, x.id], ...headers] });
}

/** A JSON answer of ours. */
export function json(x: Exchange, value: unknown, status = 200, headers: Readonly<Record<string, string>> = {}): Response {
  return new Response(x.method === "HEAD" ? null : JSON.stringify(value), {
    status,
    headers: {
      "content-type": "application/json",
      "cache-control": "no-store",
      "x-content-type-options": "nosniff",
      [REQUEST_ID_HEADER]: x.id,
      ...headers,
    },
  });
}

/** A redirect of ours, with cookies if any. */
export function redirect(x: Exchange, location: string, cookies: readonly string[] = [], status: 302 | 303 = 302): Response {
  const headers: [string, string][] = [
    ["location", location],
    ["cache-control", "no-store"],
    ["referrer-policy", "same-origin"],
    [REQUEST_ID_HEADER, x.id],
  ];
  for (const cookie of cookies) headers.push(["set-cookie", cookie]);
  return new Response(null, { status, headers });
}

/** The answer for an error code, as a page or as JSON. */
export function refuse(x: Exchange, code: ErrorCode, words: RefusalWords = {}): Response {
  if (code === "not_found") return blank(x);
  const status = ERROR_STATUS[code];
  const headers: Record<string, string> = { ...words.headers };
  const retryAfter = RETRY_AFTER_SECONDS[code];
  if (retryAfter !== undefined) headers["retry-after"] = String(retryAfter);
  if (isNavigation(x.request)) {
    const html = errorPage({
      code,
      requestId: x.id,
      detail: words.detail,
      advice: words.advice ?? [],
      fix: words.fix,
      signInUrl: words.signInUrl,
      launcherUrl: words.launcherUrl ?? (x.policy === undefined ? undefined : `${x.launcher}/`),
      retryUrl: words.retryUrl ?? (code === "no_connector" && x.method === "GET" ? originOf(x.url) + x.url.path + x.url.query : undefined),
    });
    return page(x, html, status, {}, Object.entries(headers));
  }
  return json(x, errorBody(x, code, words), status, headers);
}

function errorBody(x: Exchange, code: ErrorCode, words: RefusalWords): unknown {
  const entry = errorWords(code);
  const advice = (words.advice ?? []).map((one) => one.text);
  return {
    error: {
      code,
      message: words.detail === undefined ? entry.text : `${entry.text} ${words.detail}`,
      fix: [...advice, ...(words.fix ?? entry.fix)],
      request_id: x.id,
      ...(words.signInUrl === undefined ? {} : { login_url: words.signInUrl }),
      ...words.extra,
    },
  };
}

/** The same for an unknown host, an unknown app and a forbidden one; only the request id differs. */
export function blank(x: Exchange): Response {
  const status = ERROR_STATUS.not_found;
  if (isNavigation(x.request)) return page(x, blankPage(x.id), status);
  const { text, fix } = errorWords("not_found");
  return json(x, { error: { code: "not_found", message: text, fix, request_id: x.id } }, status);
}
