/** A command line in, an exit code out. The only place that prints failures; secrets are masked here last. */
import { CommanderError } from "commander";
import type { Runner } from "./command.ts";
import { AgentFailure } from "../agent/agent-failure.ts";
import { Failure, usageFailure } from "./failure.ts";
import type { Io } from "./io.ts";
import { Secrets } from "./printable.ts";
import { type Adder, makeProgram } from "./program.ts";

/** Runs one command line (without node and program). Never throws; 0 done, 1 refused or failed, 2 wrong usage. */
export async function run(argv: readonly string[], surroundings: Io): Promise<number> {
  const secrets = new Secrets();
  const io: Io = { ...surroundings, err: (text) => surroundings.err(secrets.mask(text)) };
  // An empty variable is one that is not set.
  const variable = (name: string): string | undefined => (io.env[name] === "" ? undefined : io.env[name]);
  let exit = 0;
  const runner: Runner = {
    perform: async (work, args, options) => {
      exit = await work(args, options, {
        io,
        secrets,
        json: options.json === true,
        edge: options.edge ?? variable("POSTERN_EDGE"),
        tokenFile: options.tokenFile ?? variable("POSTERN_TOKEN_FILE"),
        ca: options.ca,
      });
    },
  };
  try {
    await makeProgram(runner, io.out, await commandsFor(argv[0])).parseAsync(argv.length === 0 ? ["--help"] : [...argv], { from: "user" });
    return exit;
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return 0;
    return complain(asFailure(error), argv.includes("--json"), io, secrets);
  }
}

/**
 * What has to be loaded. `tcp` and `ssh` carry bytes for as long as a connection lives: what only
 * the others need would be looked through by every garbage collection, and doubles what a byte costs.
 */
async function commandsFor(word: string | undefined): Promise<readonly Adder[]> {
  if (word === "tcp") return [(await import("./commands/tcp.ts")).addTcp];
  if (word === "ssh") return [(await import("./commands/ssh.ts")).addSsh];
  return (await import("./every-command.ts")).EVERY_COMMAND;
}

function asFailure(error: unknown): Failure {
  if (error instanceof Failure) return error;
  if (error instanceof AgentFailure) return new Failure(error.code, error.message, error.why, error.fix, error.requestId === undefined ? {} : { requestId: error.requestId });
  if (error instanceof CommanderError) {
    if (error.code === "commander.help") return usageFailure("a command is missing", "this one only groups others");
    const [what = "", ...hints] = error.message.replace(/^error: /, "").split("\n");
    return usageFailure(what, hints.join(" ").trim() || "the command line cannot be read");
  }
  // An unforeseen error shows its name only: its text may hold what came from outside.
  return new Failure("internal", `internal error (${error instanceof Error ? error.name : "unknown"})`, "this is a defect of the command line", ["report it with the command that you ran"]);
}

function complain(failure: Failure, json: boolean, io: Io, secrets: Secrets): number {
  const { code, message, why, fix, requestId, details, extra } = failure;
  if (json) {
    const error = { code, message: `${message}: ${why}`, fix, ...(requestId === undefined ? {} : { request_id: requestId }), ...extra };
    io.out(`${secrets.mask(JSON.stringify({ error }))}\n`);
  }
  const lines = [...details, `error: ${message}`, `why: ${why}`, ...fix.map((one) => `fix: ${one}`), ...(requestId === undefined ? [] : [`request: ${requestId}`])];
  io.err(`${lines.join("\n")}\n`);
  return failure.exit;
}
