/** docs/dependencies.md is package.json's list, each line with a reason. */
import { describe, expect, it } from "vitest";
import { read } from "./source-files.ts";

const SECTIONS = { Runtime: "dependencies", Development: "devDependencies", Optional: "optionalDependencies" } as const;
const manifest = JSON.parse(read("package.json")) as Readonly<Record<string, Readonly<Record<string, string>>>>;
const sections = new Map(
  read("docs/dependencies.md")
    .split(/^## /m)
    .slice(1)
    .map((section) => [section.slice(0, section.indexOf("\n")).trim(), section] as const),
);

describe("dependencies", () => {
  it.each(Object.entries(SECTIONS))("%s of docs/dependencies.md is %s of package.json", (title, field) => {
    const lines = [...(sections.get(title) ?? "").matchAll(/^- `([^`]+)` – (\S.{10,})$/gm)];
    expect(lines.map((match) => match[1] ?? "").sort()).toEqual(Object.keys(manifest[field] ?? {}).sort());
  });

  it("every version is pinned exactly", () => {
    const loose = Object.values(SECTIONS).flatMap((field) => Object.entries(manifest[field] ?? {}).filter(([, version]) => !/^[0-9]+\.[0-9]+\.[0-9]+(?:-[0-9a-z.]+)?$/.test(version)));
    expect(loose).toEqual([]);
  });
});
