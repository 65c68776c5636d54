/**
 * A document from YAML text: what the command line, `npm start` and tests read. The edge does
 * not: it takes what writeCanonical makes (docs/decisions/0021).
 */
import { canonicalJson, type Json } from "../core/json.ts";
import type { Result } from "../core/result.ts";
import { err, ok } from "../core/result.ts";
import { documentOf, type GoodDocument } from "./document-of.ts";
import { firstPasskeyFinding } from "./first-passkey.ts";
import type { Problem } from "./problems.ts";
import { tcpReadingFindings } from "./tcp-reading.ts";
import { byteLength, MAX_DOCUMENT_BYTES, placed } from "./source.ts";
import { readYaml, type YamlSource } from "./yaml-text.ts";

export interface ParseOptions {
  /** Put into every problem. */
  readonly file?: string;
}

export interface WrittenSource extends YamlSource {
  /** The value as the edge takes it. */
  readonly canonical: string;
}

/** Reads YAML 1.2 (or JSON) as far as sending it needs: whether it is a document, documentOf says, here or at the edge. */
export function writtenSource(text: string, { file }: ParseOptions = {}): Result<WrittenSource, readonly Problem[]> {
  const named = file === undefined ? {} : { file };
  const source = readYaml(text);
  if (!source.ok) return err(source.error.map((problem) => ({ ...problem, ...named })));
  const canonical = canonicalJson(source.value.value as Json);
  if (byteLength(canonical) > MAX_DOCUMENT_BYTES) {
    return err([{ code: "too_large", message: `as JSON the document is larger than ${MAX_DOCUMENT_BYTES} bytes`, ...named, line: 1, column: 1, path: "" }]);
  }
  return ok({ ...source.value, canonical });
}

/**
 * Reads a policy document. Either the document and its warnings, or all problems found (at most
 * MAX_PROBLEMS), each with its place; a document with a problem is no document.
 */
export function parseDocument(text: string, options: ParseOptions = {}): Result<GoodDocument & { readonly canonical: string }, readonly Problem[]> {
  const source = writtenSource(text, options);
  if (!source.ok) return source;
  const { file } = options;
  const named = (problems: readonly Problem[]): readonly Problem[] => (file === undefined ? problems : problems.map((problem) => ({ ...problem, file })));
  const read = documentOf(source.value);
  if (!read.ok) return err(named(read.error));
  const more = [firstPasskeyFinding(source.value.value) ?? [], tcpReadingFindings(source.value.value)].flat();
  return ok({ document: read.value.document, warnings: named([...read.value.warnings, ...more.map((one) => placed(source.value, one))]), canonical: source.value.canonical });
}
