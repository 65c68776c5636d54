/** All commands, in the order in which --help lists them. What is not here does not exist. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Command } from "commander";
import { z } from "zod";
import type { Runner } from "./command.ts";
import { addApply } from "./commands/apply.ts";
import { addApps } from "./commands/apps.ts";
import { addCheck } from "./commands/check.ts";
import { addConnectors } from "./commands/connectors.ts";
import { addCurl } from "./commands/curl.ts";
import { addEdgeStatus } from "./commands/edge-status.ts";
import { addEnrollToken } from "./commands/enroll-token.ts";
import { addExplain } from "./commands/explain.ts";
import { addHistory } from "./commands/history.ts";
import { addInit } from "./commands/init.ts";
import { addLogin, addLogout } from "./commands/login.ts";
import { addReceipt } from "./commands/receipt.ts";
import { addRevoke } from "./commands/revoke.ts";
import { addService } from "./commands/service.ts";
import { addSessions } from "./commands/sessions.ts";
import { addSetup } from "./commands/setup.ts";
import { addSsh } from "./commands/ssh.ts";
import { addSshConfig } from "./commands/ssh-config.ts";
import { addStatus } from "./commands/status.ts";
import { addTcp } from "./commands/tcp.ts";
import { addTest } from "./commands/test.ts";
import { addWhoami } from "./commands/whoami.ts";

const ADD: readonly ((program: Command, runner: Runner) => void)[] = [
  addInit, addSetup, addCheck, addTest, addApply, addHistory,
  addSessions, addRevoke, addReceipt, addExplain,
  addService, addEnrollToken, addConnectors, addEdgeStatus, addStatus,
  addLogin, addLogout, addWhoami, addApps, addCurl, addTcp, addSsh, addSshConfig,
];

const AFTER = `
Exit: 0 done, 1 refused or failed, 2 wrong usage.
Secrets come from files or standard input, never from the command line.
`;

const Package = z.looseObject({ version: z.string() });
const ownVersion = (): string => Package.parse(JSON.parse(readFileSync(join(import.meta.dirname, "../package.json"), "utf8"))).version;

/** The program; it neither prints failures nor ends the process. */
export function makeProgram(runner: Runner, print: (text: string) => void): Command {
  const program = new Command("postern");
  const quiet = (command: Command): void => {
    command.exitOverride().configureOutput({ writeOut: print, writeErr: () => undefined }).helpCommand(false).showSuggestionAfterError();
    for (const child of command.commands) quiet(child);
  };
  program.description("operates a Postern edge: its policy, its sessions, its connectors").helpOption("-h, --help", "show this help").version(ownVersion(), "--version", "show the version").addHelpText("after", AFTER);
  for (const add of ADD) add(program, runner);
  quiet(program);
  return program;
}

/** "apply", "service create", …: every command that can be run, in order. */
export function commandNames(program: Command): string[] {
  return program.commands.flatMap((one) => (one.commands.length === 0 ? [one.name()] : one.commands.map((child) => `${one.name()} ${child.name()}`)));
}
