/** The documents about the whole project, for tests that hold them to the code. Reads; judges nothing. */
import { read } from "./source-files.ts";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { PROJECT } from "./source-files.ts";

const pages = (folder: string): string[] => readdirSync(join(PROJECT, folder)).filter((name) => name.endsWith(".md")).map((name) => `${folder}/${name}`);

export const OUR_DOCUMENTS: readonly string[] = ["README.md", "ARCHITECTURE.md", "SECURITY.md", "CONTRIBUTING.md", "CHANGELOG.md", ...pages("docs/decisions"), "docs/deploy.md", "docs/connector.md", "docs/devices.md", "docs/signals.md", "docs/self-hosting.md", "docs/assertions.md", "docs/performance.md", "docs/freshness.md", "bench/README.md"];

export interface Block {
  readonly document: string;
  /** The words after the fence: language, then tags. */
  readonly info: readonly string[];
  readonly text: string;
}

/** Fenced blocks, the indentation of a list taken off. */
export function blocksOf(document: string): Block[] {
  const blocks: Block[] = [];
  for (const [, indent = "", info = "", body = ""] of read(document).matchAll(/^( *)```([^\n]*)\n([\s\S]*?)^\1```$/gm)) {
    const text = body.split("\n").map((line) => (line.startsWith(indent) ? line.slice(indent.length) : line)).join("\n");
    blocks.push({ document, info: info.trim().split(/\s+/), text });
  }
  return blocks;
}

/** The text of a section, from its heading to the next of the same or a higher level. */
export function sectionOf(document: string, heading: string): string {
  const lines = read(document).split("\n");
  const from = lines.indexOf(heading);
  const level = /^#+/.exec(heading)?.[0].length ?? 1;
  const end = lines.findIndex((line, i) => i > from && (/^#+(?= )/.exec(line)?.[0].length ?? 9) <= level);
  return from < 0 ? "" : lines.slice(from + 1, end < 0 ? undefined : end).join("\n");
}

/** Text between single backquotes, fenced blocks left out. */
export const inlineCode = (document: string): string[] => [...read(document).replace(/^( *)```[\s\S]*?^\1```$/gm, "").matchAll(/`([^`\n]+)`/g)].map((match) => match[1] ?? "");
