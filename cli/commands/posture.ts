/** `postern posture`: what this machine would say of itself to an edge. */
import { readFileSync } from "node:fs";
import type { Command } from "commander";
import { type ChecksWanted, NOTHING_WANTED, parseChecksWanted } from "../../agent/posture/checks-wanted.ts";
import { posture } from "../../agent/posture/posture.ts";
import { thisSystem } from "../../agent/posture/system.ts";
import { declare, does, type Runner } from "../command.ts";
import { errorCode, Failure } from "../failure.ts";
import { show } from "../invocation.ts";
import { table } from "../table.ts";

interface Options {
  readonly checks?: string;
}

export function addPosture(program: Command, runner: Runner): void {
  const command = declare(program, "posture", "show what this machine says of itself: system, patches, disk, firewall, screen lock")
    .option("--checks <file>", "what the team wants looked for besides: processes, files, certificates (JSON)");
  does<Options>(command, runner, async (_args, { checks }, invocation) => {
    const { io } = invocation;
    const facts = await posture({ system: thisSystem(), wanted: wantedChecks(checks), now: io.now() });
    show(invocation, { facts }, () => table(["FACT", "VALUE"], Object.entries(facts).map(([name, value]) => [name, String(value)]), "nothing could be found out"));
    return 0;
  });
}

/** What `--checks` names; nothing without it. Throws Failure or AgentFailure. */
export function wantedChecks(file: string | undefined): ChecksWanted {
  if (file === undefined) return NOTHING_WANTED;
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (error) {
    throw new Failure("file_unreadable", `${file} cannot be read`, `it was named by --checks; the system says ${errorCode(error) ?? "no reason"}`, ["check the path and its permissions"]);
  }
  return parseChecksWanted(text, file);
}
