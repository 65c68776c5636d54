/** A document on its way to the edge: its value as JSON, and what the edge says of that in lines of the file (docs/decisions/0021). */
import { byPlace, formatPath, type PathPart, type Problem } from "../policy/problems.ts";
import { type WrittenSource, writtenSource } from "../policy/parse-document.ts";
import { documentFailure, readText } from "./document-file.ts";
import type { Io } from "./io.ts";

export interface WrittenDocument {
  readonly file: string;
  /** What is sent. */
  readonly canonical: string;
  /** The edge's problems as the file's: with its name, lines and columns, in its order. */
  readonly inFile: (problems: readonly Problem[]) => readonly Problem[];
  /** 1-based line of a test. */
  readonly testLine: (index: number) => number;
}

/** Reads FILE ("-": standard input) as far as sending needs; what it means is the edge's to say. Throws Failure. */
export async function writtenDocument(file: string, io: Io): Promise<WrittenDocument> {
  const read = writtenSource(await readText(file, io), { file });
  if (!read.ok) throw documentFailure(read.error, file);
  const { position, canonical } = read.value;
  return {
    file,
    canonical,
    inFile: (problems) => located(read.value, problems).map((problem) => ({ ...problem, file })),
    testLine: (index) => position(["tests", index]).line,
  };
}

/** Problems of the value that a text stands for, with the text's lines. */
export const located = ({ value, position }: WrittenSource, problems: readonly Problem[]): readonly Problem[] =>
  problems.map(({ at, ...problem }) => ({ ...problem, ...position(pathOf(problem.path, value), at === "key") })).sort(byPlace);

/** The path that formatPath wrote; keys may hold dots, so that the value says where one ends. A part that the value lacks ends it. */
function pathOf(formatted: string, root: unknown): readonly PathPart[] {
  const path: PathPart[] = [];
  let value = root;
  while (typeof value === "object" && value !== null) {
    const inside = value as Record<string, unknown>;
    const begins = (name: string): boolean => {
      const whole = formatPath([...path, Array.isArray(value) ? Number(name) : name]);
      return formatted === whole || formatted.startsWith(`${whole}.`) || formatted.startsWith(`${whole}[`);
    };
    const next = Object.keys(inside).filter(begins).reduce<string | undefined>((longest, name) => (longest !== undefined && longest.length >= name.length ? longest : name), undefined);
    if (next === undefined) break;
    path.push(Array.isArray(value) ? Number(next) : next);
    value = inside[next];
  }
  return path;
}
