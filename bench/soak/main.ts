/**
 * `npm run soak [-- NAME --minutes M --seed S --json]`: one long proof, or all of them in turn. Each
 * ends by itself and prints its seed; the results go to bench/results/soak.json; exit 1 on a failure.
 */
import { randomInt } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { commit, machine } from "../measure/results.ts";
import { SOAKS } from "./registry.ts";
import { type SoakEntry, writeSoakEntries } from "./results.ts";
import type { Outcome, Soak } from "./soak.ts";

const RESULTS = join(import.meta.dirname, "../results/soak.json");
const SIGNIFICANT_DIGITS = 4;

const say = (line: string): void => void process.stderr.write(`${line}\n`);

const USAGE = `npm run soak [-- NAME … --minutes M --seed S --scale F --out FILE --json]

${SOAKS.map((one) => `  ${one.name.padEnd(15)} ${one.about} (${one.minutes} min)`).join("\n")}
`;

const rounded = (figures: Outcome["figures"]): Record<string, number> => Object.fromEntries(Object.entries(figures).map(([name, value]) => [name, Number(value.toPrecision(SIGNIFICANT_DIGITS))]));

async function carryOut(soak: Soak, minutes: number, seed: number, scale: number): Promise<SoakEntry> {
  const folder = await mkdtemp(join(tmpdir(), "postern-soak-"));
  const startedAt = performance.now();
  say(`${soak.name}: seed ${seed}, about ${minutes} minutes`);
  const outcome = await soak.run({ minutes, seed, scale, folder, say }).catch((cause: unknown): Outcome => ({ n: 0, failures: [cause instanceof Error ? cause.message : String(cause)], figures: {} }));
  await rm(folder, { recursive: true, force: true });
  return { name: soak.name, seed, minutes, n: outcome.n, failures: outcome.failures, duration_s: Math.round((performance.now() - startedAt) / 1000), figures: rounded(outcome.figures), commit: commit(), date: new Date().toISOString(), machine: machine({}) };
}

function show(entry: SoakEntry): void {
  say(`${entry.name}: ${entry.failures.length === 0 ? "held" : "FAILED"}; n ${entry.n}, ${entry.duration_s} s, seed ${entry.seed}`);
  for (const [name, value] of Object.entries(entry.figures)) say(`  ${name} ${value}`);
  for (const failure of entry.failures) say(`  failed: ${failure}`);
}

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({ args: process.argv.slice(2), allowPositionals: true, options: { minutes: { type: "string" }, seed: { type: "string" }, scale: { type: "string" }, out: { type: "string" }, json: { type: "boolean" }, help: { type: "boolean", short: "h" } } });
  if (values.help === true) {
    process.stdout.write(USAGE);
    return 0;
  }
  const number = (name: "minutes" | "seed" | "scale", otherwise: number): number => {
    const given = values[name];
    const value = given === undefined ? otherwise : Number(given);
    if (!Number.isFinite(value) || value < 0) throw new Error(`--${name} takes a number`);
    return value;
  };
  const unknown = positionals.find((name) => !SOAKS.some((soak) => soak.name === name));
  if (unknown !== undefined) throw new Error(`there is no ${unknown}; there are ${SOAKS.map((soak) => soak.name).join(", ")}`);
  const scale = number("scale", 1);
  const entries: SoakEntry[] = [];
  for (const soak of SOAKS.filter(({ name }) => positionals.length === 0 || positionals.includes(name))) {
    const entry = await carryOut(soak, number("minutes", soak.minutes), Math.trunc(number("seed", randomInt(2 ** 31))), scale);
    show(entry);
    entries.push(entry);
    // A part of the size is no result.
    if (scale === 1 || values.out !== undefined) await writeSoakEntries(values.out ?? RESULTS, [entry]);
  }
  if (values.json === true) process.stdout.write(`${JSON.stringify({ soaks: entries })}\n`);
  return entries.some((entry) => entry.failures.length > 0) ? 1 : 0;
}

try {
  process.exitCode = await main();
} catch (cause) {
  say(`error: ${cause instanceof Error ? cause.message : String(cause)}`);
  process.exitCode = 2;
}
