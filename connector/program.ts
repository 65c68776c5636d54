/** The connector program: command line in, exit code out. The only file that prints failures and ends the process. Run by main.ts. */
import { realpathSync } from "node:fs";
import { resolve } from "node:path";
import { collectLessOften } from "../channel/fewer-collections.ts";
import { parseCommandLine } from "./command-line.ts";
import type { Command } from "./command-line.ts";
import { endorse } from "./endorse.ts";
import { describeEnrolment, enroll } from "./enroll.ts";
import { Failure } from "./failure.ts";
import { helpText } from "./help.ts";
import { install } from "./install.ts";
import { createLog } from "./log.ts";
import { startConnector } from "./run.ts";
import { defaultStateDirectory } from "./state.ts";
import { fingerprintOf, status } from "./status.ts";

const print = (text: string): void => void process.stdout.write(text);
const log = createLog((line) => void process.stderr.write(line), Date.now);

async function perform(command: Command): Promise<number> {
  const directory = "state" in command && command.state !== undefined ? resolve(command.state) : defaultStateDirectory(process.env);
  switch (command.kind) {
    case "help":
      print(helpText(command.topic));
      return 0;
    case "enroll": {
      const { state, key } = await enroll({ ...command, state: directory }, process.env, Date.now);
      print(command.json ? `${JSON.stringify({ connector: state.connector, site: state.site, edge: state.edge.origin, state: directory, key: key.publicJwk.x, fingerprint: fingerprintOf(key) })}\n` : describeEnrolment(state, key, directory));
      return 0;
    }
    case "run": {
      collectLessOften();
      const running = await startConnector({ state: directory, metricsPort: command.metricsPort ?? 0, ca: command.ca, targets: command.targets, canary: command.canary, environment: process.env, log, now: Date.now, random: Math.random });
      print(`${JSON.stringify({ event: "listening", metrics: running.metrics })}\n`);
      let asked = 0;
      for (const signal of ["SIGTERM", "SIGINT"] as const) {
        process.on(signal, () => {
          asked += 1;
          // A second one is somebody who does not want to wait.
          if (asked > 1) process.exit(1);
          running.drain();
        });
      }
      await running.ended;
      return 0;
    }
    case "status":
      return (await status(directory, command.json, print)) ? 0 : 1;
    case "endorse": {
      const endorsement = await endorse({ ...command, state: directory }, Date.now);
      print(command.json ? `${JSON.stringify({ endorsement })}\n` : `${endorsement}\n`);
      return 0;
    }
    case "install":
      install({ node: process.execPath, program: realpathSync(process.argv[1] ?? ""), state: directory, ca: command.ca === undefined ? undefined : resolve(command.ca), canary: command.canary }, command.print, command.json, print);
      return 0;
    default:
      return command satisfies never;
  }
}

function complain(error: unknown, json: boolean): number {
  // An unforeseen error shows its name only: its text may hold what came from outside.
  const failure = error instanceof Failure ? error : new Failure("internal", `internal error (${error instanceof Error ? error.name : "unknown"})`, "this is a defect", "report it with the log lines before this one");
  if (json) process.stdout.write(`${JSON.stringify({ error: { code: failure.code, message: `${failure.message}: ${failure.why}`, fix: [failure.next] } })}\n`);
  process.stderr.write(`error: ${failure.message}\nwhy: ${failure.why}\nnext: ${failure.next}\n`);
  return failure.exit;
}

const argv = process.argv.slice(2);
try {
  const command = parseCommandLine(argv, process.env);
  process.exitCode = await perform(command);
  // A connection attempt that was given up must not keep a drained process alive.
  if (command.kind === "run") process.exit();
} catch (error) {
  process.exitCode = complain(error, argv.includes("--json"));
}
