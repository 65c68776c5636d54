/**
 * The results: rows of one shape, kept case by case so that a run that was broken off goes on where
 * it stopped, and written whole at the end.
 */
import { execFileSync } from "node:child_process";
import { mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { cpus, release, totalmem } from "node:os";
import { dirname } from "node:path";
import { type Metrics, unitOf } from "./metrics.ts";

export interface Row {
  readonly bench: string;
  readonly case: string;
  readonly system: string;
  readonly metric: string;
  readonly value: number;
  readonly unit: string;
  /** Samples of which the value is the median. */
  readonly n: number;
}

export interface Results {
  readonly machine: Readonly<Record<string, string | number>>;
  /** With `+` when files differ from it. */
  readonly commit: string;
  readonly date: string;
  readonly rows: readonly Row[];
}

const git = (...args: string[]): string => {
  try {
    return execFileSync("git", args, { cwd: import.meta.dirname, encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }).trim();
  } catch {
    return "";
  }
};

export const commit = (): string => `${git("rev-parse", "--short=12", "HEAD") || "unknown"}${git("status", "--porcelain", "--untracked-files=no", "--", ":!bench/results") === "" ? "" : "+"}`;

export const machine = (more: Readonly<Record<string, string>>): Results["machine"] => ({
  cpu: cpus()[0]?.model.trim() ?? "unknown",
  cores: cpus().length,
  memory_GB: Math.round(totalmem() / 1024 ** 3),
  kernel: release(),
  node: process.version,
  ...more,
});

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? upper) + upper) / 2;
}

const SIGNIFICANT_DIGITS = 4;

/** The medians of a case's samples of one system. */
export function rowsOf(bench: string, name: string, system: string, samples: readonly Metrics[]): Row[] {
  const metrics = [...new Set(samples.flatMap((sample) => Object.keys(sample)))];
  return metrics.flatMap((metric) => {
    const values = samples.map((sample) => sample[metric]).filter((value): value is number => value !== undefined && Number.isFinite(value));
    if (values.length === 0) return [];
    return [{ bench, case: name, system, metric, value: Number(median(values).toPrecision(SIGNIFICANT_DIGITS)), unit: unitOf(metric), n: values.length }];
  });
}

export async function writeResults(file: string, results: Results): Promise<void> {
  await mkdir(dirname(file), { recursive: true });
  const rows = results.rows.map((row) => `    ${JSON.stringify(row)}`).join(",\n");
  const { rows: _rows, ...head } = results;
  await writeFile(`${file}.next.tmp`, `${JSON.stringify(head, null, 2).replace(/\n\}$/, `,\n  "rows": [\n${rows}\n  ]\n}`)}\n`);
  await rename(`${file}.next.tmp`, file);
}

/** What a broken-off run had finished: rows by case. Counts only for the same commit and settings. */
export class Progress {
  readonly #file: string;
  readonly #key: string;
  #cases: Record<string, readonly Row[]> = {};

  constructor(file: string, key: string) {
    this.#file = file;
    this.#key = key;
  }

  async load(): Promise<void> {
    const kept = await readFile(this.#file, "utf8").then((text) => JSON.parse(text) as { key?: unknown; cases?: Record<string, readonly Row[]> }, () => undefined);
    if (kept?.key === this.#key) this.#cases = kept.cases ?? {};
  }

  rows(name: string): readonly Row[] | undefined {
    return this.#cases[name];
  }

  async add(name: string, rows: readonly Row[]): Promise<void> {
    this.#cases[name] = rows;
    await mkdir(dirname(this.#file), { recursive: true });
    await writeFile(this.#file, JSON.stringify({ key: this.#key, cases: this.#cases }));
  }

  async forget(): Promise<void> {
    await rm(this.#file, { force: true });
  }
}
