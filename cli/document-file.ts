/** A policy document from a file: its text, its problems as editors and CI read them, its own tests. */
import { readFile } from "node:fs/promises";
import { at } from "../core/time.ts";
import { type CompiledPolicy, compile } from "../policy/compile.ts";
import { parseCanonical } from "../policy/canonical-text.ts";
import type { PolicyDocument } from "../policy/document.ts";
import type { GoodDocument } from "../policy/document-of.ts";
import { parseDocument } from "../policy/parse-document.ts";
import { formatProblem, type Problem } from "../policy/problems.ts";
import { errorCode, Failure, usageFailure } from "./failure.ts";
import type { Io } from "./io.ts";
import { printable } from "./printable.ts";

/** The text of FILE ("-": standard input). Throws Failure. */
export async function readText(file: string, io: Io): Promise<string> {
  if (file === "-") return io.stdin();
  try {
    return await readFile(file, "utf8");
  } catch (error) {
    throw new Failure("file_unreadable", `${file} cannot be read`, `the system says ${errorCode(error) ?? "no reason"}`, ["check the path"]);
  }
}

export interface LocalDocument {
  readonly document: PolicyDocument;
  readonly policy: CompiledPolicy;
  readonly warnings: readonly Problem[];
}

/** Parses and compiles; `file` goes into every problem. Throws Failure with all problems. */
export function localDocument(text: string, file: string, version = 0): LocalDocument & { readonly canonical: string } {
  const read = parseDocument(text, { file });
  if (!read.ok) throw documentFailure(read.error, file);
  return { ...compiled(read.value, version), canonical: read.value.canonical };
}

/** The live document as the edge tells it: JSON, or YAML that an older edge kept. Throws Failure. */
export function liveDocument(text: string, version: number): LocalDocument {
  const read = parseCanonical(text);
  return read.ok ? compiled(read.value, version) : localDocument(text, "the live document", version);
}

const compiled = ({ document, warnings }: GoodDocument, version: number): LocalDocument => ({ document, policy: compile(document, version), warnings });

export function documentFailure(problems: readonly Problem[], file: string): Failure {
  const count = problems.length === 1 ? "one problem" : `${problems.length} problems`;
  return new Failure("document_invalid", "The document has errors", `${count} in ${file}`, ["correct the lines above, then run this again"], {
    details: problems.map((one) => printable(formatProblem(one))),
    extra: { problems },
  });
}

/** Prints warnings on stderr; a document with warnings is still good. */
export function warn(warnings: readonly Problem[], io: Io): void {
  for (const one of warnings) io.err(`warning: ${printable(formatProblem(one))}\n`);
}

/** An instant as a person writes it: ISO 8601 with its zone. Throws Failure (exit 2). */
export function parseInstant(text: string, option: string): ReturnType<typeof at> {
  const ms = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(?::\d{2}(?:\.\d{1,3})?)?(?:Z|[+-]\d{2}:\d{2})$/.test(text) ? Date.parse(text) : Number.NaN;
  if (Number.isNaN(ms)) throw usageFailure(`${option} is no instant`, "without a zone it would mean another time on another machine", `${option} 2026-11-18T10:00:00Z`);
  return at(ms);
}
