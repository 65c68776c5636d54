/** `postern request`: a person asks for access to an app for a while. The reason travels in the body, never in a URL. */
import type { Command } from "commander";
import { parseDuration } from "../../core/time.ts";
import { given } from "../../protocol/admin-api-shapes.ts";
import { REQUEST_PATH } from "../../protocol/paths.ts";
import { declare, does, type Runner } from "../command.ts";
import { sentForm } from "../edge-client.ts";
import { usageFailure } from "../failure.ts";
import { operatorClient, show } from "../invocation.ts";
import { printable } from "../printable.ts";

interface Options {
  readonly for: string;
  readonly reason: string;
}

export function addRequest(program: Command, runner: Runner): void {
  const command = declare(program, "request <app>", "ask for access to an app for a while; somebody else says yes")
    .requiredOption("--for <duration>", "for how long, such as 2h")
    .requiredOption("--reason <text>", "why, for whoever decides");
  does<Options>(command, runner, async ([app = ""], { for: length, reason }, invocation) => {
    if (parseDuration(length) === undefined) throw usageFailure("--for is no duration", "one whole number and one unit", "--for 2h");
    const { value, json } = await (await operatorClient(invocation)).post(REQUEST_PATH, sentForm({ app, for: length, reason }), given);
    show(invocation, json, () => `asked: ${printable(value.id)}, waits until ${printable(value.until)}\n  an operator gives it with: postern grant ${printable(value.id)}\n`);
    return 0;
  });
}
