/** What our documents name is there: folders, files, functions, constants with their values. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { ERROR_TEXTS } from "../../core/error-texts.ts";
import { inlineCode, OUR_DOCUMENTS, sectionOf } from "./our-documents.ts";
import { isSource, PROJECT, projectFiles, read } from "./source-files.ts";

const topFolders = [...new Set(projectFiles().filter((file) => file.includes("/")).map((file) => file.split("/")[0] ?? ""))];

/** Whether a file defines this function, method, class or constant. */
function defines(file: string, name: string): boolean {
  const word = name.replace("#", "\\#");
  const method = new RegExp(`^ +(?:(?:override|async|static|get|private) )*\\*?${word}(?:<[^>]*>)?\\(`, "m");
  const plain = new RegExp(`(?:function|const|class|interface) ${word}\\b`);
  return method.test(read(file)) || plain.test(read(file));
}

const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, min: 60_000, h: 3_600_000, days: 86_400_000 };
/** The value of an exported constant that is written as a product of numbers and named units. */
function valueOf(name: string): number | undefined {
  for (const file of projectFiles().filter(isSource)) {
    const written = new RegExp(`^(?:export )?const ${name} = (?:lasting\\()?([0-9A-Z_* ]+)\\)?;`, "m").exec(read(file))?.[1];
    if (written === undefined) continue;
    const factors = written.split("*").map((part) => part.trim());
    return factors.reduce((product, part) => product * ({ SECOND_MS: 1_000, MINUTE_MS: 60_000, HOUR_MS: 3_600_000, DAY_MS: 86_400_000 }[part] ?? Number(part.replaceAll("_", ""))), 1);
  }
  return undefined;
}

describe("our documents", () => {
  it("ARCHITECTURE.md's code map names every top folder", () => {
    const named = [...sectionOf("ARCHITECTURE.md", "## Code map").matchAll(/`([.a-z-]+)\/`/g)].map((match) => match[1]);
    expect(topFolders.filter((folder) => !named.includes(folder))).toEqual([]);
  });

  it.each(OUR_DOCUMENTS)("%s: each function that is named with its file is in it", (document) => {
    const faults = inlineCode(document).flatMap((code) => {
      const match = /^((?:[\w.-]+\/)*[\w.-]+\.ts):(#?[A-Za-z]\w*)$/.exec(code);
      if (match === null || match[1] === "file.ts") return [];
      const [, file = "", name = ""] = match;
      return existsSync(join(PROJECT, file)) && defines(file, name) ? [] : [code];
    });
    expect(faults).toEqual([]);
  });

  it.each(OUR_DOCUMENTS)("%s: each file that is named with a folder exists", (document) => {
    const heads = topFolders.map((folder) => folder.replace(".", "\\.")).join("|");
    const path = new RegExp(`^(?:${heads})/[\\w./-]*$`);
    const faults = inlineCode(document).filter((code) => path.test(code) && !code.includes("NAME") && !existsSync(join(PROJECT, code)));
    expect(faults).toEqual([]);
  });

  it("ARCHITECTURE.md's table of leases has the values of the code", () => {
    const rows = [...sectionOf("ARCHITECTURE.md", "## Leases").matchAll(/^\| `([A-Z_]+)` \| ([0-9]+) ([a-z]+) \|/gm)];
    expect(rows.length).toBeGreaterThan(8);
    const wrong = rows.filter(([, name = "", count = "", unit = ""]) => valueOf(name) !== Number(count) * (UNITS[unit] ?? Number.NaN));
    expect(wrong.map((row) => `${row[1]}: the code says ${valueOf(row[1] ?? "")} ms`)).toEqual([]);
  });

  it.each(OUR_DOCUMENTS)("%s: each constant that is named exists", (document) => {
    const source = projectFiles().filter((file) => isSource(file) || file === "wrangler.toml").map(read).join("\n");
    const names = inlineCode(document).filter((code) => /^[A-Z]+(?:_[A-Z]+)+$/.test(code) && !/^(?:HTTPS?|NO)_PROXY$|_SECRET$/.test(code));
    expect(names.filter((name) => !new RegExp(`\\b${name}\\b`).test(source))).toEqual([]);
  });

  it("docs/deploy.md quotes pages by their real titles", () => {
    const titles = Object.values(ERROR_TEXTS).map((entry) => entry.title);
    const quoted = [...sectionOf("docs/deploy.md", "## 7. A connector, and the first request").matchAll(/"([^"]+)"/g)].map((match) => match[1] ?? "");
    expect(quoted.length).toBeGreaterThan(3);
    expect(quoted.filter((title) => !titles.includes(title))).toEqual([]);
  });

  it("decisions are numbered without gaps and say context, decision, consequences", () => {
    const decisions = OUR_DOCUMENTS.filter((file) => file.startsWith("docs/decisions/")).sort();
    expect(decisions.map((file) => Number(file.slice(15, 19)))).toEqual(decisions.map((_, i) => i + 1));
    for (const file of decisions) expect([...read(file).matchAll(/^\*\*(\w+)\.\*\*/gm)].map((match) => match[1])).toEqual(["Context", "Decision", "Consequences"]);
  });
});
