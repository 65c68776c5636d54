/**
 * `npm start` as its users meet it: one line of JSON, a working sign-in, apps through the
 * tunnel, Ctrl-C. The commands are those of the README; the processes are real.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { readFileSync, statSync } from "node:fs";
import { basename, join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { loopbackFetch } from "../../start/loopback-http.ts";
import { FormBrowser } from "../start/form-browser.ts";
import { processesNaming, temporaryState, until } from "../start/running-stack.ts";
import { PAGE_FILES } from "../../worker/pages/headers.ts";
import { visit } from "./demo-visit.ts";

interface Report {
  readonly launcher: string;
  readonly apps: readonly { readonly id: string; readonly url: string }[];
  readonly issuer: string;
  readonly users: readonly { readonly name: string; readonly password: string }[];
  readonly redirectUris: readonly string[];
  readonly connectors: readonly { readonly site: string; readonly id: string; readonly pid: number; readonly argv: readonly string[]; readonly stateDir: string; readonly metrics: string }[];
  readonly env: { readonly POSTERN_EDGE: string; readonly POSTERN_TOKEN_FILE: string };
  readonly factsHeader?: string;
}

const MAIN = join(import.meta.dirname, "../../start/main.ts");

/** Runs `npm start` and resolves with its one line; rejects with what it said when it ends first. */
async function start(args: readonly string[]): Promise<{ readonly child: ChildProcess; readonly report: Report; readonly lines: readonly string[] }> {
  const child = spawn(process.execPath, [MAIN, ...args], { stdio: ["ignore", "pipe", "pipe"] });
  let out = "";
  let said = "";
  child.stdout.on("data", (chunk: Buffer) => (out += chunk.toString()));
  child.stderr.on("data", (chunk: Buffer) => (said += chunk.toString()));
  await until(() => out.includes("\n") || child.exitCode !== null, "the line of --json", 50_000);
  if (!out.includes("\n")) throw new Error(`npm start ended with ${child.exitCode}: ${said}`);
  return { child, report: JSON.parse(out) as Report, lines: out.trimEnd().split("\n") };
}

async function ended(child: ChildProcess): Promise<number | null> {
  await until(() => child.exitCode !== null || child.signalCode !== null, "the end", 15_000);
  return child.exitCode;
}

const state = temporaryState();
let running: Awaited<ReturnType<typeof start>>;

beforeAll(async () => {
  running = await start(["--port", "0", "--state", state.path, "--json", "--test-facts"]);
});
afterAll(async () => {
  running.child.kill("SIGKILL");
  await until(() => processesNaming(state.path).length === 0, "no process is left");
  state.remove();
});

const urlOf = (id: string): string => running.report.apps.find((app) => app.id === id)?.url ?? "";

describe("npm start", () => {
  it("prints exactly one line with what CONTRACT names", () => {
    const { report, lines } = running;
    expect(lines).toHaveLength(1);
    expect(report.launcher).toMatch(/^http:\/\/postern\.localhost:[0-9]+$/);
    for (const app of report.apps) expect(app.url).toBe(report.launcher.replace("//postern.", `//${app.id}.postern.`));
    expect(report.users.map((user) => user.name)).toEqual(["alice", "bob", "carol"]);
    expect(report.redirectUris).toEqual([`${report.launcher}/.postern/callback`]);
    expect(report.env.POSTERN_EDGE).toBe(report.launcher);
    expect(statSync(report.env.POSTERN_TOKEN_FILE).mode & 0o077).toBe(0);
    expect(report.factsHeader).toMatch(/^x-facts-/);
    const [connector] = report.connectors;
    expect(connector).toMatchObject({ site: "office", id: expect.stringMatching(/^c_/), metrics: expect.stringMatching(/^http:\/\/127\.0\.0\.1:[0-9]+$/) });
    expect(readFileSync(`/proc/${connector?.pid}/cmdline`, "utf8").split("\0").filter((part) => part !== "")).toEqual(connector?.argv);
  });

  it("answers /.postern/ready, and the connector its own /ready", async () => {
    expect((await loopbackFetch(`${running.report.launcher}/.postern/ready`)).status).toBe(200);
    expect((await loopbackFetch(`${running.report.connectors[0]?.metrics}/ready`)).status).toBe(200);
  });

  it.each(Object.entries(PAGE_FILES))("serves %s, which pages load, as the build made it", async (path, type) => {
    const file = await loopbackFetch(`${running.report.launcher}${path}`);
    expect([file.status, file.headers["content-type"]]).toEqual([200, type]);
    expect(file.text).toBe(readFileSync(join(import.meta.dirname, "../../worker/pages", basename(path)), "utf8"));
  });

  it("lets alice into hello, which is told who she is by an assertion that it verifies", async () => {
    const shown = await visit(new FormBrowser(), urlOf("hello"), "alice");
    expect(shown?.status).toBe(200);
    expect(shown?.text).toContain("alice@example.com");
    expect(shown?.text).toContain("Verified against the launcher");
  });

  it("does not let bob into hello nor alice into partners", async () => {
    expect((await visit(new FormBrowser(), urlOf("hello"), "bob"))?.text).not.toContain("You are in the private app");
    expect((await visit(new FormBrowser(), urlOf("partners"), "alice"))?.text).not.toContain("You are in the private app");
    expect((await visit(new FormBrowser(), urlOf("partners"), "bob"))?.text).toContain("You are in the private app");
  });

  it("refuses a second start on the same state and leaves the first running", async () => {
    await expect(start(["--port", "0", "--state", state.path, "--json"])).rejects.toThrow(/in use[\s\S]*next: /);
    expect((await loopbackFetch(`${running.report.launcher}/.postern/ready`)).status).toBe(200);
  });

  it.each(["SIGINT", "SIGTERM"] as const)("ends every process on %s and keeps the state for the next start", async (signal) => {
    const before = running.report;
    running.child.kill(signal);
    expect(await ended(running.child)).toBe(0);
    expect(processesNaming(state.path)).toEqual([]);
    running = await start(["--port", new URL(before.launcher).port, "--state", state.path, "--json"]);
    expect(running.report).toMatchObject({ launcher: before.launcher, issuer: before.issuer, env: before.env });
    expect(running.report.connectors.map((connector) => connector.id)).toEqual(before.connectors.map((connector) => connector.id));
    expect(running.report.factsHeader).toBeUndefined();
    expect((await visit(new FormBrowser(), urlOf("hello"), "alice"))?.text).toContain("alice@example.com");
  });
});
