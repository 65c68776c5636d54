/** bench/results/soak.json: the last outcome of each long proof, one entry a name. */
import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { dirname } from "node:path";

export interface SoakEntry {
  readonly name: string;
  readonly seed: number;
  readonly minutes: number;
  readonly n: number;
  readonly failures: readonly string[];
  readonly duration_s: number;
  readonly figures: Readonly<Record<string, number>>;
  readonly commit: string;
  readonly date: string;
  readonly machine: Readonly<Record<string, string | number>>;
}

/** Puts the entries in place of older ones of the same name. */
export async function writeSoakEntries(file: string, entries: readonly SoakEntry[]): Promise<void> {
  const known = await readFile(file, "utf8").then((text) => (JSON.parse(text) as { readonly soaks?: readonly SoakEntry[] }).soaks ?? [], () => []);
  const soaks = [...known.filter((old) => !entries.some(({ name }) => name === old.name)), ...entries].sort((a, b) => a.name.localeCompare(b.name));
  await mkdir(dirname(file), { recursive: true });
  await writeFile(`${file}.tmp`, `${JSON.stringify({ soaks }, null, 2)}\n`);
  await rename(`${file}.tmp`, file);
}
