/** docs/nist.md says what test/e2e/nist has and does, row by row. */
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { nistPage, PAGE } from "../e2e/nist/page.ts";
import { FAMILIES, gatewayScenarios, rowsOf, titleOf } from "../e2e/nist/rows.ts";
import { projectFiles, read } from "./source-files.ts";

const rows = FAMILIES.flatMap((family) => rowsOf(family));

describe("docs/nist.md", () => {
  it("is what the data of the scenarios makes: node test/e2e/nist/page.ts", () => {
    expect(readFileSync(PAGE, "utf8")).toBe(nistPage());
  });

  it("has every scenario once, and a test shows each", () => {
    const tests = projectFiles().filter((file) => /^test\/e2e\/nist\/.*\.test\.ts$/.test(file));
    const shown = tests.flatMap((file) => [...read(file).matchAll(/^(?:scenario|notSupported)\("([A-H]-\d+)"/gm)].map((match) => match[1] ?? ""));
    expect(shown.toSorted()).toEqual([...new Set(rows.map(({ scenario }) => scenario))].toSorted());
    expect(gatewayScenarios().filter(({ scenario }) => shown.includes(scenario))).toEqual([]);
  });

  it("has no two rows of one title", () => {
    expect(new Set(rows.map(titleOf)).size).toBe(rows.length);
  });
});
