/**
 * The way from a value to a document: shape first, then names and meaning. The same for the YAML
 * of a file and for the JSON that the edge takes. Not the reading of text: yaml-text.ts, canonical-text.ts.
 */
import * as v from "valibot";
import type { Result } from "../core/result.ts";
import { err, ok } from "../core/result.ts";
import type { PolicyDocument } from "./document.ts";
import type { Finding, Problem, Report } from "./problems.ts";
import { byPlace, MAX_PROBLEMS } from "./problems.ts";
import { readDocument } from "./read-document.ts";
import { documentShape } from "./schema.ts";
import { findingsOf } from "./shape-problems.ts";
import { placed, type Source } from "./source.ts";

export interface GoodDocument {
  readonly document: PolicyDocument;
  readonly warnings: readonly Problem[];
}

/**
 * The document that a value is, with its warnings; or all problems found (at most MAX_PROBLEMS),
 * each with its place. A value with a problem is no document.
 */
export function documentOf(source: Source): Result<GoodDocument, readonly Problem[]> {
  const place = (findings: readonly Finding[]): Problem[] =>
    findings
      .slice(0, MAX_PROBLEMS)
      .map((finding) => placed(source, finding))
      .sort(byPlace);
  const shape = v.safeParse(documentShape, source.value);
  if (!shape.success) {
    const issues = shape.issues.slice(0, MAX_PROBLEMS);
    return err(place(issues.flatMap((issue) => findingsOf(source.value, issue))));
  }
  const errors: Finding[] = [];
  const warnings: Finding[] = [];
  const report: Report = (finding) => {
    if (finding.warning !== true) errors.push(finding);
    else if (warnings.length < MAX_PROBLEMS) warnings.push(finding);
    if (errors.length === MAX_PROBLEMS) throw ENOUGH;
  };
  try {
    const document = readDocument(shape.output, (path) => source.position?.(path).line, report);
    return errors.length > 0 ? err(place(errors)) : ok({ document, warnings: place(warnings) });
  } catch (error) {
    if (error !== ENOUGH) throw error;
    return err(place(errors));
  }
}

/** Thrown and caught by documentOf alone, to stop at MAX_PROBLEMS: each further problem costs a search for suggestions. */
const ENOUGH = new Error("enough problems");
