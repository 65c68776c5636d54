/**
 * A document as the edge takes it: its value as canonical JSON, which has one spelling and one
 * reading (docs/decisions/0021). Whoever holds YAML makes it with yaml-text.ts.
 */
import { canonicalJson, type Json } from "../core/json.ts";
import type { Result } from "../core/result.ts";
import { err, ok } from "../core/result.ts";
import { documentOf, type GoodDocument } from "./document-of.ts";
import type { Problem } from "./problems.ts";
import { byteLength, MAX_DOCUMENT_BYTES, placed, type Source, valueFindings } from "./source.ts";

const refuse = (code: string, message: string): { readonly ok: false; readonly error: Problem[] } =>
  err([{ code, message, fix: "send what `postern check FILE --canonical` prints", path: "" }]);

/**
 * The value of a text that is canonical JSON to the letter; one line break may end it. Duplicate
 * keys, white space, numbers with two spellings and what follows the value are refused by
 * comparing, without a parser of our own.
 */
export function readCanonical(text: string): Result<Source, Problem[]> {
  if (text.length > MAX_DOCUMENT_BYTES || byteLength(text) > MAX_DOCUMENT_BYTES) return refuse("too_large", `the document is larger than ${MAX_DOCUMENT_BYTES} bytes`);
  let value: Json;
  try {
    value = JSON.parse(text) as Json;
  } catch {
    return refuse("json", "this is not JSON");
  }
  const source = { value };
  // Before anything recursive looks at it.
  const findings = valueFindings(value);
  if (findings.length > 0) return err(findings.map((finding) => placed(source, finding)));
  const canonical = canonicalJson(value);
  if (text === canonical || text === `${canonical}\n`) return ok(source);
  let at = 0;
  while (text[at] === canonical[at]) at++;
  return refuse("not_canonical", `this is JSON, but not canonical (keys in order, each once, no white space): character ${at + 1} differs`);
}

/** Reads canonical JSON as a policy document; without lines, problems say their path. */
export function parseCanonical(text: string): Result<GoodDocument, readonly Problem[]> {
  const source = readCanonical(text);
  return source.ok ? documentOf(source.value) : source;
}
