/** The example documents are valid, without a warning, and decide as their own tests say. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { at } from "../../core/time.ts";
import { compile } from "../../policy/compile.ts";
import { parseDocument } from "../../policy/parse-document.ts";
import { runTests } from "../../policy/run-tests.ts";
import { projectFiles, PROJECT } from "../architecture/source-files.ts";

const NOW = at(Date.UTC(2026, 10, 18, 10));
const documents = projectFiles().filter((file) => /^examples\/.*\/postern\.yaml$/.test(file) || file === "start/demo.yaml");

describe("example documents", () => {
  it("are the ones that examples/README.md lists", () => {
    const readme = readFileSync(join(PROJECT, "examples/README.md"), "utf8");
    const listed = [...readme.matchAll(/\]\(([^)]+\.yaml)\)/g)].map((match) => `examples/${match[1]}`);
    expect(documents.filter((file) => file.startsWith("examples/")).sort()).toEqual(listed.sort());
  });

  it.each(documents)("%s", (file) => {
    const parsed = parseDocument(readFileSync(join(PROJECT, file), "utf8"), { file });
    expect(parsed).toMatchObject({ ok: true });
    if (!parsed.ok) return;
    expect(parsed.value.warnings).toEqual([]);
    if (file.startsWith("examples/")) expect(parsed.value.document.tests.length).toBeGreaterThan(0);
    expect(runTests(compile(parsed.value.document, 1), NOW)).toEqual([]);
  });
});
