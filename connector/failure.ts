/**
 * A failure as a person reads it: what happened, why, and the next command. Thrown by the
 * connector's shells and printed by main.ts only. Not for failures inside a stream, which are codes.
 */
export class Failure extends Error {
  readonly code: string;
  readonly why: string;
  readonly next: string;
  /** 1 refused or failed, 2 wrong usage. */
  readonly exit: 1 | 2;

  constructor(code: string, what: string, why: string, next: string, exit: 1 | 2 = 1) {
    super(what);
    this.name = "Failure";
    this.code = code;
    this.why = why;
    this.next = next;
    this.exit = exit;
  }
}

/** The text of a wrong-usage failure. */
export function usageFailure(what: string, why: string): Failure {
  return new Failure("usage", what, why, "postern-connector --help", 2);
}

/** The system's error code ("ECONNREFUSED"), or undefined: the only part of an unknown error that is safe to log. */
export function errorCode(error: unknown): string | undefined {
  if (typeof error !== "object" || error === null || !("code" in error)) return undefined;
  return typeof error.code === "string" ? error.code : undefined;
}
