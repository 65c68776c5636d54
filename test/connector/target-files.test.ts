/** The files of --target: read at the start and when they change; one that cannot be used takes back what it said. */
import { execFileSync } from "node:child_process";
import { mkdirSync, renameSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, describe, expect, it, vi } from "vitest";
import { MAX_TARGET_FILE_BYTES, TargetFiles, type TargetReport } from "../../connector/target-files.ts";
import type { Log } from "../../connector/log.ts";
import type { AppId } from "../../core/ids.ts";
import { temporaryFolder } from "../temporary-folder.ts";

const WIKI = "wiki" as AppId;
const folder = temporaryFolder("targets");
const file = join(folder, "wiki.json");
const reports: TargetReport[] = [];
const problems: unknown[] = [];
const log = { info: () => undefined, warn: () => undefined, error: (_event: string, fields: { problem: string }) => void problems.push(fields.problem) } as unknown as Log;
let files: TargetFiles | undefined;

afterEach(() => {
  files?.stop();
  rmSync(file, { recursive: true, force: true });
  reports.length = 0;
  problems.length = 0;
});

async function started(): Promise<TargetFiles> {
  files = new TargetFiles(new Map([[WIKI, file]]), log, (report) => void reports.push(report), 5);
  await files.start();
  return files;
}
/** As programs should write it: beside, then in its place. */
function write(text: string, at = "2026-11-20T10:00:00Z"): void {
  writeFileSync(`${file}.new`, text);
  utimesSync(`${file}.new`, new Date(at), new Date(at));
  renameSync(`${file}.new`, file);
}
const last = (): unknown => reports.at(-1);
const said = (report: object): Promise<void> => vi.waitFor(() => expect(last()).toEqual({ app: "wiki", ...report }), { timeout: 10_000, interval: 5 });

describe("a file", () => {
  it("is read before anything starts, as old as it is or as it says", async () => {
    write('{"critical": 0}');
    expect((await started()).now()).toEqual([{ app: "wiki", critical: 0, at: Date.parse("2026-11-20T10:00:00Z") }]);
    write('{"critical": 0, "observed_at": "2026-11-19T10:00:00Z"}');
    await said({ critical: 0, at: Date.parse("2026-11-19T10:00:00Z") });
  });

  it("is read again when it changed, though it is as long and as old as before, and only then", async () => {
    write('{"critical": 0}');
    const running = await started();
    write('{"critical": 1}');
    await said({ critical: 1, at: Date.parse("2026-11-20T10:00:00Z") });
    write('{"critical": 2}');
    await said({ critical: 2, at: Date.parse("2026-11-20T10:00:00Z") });
    expect([reports.length, running.now().length]).toEqual([3, 1]);
  });

  it.each<[string, () => void, RegExp]>([
    ["that is gone", () => rmSync(file), /cannot be read \(ENOENT\)/],
    ["that is no JSON any more", () => write("{"), /no JSON/],
    ["that is too large", () => write(`{"version": "1"}${" ".repeat(MAX_TARGET_FILE_BYTES)}`), /more than 8388608 bytes/],
    ["that is a folder", () => (rmSync(file), mkdirSync(file)), /no file|EISDIR/],
  ])("%s takes back what it said, the log says why, and one that is good again counts", async (_, spoil, problem) => {
    write('{"critical": 0}');
    const running = await started();
    spoil();
    await vi.waitFor(() => expect(problems).toHaveLength(1), { timeout: 10_000, interval: 5 });
    expect(problems[0]).toMatch(problem);
    expect(running.now()).toEqual([{ app: "wiki", at: expect.any(Number) as number }]);
    rmSync(file, { recursive: true, force: true });
    write('{"critical": 4}');
    await said({ critical: 4, at: Date.parse("2026-11-20T10:00:00Z") });
  });

  it.skipIf(process.platform === "win32")("that is a pipe with nobody behind it holds nothing up", async () => {
    execFileSync("mkfifo", [file]);
    await started();
    expect(problems).toEqual(["it is no file"]);
  });

  it("that never was is told once, not every time it is looked for", async () => {
    await started();
    writeFileSync(`${file}.other`, "");
    write('{"high": 1}');
    await said({ high: 1, at: Date.parse("2026-11-20T10:00:00Z") });
    expect(problems).toEqual(["it cannot be read (ENOENT)"]);
  });
});
