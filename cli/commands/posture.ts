/** `postern posture`: what this machine says of itself; with --report to the edge, with --open for a browser of this machine. */
import { readFileSync } from "node:fs";
import type { Command } from "commander";
import { newLink } from "../../agent/device-reports.ts";
import { type ChecksWanted, NOTHING_WANTED, parseChecksWanted } from "../../agent/posture/checks-wanted.ts";
import { posture } from "../../agent/posture/posture.ts";
import { thisSystem } from "../../agent/posture/system.ts";
import type { PostureFacts } from "../../identity/posture-report.ts";
import { DEVICES_PATH } from "../../protocol/paths.ts";
import { declare, does, type Runner } from "../command.ts";
import { type DeviceOptions, thisDevice } from "../device-connection.ts";
import { errorCode, Failure } from "../failure.ts";
import { type Invocation, show } from "../invocation.ts";
import { table } from "../table.ts";

interface Options extends DeviceOptions {
  readonly report?: boolean;
  readonly open?: boolean;
}

export function addPosture(program: Command, runner: Runner): void {
  const command = withDevice(declare(program, "posture", "show what this machine says of itself: system, patches, disk, firewall, screen lock"))
    .option("--report", "report it to the edge; the first time this enrols this machine")
    .option("--open", "report it, and print a link that makes a browser of this machine count as it, once, for a minute");
  does<Options>(command, runner, async (_args, options, invocation) => {
    const facts = await posture({ system: thisSystem(), wanted: wantedChecks(options.checks), now: invocation.io.now() });
    const text = table(["FACT", "VALUE"], Object.entries(facts).map(([name, value]) => [name, String(value)]), "nothing could be found out");
    if (options.report !== true && options.open !== true) show(invocation, { facts }, () => text);
    else await reportOnce(facts, text, options, invocation);
    return 0;
  });
}

/** The options that name this machine as a device. */
export function withDevice(command: Command): Command {
  return command
    .option("--checks <file>", "what the team wants looked for besides: processes, files, certificates (JSON)")
    .option("--state <dir>", "where this machine's device key is kept; default: beside the token file")
    .option("--name <name>", "what operators see this machine as; default: its host name");
}

async function reportOnce(facts: PostureFacts, text: string, options: Options, invocation: Invocation): Promise<void> {
  const device = thisDevice(options, invocation);
  await device.enrol();
  const link = options.open === true ? await newLink(invocation.io.random) : undefined;
  const { id, seq } = await device.reports.report(facts, link?.bind);
  const address = link === undefined ? undefined : `${device.route.origin.origin}${DEVICES_PATH}/bind?device=${id}&code=${link.code}`;
  show(invocation, { device: id, seq, facts, ...(address === undefined ? {} : { link: address }) }, () =>
    `${text}reported as ${id}\n${address === undefined ? "" : `open within a minute, in the browser that is to count as this machine:\n${address}\n`}`,
  );
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
