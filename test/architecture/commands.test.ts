/** Every command in our documents can be typed: programs, commands, options, scripts, files. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Command } from "commander";
import { describe, expect, it } from "vitest";
import { EVERY_COMMAND } from "../../cli/every-command.ts";
import { commandNames, makeProgram } from "../../cli/program.ts";
import { TOPICS } from "../../connector/command-line.ts";
import { helpText } from "../../connector/help.ts";
import { USAGE } from "../../start/options.ts";
import { blocksOf, inlineCode, OUR_DOCUMENTS, sectionOf } from "./our-documents.ts";
import { PROJECT, read } from "./source-files.ts";

const program = makeProgram({ perform: () => Promise.resolve() }, () => undefined, EVERY_COMMAND);
const names = commandNames(program);
const scripts = (JSON.parse(read("package.json")) as { readonly scripts: Readonly<Record<string, string>> }).scripts;
/** What a command line may begin with besides our own programs. */
const OTHERS = new Set(["curl", "export", "sha256sum", "(printf", "(umask", "cat", "echo", "openssl"]);
const WRANGLER = new Set(["login", "deploy", "secret", "tail"]);
const NOT_YET = "## Not yet";

const options = (words: readonly string[]): string[] => words.filter((word) => /^--?[a-z]/.test(word)).map((word) => word.split("=")[0] ?? "");

function find(words: readonly string[]): Command | undefined {
  let at: Command = program;
  for (const word of words) {
    const next = at.commands.find((one) => one.name() === word);
    if (next === undefined) break;
    at = next;
  }
  return at === program || at.commands.length > 0 ? undefined : at;
}

/** What is wrong with one command line, if anything. */
function fault(words: readonly string[]): string | undefined {
  const [first = "", second = "", ...rest] = words;
  if (first === "sudo") return second === "install" ? undefined : fault([second, ...rest]);
  if (first === "npm") return npmFault(second, rest);
  if (first === "npx" && second === "postern") return posternFault(rest);
  if ((first === "npx" && second === "postern-connector") || (first === "node" && second.endsWith("connector.mjs"))) return connectorFault(rest);
  if (first === "npx" && second === "vitest") return rest.slice(1).find((path) => !existsSync(join(PROJECT, path)));
  if (first === "npx" && second === "wrangler") return WRANGLER.has(rest[0] ?? "") ? undefined : "unknown command of wrangler";
  if (first === "node") return existsSync(join(PROJECT, second)) ? undefined : "no such file";
  return OTHERS.has(first) ? undefined : "unknown program";
}

function npmFault(command: string, rest: readonly string[]): string | undefined {
  if (command === "ci") return undefined;
  const script = command === "run" ? (rest[0] ?? "") : command;
  if (!Object.hasOwn(scripts, script)) return `no script ${script}`;
  return script === "start" ? options(rest.slice(1)).find((option) => option !== "--" && !USAGE.includes(option)) : undefined;
}

function posternFault(words: readonly string[]): string | undefined {
  if (words[0] === "--help") return undefined;
  const command = find(words);
  if (command === undefined) return `no command ${words.slice(0, 2).join(" ")}`;
  const known = command.options.flatMap((option) => [option.long, option.short]);
  return options(words).find((option) => option !== "--help" && !known.includes(option));
}

function connectorFault(words: readonly string[]): string | undefined {
  const topic = TOPICS.find((one) => one === words[0]);
  if (topic === undefined) return words[0] === "--help" ? undefined : `the connector has no command ${words[0] ?? ""}`;
  return options(words).find((option) => !helpText(topic).includes(option));
}

/** Command lines of a block: comments off, one entry a command. */
function commandLines(text: string): string[] {
  return text
    .split("\n")
    .flatMap((line) => line.replace(/(^|\s)#.*$/, "").split("&&"))
    .map((line) => line.trim())
    .filter((line) => line !== "");
}

describe("commands in our documents", () => {
  const lines = OUR_DOCUMENTS.flatMap((document) => blocksOf(document).filter(({ info }) => info[0] === "sh").flatMap(({ text }) => commandLines(text).map((line) => ({ document, line }))));

  it("are found", () => {
    expect(lines.length).toBeGreaterThan(40);
  });

  it.each(lines)("$document: $line", ({ line }) => {
    expect(fault(line.split(/\s+/))).toBeUndefined();
  });

  it("the finder of faults finds them", () => {
    for (const line of ["npx postern launch", "npx postern sessions --fast", "npm run fly", "npm start -- --fast", "node connector.mjs fly", "node connector.mjs run --fast", "node nothing.ts", "fly", "npx vitest run test/nothing"]) {
      expect(fault(line.split(" ")), line).toBeDefined();
    }
  });

  it.each(OUR_DOCUMENTS)("%s: each command that the text names exists, and what is said to be missing does not", (document) => {
    const notYet = document === "README.md" ? sectionOf(document, NOT_YET) : "";
    const absent = [...notYet.matchAll(/`postern ([a-z-]+)`/g)].map((match) => match[1] ?? "");
    const named = inlineCode(document).flatMap((code) => /^(?:npx )?postern ([a-z]+(?:-[a-z]+)*)/.exec(code)?.[1] ?? []);
    const exists = (name: string): boolean => names.some((one) => one === name || one.startsWith(`${name} `));
    expect(named.filter((name) => !exists(name) && !absent.includes(name))).toEqual([]);
    expect(absent.filter(exists)).toEqual([]);
    if (document === "README.md") expect(absent.length).toBeGreaterThan(5);
  });
});
