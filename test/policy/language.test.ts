/** LANGUAGE.md is what the code does; and every rule of the language is proved by name. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { compile } from "../../policy/compile.ts";
import { CRITERIA, CRITERION_NAMES } from "../../policy/registry.ts";
import { runTests } from "../../policy/run-tests.ts";
import { FRIENDLY_KEYS } from "../../policy/tests-facts.ts";
import { documentOf, NOW } from "./fixtures.ts";

const language = readFileSync(join(import.meta.dirname, "../../policy/LANGUAGE.md"), "utf8");
const rows = (heading: string): string[] => (language.split(`## ${heading}\n`)[1]?.split("\n## ")[0] ?? "").split("\n").filter((line) => line.startsWith("| `"));

/** How each criterion is written and when it holds is said there alone: the edge carries no words for people that it never shows. */
const criteria = rows("Criteria").map((row) => {
  const [name = "", kind = "", written = "", holds = ""] = row.slice(2, -2).split(" | ");
  return { name: name.replaceAll("`", ""), kind, written, holds };
});

describe("LANGUAGE.md", () => {
  it("its table of criteria is the registry's", () => {
    expect(criteria.map(({ name, kind }) => [name, kind])).toEqual(CRITERION_NAMES.map((name) => [name, CRITERIA[name].kind]));
    expect(criteria.filter(({ holds }) => holds.length < 5)).toEqual([]);
  });

  it("its example is a good document whose tests hold", () => {
    const example = /```yaml\n([\s\S]*?)```/.exec(language)?.[1] ?? "";
    const document = documentOf(example);
    expect(document.tests.length).toBeGreaterThan(2);
    expect(runTests(compile(document, 1), NOW)).toEqual([]);
  });

  it("its example of each criterion's form is accepted", () => {
    for (const { name, written } of criteria) {
      const form = /^`([^`]+)`/.exec(written)?.[1]?.replace(", u_…", "") ?? "";
      const http = name === "anyone" ? ', http: { paths: ["/a"] }' : "";
      const text = `version: 1\ndomain: a.test\nidentity: { providers: [{ id: corp, issuer: "https://a.test", client_id: c }] }\nsites: [{ id: s }]\napps: [{ id: a, site: s, upstream: "http://a:1" }]\npolicies: [{ id: p, effect: allow, apps: a, when: { ${form} }${http} }]\n`;
      expect(Object.keys(documentOf(text).policies[0]?.when ?? {}), name).toEqual([name]);
    }
  });

  it("its facts are the keys of the friendly form", () => {
    const keys = rows("Facts in tests and in `postern explain --facts`").flatMap((row) => [...(row.split("|")[1] ?? "").matchAll(/`([a-z_]+)`/g)].map((match) => match[1]));
    expect(new Set(keys)).toEqual(new Set(FRIENDLY_KEYS));
  });
});

describe("the rules", () => {
  it("P1 to P28 are each named by a test's title", () => {
    const titles = readdirSync(import.meta.dirname)
      .filter((file) => file.endsWith(".test.ts") && file !== "language.test.ts")
      .flatMap((file) => readFileSync(join(import.meta.dirname, file), "utf8").split("\n"))
      .filter((line) => /^\s*(?:describe|it|\]\)\(|\[")/.test(line))
      .join("\n");
    const missing = Array.from({ length: 28 }, (_, i) => `P${i + 1}`).filter((rule) => !new RegExp(`\\b${rule}\\b`).test(titles));
    expect(missing).toEqual([]);
  });
});
