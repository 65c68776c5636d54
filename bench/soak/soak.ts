/** What a long proof is: it runs until its time or its work is over, counts what it did and names what failed. */

export interface SoakOptions {
  /** About how long it goes on; each ends by itself. */
  readonly minutes: number;
  /** Everything random in it follows from this. */
  readonly seed: number;
  /** 1 is the whole of it. */
  readonly scale: number;
  /** A folder of its own, gone afterwards. */
  readonly folder: string;
  readonly say: (line: string) => void;
}

export interface Outcome {
  /** How often the thing was tried: connections, restarts, runs. */
  readonly n: number;
  /** One line each; empty when everything held. */
  readonly failures: readonly string[];
  readonly figures: Readonly<Record<string, number>>;
}

export interface Soak {
  readonly name: string;
  readonly about: string;
  /** When no --minutes is given. */
  readonly minutes: number;
  readonly run: (options: SoakOptions) => Promise<Outcome>;
}

/** Keeps the first failures word for word and counts the rest: a proof that fails a million times still ends in a short report. */
export class Failures {
  readonly #first: string[] = [];
  #count = 0;

  add(line: string): void {
    this.#count++;
    if (this.#first.length < 20) this.#first.push(line);
  }
  get count(): number {
    return this.#count;
  }
  get lines(): string[] {
    return this.#count > this.#first.length ? [...this.#first, `and ${this.#count - this.#first.length} more`] : [...this.#first];
  }
}

export const pause = (ms: number): Promise<void> => new Promise((over) => setTimeout(over, ms));

/** Resolves with true when the condition holds, with false after `timeoutMs`. */
export async function within(timeoutMs: number, condition: () => boolean | Promise<boolean>): Promise<boolean> {
  const deadline = performance.now() + timeoutMs;
  while (!(await condition())) {
    if (performance.now() > deadline) return false;
    await pause(20);
  }
  return true;
}
