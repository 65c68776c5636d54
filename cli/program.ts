/** The program as commander sees it: its commands are given (every-command.ts), the rest is the same for all. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Command } from "commander";
import type { Runner } from "./command.ts";

const AFTER = `
Exit: 0 done, 1 refused or failed, 2 wrong usage.
Secrets come from files or standard input, never from the command line.
`;

const ownVersion = (): string => (JSON.parse(readFileSync(join(import.meta.dirname, "../package.json"), "utf8")) as { readonly version: string }).version;

/** Adds one command, or a group of them. */
export type Adder = (program: Command, runner: Runner) => void;

/** The program; it neither prints failures nor ends the process. */
export function makeProgram(runner: Runner, print: (text: string) => void, commands: readonly Adder[]): Command {
  const program = new Command("postern");
  const quiet = (command: Command): void => {
    command.exitOverride().configureOutput({ writeOut: print, writeErr: () => undefined }).helpCommand(false).showSuggestionAfterError();
    for (const child of command.commands) quiet(child);
  };
  program.description("operates a Postern edge: its policy, its sessions, its connectors").helpOption("-h, --help", "show this help").version(ownVersion(), "--version", "show the version").addHelpText("after", AFTER);
  for (const add of commands) add(program, runner);
  quiet(program);
  return program;
}

/** "apply", "service create", …: every command that can be run, in order. */
export function commandNames(program: Command): string[] {
  return program.commands.flatMap((one) => (one.commands.length === 0 ? [one.name()] : one.commands.map((child) => `${one.name()} ${child.name()}`)));
}
