/**
 * Path patterns (P9): `*` within one segment, `**` any number of whole segments, `/x/**` also
 * matches `/x`. No regular expressions, no backtracking beyond the last star: time is at most
 * pattern × path (class g). The path is canonical already; this does not canonicalise.
 */
const MANY = Symbol("**");

/** Text between stars: `["a", "b"]` is a*b; one item is a literal. */
type Segment = readonly string[] | typeof MANY;
export type Pattern = readonly Segment[];

/** Bounds matching. */
export const MAX_PATTERN_SEGMENTS = 64;

/** Percent-decoded, so that "%C3%A4" and "ä" are one spelling; as it stands when it cannot be decoded. */
function decode(segment: string): string {
  if (!segment.includes("%")) return segment;
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}

/** A pattern, or a sentence that says why it is none. */
export function parsePattern(written: string): Pattern | string {
  if (!written.startsWith("/")) return 'a path pattern starts with "/"';
  const parts = written.slice(1).split("/");
  if (parts.length > MAX_PATTERN_SEGMENTS) return `more than ${MAX_PATTERN_SEGMENTS} segments`;
  const pattern: Segment[] = [];
  for (const [i, part] of parts.entries()) {
    if (part === "**") {
      if (pattern.at(-1) !== MANY) pattern.push(MANY);
      continue;
    }
    if (part.includes("**")) return '"**" stands for whole segments only';
    if (decode(part) === "." || decode(part) === "..") return '"." and ".." never occur in a canonical path';
    if (part === "" && i < parts.length - 1) return '"//" never occurs in a canonical path';
    pattern.push(part.split("*").map(decode));
  }
  return pattern;
}

/** One request's path in the spellings that patterns are compared with; each is made when first needed. */
export interface PathForms {
  readonly path: string;
  plain?: readonly string[];
  folded?: readonly string[];
  stripped?: readonly string[];
  strippedFolded?: readonly string[];
}

const segmentsOf = (path: string): string[] => path.slice(1).split("/").map(decode);

/**
 * What ends a segment's name at some servers (P9): `;params`, also when they decode first, and
 * then an escaped "?" or "#" too.
 */
const SEGMENT_END = /(?:;|%3[BbFf]|%23)[^/]*/g;

const withoutParams = (path: string): string => path.replace(SEGMENT_END, "");

const fold = (segments: readonly string[]): string[] => segments.map((segment) => segment.toLowerCase());

/** Whether a path matches; `insensitive` folds both sides (P10). */
export function matches(pattern: Pattern, forms: PathForms, insensitive: boolean): boolean {
  forms.plain ??= segmentsOf(forms.path);
  if (!insensitive) return matchSegments(pattern, forms.plain, false);
  forms.folded ??= fold(forms.plain);
  return matchSegments(pattern, forms.folded, true);
}

/** Whether a path matches with its `;params` removed: for effects that restrict (P9). */
export function matchesStripped(pattern: Pattern, forms: PathForms, insensitive: boolean): boolean {
  if (!/[;%]/.test(forms.path)) return false;
  forms.stripped ??= segmentsOf(withoutParams(forms.path));
  if (!insensitive) return matchSegments(pattern, forms.stripped, false);
  forms.strippedFolded ??= fold(forms.stripped);
  return matchSegments(pattern, forms.strippedFolded, true);
}

/** The greedy wildcard match: on a mismatch, the last `**` takes one segment more. */
function matchSegments(pattern: Pattern, path: readonly string[], folded: boolean): boolean {
  let p = 0;
  let s = 0;
  let many = -1;
  let resume = 0;
  while (s < path.length) {
    const wanted = pattern[p];
    if (wanted === MANY) {
      many = p++;
      resume = s;
    } else if (wanted !== undefined && matchText(wanted, path[s] ?? "", folded)) {
      p++;
      s++;
    } else if (many !== -1) {
      p = many + 1;
      s = ++resume;
    } else return false;
  }
  while (pattern[p] === MANY) p++;
  return p === pattern.length;
}

/** Literal parts in order, the first at the start and the last at the end. */
function matchText(parts: readonly string[], text: string, folded: boolean): boolean {
  const at = (i: number): string => (folded ? (parts[i] ?? "").toLowerCase() : (parts[i] ?? ""));
  const last = parts.length - 1;
  if (last === 0) return text === at(0);
  if (!text.startsWith(at(0))) return false;
  const end = text.length - at(last).length;
  let from = at(0).length;
  for (let i = 1; i < last; i++) {
    const found = text.indexOf(at(i), from);
    if (found === -1) return false;
    from = found + at(i).length;
  }
  return from <= end && text.endsWith(at(last));
}

/** A path that the pattern matches: its literals, stars taken as nothing. For the launcher's question (visible.ts). */
export function samplePath(pattern: Pattern): string {
  const parts = pattern.filter((segment) => segment !== MANY).map((segment) => encodeURIComponent((segment as readonly string[]).join("")));
  return `/${parts.join("/")}`;
}
