/** How a command is declared: its words, the options that all take, and its work, which ends in an exit code. */
import type { Command } from "commander";
import type { Invocation } from "./invocation.ts";

export interface Common {
  readonly edge?: string;
  readonly tokenFile?: string;
  readonly ca?: string;
  readonly json?: boolean;
}

/** Work of a command: its arguments in order, its own options, its surroundings. */
export type Work<Options> = (args: readonly string[], options: Options & Common, invocation: Invocation) => Promise<number>;

/** Turns the common options into an Invocation and keeps the exit code; made once a run, by run.ts. */
export interface Runner {
  readonly perform: <Options>(work: Work<Options>, args: readonly string[], options: Options & Common) => Promise<void>;
}

/** A command of `parent` with the options that every command takes. */
export function declare(parent: Command, words: string, summary: string): Command {
  return parent
    .command(words)
    .description(summary)
    .option("--edge <url>", "the edge's launcher (or POSTERN_EDGE)")
    .option("--token-file <file>", 'file with a token; "-" reads standard input (or POSTERN_TOKEN_FILE)')
    .option("--ca <file>", "further certificate authorities for the edge (PEM)")
    .option("--json", "print exactly the API's JSON")
    .helpOption("-h, --help", "show this help");
}

/** Gives a declared command its work. */
export function does<Options = object>(command: Command, runner: Runner, work: Work<Options>): Command {
  return command.action(async (...given: readonly unknown[]) => {
    // commander hands over the arguments, then the options, then the command itself.
    const args = given.slice(0, -2).filter((one) => one !== undefined).flat() as string[];
    await runner.perform(work, args, given.at(-2) as Options & Common);
  });
}
