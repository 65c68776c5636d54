/**
 * Text to plain values with positions: the only place that touches the YAML parser, and never
 * part of the edge, which takes JSON (canonical-text.ts). Refuses what could surprise (duplicate
 * and prototype keys, tabs, tags, aliases, size) before anything else looks at it. Not a schema: schema.ts says what the values may be.
 */
import { isAlias, isMap, isPair, isScalar, isSeq, Lexer, LineCounter, parseDocument as parseYaml } from "yaml";
import type { Document, Node, YAMLError } from "yaml";
import type { Result } from "../core/result.ts";
import { err, ok } from "../core/result.ts";
import type { PathPart, Problem } from "./problems.ts";
import { MAX_PROBLEMS } from "./problems.ts";
import { byteLength, FORBIDDEN_KEYS, MAX_DOCUMENT_BYTES, MAX_DOCUMENT_DEPTH, placed, type Position, type Source, valueFindings } from "./source.ts";

export type YamlSource = Required<Source>;

const problem = (code: string, message: string, position: Position, path: string, fix?: string): Problem =>
  fix === undefined ? { code, message, ...position, path } : { code, message, fix, ...position, path };

const START: Position = { line: 1, column: 1 };

/** Reads one YAML 1.2 (or JSON) document. All problems of the text itself, at most MAX_PROBLEMS. */
export function readYaml(text: string): Result<YamlSource, Problem[]> {
  if (text.length > MAX_DOCUMENT_BYTES || byteLength(text) > MAX_DOCUMENT_BYTES) {
    return err([problem("too_large", `the document is larger than ${MAX_DOCUMENT_BYTES} bytes`, START, "")]);
  }
  const tooDeep = depthProblem(text);
  if (tooDeep !== undefined) return err([tooDeep]);
  const lines = new LineCounter();
  const place = (offset: number): Position => {
    const { line, col } = lines.linePos(offset);
    return { line: Math.max(1, line), column: Math.max(1, col) };
  };
  try {
    const document = parseYaml(text, { version: "1.2", schema: "core", resolveKnownTags: false, lineCounter: lines, uniqueKeys: false, prettyErrors: false, strict: true });
    const problems = [...document.errors, ...document.warnings].slice(0, MAX_PROBLEMS).map((error) => textProblem(error, place));
    if (problems.length === 0) problems.push(...nodeProblems(document, place));
    if (problems.length > 0) return err(problems);
    const value: unknown = document.toJS();
    const source: YamlSource = { value, position: (path, atKey) => place(offsetOf(document, path, atKey === true)) };
    const findings = valueFindings(value);
    return findings.length > 0 ? err(findings.map((finding) => placed(source, finding))) : ok(source);
  } catch {
    // The parser throws when nesting exhausts the stack.
    return err([problem("yaml", "not valid YAML", START, "")]);
  }
}

function textProblem(error: YAMLError, place: (offset: number) => Position): Problem {
  const at = place(error.pos[0]);
  if (error.code === "TAB_AS_INDENT") return problem("tab", "tabs may not indent", at, "", "use spaces");
  if (error.code === "MULTIPLE_DOCS") return problem("yaml", "more than one document in the file", at, "", "remove the line ---");
  if (error.message.startsWith("Maximum call stack")) return problem("too_deep", `nested deeper than ${MAX_DOCUMENT_DEPTH} levels`, at, "");
  return problem("yaml", error.message.split("\n")[0] ?? "not valid YAML", at, "");
}

/** Refuses nesting that would exhaust the parser's stack, from the lexer's tokens, which need none. */
function depthProblem(text: string): Problem | undefined {
  let line = 1;
  let flow = 0;
  let markers = 0;
  for (const token of new Lexer().lex(text)) {
    if (token === "\n" || token === "\r\n") {
      line++;
      markers = 0;
    } else if (token === "[" || token === "{") flow++;
    else if (token === "]" || token === "}") flow--;
    else if (token === "-" || token === "?") markers++;
    else for (let at = token.indexOf("\n"); at !== -1; at = token.indexOf("\n", at + 1)) line++;
    if (flow > MAX_DOCUMENT_DEPTH || markers > MAX_DOCUMENT_DEPTH) {
      return problem("too_deep", `nested deeper than ${MAX_DOCUMENT_DEPTH} levels`, { line, column: 1 }, "");
    }
  }
  return undefined;
}

/** What the parser accepts and this language does not: odd, forbidden and repeated keys, explicit tags. */
function nodeProblems(document: Document, place: (offset: number) => Position): Problem[] {
  const found: Problem[] = [];
  const add = (code: string, message: string, node: unknown, fix?: string): void => {
    found.push(problem(code, message, place(offsetOfNode(node)), "", fix));
  };
  /** What is still to be looked at, the next one last; `depth` counts the nodes and pairs around it. No recursion: nesting is the document's choice. */
  const waiting: { readonly node: unknown; readonly depth: number; readonly isKey: boolean }[] = [{ node: document.contents, depth: 1, isKey: false }];
  for (let next = waiting.pop(); next !== undefined && found.length < MAX_PROBLEMS; next = waiting.pop()) {
    const { node, depth, isKey } = next;
    if (depth > 2 * MAX_DOCUMENT_DEPTH) {
      add("too_deep", `nested deeper than ${MAX_DOCUMENT_DEPTH} levels`, node);
      break;
    }
    if (isMap(node)) {
      // Not the parser's own check of unique keys, which is quadratic.
      const seen = new Set<unknown>();
      for (const { key: name } of node.items) {
        const value = isScalar(name) ? name.value : undefined;
        if (typeof value !== "string") add("key", "a key must be text", name, "quote it");
        else if (FORBIDDEN_KEYS.has(value)) add("forbidden_key", `the key "${value}" is refused`, name);
        else if (seen.has(value)) add("duplicate_key", `the key "${value}" stands here twice`, name, "remove one of the two");
        seen.add(value);
      }
      for (const { key, value } of node.items.toReversed()) waiting.push({ node: value, depth: depth + 2, isKey: false }, { node: key, depth: depth + 2, isKey: true });
    } else if (isAlias(node)) {
      // Neither "billion laughs" nor a node that holds itself: reuse is the language's own (P16).
      add("alias", "YAML aliases are not part of the language", node, "use lists: or conditions:");
    } else {
      if (!isKey && (isScalar(node) || isSeq(node)) && node.tag !== undefined) add("tag", "YAML tags are not part of the language", node, "remove the tag");
      if (isSeq(node)) for (const item of node.items.toReversed()) waiting.push({ node: item, depth: depth + 1, isKey: false });
    }
  }
  return found;
}

const offsetOfNode = (node: unknown): number =>
  typeof node === "object" && node !== null && "range" in node && Array.isArray(node.range) ? Number(node.range[0]) : 0;

function offsetOf(document: Document, path: readonly PathPart[], atKey: boolean): number {
  let node: Node | null | undefined = document.contents;
  let offset = offsetOfNode(node);
  for (const [i, part] of path.entries()) {
    let next: unknown;
    if (isMap(node)) {
      const pair = node.items.find((item) => isScalar(item.key) && item.key.value === part);
      if (pair === undefined) return offset;
      next = pair.value;
      if ((atKey && i === path.length - 1) || next === null) return offsetOfNode(pair.key);
    } else if (isSeq(node) && typeof part === "number") {
      next = node.items[part];
      if (isPair(next)) return offset;
    }
    if (next === undefined || next === null) return offset;
    node = next as Node;
    offset = offsetOfNode(node);
  }
  return offset;
}
