/**
 * `npm run bench:revoke` runs, ends by itself and writes what is agreed on; every signal that it knows
 * ends what is open on every protocol. How fast is no test's business: a figure is no assertion.
 */
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { z } from "zod";
import { PROJECT } from "../architecture/source-files.ts";

/** Of the signals one of each kind: test/e2e/signals sends them all, this looks whether the bench reads what they do. */
const TRIED = ["session", "policy", "connector", "device", "fact-expiry", "scim-group", "ssf-credential-change"];
/** The whole product is started, and each of these sent once on each protocol. */
const RUN_TIMEOUT_MS = 300_000;
const PROTOCOLS = ["http", "sse", "websocket", "tcp", "ssh"];

const Row = z.strictObject({ bench: z.literal("revoke"), case: z.string(), system: z.literal("postern"), metric: z.string(), value: z.number(), unit: z.string().min(1), n: z.number().int().positive() });
const Results = z.strictObject({ machine: z.looseObject({ cpu: z.string(), cores: z.number() }), commit: z.string(), date: z.iso.datetime(), rows: z.array(Row) });
type Rows = z.infer<typeof Results>["rows"];

/** The parts of the bench that are pure; it is measured from outside, so nothing imports it by name. */
const part = async <T>(file: string): Promise<T> => (await import(join(PROJECT, "bench", file))) as T;

interface Sided {
  readonly endedAt?: number;
  ended(how: string): void;
}
interface Hearing {
  feed(text: string): void;
  over(): void;
  mark(): void;
  since(moment: number): { readonly afterBytes: number; readonly inFlightBytes: number };
}
const { monotonicMs } = await part<{ monotonicMs: () => number }>("revoke/clock.ts");
const { Heard, stampedLine } = await part<{ Heard: new () => Hearing; stampedLine: () => string }>("revoke/stamps.ts");
const { Side, outcomeOf } = await part<{ Side: new (name: string) => Sided; outcomeOf: (sides: readonly Sided[], moment: number) => object }>("revoke/sides.ts");
const { brokenBounds, percentile, receiptRows, row } = await part<{
  brokenBounds: (rows: readonly object[]) => string[];
  percentile: (values: readonly number[], share: number) => number;
  receiptRows: (name: string, live: number, isMain: boolean, samples: readonly object[], foreignCores: number) => object[];
  row: (name: string, metric: string, value: number, n: number) => object;
}>("revoke/rows.ts");
const { matches } = await part<{ matches: (name: string, patterns: readonly string[]) => boolean }>("names.ts");
const { SIGNALS } = await part<{ SIGNALS: readonly { readonly name: string; readonly isMain?: boolean }[] }>("revoke/signals.ts");

