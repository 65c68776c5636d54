/** `postern sessions`: who is signed in, and every live stream. */
import type { Command } from "commander";
import { sessions } from "../../protocol/admin-api-shapes.ts";
import { ADMIN_API } from "../../protocol/paths.ts";
import { toldAlarm } from "../break-glass-text.ts";
import { declare, does, type Runner } from "../command.ts";
import { operatorClient, show } from "../invocation.ts";
import { bytesText, table } from "../table.ts";

export function addSessions(program: Command, runner: Runner): void {
  does(declare(program, "sessions", "list live sessions and their streams"), runner, async (_args, _options, invocation) => {
    const { value, json, truncated, breakGlass } = await (await operatorClient(invocation)).get(`${ADMIN_API}/sessions`, sessions);
    const alarm = toldAlarm(breakGlass);
    if (alarm !== undefined) invocation.io.err(alarm);
    if (truncated !== undefined) invocation.io.err(`warning: the list is not whole; missing: ${truncated}\n`);
    const people = value.map((one) => [one.id, one.subject.kind, one.subject.email ?? one.subject.name ?? one.subject.id, one.started_at, one.expires_at, `${one.streams.length}`]);
    const streams = value.flatMap((one) =>
      one.streams.map((stream) => [stream.id, stream.app, stream.protocol, stream.state, bytesText(stream.bytes_in), bytesText(stream.bytes_out), one.id.slice(0, 12)]),
    );
    show(invocation, json, () =>
      table(["SESSION", "KIND", "WHO", "STARTED", "ENDS", "STREAMS"], people, "nobody is signed in") +
      (streams.length === 0 ? "" : `\n${table(["STREAM", "APP", "PROTOCOL", "STATE", "IN", "OUT", "SESSION"], streams, "")}`),
    );
    return 0;
  });
}
