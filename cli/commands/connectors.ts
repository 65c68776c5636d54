/** `postern connectors`: which connectors are enrolled, and whether they still may connect. */
import type { Command } from "commander";
import { connectors } from "../../protocol/admin-api-shapes.ts";
import { ADMIN_API } from "../../protocol/paths.ts";
import { declare, does, type Runner } from "../command.ts";
import { operatorClient, show } from "../invocation.ts";
import { table } from "../table.ts";

export function addConnectors(program: Command, runner: Runner): void {
  does(declare(program, "connectors", "list enrolled connectors"), runner, async (_args, _options, invocation) => {
    const { value, json } = await (await operatorClient(invocation)).get(`${ADMIN_API}/connectors`, connectors);
    const rows = value.map((one) => [one.id, one.site, one.name, one.enrolled_at, one.revoked_at === null ? "enrolled" : `revoked ${one.revoked_at}`, one.thumbprint]);
    show(invocation, json, () => table(["CONNECTOR", "SITE", "NAME", "ENROLLED", "STATE", "KEY"], rows, "no connector is enrolled; make a token with: postern enroll-token SITE"));
    return 0;
  });
}
