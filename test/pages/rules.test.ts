/** What holds for every page: no inline code or style, size, landmarks, forms, and the headers. */
import { readdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { at } from "../../core/time.ts";
import { PAGE_FILES, pageHeaders } from "../../worker/pages/headers.ts";
import { launcherPage } from "../../worker/pages/launcher.ts";
import { everyPage } from "./every-page.ts";

/** A page with all that it loads, uncompressed. Bounds the first visit on a slow line. */
const PAGE_BUDGET_BYTES = 50_000;
/** The document alone, which no cache helps with. */
const DOCUMENT_BUDGET_BYTES = 8_000;
/** Files of worker/pages that are parts of pages and not pages. */
const PARTS = ["fragment-script.ts", "headers.ts", "layout.ts", "mark.ts", "markup.ts"];

const PAGES = fileURLToPath(new URL("../../worker/pages/", import.meta.url).href);
const bytes = (text: string) => new TextEncoder().encode(text).length;
const cases = everyPage().map((page) => [page.name, page] as const);

describe("every page", () => {
  it("is in the table that these tests go through", () => {
    const files = readdirSync(PAGES).filter((file) => file.endsWith(".ts") && !PARTS.includes(file));
    expect([...new Set(everyPage().map((page) => page.file))].sort()).toEqual(files.sort());
  });

  it.each(cases)("%s has no inline script, style or handler, and loads nothing from elsewhere", (_name, { html }) => {
    expect(html).not.toMatch(/<style|\sstyle=|\son[a-z]+=|<iframe|<object|<embed|<base/i);
    expect([...html.matchAll(/<script\b([^>]*)>([^<]*)/g)].every(([, attributes, body]) => /^ src="\/\.postern\/(?:fragment|passkey)\.js" defer$/.test(attributes ?? "") && body === "")).toBe(true);
    const loaded = [...html.matchAll(/<(?:link|script|img)\b[^>]*?(?:href|src)="([^"]*)"/g)].map((match) => match[1]);
    for (const path of loaded) expect(Object.keys(PAGE_FILES)).toContain(path);
  });

  it.each(cases)("%s loads the script exactly if its headers must allow it", (_name, { html, script }) => {
    expect(html.includes("<script")).toBe(script === true);
  });

  it.each(cases)("%s has a language, a title, one h1 and one main", (_name, { html }) => {
    expect(html.startsWith(`<!DOCTYPE html>\n<html lang="en">`)).toBe(true);
    expect(html).toMatch(/<title>[^<]{3,80} · Postern<\/title>/);
    for (const once of ["<h1>", "<main", "<header", "</html>"]) expect(html.split(once)).toHaveLength(2);
    expect(html).not.toMatch(/undefined|\[object|NaN|null/);
  });

  it.each(cases)("%s stays within the size budget", (_name, { html }) => {
    const files = Object.keys(PAGE_FILES).reduce((sum, path) => sum + readFileSync(join(PAGES, basename(path))).length, 0);
    expect(bytes(html)).toBeLessThan(DOCUMENT_BUDGET_BYTES);
    expect(bytes(html) + files).toBeLessThan(PAGE_BUDGET_BYTES);
  });

  it.each(cases)("%s changes state only by POST", (_name, { html }) => {
    for (const [form] of html.matchAll(/<form\b[^>]*>/g)) expect(form).toMatch(/^<form (class="form(?: words)?" )?method="post" action="[^"]+">$/);
    expect(html).not.toMatch(/<a [^>]*href="[^"]*logout/);
  });
});

describe("the launcher", () => {
  it("shows exactly the apps that it is given, as links, and a command for what is no web app", () => {
    const app = (id: string, url?: string) => ({ id, name: id.toUpperCase(), host: `${id}.example.com`, tags: [], stepUp: false, ...(url === undefined ? {} : { url }) });
    const html = launcherPage({ user: { name: "A" }, apps: [app("wiki", "https://wiki.example.com/"), app("pg")], session: { expiresAt: at(60_000) }, now: at(0), operator: false });
    expect([...html.matchAll(/<a class="tile" href="([^"]*)"/g)].map((match) => match[1])).toEqual(["https://wiki.example.com/"]);
    expect(html.match(/class="tile"/g)).toHaveLength(2);
    expect(html).toContain("TCP, not for a browser");
  });

  it.each([
    [0, "less than a minute"], [-5, "less than a minute"], [59_999, "less than a minute"], [60_000, "1 min"], [3_600_000, "1 h"], [27_600_000, "7 h 40 min"],
  ])("says how long the sign-in lasts: %i ms is %s", (left, words) => {
    const html = launcherPage({ user: { name: "A" }, apps: [], session: { expiresAt: at(90_000_000 + left) }, now: at(90_000_000), operator: false });
    expect(html).toContain(`>${words}</time>`);
  });

  it("tells an operator how the first app appears, and nobody else", () => {
    const page = (operator: boolean) => launcherPage({ user: { name: "A" }, apps: [], session: { expiresAt: at(0) }, now: at(0), operator });
    expect(page(true)).toContain("postern apply");
    expect(page(false)).not.toContain("postern apply");
  });
});

describe("headers of pages", () => {
  it("forbid everything that a page does not use", () => {
    expect(pageHeaders()["content-security-policy"]).toBe("default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; frame-ancestors 'none'; base-uri 'none'");
    expect(pageHeaders({ script: true })["content-security-policy"]).toContain(" script-src 'self'; form-action");
    expect(pageHeaders({ script: true, asks: true })["content-security-policy"]).toContain(" script-src 'self'; connect-src 'self'; form-action");
    expect(pageHeaders()).toMatchObject({ "cache-control": "no-store", "x-content-type-options": "nosniff", "referrer-policy": "same-origin" });
  });

  it("allow a form to end at a provider's origin and let nothing else into the policy", () => {
    const policy = pageHeaders({ formOrigins: ["https://login.example.com", "https://x.example/; script-src *", "*", "https://y.example/path", "null"] })["content-security-policy"];
    expect(policy).toContain("form-action 'self' https://login.example.com;");
    expect(policy).not.toMatch(/\*|x\.example|y\.example|null/);
  });
});
