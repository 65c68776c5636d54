/** `postern history`: the versions of the policy, newest first. */
import type { Command } from "commander";
import { versions } from "../../protocol/admin-api-shapes.ts";
import { ADMIN_API } from "../../protocol/paths.ts";
import { declare, does, type Runner } from "../command.ts";
import { operatorClient, show } from "../invocation.ts";
import { table } from "../table.ts";

export function addHistory(program: Command, runner: Runner): void {
  does(declare(program, "history", "list the versions of the policy, newest first"), runner, async (_args, _options, invocation) => {
    const { value, json } = await (await operatorClient(invocation)).get(`${ADMIN_API}/policy/history`, versions);
    const rows = value.map((one, index) => [`${one.version}${index === 0 ? " (live)" : ""}`, one.at, one.by, one.digest]);
    show(invocation, json, () => table(["VERSION", "AT", "BY", "DIGEST"], rows, "no policy is live yet"));
    return 0;
  });
}
