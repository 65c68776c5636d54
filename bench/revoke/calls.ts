/** Questions and answers between the run and its processes, over Node's own channel. One answer a question, in any order. */
import type { Child } from "../../start/processes.ts";

interface Question {
  readonly call: number;
  readonly name: string;
  readonly argument: unknown;
}
interface Answer {
  readonly call: number;
  readonly value?: unknown;
  readonly failed?: string;
}

/** A question without an answer for so long is a fault of the run itself. */
const ANSWER_MS = 120_000;

/** Answers the parent's questions; ends this process when the parent is gone. */
export function answerCalls(calls: Readonly<Record<string, (argument: never) => unknown>>): void {
  process.on("message", (question: Question) => {
    void (async () => {
      const answer = calls[question.name];
      if (answer === undefined) throw new Error(`no ${question.name}`);
      return answer(question.argument as never);
    })().then(
      (value) => process.send?.({ call: question.call, value } satisfies Answer),
      (cause: unknown) => process.send?.({ call: question.call, failed: cause instanceof Error ? cause.message : String(cause) } satisfies Answer),
    );
  });
  process.on("disconnect", () => process.exit(0));
}

/** Asks a child that answers calls; rejects with its words, or when it ended. */
export function callsOf(child: Child): <T>(name: string, argument?: unknown) => Promise<T> {
  const waiting = new Map<number, { readonly done: (value: never) => void; readonly fail: (cause: Error) => void; readonly timer: NodeJS.Timeout }>();
  let calls = 0;
  child.process.on("message", (answer: Answer) => {
    const asked = waiting.get(answer.call);
    if (asked === undefined) return;
    waiting.delete(answer.call);
    clearTimeout(asked.timer);
    if (answer.failed === undefined) asked.done(answer.value as never);
    else asked.fail(new Error(`${child.name}: ${answer.failed}`));
  });
  void child.exited.then(() => {
    for (const { fail, timer } of waiting.values()) {
      clearTimeout(timer);
      fail(new Error(`${child.name} ended`));
    }
    waiting.clear();
  });
  return <T>(name: string, argument?: unknown) =>
    new Promise<T>((done, fail) => {
      const call = ++calls;
      const timer = setTimeout(() => {
        waiting.delete(call);
        fail(new Error(`${child.name} does not answer ${name}`));
      }, ANSWER_MS);
      waiting.set(call, { done, fail, timer });
      child.process.send({ call, name, argument } satisfies Question);
    });
}
