/**
 * `npm test`: all tests, and types and lint beside the first of them; ends with one plain line "N passed, N failed,
 * N skipped" (types and lint count one each) and exits 1 when anything failed. Arguments go to
 * vitest. Not needed for a single test: `npx vitest run FILE` does.
 */
import { spawn } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { absentPeers } from "./optional-peers.ts";
import { vitestCounts } from "./vitest-counts.ts";

const PROJECT = join(import.meta.dirname, "..");
const BIN = join(PROJECT, "node_modules/.bin");
const PATH = `${BIN}${delimiter}${process.env["PATH"] ?? ""}`;

/** Every folder with a tsconfig.json that the root one does not reach. */
const TYPE_CHECKED = [".", "scripts", "test", "test/objects", "bench"];

interface Ended {
  /** The exit code; a signal counts as 1. */
  readonly code: number;
  /** What it printed, unless that was shown at once. */
  readonly output: string;
}

/** Runs a program of the project; its output is shown at once, or kept for when it has ended. */
function run(program: string, args: readonly string[], shown: "at once" | "later"): Promise<Ended> {
  return new Promise((resolve) => {
    const child = spawn(join(BIN, program), args, { cwd: PROJECT, stdio: shown === "later" ? ["ignore", "pipe", "pipe"] : "inherit", env: { ...process.env, PATH, WRANGLER_SEND_METRICS: "false", CLOUDFLARE_CF_FETCH_ENABLED: "false" } });
    const output: Buffer[] = [];
    for (const stream of [child.stdout, child.stderr]) stream?.on("data", (chunk: Buffer) => output.push(chunk));
    const forward = (signal: NodeJS.Signals): void => void child.kill(signal);
    process.on("SIGINT", forward);
    process.on("SIGTERM", forward);
    const ended = (code: number): void => {
      process.off("SIGINT", forward);
      process.off("SIGTERM", forward);
      resolve({ code, output: Buffer.concat(output).toString() });
    };
    child.once("error", () => ended(1));
    child.once("close", (code) => ended(code ?? 1));
  });
}

const say = (line: string): void => void process.stdout.write(`${line}\n`);

const checking = Promise.all([
  run("tsc", ["-b", ...TYPE_CHECKED], "later").then((ended) => ({ name: "types (tsc -b)", ...ended })),
  run("oxlint", ["--deny-warnings"], "later").then((ended) => ({ name: "lint (oxlint)", ...ended })),
]);
const folder = await mkdtemp(join(tmpdir(), "postern-test-"));
const reportFile = join(folder, "report.json");
const { code } = await run("vitest", ["run", "--reporter=default", "--reporter=json", `--outputFile.json=${reportFile}`, ...process.argv.slice(2)], "at once");
const checks = await checking;
const report: unknown = await readFile(reportFile, "utf8").then(JSON.parse, () => undefined);
await rm(folder, { recursive: true, force: true });

const tests = vitestCounts(report, code);
const failedChecks = checks.filter((check) => check.code !== 0);
for (const check of failedChecks) say(`${check.output}failed: ${check.name}`);
for (const line of absentPeers(PATH)) say(line);
const failed = tests.failed + failedChecks.length;
say(`${tests.passed + checks.length - failedChecks.length} passed, ${failed} failed, ${tests.skipped} skipped`);
process.exitCode = failed === 0 ? 0 : 1;
