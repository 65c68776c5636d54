/** `postern revoke`: ends trust now, and prints the receipt of what that cut. Exit 1 while anything is unconfirmed. */
import { type Command, Argument } from "commander";
import { receipt, REVOKE_KINDS } from "../../protocol/admin-api-shapes.ts";
import type { RevokeQuestion } from "../../protocol/admin-api.ts";
import { ADMIN_API } from "../../protocol/paths.ts";
import { declare, does, type Runner } from "../command.ts";
import { sentJson } from "../edge-client.ts";
import { operatorClient, show } from "../invocation.ts";
import { receiptExit, receiptText } from "../receipt-text.ts";

export function addRevoke(program: Command, runner: Runner): void {
  const command = declare(program, "revoke", "end a session, user, device, connector, app, grant or service now; answers with the receipt")
    .addArgument(new Argument("<kind>", "what to revoke").choices(REVOKE_KINDS))
    .argument("<id>", "its id; a user also by verified email, a service and an app by name");
  does(command, runner, async ([kind, id = ""], _options, invocation) => {
    const client = await operatorClient(invocation);
    const question = { kind: kind as RevokeQuestion["kind"], id } satisfies RevokeQuestion;
    const { value, json } = await client.post(`${ADMIN_API}/revoke`, sentJson(question), receipt);
    show(invocation, json, () => receiptText(value));
    return receiptExit(value);
  });
}
