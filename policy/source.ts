/**
 * Source: the value that a document's text stands for, and where its parts stand. Refuses what no
 * text may bring, however it was read. Not a schema: schema.ts says what the values may be.
 */
import type { Finding, PathPart, Problem } from "./problems.ts";
import { formatPath, MAX_PROBLEMS } from "./problems.ts";

/** 1 MiB, of the YAML and of the JSON that is sent: bounds the reader's CPU and memory (a 10 MB document is refused before it is read). */
export const MAX_DOCUMENT_BYTES = 1_048_576;
/** Collections inside collections: bounds recursion. The language itself needs 40. */
export const MAX_DOCUMENT_DEPTH = 64;

export const FORBIDDEN_KEYS: ReadonlySet<string> = new Set(["__proto__", "constructor", "prototype"]);

export interface Position {
  readonly line: number;
  readonly column: number;
}

export interface Source {
  readonly value: unknown;
  /** Where the value (or, `atKey`, the key) at a path stands; the nearest enclosing one if it is missing. Absent where the text has no lines: JSON is written by programs. */
  readonly position?: (path: readonly PathPart[], atKey?: boolean) => Position;
}

/** UTF-8 length, without encoding. */
export function byteLength(text: string): number {
  let bytes = text.length;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (unit >= 0x800 && (unit < 0xd800 || unit > 0xdfff)) bytes += 2;
    else if (unit >= 0x80) bytes += 1;
  }
  return bytes;
}

/** What a value holds that no document may: nesting, forbidden keys, numbers that are none, halves of characters. Goes no deeper than MAX_DOCUMENT_DEPTH, and keeps nothing of what is good. */
export function valueFindings(root: unknown): Finding[] {
  const found: Finding[] = [];
  const path: PathPart[] = [];
  const add = (code: string, message: string, atKey = false): void => {
    if (found.length < MAX_PROBLEMS) found.push({ code, message, path: [...path], atKey });
  };
  const checkText = (text: string, atKey = false): void => {
    if (!text.isWellFormed()) add("text", "half a character (a lone surrogate) is no text", atKey);
  };
  const walk = (value: unknown): void => {
    if (typeof value === "string") return checkText(value);
    if (typeof value === "number" && !Number.isFinite(value)) return add("number", "a number must be finite");
    if (typeof value !== "object" || value === null) return undefined;
    if (path.length >= MAX_DOCUMENT_DEPTH) return add("too_deep", `nested deeper than ${MAX_DOCUMENT_DEPTH} levels`);
    const isList = Array.isArray(value);
    for (const name in value) {
      path.push(isList ? Number(name) : name);
      if (!isList) checkText(name, true);
      if (!isList && FORBIDDEN_KEYS.has(name)) add("forbidden_key", `the key "${name}" is refused`, true);
      else walk((value as Record<string, unknown>)[name]);
      path.pop();
    }
    return undefined;
  };
  walk(root);
  return found;
}

/** A finding with its place: what callers outside the folder see. */
export function placed(source: Source, { code, message, fix, path, atKey }: Finding): Problem {
  const where = source.position?.(path, atKey) ?? (atKey === true ? { at: "key" as const } : {});
  return { code, message, ...(fix === undefined ? {} : { fix }), ...where, path: formatPath(path) };
}
