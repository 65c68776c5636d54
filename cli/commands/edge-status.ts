/** `postern edge-status`: every lane: its connectors, its streams, and what keeps it awake (M14). */
import type { Command } from "commander";
import { edgeStatus } from "../../protocol/admin-api-shapes.ts";
import { ADMIN_API } from "../../protocol/paths.ts";
import { breakGlassAlarm } from "../break-glass-text.ts";
import { declare, does, type Runner } from "../command.ts";
import { lanesTable } from "../lanes-table.ts";
import { operatorClient, show } from "../invocation.ts";

export function addEdgeStatus(program: Command, runner: Runner): void {
  does(declare(program, "edge-status", "show every lane: connectors, streams, what keeps it awake"), runner, async (_args, _options, invocation) => {
    const { value, json } = await (await operatorClient(invocation)).get(`${ADMIN_API}/edge-status`, edgeStatus);
    const alarm = breakGlassAlarm(value.break_glass);
    if (alarm !== undefined) invocation.io.err(alarm);
    show(invocation, json, () => `policy version ${value.policy_version}\n${lanesTable(value.lanes)}`);
    return 0;
  });
}
