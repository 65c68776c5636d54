/** `postern check`: reads a document without an edge: its problems with file, line and column, its warnings, its own tests. */
import type { Command } from "commander";
import { at } from "../../core/time.ts";
import { runTests } from "../../policy/run-tests.ts";
import { idleBreakGlass } from "../idle-break-glass.ts";
import { declare, does, type Runner } from "../command.ts";
import { localDocument, readText, warn } from "../document-file.ts";
import { show } from "../invocation.ts";
import { testsFailure } from "../tests-failure.ts";

export function addCheck(program: Command, runner: Runner): void {
  const command = declare(program, "check <file>", "read a document without an edge: problems, warnings and its own tests")
    .option("--canonical", "print the document as the edge takes it: canonical JSON, for curl");
  does<{ readonly canonical?: boolean }>(command, runner, async ([file = ""], options, invocation) => {
    const { io, json } = invocation;
    const { document, policy, warnings: found, canonical } = localDocument(await readText(file, io), file);
    const glass = idleBreakGlass(document, policy, at(io.now()), file);
    const warnings = glass === undefined ? found : [...found, glass];
    const failures = runTests(policy, at(io.now()));
    if (!json) warn(warnings, io);
    if (failures.length > 0) throw testsFailure(failures, document.tests.length, file);
    const { apps, policies, tests } = document;
    const counts = { apps: apps.length, policies: policies.length, tests: tests.length };
    show(invocation, { ok: true, warnings, ...counts, ...(options.canonical === true ? { canonical } : {}) }, () => options.canonical === true ? `${canonical}\n` : `${file}: good; ${counts.apps} apps, ${counts.policies} policies, ${counts.tests} tests hold, ${warnings.length} warnings\n`);
    return 0;
  });
}
