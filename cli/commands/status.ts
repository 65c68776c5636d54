/** `postern status`: is everything there that a request needs? Exit 1 when something is missing. */
import type { Command } from "commander";
import { edgeStatus, me, readiness } from "../../protocol/admin-api-shapes.ts";
import type { EdgeStatusAnswer } from "../../protocol/admin-api.ts";
import { ADMIN_API, ME_PATH, READY_PATH } from "../../protocol/paths.ts";
import { declare, does, type Runner } from "../command.ts";
import type { Answer, EdgeClient } from "../edge-client.ts";
import { Failure } from "../failure.ts";
import { lanesTable } from "../lanes-table.ts";
import { operatorClient, show } from "../invocation.ts";
import { printable } from "../printable.ts";

export function addStatus(program: Command, runner: Runner): void {
  does(declare(program, "status", "show in short whether edge, policy and connectors are there; exit 1 if something is missing"), runner, async (_args, _options, invocation) => {
    const client = await operatorClient(invocation);
    const ready = await client.get(READY_PATH, readiness);
    const own = await client.get(ME_PATH, me);
    const edge = await lanesOf(client);
    const lanes = edge?.value.lanes ?? [];
    const missing = [
      ...(ready.value.policy_version === 0 ? ["no policy is live"] : []),
      ...(edge !== undefined && lanes.length === 0 ? ["no connector has ever connected"] : []),
      ...lanes.filter((one) => !one.reachable || (one.connectors ?? []).length === 0).map((one) => `site ${one.site} lane ${one.lane} has no connector`),
    ];
    const all = { edge: client.route.origin.origin, ready: ready.json, me: own.json, edge_status: edge?.json ?? null, missing };
    show(invocation, all, () =>
      [
        `edge ${client.route.origin.origin} answers; policy version ${ready.value.policy_version}`,
        `you are ${own.value.subject.kind} ${printable(own.value.email ?? own.value.name ?? own.value.subject.id)} until ${printable(own.value.expires_at)}`,
        edge === undefined ? "connectors: only those who administer see them" : lanesTable(lanes).trimEnd(),
        ...(missing.length === 0 ? ["nothing is missing"] : missing.map((one) => `missing: ${printable(one)}`)),
        "",
      ].join("\n"),
    );
    return missing.length === 0 ? 0 : 1;
  });
}

/** The lanes, or undefined for somebody who may not see them: `status` is for everybody. */
async function lanesOf(client: EdgeClient): Promise<Answer<EdgeStatusAnswer> | undefined> {
  try {
    return await client.get(`${ADMIN_API}/edge-status`, edgeStatus);
  } catch (error) {
    if (error instanceof Failure && error.code === "not_operator") return undefined;
    throw error;
  }
}
