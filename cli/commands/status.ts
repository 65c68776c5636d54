/** `postern status`: is everything there that a request needs? Exit 1 when something is missing. */
import type { Command } from "commander";
import { edgeStatus, me, readiness } from "../../protocol/admin-api-shapes.ts";
import { declare, does, type Runner } from "../command.ts";
import { API } from "../edge-client.ts";
import { lanesTable } from "../lanes-table.ts";
import { operatorClient, show } from "../invocation.ts";
import { printable } from "../printable.ts";

export function addStatus(program: Command, runner: Runner): void {
  does(declare(program, "status", "show in short whether edge, policy and connectors are there; exit 1 if something is missing"), runner, async (_args, _options, invocation) => {
    const client = await operatorClient(invocation);
    const ready = await client.get("/.postern/ready", readiness);
    const own = await client.get("/.postern/me", me);
    const lanes = await client.get(`${API}/edge-status`, edgeStatus);
    const missing = [
      ...(lanes.value.policy_version === 0 ? ["no policy is live"] : []),
      ...(lanes.value.lanes.length === 0 ? ["no connector has ever connected"] : []),
      ...lanes.value.lanes.filter((one) => !one.reachable || (one.connectors ?? []).length === 0).map((one) => `site ${one.site} lane ${one.lane} has no connector`),
    ];
    const all = { edge: client.route.origin.origin, ready: ready.json, me: own.json, edge_status: lanes.json, missing };
    show(invocation, all, () =>
      [
        `edge ${client.route.origin.origin} answers; policy version ${lanes.value.policy_version}`,
        `you are ${own.value.subject.kind} ${printable(own.value.email ?? own.value.name ?? own.value.subject.id)} until ${printable(own.value.expires_at)}`,
        lanesTable(lanes.value.lanes).trimEnd(),
        ...(missing.length === 0 ? ["nothing is missing"] : missing.map((one) => `missing: ${printable(one)}`)),
        "",
      ].join("\n"),
    );
    return missing.length === 0 ? 0 : 1;
  });
}
