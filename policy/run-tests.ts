/** The tests that a document carries (P26): each asks decide() and says what it expected. */
import type { PolicyId } from "../core/ids.ts";
import type { Millis } from "../core/time.ts";
import { at } from "../core/time.ts";
import type { CompiledPolicy } from "./compile.ts";
import { decide } from "./decide.ts";
import type { Decision, Effect } from "./decision.ts";
import type { DocumentTest } from "./document.ts";
import { readFriendlyFacts } from "./tests-facts.ts";

export interface TestFailure {
  /** 0-based, in the document's order. */
  readonly index: number;
  /** 1-based line of the test; absent where the document came as JSON. */
  readonly line?: number;
  readonly message: string;
  readonly expected: Effect;
  readonly got: Effect;
  readonly decidedBy: readonly PolicyId[];
}

/** Runs all tests of the document; `now` is for those that name no instant. Empty: all hold. */
export function runTests(policy: CompiledPolicy, now: Millis): readonly TestFailure[] {
  return policy.document.tests.flatMap((test, index) => {
    const place = test.line === undefined ? { index } : { index, line: test.line };
    const when = test.at === undefined ? now : at(test.at);
    const facts = readFriendlyFacts(test.as, policy.document.providers, when);
    if (!facts.ok) {
      const why = facts.error.map((finding) => finding.message).join("; ");
      return [{ ...place, message: `facts: ${why}`, expected: test.expect, got: "deny" as const, decidedBy: [] }];
    }
    const decision = decide(policy, { app: test.app, ...test.request }, facts.value, when);
    const message = judge(test, decision);
    if (message === undefined) return [];
    return [{ ...place, message, expected: test.expect, got: decision.effect, decidedBy: decision.decidedBy }];
  });
}

function judge(test: DocumentTest, decision: Decision): string | undefined {
  const by = decision.decidedBy.length === 0 ? "no policy" : decision.decidedBy.join(", ");
  if (decision.effect !== test.expect) return `expected ${test.expect}, got ${decision.effect} (${decision.reason}) by ${by}`;
  if (test.by !== undefined && !decision.decidedBy.includes(test.by)) return `expected ${test.expect} by ${test.by}, got it by ${by}`;
  return undefined;
}
