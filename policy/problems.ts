/**
 * Problem: what is wrong with a document, where, and what to write instead.
 * Not for decisions: nothing here runs once a document is live.
 */

/** Problems of one document that are reported: bounds the answer and the work on suggestions. */
export const MAX_PROBLEMS = 100;

export type PathPart = string | number;

export interface Problem {
  /** Stable word for machines: "unknown_key", "dangling", "duplicate_id" … */
  readonly code: string;
  /** One sentence for people. Never holds a secret: documents only name secrets. */
  readonly message: string;
  /** What to write instead, if that is known. */
  readonly fix?: string;
  readonly file?: string;
  /** 1-based. Absent where the document came as JSON, which has no lines: the path says where. */
  readonly line?: number;
  readonly column?: number;
  /** Without a line: it is about the last key of the path, not about its value. */
  readonly at?: "key";
  /** `policies[0].when.group`; empty for the whole document. */
  readonly path: string;
}

/** A problem before its place in the text is known. */
export interface Finding {
  readonly code: string;
  readonly message: string;
  readonly fix?: string | undefined;
  readonly path: readonly PathPart[];
  /** Point at the last key of the path instead of at its value. */
  readonly atKey?: boolean;
  readonly warning?: boolean;
}

/** Takes findings in the order they are met. */
export type Report = (finding: Finding) => void;

/** `["policies", 0, "when"]` → `policies[0].when`. */
export function formatPath(path: readonly PathPart[]): string {
  let out = "";
  for (const part of path) {
    if (typeof part === "number") out += `[${part}]`;
    else out += out === "" ? part : `.${part}`;
  }
  return out;
}

/** In the order of the text; those without a place stay as they are. */
export const byPlace = (a: Problem, b: Problem): number => (a.line ?? 0) - (b.line ?? 0) || (a.column ?? 0) - (b.column ?? 0);

/** `file:line:column: message (fix)`, as editors and CI understand it; without a line, the path. */
export function formatProblem(problem: Problem): string {
  const file = problem.file ?? "postern.yaml";
  const where = problem.line === undefined ? `${file}${problem.path === "" ? "" : `: ${problem.path}`}` : `${file}:${problem.line}:${problem.column ?? 1}`;
  const fix = problem.fix === undefined ? "" : ` (${problem.fix})`;
  return `${where}: ${problem.message}${fix}`;
}
