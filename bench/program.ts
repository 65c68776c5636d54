/** Programs of the benchmark as processes: one line of JSON in, one out. */
import { spawn } from "node:child_process";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { type Child, logTail, plainEnvironment } from "../start/processes.ts";

/** Longest wait for a part to say that it is ready. */
const READY_TIMEOUT_MS = 20_000;

/** Resolves with the first message of a child with an IPC channel; rejects with its last words. */
export async function waitFor(child: Child): Promise<unknown> {
  let timer: NodeJS.Timeout | undefined;
  const message = await Promise.race([
    new Promise<unknown>((heard) => child.process.once("message", heard)),
    child.exited.then(() => undefined),
    new Promise<undefined>((late) => {
      timer = setTimeout(() => late(undefined), READY_TIMEOUT_MS);
    }),
  ]);
  clearTimeout(timer);
  if (message === undefined) throw new Error(`${child.name} did not start:\n${await logTail(child)}`);
  return message;
}

/** A generator that has not ended by then hangs on a system that does not answer. */
const PROGRAM_TIMEOUT_MS = 120_000;

/** A generator that is running: `done` has its result. */
export interface Running<Result> {
  readonly done: Promise<Result>;
  readonly end: () => void;
}

/** Runs a program of bench/load with its settings on standard input. */
export function runProgram<Result>(name: string, settings: unknown): Running<Result> {
  const child = spawn(process.execPath, [join(import.meta.dirname, "load", name)], { stdio: ["pipe", "pipe", "inherit"], env: plainEnvironment(), timeout: PROGRAM_TIMEOUT_MS });
  child.stdin.on("error", () => undefined);
  child.stdin.end(JSON.stringify(settings));
  const ended = new Promise<number | null>((over) => child.once("exit", over));
  const done = Promise.all([text(child.stdout), ended]).then(([said, code]) => {
    if (code !== 0) throw new Error(`${name} ended with ${code}`);
    return JSON.parse(said) as Result;
  });
  done.catch(() => undefined);
  return { done, end: () => void child.kill() };
}
