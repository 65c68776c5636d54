/** Numbered lines that carry the time of their write: whoever reads them knows of each when it was written, and that none is missing. */

/** What two processes of one machine would have to agree on; here both ends are in this one. */
const TICK_MS = 25;
/** `data: ` before it in an event stream. */
const LINE = /^(?:data: )?stamp ([0-9.]+) ([0-9]+) /;
const LINE_CHARS = 48;

/** What one end was given. Times are performance.now() of this process. */
export class Heard {
  count = 0;
  /** When the newest line was written. */
  lastStamp = 0;
  /** Lines that did not come in their turn. */
  misplaced = 0;
  #next = 0;
  #rest = "";

  feed(text: string): void {
    const lines = (this.#rest + text).split("\n");
    this.#rest = lines.pop() ?? "";
    for (const line of lines) this.#note(LINE.exec(line));
  }

  /** The connection is over: half a line is one, too, if its time can be read. */
  over(): void {
    const found = LINE.exec(`${this.#rest} `);
    if (found !== null) this.lastStamp = Math.max(this.lastStamp, Number(found[1]));
  }

  #note(found: RegExpExecArray | null): void {
    if (found === null) return;
    this.count++;
    this.lastStamp = Math.max(this.lastStamp, Number(found[1]));
    if (Number(found[2]) !== this.#next) this.misplaced++;
    this.#next = Number(found[2]) + 1;
  }
}

/** One end that writes a line at every tick, until it is told not to. */
export class Speaker {
  count = 0;
  lastAt = 0;
  readonly #timer: NodeJS.Timeout;

  /** `write` answers false when it could not take the line. */
  constructor(write: (line: string) => boolean) {
    const speak = (): void => {
      const now = performance.now();
      if (!write(`${`stamp ${now.toFixed(3)} ${this.count} `.padEnd(LINE_CHARS - 1, ".")}\n`)) return;
      this.count++;
      this.lastAt = now;
    };
    this.#timer = setInterval(speak, TICK_MS);
  }

  hush(): void {
    clearInterval(this.#timer);
  }
}
