/** SPEC.md and the tests say the same rules: each rule is proven somewhere, each citation exists. */
import { readFileSync, readdirSync } from "node:fs";
import { describe, expect, it } from "vitest";

const here = new URL("./", import.meta.url);
const spec = readFileSync(new URL("../../protocol/SPEC.md", here), "utf8");
const rules = [...spec.matchAll(/^- \*\*([A-Z]{2}\d+)\*\* /gm)].map((match) => match[1] ?? "");
const prefixes = new Set(rules.map((rule) => rule.replace(/\d+$/, "")));

/** Ids at the start of titles: `"FR1 FR2: what it does"`, in tests and in the tables that name them. */
function cited(folder: URL): string[] {
  return readdirSync(folder)
    .filter((name) => name.endsWith(".test.ts"))
    .flatMap((name) => [...readFileSync(new URL(name, folder), "utf8").matchAll(/["'`]((?:[A-Z]{2}\d+ )*[A-Z]{2}\d+): /g)])
    .flatMap((match) => match[1]?.split(" ") ?? [])
    .filter((id) => prefixes.has(id.replace(/\d+$/, "")));
}

describe("the specification", () => {
  it("numbers its rules without gaps or repeats", () => {
    expect(rules.length).toBeGreaterThan(50);
    for (const prefix of prefixes) {
      const numbers = rules.filter((rule) => rule.startsWith(prefix)).map((rule) => Number(rule.slice(2)));
      expect([prefix, numbers]).toEqual([prefix, numbers.map((_, i) => i + 1)]);
    }
  });
  it("has exactly the rules that the tests of the wire, of its two ends, of the tunnel object for the agent's link, and of both ends of bulk, prove", () => {
    const proven = [...cited(here), ...cited(new URL("../agent/", here)), ...cited(new URL("../objects/", here)).filter((id) => id.startsWith("AG"))];
    for (const end of ["../connector/", "../durable-objects/tunnel/"]) proven.push(...cited(new URL(end, here)).filter((id) => id.startsWith("BK")));
    expect([...new Set(proven)].sort()).toEqual([...rules].sort());
  });
  it("knows every rule that the tests of the two programs cite", () => {
    const elsewhere = ["../connector/", "../durable-objects/tunnel/"].flatMap((folder) => {
      try {
        return cited(new URL(folder, here));
      } catch {
        return [];
      }
    });
    expect(elsewhere.filter((id) => !rules.includes(id))).toEqual([]);
  });
});
