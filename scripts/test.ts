/**
 * `npm test`: types, lint, then all tests; ends with one plain line "N passed, N failed,
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

/** Runs a program of the project with its output shown; resolves with its exit code (a signal counts as 1). */
function run(program: string, args: readonly string[]): Promise<number> {
  return new Promise((resolve) => {
    const child = spawn(join(BIN, program), args, { cwd: PROJECT, stdio: "inherit", env: { ...process.env, PATH, WRANGLER_SEND_METRICS: "false", CLOUDFLARE_CF_FETCH_ENABLED: "false" } });
    const forward = (signal: NodeJS.Signals): void => void child.kill(signal);
    process.on("SIGINT", forward);
    process.on("SIGTERM", forward);
    child.once("error", () => resolve(1));
    child.once("exit", (code) => {
      process.off("SIGINT", forward);
      process.off("SIGTERM", forward);
      resolve(code ?? 1);
    });
  });
}

const say = (line: string): void => void process.stdout.write(`${line}\n`);

const checks = [
  { name: "types (tsc -b)", code: await run("tsc", ["-b", ...TYPE_CHECKED]) },
  { name: "lint (oxlint)", code: await run("oxlint", ["--deny-warnings"]) },
];
const folder = await mkdtemp(join(tmpdir(), "postern-test-"));
const reportFile = join(folder, "report.json");
const code = await run("vitest", ["run", "--reporter=default", "--reporter=json", `--outputFile.json=${reportFile}`, ...process.argv.slice(2)]);
const report: unknown = await readFile(reportFile, "utf8").then(JSON.parse, () => undefined);
await rm(folder, { recursive: true, force: true });

const tests = vitestCounts(report, code);
const failedChecks = checks.filter((check) => check.code !== 0);
for (const check of failedChecks) say(`failed: ${check.name}`);
for (const line of absentPeers(PATH)) say(line);
const failed = tests.failed + failedChecks.length;
say(`${tests.passed + checks.length - failedChecks.length} passed, ${failed} failed, ${tests.skipped} skipped`);
process.exitCode = failed === 0 ? 0 : 1;
