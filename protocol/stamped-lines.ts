/**
 * Stamped lines: chunks of one length that carry the time of their write by the writer's clock, so
 * that no boundary of a transport can hide when a byte was written. Canaries and measurements write
 * them, and whoever reads finds them in whatever pieces they come. What a time means is the readers' matter.
 */

export const STAMPED_LINE_BYTES = 256;
/** A time that is cut short is none. */
const STAMP = /stamp ([0-9]+\.[0-9]{3}) ?([A-Za-z0-9-]*)/;
/** A line that never ends is no stamp; so much of it is kept. */
const MAX_LINE_CHARS = 4 * STAMPED_LINE_BYTES;

export interface StampedLine {
  /** By the writer's clock. */
  readonly at: number;
  /** What the writer wrote beside it: letters, digits and hyphens. */
  readonly mark: string;
  /** As many as came of it. */
  readonly bytes: number;
}

/** One line, written at that moment. */
export const stampedLine = (at: number, mark = ""): string => `${`stamp ${at.toFixed(3)} ${mark} `.padEnd(STAMPED_LINE_BYTES - 1, ".")}\n`;

/** Finds lines in text as it comes; what is no stamped line is passed over. */
export class StampedLines {
  readonly #note: (line: StampedLine) => void;
  #rest = "";

  constructor(note: (line: StampedLine) => void) {
    this.#note = note;
  }

  feed(text: string): void {
    const lines = (this.#rest + text).split("\n");
    this.#rest = (lines.pop() ?? "").slice(0, MAX_LINE_CHARS);
    for (const line of lines) this.#read(line, 1);
  }

  /** The connection is over: a line that came in part counts as far as it came. */
  over(): void {
    this.#read(this.#rest, 0);
    this.#rest = "";
  }

  #read(line: string, end: number): void {
    const [, at, mark = ""] = STAMP.exec(line) ?? [];
    if (at !== undefined) this.#note({ at: Number(at), mark, bytes: line.length + end });
  }
}
