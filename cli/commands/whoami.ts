/** `postern whoami`: who the edge takes this token for. */
import type { Command } from "commander";
import { me } from "../../protocol/admin-api-shapes.ts";
import { ME_PATH } from "../../protocol/paths.ts";
import { declare, does, type Runner } from "../command.ts";
import { operatorClient, show } from "../invocation.ts";
import { printable } from "../printable.ts";

export function addWhoami(program: Command, runner: Runner): void {
  does(declare(program, "whoami", "show who the edge takes the token for"), runner, async (_args, _options, invocation) => {
    const { value, json } = await (await operatorClient(invocation)).get(ME_PATH, me);
    const groups = Array.isArray(value.groups) ? value.groups.map(String).join(", ") : "";
    show(invocation, json, () =>
      [
        `${value.subject.kind} ${printable(value.email ?? value.name ?? value.subject.id)} (${printable(value.subject.id)})`,
        ...(groups === "" ? [] : [`groups: ${printable(groups)}`]),
        `signed in ${printable(value.signed_in_at)}, until ${printable(value.expires_at)}`,
        "",
      ].join("\n"),
    );
    return 0;
  });
}
