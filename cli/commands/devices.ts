/** `postern devices`: enrolled devices and what is known of each; with an id, what an operator says of one. */
import type { Command } from "commander";
import { devices, facts } from "../../protocol/admin-api-shapes.ts";
import type { DeviceQuestion } from "../../protocol/admin-api.ts";
import { ADMIN_API } from "../../protocol/paths.ts";
import { collect } from "../app-connection.ts";
import { declare, does, type Runner } from "../command.ts";
import { sentJson } from "../edge-client.ts";
import { usageFailure } from "../failure.ts";
import { operatorClient, show } from "../invocation.ts";
import { table } from "../table.ts";

interface Options {
  readonly tag: readonly string[];
  readonly tags?: boolean;
  readonly managed?: boolean;
}

export function addDevices(program: Command, runner: Runner): void {
  const command = declare(program, "devices", "list devices; with an id, say what one is")
    .argument("[id]", "a device")
    .option("--tag <tag>", "its tags from now on; repeatable", collect, [])
    .option("--no-tags", "it has none")
    .option("--managed", "the company manages it")
    .option("--no-managed", "it does not");
  does<Options>(command, runner, async ([id], { tag, tags, managed }, invocation) => {
    const change: DeviceQuestion = { ...(tag.length > 0 ? { tags: [...tag] } : tags === false ? { tags: [] } : {}), ...(managed === undefined ? {} : { managed }) };
    const isChange = Object.keys(change).length > 0;
    if (isChange !== (id !== undefined)) throw usageFailure("an id and what to say of it belong together", "without either, devices are listed", "postern devices ID --tag lab --managed");
    const client = await operatorClient(invocation);
    if (id === undefined) {
      const { value, json } = await client.get(`${ADMIN_API}/devices`, devices);
      const rows = value.map((one) => [one.id, one.name, one.owner, one.state, one.facts["managed"] === true ? "managed" : "", ((one.facts["tags"] ?? []) as readonly string[]).join(","), one.reported_at ?? "never"]);
      show(invocation, json, () => table(["DEVICE", "NAME", "OWNER", "STATE", "MANAGED", "TAGS", "REPORTED"], rows, "no device is enrolled; its person runs: postern agent run"));
      return 0;
    }
    const { value, json } = await client.post(`${ADMIN_API}/devices/${encodeURIComponent(id)}`, sentJson(change), facts);
    show(invocation, json, () => `done; ${value.found} streams were decided again, ${value.closed} closed\n`);
    return 0;
  });
}
