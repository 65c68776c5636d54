/**
 * The one error that `npm start` shows to a person: what went wrong, why, and what to do next.
 * Not for defects: anything else that is thrown is one and keeps its stack.
 */
export class StartError extends Error {
  /** What to do next, one short sentence. */
  readonly fix: string;
  /** 1: it failed. 2: it was called wrongly. */
  readonly exitCode: 1 | 2;

  constructor(message: string, fix: string, exitCode: 1 | 2 = 1) {
    super(message);
    this.name = "StartError";
    this.fix = fix;
    this.exitCode = exitCode;
  }
}
