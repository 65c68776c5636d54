/** `postern apply`: makes a document the live policy. The edge reads and tests it anew; answered when every lane decides by it. */
import type { Command } from "commander";
import { applied } from "../../protocol/admin-api-shapes.ts";
import type { AppliedAnswer } from "../../protocol/admin-api.ts";
import { ADMIN_API } from "../../protocol/paths.ts";
import { declare, does, type Runner } from "../command.ts";
import { warn } from "../document-file.ts";
import { problemsOf, sentDocument } from "../edge-client.ts";
import { usageFailure } from "../failure.ts";
import { operatorClient, show } from "../invocation.ts";
import { printable } from "../printable.ts";
import { receiptExit, receiptText } from "../receipt-text.ts";
import { writtenDocument } from "../written-document.ts";

interface Options {
  readonly expectVersion?: string;
  readonly allowLockout?: boolean;
}

export function addApply(program: Command, runner: Runner): void {
  const command = declare(program, "apply <file>", "make a document the live policy")
    .option("--expect-version <n>", "refuse unless version N is live")
    .option("--allow-lockout", "apply even if you would no longer be an operator");
  does<Options>(command, runner, async ([file = ""], { expectVersion, allowLockout }, invocation) => {
    if (expectVersion !== undefined && !/^[0-9]{1,9}$/.test(expectVersion)) throw usageFailure("--expect-version is no version", "versions are whole numbers; postern history lists them");
    const query = new URLSearchParams({ ...(expectVersion === undefined ? {} : { expect_version: expectVersion }), ...(allowLockout === true ? { allow_lockout: "1" } : {}) });
    const document = await writtenDocument(file, invocation.io);
    const client = await operatorClient(invocation);
    const answer = await client.post(`${ADMIN_API}/policy${query.size === 0 ? "" : `?${query.toString()}`}`, sentDocument(document), applied);
    const { version, previous, receipt, denied_by_unknown_facts: denied } = answer.value;
    const warnings = document.inFile(problemsOf(answer.value.warnings));
    warn(warnings, invocation.io);
    if (answer.truncated !== undefined) invocation.io.err(`warning: the document was not tried on every live session; missing: ${answer.truncated}\n`);
    if (denied.cases > 0) invocation.io.err(unknownWarning(denied));
    show(invocation, { ...(answer.json as object), warnings }, () => `policy version ${version} is live (before: ${previous})\n${receiptText(receipt)}`);
    return receiptExit(receipt);
  });
}

/** A deny counts when a fact is unknown (P2); its author rarely meant it. */
function unknownWarning({ cases, policies }: AppliedAnswer["denied_by_unknown_facts"]): string {
  const list = policies.map((one) => `${printable(one.id)} (${one.count})`).join(", ");
  return `warning: a deny stops ${cases} live cases (a session at an app) only because a fact about them is unknown: ${list}\nfix: if that was not meant, let the deny ask only where the fact is known, or see one case with postern explain\n`;
}
