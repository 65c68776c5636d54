/** The long proofs run, end by themselves, and say what they did; a tenth of those that need processes and seconds only. */
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { afterAll, describe, expect, it } from "vitest";
import { PROJECT } from "../architecture/source-files.ts";

const TIMEOUT_MS = 120_000;
const folder = mkdtempSync(join(tmpdir(), "postern-soak-test-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

interface Entry {
  readonly name: string;
  readonly seed: number;
  readonly n: number;
  readonly failures: readonly string[];
  readonly duration_s: number;
}

async function soak(...args: string[]): Promise<{ readonly code: number | null; readonly out: string; readonly said: string }> {
  const child = spawn(process.execPath, [join(PROJECT, "bench/soak/main.ts"), ...args], { stdio: ["ignore", "pipe", "pipe"] });
  const ended = new Promise<number | null>((done) => child.once("exit", done));
  const [out, said, code] = await Promise.all([text(child.stdout), text(child.stderr), ended]);
  return { code, out, said };
}

const entriesOf = (out: string): readonly Entry[] => (JSON.parse(out) as { readonly soaks: readonly Entry[] }).soaks;

describe("npm run soak", () => {
  it("prints its seed, answers one line of JSON and keeps the outcome", { timeout: TIMEOUT_MS }, async () => {
    const out = join(folder, "soak.json");
    const ran = await soak("fuzz", "--minutes", "0", "--scale", "0.02", "--seed", "7", "--json", "--out", out);
    expect(ran.code, ran.said).toBe(0);
    expect(ran.said).toContain("fuzz: seed 7,");
    const [entry] = entriesOf(ran.out);
    expect(entry).toMatchObject({ name: "fuzz", seed: 7, failures: [] });
    expect(entry?.n).toBeGreaterThanOrEqual(200);
    expect(entriesOf(readFileSync(out, "utf8"))).toEqual([entry]);
  });

  it("stampede: a tenth of the connectors are back after their edge was killed", { timeout: TIMEOUT_MS }, async () => {
    const ran = await soak("stampede", "--scale", "0.1", "--minutes", "1", "--json");
    expect(ran.code, ran.said).toBe(0);
    expect(entriesOf(ran.out)).toMatchObject([{ name: "stampede", n: 10, failures: [] }]);
  });

  it.each([["nonsense"], ["fuzz", "--minutes", "soon"]])("refuses %s %s with exit 2", { timeout: TIMEOUT_MS }, async (...args) => {
    expect((await soak(...args.filter((one) => one !== undefined))).code).toBe(2);
  });
});
