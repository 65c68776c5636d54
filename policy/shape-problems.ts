/**
 * From the schema library's issues to findings that a person can act on: one sentence, the right
 * place, a suggestion. Not the rules themselves: schema.ts.
 */
import type * as z from "zod/mini";
import type { Finding, PathPart } from "./problems.ts";
import { formatPath, MAX_PROBLEMS } from "./problems.ts";
import { didYouMean } from "./suggest.ts";

type Issue = z.core.$ZodIssue;
interface AnyDef {
  readonly type: string;
  readonly shape?: Readonly<Record<string, z.core.$ZodType>>;
  readonly element?: z.core.$ZodType;
  readonly valueType?: z.core.$ZodType;
  readonly innerType?: z.core.$ZodType;
  readonly getter?: () => z.core.$ZodType;
  readonly options?: readonly z.core.$ZodType[];
}

const definition = (schema: z.core.$ZodType): AnyDef => schema._zod.def as unknown as AnyDef;

/** The objects' keys that are legal at a path of the document. */
function keysAt(schema: z.core.$ZodType, path: readonly PropertyKey[]): readonly string[] {
  const def = definition(schema);
  if (def.innerType !== undefined) return keysAt(def.innerType, path);
  if (def.getter !== undefined) return keysAt(def.getter(), path);
  if (def.options !== undefined) return def.options.flatMap((option) => keysAt(option, path));
  const [first, ...rest] = path;
  if (first === undefined) return Object.keys(def.shape ?? {});
  const next = def.element ?? def.valueType ?? (Object.hasOwn(def.shape ?? {}, first) ? def.shape?.[String(first)] : undefined);
  return next === undefined ? [] : keysAt(next, rest);
}

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
  int: "a whole number",
  boolean: "true or false",
  array: "a list",
  object: "keys and values",
  record: "keys and values",
};

function kindOf(value: unknown): string {
  if (value === null) return "nothing";
  if (Array.isArray(value)) return "a list";
  if (typeof value === "object") return "keys and values";
  if (typeof value === "boolean") return String(value);
  return typeof value === "number" ? `the number ${value}` : "text";
}

/** The alternative of a union that the value was meant for: the one that fails deepest. */
function meant(issue: Extract<Issue, { code: "invalid_union" }>): readonly Issue[] | undefined {
  const rootless = issue.errors.filter((branch) => branch.every((inner) => inner.path.length > 0 || inner.code !== "invalid_type"));
  return rootless.length === 0 ? undefined : rootless[0];
}

function expectedOf(issue: Issue): string {
  if (issue.code === "invalid_type") return TYPES[issue.expected] ?? issue.expected;
  if (issue.code === "invalid_value") return issue.values.map((value) => JSON.stringify(value)).join(", ");
  return "something else";
}

/** Findings of one issue; `root` is the schema and `value` the document. */
export function findingsOf(root: z.core.$ZodType, value: unknown, issue: Issue, base: readonly PropertyKey[] = []): Finding[] {
  const whole = [...base, ...issue.path];
  const path = whole.map((part): PathPart => (typeof part === "symbol" ? String(part) : part));
  const where = path.length === 0 ? "the document" : formatPath(path);
  const written = valueAt(value, whole);
  switch (issue.code) {
    case "unrecognized_keys": {
      const known = keysAt(root, whole);
      return issue.keys.slice(0, MAX_PROBLEMS).map((key) => ({
        code: "unknown_key",
        message: `unknown key "${key}"`,
        fix: didYouMean(key, known) ?? (known.length === 0 || known.length > 12 ? undefined : `known keys: ${known.join(", ")}`),
        path: [...path, key],
        atKey: true,
      }));
    }
    case "invalid_union": {
      const branch = meant(issue);
      if (branch !== undefined) return branch.flatMap((inner) => findingsOf(root, value, inner, whole));
      if (written === undefined) return [{ code: "missing", message: `"${String(path.at(-1))}" is missing`, path }];
      const wanted = [...new Set(issue.errors.flatMap((inner) => inner.slice(0, 1).map(expectedOf)))].join(" or ");
      return [{ code: "type", message: `${where} must be ${wanted}, not ${kindOf(written)}`, fix: quoteIt(wanted, written), path }];
    }
    case "invalid_key":
      return [{ code: "name", message: `"${String(path.at(-1))}": ${issue.issues[0]?.message ?? "not a name"}`, path, atKey: true }];
    case "invalid_type":
      if (written === undefined) return [{ code: "missing", message: `"${String(path.at(-1) ?? "version")}" is missing`, path }];
      return [{ code: "type", message: `${where} must be ${expectedOf(issue)}, not ${kindOf(written)}`, fix: quoteIt(expectedOf(issue), written), path }];
    case "invalid_value":
      if (written === undefined) return [{ code: "missing", message: `"${String(path.at(-1))}" is missing`, path }];
      return [
        {
          code: "value",
          message: `${where} must be one of ${expectedOf(issue)}`,
          fix: typeof written === "string" ? didYouMean(written, issue.values.map(String)) : undefined,
          path,
        },
      ];
    case "too_big":
      return [{ code: "too_large", message: `${where} may be at most ${issue.maximum}`, path }];
    case "too_small":
      return [{ code: "empty", message: Number(issue.minimum) === 1 && issue.origin !== "number" ? `${where} is empty` : `${where} must be at least ${issue.minimum}`, path }];
    default:
      return [{ code: "format", message: `${where}: ${issue.message}`, fix: formatFix(path, written), path }];
  }
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
