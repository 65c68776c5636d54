import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { FATAL } from "../../cli/commands/tcp.ts";

/** The codes of failures that a file of the agent throws. */
const codesOf = (file: string): string[] => [...readFileSync(new URL(`../../agent/${file}.ts`, import.meta.url), "utf8").matchAll(/new AgentFailure\(\s*"(\w+)"/g)].map(([, code = ""]) => code);

it("`postern tcp` ends with what only a person can mend, in what it trusts and where it keeps that, and with nothing else", () => {
  // The agent's own key is read before it listens.
  const before = new Set(["key_exposed"]);
  const needPeople = [...codesOf("known-connectors"), ...codesOf("state-folder")].filter((code) => !before.has(code));
  expect(FATAL).toEqual(new Set(needPeople));
  expect(FATAL).toContain("app_moved");
});
