/** Documents that are written to hurt: refused, quickly, and without a trace in Object.prototype. */
import * as v from "valibot";
import { describe, expect, it } from "vitest";
import { parseDocument } from "../../policy/parse-document.ts";
import { MAX_PROBLEMS } from "../../policy/problems.ts";
import { MAX_EXPANDED_VALUES } from "../../policy/read-document.ts";
import { documentShape, MAX_POLICIES, MAX_WHEN_DEPTH } from "../../policy/schema.ts";
import { MAX_DOCUMENT_BYTES, MAX_DOCUMENT_DEPTH } from "../../policy/source.ts";
import { HEAD, textOf } from "./fixtures.ts";

const codesOf = (text: string): string[] => {
  const parsed = parseDocument(text);
  return parsed.ok ? [] : [...new Set(parsed.error.map((problem) => problem.code))];
};
/** Generous: a bound on the kind of growth, not a benchmark. */
const LIMIT_MS = 5_000;
/** The processor's time of this process, which a busy machine does not lengthen. */
const workedMs = (): number => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
};

describe("hostile documents", () => {
  it.each<[string, () => string, string]>([
    ["10 MB", () => `${HEAD}# ${"x".repeat(10_000_000)}`, "too_large"],
    ["one byte too many, in two-byte letters", () => `#${"é".repeat(MAX_DOCUMENT_BYTES / 2)}`, "too_large"],
    ["an alias bomb", () => `a: &a [${"1,".repeat(9)}1]\n${["b", "c", "d", "e", "f", "g"].map((name, i) => `${name}: &${name} [${`*${"abcdef"[i]},`.repeat(8)}1]`).join("\n")}`, "alias"],
    ["an alias that holds itself", () => "version: &a [*a]", "alias"],
    ["an alias of nothing", () => "version: *a", "alias"],
    ["brackets on one line", () => "[".repeat(1_000_000), "too_deep"],
    ["brackets on many lines", () => "[\n".repeat(500_000), "too_deep"],
    ["braces", () => "{a: ".repeat(100_000), "too_deep"],
    ["dashes", () => "- ".repeat(500_000), "too_deep"],
    ["question marks", () => "? ".repeat(500_000), "too_deep"],
    ["indentation", () => Array.from({ length: 1_400 }, (_, i) => `${" ".repeat(i)}a:`).join("\n"), "too_deep"],
    ["__proto__", () => `${HEAD}__proto__: { domain: evil.test }`, "forbidden_key"],
    ["constructor, quoted and deep", () => `${HEAD}lists: { a: { "constructor": [1] } }`, "forbidden_key"],
    ["prototype in JSON", () => '{"version": 1, "domain": "a.test", "conditions": {"prototype": {"mfa": true}}}', "forbidden_key"],
    ["a merge key", () => `${HEAD}apps:\n  - &a { id: wiki, site: berlin, upstream: "http://a:1" }\n  - { <<: *a, id: b }\n`, "alias"],
    ["nesting of conditions", () => textOf(`[{ id: a, effect: allow, apps: wiki, when: ${"{ not: ".repeat(MAX_WHEN_DEPTH)}{ group: x }${" }".repeat(MAX_WHEN_DEPTH)} }]`), "too_deep"],
    ["conditions that double", () => textOf("[{ id: a, effect: allow, apps: wiki, when: { use: c0 } }]", `conditions:\n${Array.from({ length: 11 }, (_, i) => `  c${i}: { any: [{ use: c${i + 1} }, { use: c${i + 1} }] }`).join("\n")}\n  c11: { group: x }\n`), "too_deep"],
    ["conditions that multiply", () => textOf("[{ id: a, effect: allow, apps: wiki, when: { use: c0 } }]", `conditions:\n${Array.from({ length: 5 }, (_, i) => `  c${i}: { any: [${`{ use: c${i + 1} },`.repeat(8)}] }`).join("\n")}\n  c5: { group: x }\n`), "too_large"],
    ["lists that multiply", () => textOf(`[${Array.from({ length: 30 }, (_, i) => `{ id: p${i}, effect: deny, apps: wiki, when: { group: "$v" } }`).join(",")}]`, `lists: { v: [${Array.from({ length: MAX_EXPANDED_VALUES / 20 }, (_, i) => `g${i}`).join(",")}] }\n`), "too_large"],
    ["too many policies", () => textOf(`[${Array.from({ length: MAX_POLICIES + 1 }, (_, i) => `{ id: p${i}, effect: deny, apps: wiki, when: { group: x } }`).join(",")}]`), "too_large"],
  ])("%s", (_, make, code) => {
    const text = make();
    const started = workedMs();
    expect(codesOf(text)).toContain(code);
    expect(workedMs() - started).toBeLessThan(LIMIT_MS);
  });

  it("60,000 unknown keys, or names that lead nowhere, are refused without a search for each", () => {
    const text = Array.from({ length: 60_000 }, (_, i) => `k${i}: 1`).join("\n");
    const started = workedMs();
    expect(codesOf(text)).toContain("unknown_key");
    const apps = Array.from({ length: 9_000 }, (_, i) => `app-${i}-of-many`).join(",");
    expect(codesOf(textOf(`[{ id: a, effect: allow, apps: [${apps}], when: { group: x } }]`))).toEqual(["dangling"]);
    expect(workedMs() - started).toBeLessThan(LIMIT_MS);
  });

  it("reports at most MAX_PROBLEMS", () => {
    const parsed = parseDocument(`${HEAD}${Array.from({ length: 500 }, (_, i) => `k${i}: 1`).join("\n")}`);
    expect(parsed.ok ? 0 : parsed.error.length).toBe(MAX_PROBLEMS);
  });

  it.each<[string, () => unknown]>([
    ["in one list", () => ({ policies: Array.from({ length: 5_000 }, () => ({})) })],
    ["in many lists", () => ({ policies: Array.from({ length: 60 }, () => ({ apps: Array.from({ length: 8_000 }, () => 1) })) })],
    ["too many by far", () => ({ policies: Array.from({ length: 340_000 }, () => []) })],
    ["keys", () => Object.fromEntries(Array.from({ length: 100_000 }, (_, i) => [`k${i}`, 1]))],
    ["in a form", () => ({ lists: Object.fromEntries(Array.from({ length: 50_000 }, (_, i) => [`l${i}`, 1])) })],
  ])("a megabyte of mistakes, %s: no more of them are kept than are told", (_, make) => {
    const read = v.safeParse(documentShape, { version: 1, domain: "a.test", ...(make() as object) });
    expect(read.issues?.length).toBeGreaterThan(0);
    expect(read.issues?.length).toBeLessThanOrEqual(2 * MAX_PROBLEMS);
  });

  it.each(["identity", "defaults", "lists", "conditions"])("%s: a list is no object, not even an empty one", (key) => {
    expect(codesOf(`${HEAD.replace(/^identity:[^]*?(?=sites)/m, "")}${key}: []\n`)).toEqual(["type"]);
  });

  it("class g: no pattern of the language is a regular expression", () => {
    expect(codesOf(textOf('[{ id: a, effect: allow, apps: wiki, when: { group: x }, http: { paths: ["/(a+)+$"] } }]'))).toEqual([]);
    expect(codesOf(textOf('[{ id: a, effect: allow, apps: wiki, when: { group: "(a+)+$" } }]'))).toEqual([]);
  });

  it("values of 64 KB are refused at once", () => {
    const started = workedMs();
    for (const value of [" ".repeat(65_536), "a.".repeat(32_768), "a-".repeat(32_768), "1".repeat(65_536)]) {
      expect(codesOf(`version: 1\ndomain: "${value}"\n`)).not.toEqual([]);
      expect(codesOf(textOf(`[{ id: a, effect: allow, apps: wiki, when: { ip_range: "${value}", email: "${value}" } }]`))).not.toEqual([]);
    }
    expect(workedMs() - started).toBeLessThan(LIMIT_MS);
  });

  it("leaves prototypes alone and keeps depth above what the language needs", () => {
    expect(({} as Record<string, unknown>)["domain"]).toBeUndefined();
    expect(MAX_DOCUMENT_DEPTH).toBeGreaterThan(2 * MAX_WHEN_DEPTH);
    expect(codesOf(textOf(`[{ id: a, effect: allow, apps: wiki, when: ${"{ any: [".repeat(MAX_WHEN_DEPTH - 1)}{ group: x }${"] }".repeat(MAX_WHEN_DEPTH - 1)} }]`))).toEqual([]);
  });
});
