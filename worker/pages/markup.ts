/**
 * HTML by a template that escapes every value, and the one check of link targets. Every page is
 * built from these, so that escaping is never a page's own business (class I). Not for raw text:
 * there is no way in for it.
 */
const ENTITIES: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };

/** Escaped HTML, made only by `markup`: text from elsewhere is never one. */
class Markup {
  readonly #html: string;

  constructor(html: string) {
    this.#html = html;
  }

  toString(): string {
    return this.#html;
  }
}

export type { Markup };
export type MarkupValue = string | number | Markup | null | undefined | false | readonly MarkupValue[];

/** Tagged template: every value is escaped for element text and double-quoted attributes; false, null and undefined write nothing. */
export function markup(strings: TemplateStringsArray, ...values: readonly MarkupValue[]): Markup {
  return new Markup(strings.reduce((html, part, i) => html + escaped(values[i - 1]) + part));
}

function escaped(value: MarkupValue): string {
  if (value === null || value === undefined || value === false) return "";
  if (value instanceof Markup) return value.toString();
  if (typeof value === "object") return value.map(escaped).join("");
  return String(value).replace(/[&<>"']/g, (char) => ENTITIES[char] ?? "");
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
