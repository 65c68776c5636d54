/**
 * A failure as a person reads it: what happened, why, and what to do next. Thrown by commands
 * and printed by run.ts only.
 */
export class Failure extends Error {
  /** Stable word for scripts; the edge's own code when the edge refused. */
  readonly code: string;
  readonly why: string;
  readonly fix: readonly string[];
  /** 1 refused or failed, 2 wrong usage. */
  readonly exit: 1 | 2;
  readonly requestId: string | undefined;
  /** Lines of detail, such as a document's problems. */
  readonly details: readonly string[];
  /** For --json: what else belongs beside code and message. */
  readonly extra: Readonly<Record<string, unknown>>;

  constructor(
    code: string,
    what: string,
    why: string,
    fix: readonly string[],
    more: { readonly exit?: 1 | 2; readonly requestId?: string; readonly details?: readonly string[]; readonly extra?: Readonly<Record<string, unknown>> } = {},
  ) {
    super(what);
    this.name = "Failure";
    this.code = code;
    this.why = why;
    this.fix = fix;
    this.exit = more.exit ?? 1;
    this.requestId = more.requestId;
    this.details = more.details ?? [];
    this.extra = more.extra ?? {};
  }
}

/** Wrong usage: exit 2. */
export function usageFailure(what: string, why: string, ...fix: readonly string[]): Failure {
  return new Failure("usage", what, why, fix.length === 0 ? ["postern COMMAND --help"] : fix, { exit: 2 });
}

/** The system's error code ("ECONNREFUSED"), or undefined: the only part of an unknown error that is safe to print. */
export function errorCode(error: unknown): string | undefined {
  if (typeof error !== "object" || error === null || !("code" in error)) return undefined;
  return typeof error.code === "string" ? error.code : undefined;
}
