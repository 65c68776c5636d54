/**
 * Three-valued logic (P1) that also says until when its answer stands (P18).
 * Not for explaining: explain.ts walks the tree itself.
 */
import type { AppId } from "../core/ids.ts";
import type { Facts } from "./facts.ts";

export type Tri = true | false | "unknown";

/** What a test sees. One is made per decision; `changesAt` is the out-register of the last test run. */
export interface Input {
  readonly facts: Facts;
  /** What is asked for. */
  readonly app: AppId;
  /** ms since the epoch. */
  readonly now: number;
  /** The instant at which the last answer may change; Infinity: only with a new fact. Every test sets it. */
  changesAt: number;
}

export type Test = (input: Input) => Tri;

/**
 * Kleene's conjunction (`decisive` false) or disjunction (`decisive` true). A decisive answer
 * stands as long as its longest-lived child, any other as long as its shortest-lived one, so
 * that neither the answer nor its end depends on the order of the children (P4).
 */
function combine(tests: readonly Test[], decisive: boolean): Test {
  const [only] = tests;
  if (only !== undefined && tests.length === 1) return only;
  return (input) => {
    let result: Tri = !decisive;
    let decisiveUntil = -Infinity;
    let openUntil = Infinity;
    for (const test of tests) {
      const answer = test(input);
      const until = input.changesAt;
      if (answer === decisive) {
        if (until === Infinity) return answer;
        result = answer;
        if (until > decisiveUntil) decisiveUntil = until;
      } else if (answer === "unknown" && result !== decisive) {
        result = answer;
      }
      if (until < openUntil) openUntil = until;
    }
    input.changesAt = result === decisive ? decisiveUntil : openUntil;
    return result;
  };
}

/** True if all are true, false if one is false, else unknown. No tests: true. */
export const all = (tests: readonly Test[]): Test => combine(tests, false);

/** True if one is true, false if all are false, else unknown. No tests: false. */
export const any = (tests: readonly Test[]): Test => combine(tests, true);

/** Swaps true and false; unknown stays unknown. */
export const not =
  (test: Test): Test =>
  (input) => {
    const answer = test(input);
    return answer === "unknown" ? answer : !answer;
  };
