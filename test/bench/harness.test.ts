/** The benchmark runs and writes what is agreed on. What it measures is no test's business: a figure is no assertion. */
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { z } from "zod";

const PROJECT = join(import.meta.dirname, "../..");
/** The whole product is started, and every case run once. */
const RUN_TIMEOUT_MS = 300_000;

const Row = z.strictObject({ bench: z.string(), case: z.string(), system: z.string(), metric: z.string(), value: z.number(), unit: z.string().min(1), n: z.number().int().positive() });
const Results = z.strictObject({ machine: z.looseObject({ cpu: z.string(), cores: z.number() }), commit: z.string(), date: z.iso.datetime(), rows: z.array(Row) });

async function bench(...args: readonly string[]): Promise<{ readonly code: number | null; readonly said: string; readonly errors: string }> {
  const child = spawn(process.execPath, ["bench/main.ts", ...args], { cwd: PROJECT, stdio: ["ignore", "pipe", "pipe"] });
  const ended = new Promise<number | null>((over) => child.once("exit", over));
  const [said, errors, code] = await Promise.all([text(child.stdout), text(child.stderr), ended]);
  return { code, said, errors };
}

describe("npm run bench", () => {
  const folder = mkdtempSync(join(tmpdir(), "postern-bench-test-"));
  const out = join(folder, "results.json");
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  describe("with a few requests each", () => {
    let rows: readonly z.infer<typeof Row>[] = [];
    let said = "";
    beforeAll(async () => {
      const run = await bench("--tiny", "--systems", "direct,workerd-proxy,do-hello,floor,floor-tcp,postern", "--out", out);
      expect(run.code, run.errors).toBe(0);
      said = run.said;
      rows = Results.parse(JSON.parse(readFileSync(out, "utf8"))).rows;
    }, RUN_TIMEOUT_MS);

    const value = (name: string, system: string, metric: string): number | undefined => rows.find((row) => row.case === name && row.system === system && row.metric === metric)?.value;

    it.each(["http-1k-c1", "http-1k-c32", "http-1k-c256", "http-1k-700rps"])("%s: requests, latencies and CPU of each system, no errors", (name) => {
      for (const system of ["workerd-proxy", "do-hello", "floor", "postern"]) {
        for (const metric of ["rps", "p50_ms", "p99_ms", "cpu_us_per_request", "cpu_us_per_request_edge", "rss_MB"]) expect(value(name, system, metric), `${system} ${metric}`).toBeGreaterThan(0);
        expect(value(name, system, "errors"), system).toBe(0);
      }
      expect(value(name, "direct", "rps")).toBeGreaterThan(0);
    });

    it.each(["download-1", "download-8", "download-64", "upload-1", "upload-8"])("%s: whole bodies through each system that has one", (name) => {
      for (const system of ["direct", "workerd-proxy", "floor", "postern"]) {
        expect(value(name, system, "MBps"), system).toBeGreaterThan(0);
        expect(value(name, system, "errors"), system).toBe(0);
      }
      expect(value(name, "do-hello", "MBps")).toBeUndefined();
    });

    it.each(["websocket-echo-1", "websocket-echo-64"])("%s: echoes through each system that carries WebSockets", (name) => {
      for (const system of ["direct", "workerd-proxy", "floor", "postern"]) {
        expect(value(name, system, "messages_per_s"), system).toBeGreaterThan(0);
        expect(value(name, system, "errors"), system).toBe(0);
      }
    });

    it.each(["tcp-1", "tcp-8", "tcp-upload-1"])("%s: whole streams, and what each process spends on a megabyte", (name) => {
      for (const system of ["floor-tcp", "postern"]) {
        for (const metric of ["MBps", "cpu_ms_per_MB_edge", "cpu_ms_per_MB_connector", "cpu_ms_per_MB_agent"]) expect(value(name, system, metric), `${system} ${metric}`).toBeGreaterThan(0);
        expect(value(name, system, "errors"), system).toBe(0);
        expect(value("tcp-ping", system, "p50_ms"), system).toBeGreaterThan(0);
      }
    });

    it("small requests beside a download: alone and beside it", () => {
      for (const system of ["workerd-proxy", "floor", "postern"]) {
        for (const metric of ["p99_ms", "p99_alone_ms", "MBps"]) expect(value("http-1k-during-download", system, metric), `${system} ${metric}`).toBeGreaterThan(0);
        expect(value("http-1k-during-download", system, "errors"), system).toBe(0);
      }
    });

    it.each(["stalled-download", "stalled-upload"])("%s: what edge and connector grow by, and what others wait", (name) => {
      // With a few bytes a process may end smaller than it began.
      for (const metric of ["rss_growth_MB_edge", "rss_growth_MB_connector"]) expect(Number.isFinite(value(name, "postern", metric)), metric).toBe(true);
      expect(value(name, "postern", "p99_ms")).toBeGreaterThanOrEqual(0);
      expect(value(name, "postern", "errors")).toBe(0);
    });

    it("finds one stored decision for each request (DESIGN promise 8)", () => expect(value("records", "postern", "records_per_request")).toBe(1));

    it("claims nothing from so few", () => expect(said).not.toContain("must be"));
  });

  it("goes on where a run of the same commit was broken off", async () => {
    // So many cases that the last one is seconds away when the signal comes.
    const part = ["--tiny", "--systems", "direct", "--only", "http-1k-c*,http-1k-7*,download-*,websocket-echo-*", "--out", join(folder, "part.json")];
    const child = spawn(process.execPath, ["bench/main.ts", ...part], { cwd: PROJECT, stdio: ["ignore", "pipe", "inherit"] });
    child.stdout.once("data", () => child.kill("SIGTERM"));
    const [firstSaid, code] = await Promise.all([text(child.stdout), new Promise<number | null>((over) => child.once("exit", over))]);
    expect([code, firstSaid.includes("websocket-echo-64k")]).toEqual([130, false]);
    const second = await bench(...part);
    expect(second.code, second.errors).toBe(0);
    expect(second.said.indexOf("http-1k-c32 ")).toBeLessThan(second.said.indexOf("(of the run that was broken off)"));
    const kept = Results.parse(JSON.parse(readFileSync(join(folder, "part.json"), "utf8"))).rows;
    expect(new Set(kept.map((row) => row.case)).size).toBe(10);
    expect((await bench(...part)).said).not.toContain("broken off");
  });

  it("docs/performance.md and its plot are what the kept results say", async () => {
    const child = spawn(process.execPath, ["bench/publish.ts", "--check"], { cwd: PROJECT, stdio: ["ignore", "ignore", "pipe"] });
    const [errors, code] = await Promise.all([text(child.stderr), new Promise<number | null>((over) => child.once("exit", over))]);
    expect(code, errors).toBe(0);
  });

  it("refuses a case or a system that there is none of, and names those that there are", async () => {
    for (const args of [["--only", "http-1k-c3"], ["--systems", "teleport"]]) {
      const run = await bench("--tiny", ...args);
      expect(run.code).toBe(1);
      expect(run.errors).toMatch(/there is no (?:case|system) \S+; there are .*(?:http-1k-c32|postern)/);
    }
  });
});
