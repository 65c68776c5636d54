/** The demo's whole stack, for one test file: there before its tests, and gone without a trace after them. */
import { rmSync } from "node:fs";
import { afterAll, beforeAll } from "vitest";
import { type Stack, startStack } from "../../start/stack.ts";
import { temporaryState } from "./running-stack.ts";

const STACK_MS = 60_000;

export interface DemoStack {
  /** Only while tests run. */
  readonly stack: Stack;
}

/** Call it where the file's hooks stand. `folder` is the file's own and goes with the stack. */
export function demoStack(folder?: string): DemoStack {
  const state = temporaryState();
  let stack: Stack | undefined;
  beforeAll(async () => {
    stack = await startStack({ stateDirectory: state.path, port: 0, environment: {} });
  }, STACK_MS);
  afterAll(async () => {
    // Absent when the start failed.
    await stack?.stop();
    state.remove();
    if (folder !== undefined) rmSync(folder, { recursive: true });
  }, STACK_MS);
  return {
    get stack(): Stack {
      if (stack === undefined) throw new Error("the stack is not up");
      return stack;
    },
  };
}
