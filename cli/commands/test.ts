/** `postern test`: runs a document's own tests (P26) without an edge and lists each. */
import type { Command } from "commander";
import { at } from "../../core/time.ts";
import { runTests } from "../../policy/run-tests.ts";
import { declare, does, type Runner } from "../command.ts";
import { localDocument, parseInstant, readText } from "../document-file.ts";
import { Failure } from "../failure.ts";
import { show } from "../invocation.ts";
import { table } from "../table.ts";
import { testsFailure } from "../tests-failure.ts";

export function addTest(program: Command, runner: Runner): void {
  const command = declare(program, "test <file>", "run a document's own tests without an edge").option("--at <time>", "the instant for tests that name none; default now");
  does<{ readonly at?: string }>(command, runner, async ([file = ""], options, invocation) => {
    const { io } = invocation;
    const { document, policy } = localDocument(await readText(file, io), file);
    const { tests } = document;
    if (tests.length === 0) throw new Failure("no_tests", `${file} has no tests`, "nothing was tried, so nothing is shown to hold", ["add a section tests: to the document"]);
    const failures = runTests(policy, options.at === undefined ? at(io.now()) : parseInstant(options.at, "--at"));
    const failed = new Map(failures.map((one) => [one.index, one.message]));
    const rows = tests.map((test, index) => [failed.has(index) ? "FAIL" : "ok", `${test.line ?? ""}`, test.app, `${test.request.method} ${test.request.path}`.trim() || test.request.protocol, test.expect]);
    if (!invocation.json) io.out(table(["RESULT", "LINE", "APP", "REQUEST", "EXPECTED"], rows, ""));
    if (failures.length > 0) throw testsFailure(failures, tests.length, file);
    show(invocation, { ok: true, tests: tests.length, failures: [] }, () => `${tests.length} tests hold\n`);
    return 0;
  });
}
