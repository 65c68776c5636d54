/** The failure of a document's own tests, one line each as editors and CI read it. */
import type { TestFailure } from "../policy/run-tests.ts";
import { Failure } from "./failure.ts";
import { printable } from "./printable.ts";

export function testsFailure(failures: readonly TestFailure[], total: number, file: string): Failure {
  return new Failure("tests_fail", `${failures.length} of ${total} tests fail`, `the document does not decide as its own tests say`, ["correct the policies or the tests; postern explain --facts FILE --app APP shows why"], {
    details: failures.map((one) => printable(`${file}:${one.line ?? 1}:1: test ${one.index + 1}: ${one.message}`)),
    extra: { tests: failures },
  });
}
