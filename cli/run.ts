/** A command line in, an exit code out. The only place that prints failures; secrets are masked here last. */
import { CommanderError } from "commander";
import type { Runner } from "./command.ts";
import { Failure, usageFailure } from "./failure.ts";
import type { Io } from "./io.ts";
import { Secrets } from "./printable.ts";
import { makeProgram } from "./program.ts";

/** Runs one command line (without node and program). Never throws; 0 done, 1 refused or failed, 2 wrong usage. */
export async function run(argv: readonly string[], surroundings: Io): Promise<number> {
  const secrets = new Secrets();
  const io: Io = { ...surroundings, err: (text) => surroundings.err(secrets.mask(text)) };
  let exit = 0;
  const runner: Runner = {
    perform: async (work, args, options) => {
      const { edge, tokenFile, ca, json } = options;
      exit = await work(args, options, { io, secrets, json: json === true, edge, tokenFile, ca });
    },
  };
  try {
    // commander reads process.env for options; only `io.env` counts here.
    await withEnvironment(io.env, () => makeProgram(runner, io.out).parseAsync(argv.length === 0 ? ["--help"] : [...argv], { from: "user" }));
    return exit;
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return 0;
    return complain(asFailure(error), argv.includes("--json"), io, secrets);
  }
}
