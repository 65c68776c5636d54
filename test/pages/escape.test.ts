/** Script injection through any field of any page (class I, row 69), and links that would run script. */
import { describe, expect, it } from "vitest";
import { markup, safeHref } from "../../worker/pages/markup.ts";
import { everyPage } from "./every-page.ts";

const PAYLOADS = [
  `<script>alert(1)</script>`,
  `"><img src=x onerror=alert(1)>`,
  `' onmouseover='alert(1)`,
  `" autofocus onfocus="alert(1)`,
  `</title><svg/onload=alert(1)>`,
  `--><!--<b>`,
  "${alert(1)}`<code onclick=x>`",
  `&lt;script&gt;&#60;script&#62;`,
];

/** The page's markup without its text: tags with attribute names and values, comments, doctype. */
const tagsOf = (html: string) => html.match(/<[^>]*>/g) ?? [];
const shapeOf = (html: string) => tagsOf(html).map((tag) => tag.replace(/="[^"]*"/g, '=""'));

describe("class I: no text of anybody becomes markup", () => {
  const calm = everyPage(() => "x");
  for (const payload of PAYLOADS) {
    const hostile = everyPage(() => payload);
    it.each(calm.map((page, i) => [page.name, page.html, hostile[i]?.html ?? ""] as const))(`${payload} in every field of %s`, (_name, friendly, html) => {
      // The same tags with the same attributes as with "x" everywhere, backquotes (which make <code>) apart.
      const without = (shape: readonly string[]) => shape.filter((tag) => !/^<\/?code>$/.test(tag));
      expect(without(shapeOf(html))).toEqual(without(shapeOf(friendly)));
      expect(html).not.toContain(payload);
    });
  }

  it("the table reaches the fields: the payload is there, escaped, on every page with a text field", () => {
    const marked = everyPage(() => `<${"q".repeat(9)}>`).filter((page) => page.html.includes("&lt;qqqqqqqqq&gt;"));
    const without = new Set(["asked", "blank", "signed-out", "sign-out", "device-enter", "device-wrong", "device-done", "device-refused", "bind-device-done", "passkeys-none", "step-up"]);
    expect(marked.map((page) => page.name).sort()).toEqual(calm.map((page) => page.name).filter((name) => !without.has(name)).sort());
  });
});

describe("class I: links", () => {
  it.each([
    ["/", "/"],
    ["/reports/q3?x=1#top", "/reports/q3?x=1#top"],
    ["https://wiki.access.example.com/", "https://wiki.access.example.com/"],
    ["http://wiki.postern.localhost:8787/a b".replace(" ", "%20"), "http://wiki.postern.localhost:8787/a%20b"],
    ["HTTPS://Wiki.Example.com", "https://wiki.example.com/"],
  ])("%s is a link", (target, href) => expect(safeHref(target)).toBe(href));

  it.each([
    undefined, "", "javascript:alert(1)", "JaVaScRiPt:alert(1)", "java\tscript:alert(1)", " javascript:alert(1)", "data:text/html,x", "vbscript:x", "file:///etc/passwd",
    "//evil.example", "/\\evil.example", "\\\\evil.example", "/\t/evil.example", "\t//evil.example", "https:evil.example", "https:///evil.example", "https:/evil.example",
    "https://user@evil.example/", "https://wiki.example.com@evil.example/", "https://a:b@evil.example/", "relative", "?q", "#f", "/a\u0000b", "/a\nb", "/ä", "/\u200b/x", "https://", "blob:https://x/y",
  ])("%j is no link", (target) => expect(safeHref(target)).toBeUndefined());

  it.each(everyPage(undefined, () => "javascript:alert(1)").map((page) => [page.name, page.html] as const))("%s shows no unsafe target", (_name, html) => {
    expect(html).not.toContain("javascript:");
    expect(html.match(/(?:href|action|content)="[^"]*alert/g)).toBeNull();
  });

  it.each(everyPage().map((page) => [page.name, page.html] as const))("every target on %s is a path or an absolute URL", (_name, html) => {
    const targets = [...html.matchAll(/\s(?:href|action|src)="([^"]*)"/g)].map((match) => (match[1] ?? "").replaceAll("&amp;", "&"));
    expect(targets.length).toBeGreaterThan(1);
    for (const target of targets) expect(safeHref(target)).toBe(target);
  });

  it("an ampersand in a link is escaped once", () => {
    expect(markup`<a href="${"/x?a=1&b=2"}">`.toString()).toBe(`<a href="/x?a=1&amp;b=2">`);
  });
});
