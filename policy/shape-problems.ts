/**
 * From the schema library's issues to findings that a person can act on: one sentence, the right
 * place, a suggestion. Not the rules themselves: schema.ts.
 */
import { type Issue, UNKNOWN_KEY } from "./containers.ts";
import type { Finding, PathPart } from "./problems.ts";
import { formatPath } from "./problems.ts";
import { didYouMean } from "./suggest.ts";

function valueAt(value: unknown, path: readonly PropertyKey[]): unknown {
  let at = value;
  for (const part of path) {
    if (typeof at !== "object" || at === null || !Object.hasOwn(at, part)) return undefined;
    at = (at as Record<PropertyKey, unknown>)[part];
  }
  return at;
}

const TYPES: Readonly<Record<string, string>> = {
  string: "text",
  number: "a number",
  integer: "a whole number",
  boolean: "true or false",
  array: "a list",
};

function kindOf(value: unknown): string {
  if (value === null) return "nothing";
  if (Array.isArray(value)) return "a list";
  if (typeof value === "object") return "keys and values";
  if (typeof value === "boolean") return String(value);
  return typeof value === "number" ? `the number ${value}` : "text";
}

const isValue = ({ type }: Issue): boolean => type === "literal" || type === "picklist";

/** The alternative of a union that the value was meant for: the one that fails inside, or else at its root, but not for its type alone. */
function meant(issues: readonly Issue[]): readonly Issue[] {
  const inside = issues.filter((one) => one.path !== undefined);
  if (inside.length > 0) return inside;
  const root = issues.find((one) => one.kind === "validation") ?? issues.find((one) => isValue(one) || one.type === "union");
  return root === undefined ? [] : [root];
}

/** The values that an issue of literals lists, as the library writes them: `("a" | "b")`. */
const valuesOf = (issue: Issue): readonly string[] => (issue.expected ?? "").replace(/^\((.*)\)$/, "$1").split(" | ");

const expectedOf = (issue: Issue): string => (isValue(issue) ? valuesOf(issue).join(", ") : (TYPES[issue.type] ?? "keys and values"));

/** Findings of one issue of the shape of `value`. */
export function findingsOf(value: unknown, issue: Issue, base: readonly PathPart[] = []): Finding[] {
  const path = [...base, ...(issue.path ?? []).map(({ key }): PathPart => (typeof key === "number" ? key : String(key)))];
  const where = path.length === 0 ? "the document" : formatPath(path);
  const last = String(path.at(-1) ?? "version");
  const written = valueAt(value, path);
  const { type, requirement } = issue;
  if (type === UNKNOWN_KEY) {
    const known = requirement as readonly string[];
    const fix = didYouMean(last, known) ?? (known.length === 0 || known.length > 12 ? undefined : `known keys: ${known.join(", ")}`);
    return [{ code: "unknown_key", message: `unknown key "${last}"`, fix, path, atKey: true }];
  }
  if (issue.kind === "schema" && written === undefined) return [{ code: "missing", message: `"${last}" is missing`, path }];
  // Every name's own pattern bounds it too.
  if (issue.path?.at(-1)?.origin === "key") return type === "max_length" ? [] : [{ code: "name", message: `"${last}": ${issue.message}`, path, atKey: true }];
  if (type === "union") {
    const issues = issue.issues ?? [];
    const branch = meant(issues);
    if (branch.length > 0) return branch.flatMap((inner) => findingsOf(value, inner, path));
    const wanted = [...new Set(issues.map(expectedOf))].join(" or ");
    return [{ code: "type", message: `${where} must be ${wanted}, not ${kindOf(written)}`, fix: quoteIt(wanted, written), path }];
  }
  if (isValue(issue)) {
    const fix = typeof written === "string" ? didYouMean(written, valuesOf(issue).map((one) => one.replaceAll('"', ""))) : undefined;
    return [{ code: "value", message: `${where} must be one of ${expectedOf(issue)}`, fix, path }];
  }
  if (issue.kind === "schema" || type === "integer") {
    return [{ code: "type", message: `${where} must be ${expectedOf(issue)}, not ${kindOf(written)}`, fix: quoteIt(expectedOf(issue), written), path }];
  }
  if (type === "max_length" || type === "max_value") return [{ code: "too_large", message: `${where} may be at most ${String(requirement)}`, path }];
  if (type === "min_length") return [{ code: "empty", message: `${where} is empty`, path }];
  if (type === "min_value") return [{ code: "empty", message: `${where} must be at least ${String(requirement)}`, path }];
  return [{ code: "format", message: `${where}: ${issue.message}`, fix: formatFix(path, written), path }];
}

const quoteIt = (wanted: string, written: unknown): string | undefined =>
  wanted.includes("text") && (typeof written === "number" || typeof written === "boolean") ? `write "${written}" in quotes` : undefined;

/** What was probably meant, for the values whose form people get wrong most. */
function formatFix(path: readonly PathPart[], written: unknown): string | undefined {
  if (typeof written !== "string") return undefined;
  if (path.includes("methods") && written !== written.toUpperCase()) return `did you mean "${written.toUpperCase()}"?`;
  if (path.includes("paths") && !written.startsWith("/")) return `write "/${written}"`;
  const parts = /^(\d+)\s*(sec|secs|seconds?|min|mins|minutes?|hours?|hrs?|days?)$/.exec(written);
  if (parts?.[2] !== undefined) return `write "${parts[1]}${parts[2].charAt(0)}"`;
  if (/^[A-Z0-9.-]+$/i.test(written) && written !== written.toLowerCase()) return `write "${written.toLowerCase()}"`;
  return undefined;
}