const folder = mkdtempSync(join(tmpdir(), "postern-revoke-test-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function revokeBench(...args: readonly string[]): Promise<{ readonly code: number | null; readonly said: string; readonly errors: string }> {
  const child = spawn(process.execPath, ["bench/revoke/main.ts", ...args], { cwd: PROJECT, stdio: ["ignore", "pipe", "pipe"] });
  const ended = new Promise<number | null>((over) => child.once("exit", over));
  const [said, errors, code] = await Promise.all([text(child.stdout), text(child.stderr), ended]);
  return { code, said, errors };
}

describe("npm run bench:revoke", () => {
  const live = (signal: string): number => (SIGNALS.find(({ name }) => name === signal)?.isMain === true ? 1 : 10);
  let rows: Rows = [];
  let ran: Awaited<ReturnType<typeof revokeBench>>;
  beforeAll(async () => {
    const out = join(folder, "results.json");
    ran = await revokeBench("--tiny", "--fresh", "--only", TRIED.map((name) => `${name}/*/${live(name)}`).join(","), "--out", out);
    expect(existsSync(out), ran.errors).toBe(true);
    rows = Results.parse(JSON.parse(readFileSync(out, "utf8"))).rows;
  }, RUN_TIMEOUT_MS);

  const value = (signal: string, protocol: string, metric: string): number | undefined => rows.find((one) => one.case === `${signal}/${protocol}/${live(signal)}` && one.metric === metric)?.value;

  it.each(TRIED)("%s: a receipt on every protocol", (signal) => {
    for (const protocol of PROTOCOLS) {
      expect(value(signal, protocol, "receipt_worst_ms"), protocol).toBeGreaterThanOrEqual(signal === "fact-expiry" ? 0 : 1);
      expect(value(signal, protocol, "bytes_after_receipt"), protocol).toBe(0);
      expect(value(signal, protocol, "bytes_in_flight_at_cut"), protocol).toBeGreaterThanOrEqual(0);
    }
  });

  it.each([
    "session · http, sse, websocket, tcp, ssh: open connections end at both ends when it is acknowledged",
    "policy · http, sse, websocket, tcp, ssh: open connections end at both ends when it is acknowledged",
    "device · http, sse, websocket, tcp, ssh: open connections end at both ends when it is acknowledged",
    "scim-group · http, sse, websocket, tcp, ssh: open connections end at both ends when it is acknowledged",
    "connector · http, sse, websocket, tcp, ssh: open connections end at both ends when it is acknowledged",
    "fact-expiry · http, sse, websocket, tcp, ssh: open connections end at both ends at the moment at which the fact runs out",
    "ssf-credential-change · http, sse, websocket, tcp, ssh: nothing passes on open connections after it is acknowledged",
  ])("%s", (title) => {
    const [signal = "", rest = ""] = title.split(" · ");
    for (const protocol of (rest.split(":")[0] ?? "").split(", ")) expect(value(signal, protocol, "faults"), `${protocol}\n${ran.errors}`).toBe(0);
  });

  it("goes on where a run of the same commit was broken off", async () => {
    const some = ["--tiny", "--only", "session/http/1,session/sse/1,user/*", "--out", join(folder, "part.json")];
    const child = spawn(process.execPath, ["bench/revoke/main.ts", ...some], { cwd: PROJECT, stdio: ["ignore", "pipe", "inherit"] });
    child.stdout.once("data", () => child.kill("SIGTERM"));
    const [said, code] = await Promise.all([text(child.stdout), new Promise<number | null>((over) => child.once("exit", over))]);
    expect([code, said.includes("user/ssh/10")]).toEqual([130, false]);
    const second = await revokeBench(...some);
    expect(second.code, second.errors).toBe(0);
    expect(second.said).toMatch(/^session\/http\/1: .*\(of the run that was broken off\)$/m);
    const kept = Results.parse(JSON.parse(readFileSync(join(folder, "part.json"), "utf8"))).rows;
    expect(new Set(kept.map((one) => one.case)).size).toBe(7);
  }, RUN_TIMEOUT_MS);

  it("refuses a case that there is none of, and names those that there are", async () => {
    const refused = await revokeBench("--tiny", "--only", "session/http/2");
    expect(refused.code).toBe(1);
    expect(refused.errors).toContain("there is no case session/http/2; there are partitions, session/http/1,");
  });
});

describe("what a run counts", () => {
  it("bytes after a moment: by the stamp, whatever came when; in part counts in part", () => {
    const heard = new Heard();
    const before = stampedLine();
    const moment = monotonicMs() + 1;
    while (monotonicMs() <= moment);
    const after = stampedLine();
    heard.feed(before + after + after.slice(0, 100));
    heard.over();
    expect(heard.since(moment)).toEqual({ afterBytes: after.length + 100, inFlightBytes: before.length });
    expect(heard.since(0).afterBytes).toBe(2 * after.length + 100);
    heard.mark();
    expect(heard.since(0)).toEqual({ afterBytes: 0, inFlightBytes: 0 });
  });

  it("ends: those that go on are named, and those that ended by how", () => {
    const [open, broken, whole] = ["g.0", "g.1", "g.2"].map((name) => new Side(name)) as [Sided, Sided, Sided];
    broken.ended("");
    broken.ended("4401");
    whole.ended("whole");
    expect(outcomeOf([open, broken, whole], 0)).toMatchObject({ count: 3, open: ["g.0"], openCount: 1, ends: { 4401: 1, whole: 1 }, lastEndAt: whole.endedAt });
  });

  it("a percentile by the nearest rank", () => {
    const values = Array.from({ length: 200 }, (_, i) => 200 - i);
    expect([percentile(values, 0.99), percentile(values, 0.5), percentile([7], 0.99)]).toEqual([198, 100, 7]);
  });

  it("a bound that is broken: the 99th percentile up to a hundred, the worst above and of the other signals, bytes and faults always", () => {
    const sample = { tookMs: 60, clientEndMs: 10, afterBytes: 0, inFlightBytes: 900, cpuMs: { edge: 5, connector: 1 }, faults: [] };
    const one = (name: string, live: number, isMain: boolean, more: object): readonly string[] => brokenBounds(receiptRows(name, live, isMain, [{ ...sample, ...more }], 0));
    expect(one("session/http/100", 100, true, {})).toEqual(["session/http/100: receipt_p99_ms is 60, must be at most 50 (n 1)"]);
    expect(one("session/http/1000", 1_000, true, {})).toEqual([]);
    expect(one("session/http/1000", 1_000, true, { tookMs: 251 })).toEqual(["session/http/1000: receipt_worst_ms is 251, must be at most 250 (n 1)"]);
    expect(one("user/http/10", 10, false, { afterBytes: 1, faults: ["x"], clientEndMs: 300 })).toEqual([
      "user/http/10: client_end_worst_ms is 300, must be at most 250 (n 1)",
      "user/http/10: bytes_after_receipt is 1, must be at most 0 (n 1)",
      "user/http/10: faults is 1, must be at most 0 (n 1)",
    ]);
    expect(brokenBounds([row("tunnel-unreachable/ssh", "end_worst_ms", 31_001, 2)])).toHaveLength(1);
  });

  it("a `*` in a case's name stands for anything", () => {
    const fit = (pattern: string): string[] => ["session/ssh/100", "session/http/1", "policy/ssh/1"].filter((name) => matches(name, [pattern]));
    expect([fit("session/*"), fit("*/ssh/*"), fit("*/1"), fit("session/ssh/100"), fit("session")]).toEqual([["session/ssh/100", "session/http/1"], ["session/ssh/100", "policy/ssh/1"], ["session/http/1", "policy/ssh/1"], ["session/ssh/100"], []]);
  });
});
