/** `postern receipt`: the receipt of a change, also when whoever asked for it was cut off. Exit 1 while it is not complete. */
import type { Command } from "commander";
import { receipt } from "../../protocol/admin-api-shapes.ts";
import { ADMIN_API } from "../../protocol/paths.ts";
import { declare, does, type Runner } from "../command.ts";
import { operatorClient, show } from "../invocation.ts";
import { receiptExit, receiptText } from "../receipt-text.ts";

export function addReceipt(program: Command, runner: Runner): void {
  does(declare(program, "receipt <id>", "show the receipt of a change"), runner, async ([id = ""], _options, invocation) => {
    const { value, json } = await (await operatorClient(invocation)).get(`${ADMIN_API}/receipts/${encodeURIComponent(id)}`, receipt);
    show(invocation, json, () => receiptText(value));
    return receiptExit(value);
  });
}
