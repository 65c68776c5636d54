/** `postern apps`: the apps that the token's holder may open, as the launcher would show them. */
import type { Command } from "commander";
import { visibleApps } from "../../protocol/admin-api-shapes.ts";
import { declare, does, type Runner } from "../command.ts";
import { operatorClient, show } from "../invocation.ts";
import { table } from "../table.ts";

export function addApps(program: Command, runner: Runner): void {
  does(declare(program, "apps", "list the apps that the token's holder may open"), runner, async (_args, _options, invocation) => {
    const { value, json } = await (await operatorClient(invocation)).get("/", visibleApps);
    const rows = value.apps.map((one) => [one.id, one.name, one.url ?? `postern tcp ${one.id}`, one.stepUp ? "after another sign-in" : "now"]);
    show(invocation, json, () => table(["APP", "NAME", "ADDRESS", "OPENS"], rows, "no app opens for this token"));
    return 0;
  });
}
