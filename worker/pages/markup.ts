/**
 * Markup: hono's `html` template narrowed to what can be written at once, and the one check of
 * link targets. Every page is built from these, so that escaping is never a page's own business
 * (class I). Not for raw text: there is no way in for it.
 */
import { html } from "hono/html";

/** Escaped HTML, made only by `markup`. */
export type Markup = Exclude<ReturnType<typeof html>, Promise<unknown>>;
export type MarkupValue = string | number | Markup | null | undefined | false | readonly MarkupValue[];

/** Tagged template: every value is escaped for element text and double-quoted attributes; false, null and undefined write nothing. */
export function markup(strings: TemplateStringsArray, ...values: readonly MarkupValue[]): Markup {
  const made = html(strings, ...values);
  // `html` answers a promise only for a promise among its values, which MarkupValue does not admit.
  if (made instanceof Promise) throw new TypeError("a page value must be known before it is written");
  return made;
}

/**
 * A link target that cannot run script: an absolute http(s) URL without credentials, or a path on
 * this host. Undefined for everything else (`javascript:`, `//host`, `/\host`, anything not percent-encoded).
 */
export function safeHref(target: string | undefined): string | undefined {
  // Browsers drop tab and newline inside a URL and read "\" as "/": only printable ASCII without it passes.
  if (target === undefined || !/^[!-[\]-~]+$/.test(target)) return undefined;
  if (target.startsWith("/")) return target.startsWith("//") ? undefined : target;
  if (!/^https?:\/\/[^/]/i.test(target) || !URL.canParse(target)) return undefined;
  const url = new URL(target);
  return url.username === "" && url.password === "" ? url.href : undefined;
}
