/** Reads vitest's JSON report into three numbers. Trusts no "success" field: an error counts as a failure. */
export interface Counts {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

interface FileReport {
  readonly status?: unknown;
  readonly assertionResults?: unknown;
}

const number = (value: unknown): number => (typeof value === "number" ? value : 0);

/** A file that failed without a failed test did not load, or broke in a hook: one failure of its own. */
const brokenFiles = (files: readonly FileReport[]): number =>
  files.filter((file) => file.status === "failed" && !(Array.isArray(file.assertionResults) && file.assertionResults.some((one: { status?: unknown }) => one.status === "failed"))).length;

/**
 * The numbers of a report, given the exit code of the run that wrote it. A run that ended badly
 * without a failed test (an unhandled error, no report at all) has one failure.
 */
export function vitestCounts(report: unknown, exitCode: number): Counts {
  const fields = typeof report === "object" && report !== null ? (report as Readonly<Record<string, unknown>>) : {};
  const files = Array.isArray(fields["testResults"]) ? (fields["testResults"] as readonly FileReport[]) : [];
  const failed = number(fields["numFailedTests"]) + brokenFiles(files);
  return {
    passed: number(fields["numPassedTests"]),
    failed: failed === 0 && exitCode !== 0 ? 1 : failed,
    skipped: number(fields["numPendingTests"]) + number(fields["numTodoTests"]),
  };
}
