/** `postern setup`: the first document, with the setup key; works until an operator is named (CONTRACT "Administration"). */
import type { Command } from "commander";
import { setUp } from "../../protocol/admin-api-shapes.ts";
import { ADMIN_API } from "../../protocol/paths.ts";
import { declare, does, type Runner } from "../command.ts";
import { warn } from "../document-file.ts";
import { edgeClient, problemsOf, sentDocument } from "../edge-client.ts";
import { edgeRoute, show } from "../invocation.ts";
import { readSecret, reserveSecretFile } from "../private-file.ts";
import { receiptExit, receiptText } from "../receipt-text.ts";
import { writtenDocument } from "../written-document.ts";

interface Options {
  readonly keyFile: string;
}

export function addSetup(program: Command, runner: Runner): void {
  const command = declare(program, "setup <file>", "bring the first document live with the setup key; --token-file is where the first token goes")
    .requiredOption("--key-file <file>", 'file with POSTERN_SETUP_KEY; "-" reads standard input');
  does<Options>(command, runner, async ([file = ""], options, invocation) => {
    const { io, tokenFile, secrets } = invocation;
    const route = edgeRoute(invocation);
    const document = await writtenDocument(file, io);
    const key = await readSecret(options.keyFile, "setup key", io, secrets);
    const kept = tokenFile === undefined ? undefined : reserveSecretFile(tokenFile, "token");
    const answer = await edgeClient(route, key).post(`${ADMIN_API}/setup`, sentDocument(document), setUp).catch((error: unknown) => {
      kept?.discard();
      throw error;
    });
    const { version, token, token_expires_at: expires, setup_closed: closed, receipt } = answer.value;
    kept?.write(token);
    const warnings = document.inFile(problemsOf(answer.value.warnings));
    warn(warnings, io);
    if (!closed) io.err("warning: the document names no operator, so the setup key still opens everything\nfix: add a policy for postern:admin with limits: { role: operator }, then run this again\n");
    show(invocation, { ...(answer.json as object), warnings }, () =>
      [
        `policy version ${version} is live`,
        tokenFile === undefined ? `operator token, shown once: ${token}` : `operator token: in ${tokenFile}`,
        `  it ends at ${expires}; make a lasting one with: postern service create NAME --expires 90d`,
        receiptText(receipt),
      ].join("\n"),
    );
    return receiptExit(receipt);
  });
}
