/** Links between our own documents lead somewhere, headings included. */
import { existsSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { describe, expect, it } from "vitest";
import { PROJECT, projectFiles, read } from "./source-files.ts";

const documents = projectFiles().filter((file) => file.endsWith(".md"));
/** A heading's anchor, as GitHub makes it. */
const anchor = (heading: string): string =>
  heading
    .trim()
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\s_-]/gu, "")
    .replace(/\s/g, "-");
const prose = (file: string): string => read(file).replace(/^```[\s\S]*?^```/gm, "");
const anchors = (file: string): string[] => [...prose(file).matchAll(/^#{1,6}\s+(.+)$/gm)].map((match) => anchor((match[1] ?? "").replaceAll("`", "")));

describe("links", () => {
  it("each relative link of a document leads to a file, and its #part to a heading", () => {
    const broken: string[] = [];
    for (const file of documents) {
      for (const [, link = ""] of prose(file).matchAll(/\]\(([^)\s]+)\)/g)) {
        if (/^[a-z]+:/.test(link)) continue;
        const [path = "", part] = link.split("#");
        const target = path === "" ? file : normalize(join(dirname(file), path));
        if (!existsSync(join(PROJECT, target))) broken.push(`${file}: ${link}`);
        else if (part !== undefined && target.endsWith(".md") && !anchors(target).includes(part)) broken.push(`${file}: ${link} (no such heading)`);
      }
    }
    expect(broken).toEqual([]);
  });
});
