/** The registry of error codes: whole sentences, safe words, statuses that exist, and docs/errors.md beside it. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { ERROR_TEXTS } from "../../core/error-texts.ts";
import { ERROR_STATUS, parseErrorCode, RETRY_AFTER_SECONDS, type ErrorCode } from "../../core/errors.ts";
import { errorPage } from "../../worker/pages/error.ts";
import { withErrorWords } from "../error-words.ts";

await withErrorWords();

const codes = Object.keys(ERROR_STATUS) as ErrorCode[];
const doc = readFileSync(fileURLToPath(new URL("../../docs/errors.md", import.meta.url).href), "utf8");
const sections = new Map(doc.split(/^## /m).slice(1).map((section) => [section.slice(0, section.indexOf("\n")).trim(), section]));

/** Statuses that RFC 9110 and RFC 6585 give a meaning that fits a refusal of ours. */
const STATUSES = [400, 401, 403, 404, 405, 409, 413, 414, 422, 431, 500, 502, 503, 504];

describe("the registry of error codes", () => {
  it.each(codes)("%s says what happened, who acts and what to do", (code) => {
    const entry = ERROR_TEXTS[code];
    expect(code).toMatch(/^[a-z]+(_[a-z]+)*$/);
    expect(STATUSES).toContain(ERROR_STATUS[code]);
    expect(entry.title).toMatch(/^[A-Z].{5,55}[^.]$/);
    expect(entry.text).toMatch(/^[A-Z].*\.$|^[A-Z].*\)\.$/);
    expect(["user", "operator", "both"]).toContain(entry.who);
    expect(entry.fix.length).toBeGreaterThan(0);
    for (const step of entry.fix) expect(step).toMatch(/^[A-Z].*\.$/);
  });

  it.each(codes)("%s names no address, key or path of ours", (code) => {
    expect(JSON.stringify(ERROR_TEXTS[code])).not.toMatch(/https?:|\d+\.\d+\.\d+|pst_|PRIVATE KEY|[a-z]+\.ts\b|durable|object/i);
  });

  it("titles are told apart", () => {
    expect(new Set(codes.map((code) => ERROR_TEXTS[code].title)).size).toBe(codes.length);
  });

  it("a repeatable 503 says when", () => {
    for (const code of codes) if (ERROR_STATUS[code] === 503) expect(RETRY_AFTER_SECONDS[code]).toBeGreaterThan(0);
  });

  it.each(["", "NOT_FOUND", "toString", "__proto__", "constructor", "denied ", "no_such"])("%j is no code", (text) => expect(parseErrorCode(text)).toBeUndefined());
  it.each(codes)("%s is a code", (code) => expect(parseErrorCode(code)).toBe(code));
});

describe("docs/errors.md", () => {
  it("has a heading for each code and no other", () => {
    expect([...sections.keys()].sort()).toEqual([...codes].sort());
  });

  it.each(codes)("%s: status, title and every step are the registry's", (code) => {
    const section = sections.get(code) ?? "";
    const { title, text, fix } = ERROR_TEXTS[code];
    expect(section).toContain(`**${ERROR_STATUS[code]}** · ${title}`);
    expect(section).toContain(text);
    for (const step of fix) expect(section).toContain(step);
  });
});

describe("the error page", () => {
  it.each(codes.filter((code) => code !== "not_found"))("%s shows the registry's words and the request id", (code) => {
    const html = errorPage({ code, requestId: "r_AAAAAAAAAAAAAAAAAAAAAA", advice: [] });
    const plain = html.replaceAll("&#39;", "'").replace(/<\/?code>/g, "");
    for (const words of [ERROR_TEXTS[code].title, ERROR_TEXTS[code].text, ...ERROR_TEXTS[code].fix]) expect(plain).toContain(words.replaceAll("`", ""));
    expect(plain).toContain("r_AAAAAAAAAAAAAAAAAAAAAA");
  });

  it("a caller's title, fix and advice replace or join them", () => {
    const html = errorPage({ code: "denied", requestId: "r", title: "Other", detail: "More.", fix: ["Do this."], advice: [{ code: "x", text: "that" }] });
    for (const words of ["<h1>Other</h1>", "<p>More.</p>", "<li>Do this.</li>", "<span>that</span>"]) expect(html).toContain(words);
    expect(html).not.toContain(ERROR_TEXTS.denied.fix[0]);
  });
});
