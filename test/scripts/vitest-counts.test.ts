/** The closing line of npm test never calls a broken run a good one. */
import { describe, expect, it } from "vitest";
import { absentPeers, OPTIONAL_PEERS } from "../../scripts/optional-peers.ts";
import { vitestCounts } from "../../scripts/vitest-counts.ts";

const file = (status: string, ...tests: readonly string[]) => ({ status, assertionResults: tests.map((one) => ({ status: one })) });

describe("vitestCounts", () => {
  it.each([
    { why: "all good", report: { numPassedTests: 3, numPendingTests: 1, numTodoTests: 1, testResults: [file("passed", "passed")] }, code: 0, expected: { passed: 3, failed: 0, skipped: 2 } },
    { why: "a failed test", report: { numPassedTests: 1, numFailedTests: 2, testResults: [file("failed", "failed", "failed", "passed")] }, code: 1, expected: { passed: 1, failed: 2, skipped: 0 } },
    { why: "a file that does not load", report: { numPassedTests: 1, numFailedTests: 0, testResults: [file("failed"), file("passed", "passed")] }, code: 1, expected: { passed: 1, failed: 1, skipped: 0 } },
    { why: "an unhandled error", report: { numPassedTests: 5, numFailedTests: 0, testResults: [file("passed", "passed")] }, code: 1, expected: { passed: 5, failed: 1, skipped: 0 } },
    { why: "no report", report: undefined, code: 1, expected: { passed: 0, failed: 1, skipped: 0 } },
  ])("counts $why", ({ report, code, expected }) => {
    expect(vitestCounts(report, code)).toEqual(expected);
  });
});

describe("absentPeers", () => {
  it("names each program that is not on the path", () => {
    const lines = absentPeers("/nonexistent");
    expect(lines.some((line) => line.includes("optional peer absent: go "))).toBe(OPTIONAL_PEERS.some(({ program }) => program === "go"));
  });
});
