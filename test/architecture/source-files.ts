/** The project's own files, for tests about the house itself. Reads; judges nothing. */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";

export const PROJECT = join(import.meta.dirname, "../..");

/** Paths of all files that are or will be tracked, relative to the project. */
export function projectFiles(): string[] {
  const listed = execFileSync("git", ["ls-files", "--cached", "--others", "--exclude-standard"], { cwd: PROJECT, encoding: "utf8", maxBuffer: 64 * 1024 * 1024 });
  const deleted = new Set(execFileSync("git", ["ls-files", "--deleted"], { cwd: PROJECT, encoding: "utf8" }).split("\n"));
  return listed.split("\n").filter((file) => file !== "" && !deleted.has(file));
}

export const read = (file: string): string => readFileSync(join(PROJECT, file), "utf8");

/** The folders of source, lowest first. */
export const SOURCE_FOLDERS = ["core", "policy", "identity", "protocol", "durable-objects", "worker", "channel", "connector", "agent", "cli", "console", "start", "bench"] as const;
export type SourceFolder = (typeof SOURCE_FOLDERS)[number];

export const folderOf = (file: string): string => file.split("/")[0] ?? "";
export const isSource = (file: string): boolean => /\.(?:ts|tsx|mjs)$/.test(file) && SOURCE_FOLDERS.some((folder) => folder === folderOf(file));

/** Source text without comments, strings kept; good enough to look for a call. */
export const withoutComments = (text: string): string => text.replace(/\/\*[\s\S]*?\*\//g, "").replace(/(^|[^:"'`])\/\/.*$/gm, "$1");
