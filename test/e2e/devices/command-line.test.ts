/** A machine as a device, by the commands that people type: its own findings, a link for a browser, an agent that goes on, an operator's word. */
import { type ChildProcess, spawn } from "node:child_process";
import { readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { PROJECT } from "../../architecture/source-files.ts";
import { jsonOf, type Ran, runCommand } from "../../cli/run-command.ts";
import { FormBrowser } from "../../start/form-browser.ts";
import { type Person, signIn } from "../sign-in.ts";
import { type DeviceStage, startDeviceStage } from "./stage.ts";

let stage: DeviceStage;
let checks: string;
let mark: string;
beforeAll(async () => {
  stage = await startDeviceStage("{ registered: true, file_mark: true, tags: [lab], owner_is_user: true, max_age: 15m }");
  mark = stage.folder("mark");
  checks = stage.folder("checks.json");
  writeFileSync(mark, "");
  writeFileSync(checks, JSON.stringify({ files: { mark } }));
});
afterAll(() => stage.end());

const statusAt = async (person: Person): Promise<number> => (await person.call(`${stage.stamps}/now`)).status;
const options = (tokenFile: string): string[] => ["--edge", stage.stack.launcher, "--token-file", tokenFile];
const operator = (...argv: readonly string[]): Promise<Ran> => runCommand([...argv, ...options(stage.stack.tokenFile)]);

interface Listed {
  readonly id: string;
  readonly name: string;
  readonly state: string;
  readonly facts: Readonly<Record<string, unknown>>;
}

describe("the command line", () => {
  it("reports, lets an operator say what the machine is, and makes a browser count as it", async () => {
    const { person, tokenFile } = await stage.person("alice");
    const state = stage.folder("state");
    const posture = (...more: readonly string[]): Promise<Ran> => runCommand(["posture", "--checks", checks, "--state", state, "--name", "alice's laptop", ...options(tokenFile), ...more]);
    const shown = await posture("--json");
    expect(jsonOf<{ facts: object }>(shown).facts).toMatchObject({ file_mark: true, os: process.platform === "darwin" ? "macos" : "linux" });
    expect(() => readdirSync(state)).toThrow();
    const first = await posture("--report", "--json");
    const { device, seq } = jsonOf<{ device: string; seq: number }>(first);
    expect([first.exit, seq]).toEqual([0, 1]);
    expect(statSync(join(state, "devices.json")).mode & 0o777).toBe(0o600);
    expect(await statusAt(person)).toBe(403);
    expect((await operator("devices", device, "--tag", "lab", "--managed")).out).toContain("decided again");
    expect(await statusAt(person)).toBe(200);
    const listed = jsonOf<Listed[]>(await operator("devices", "--json")).find(({ id }) => id === device);
    expect(listed).toMatchObject({ name: "alice's laptop", state: "enrolled", facts: { managed: true, tags: ["lab"], file_mark: true, registered: true } });
    expect((await operator("devices")).out).toContain("alice's laptop");

    const other = await signIn(stage.stamps, "alice", { browser: new FormBrowser() });
    expect(await statusAt(other)).toBe(403);
    const { link } = jsonOf<{ link: string }>(await posture("--open", "--json"));
    expect((await other.browser.get(link)).text).toContain("Is this browser on your device?");
    const { searchParams, origin, pathname } = new URL(link);
    await other.browser.submit(origin + pathname, Object.fromEntries(searchParams));
    expect(await statusAt(other)).toBe(200);

    rmSync(mark);
    expect((await posture("--report")).out).toMatch(/file_mark +false/);
    expect([await statusAt(person), await statusAt(other)]).toEqual([403, 403]);
    writeFileSync(mark, "");
    await posture("--report");
    expect(await statusAt(person)).toBe(200);
    const revoked = await operator("revoke", "device", device);
    expect(revoked.exit).toBe(0);
    const refused = await posture("--report");
    expect(refused).toMatchObject({ exit: 1, out: "" });
    expect(refused.err).toContain("--new-device");
    // No secret of the device in anything that was printed.
    const key = /"d":"([^"]+)"/.exec(readFileSync(join(state, "devices.json"), "utf8"))?.[1] ?? "";
    expect(key).toHaveLength(43);
    for (const ran of [shown, first, revoked, refused]) expect(ran.out + ran.err).not.toContain(key);
  });

  it("says what is missing: no sign-in, a service's token, half a change", async () => {
    const state = stage.folder("state");
    const without = await runCommand(["posture", "--report", "--state", state, "--edge", stage.stack.launcher]);
    expect(without).toMatchObject({ exit: 2, out: "" });
    const service = await runCommand(["posture", "--report", "--state", state, ...options(stage.stack.tokenFile)]);
    expect(service.exit).toBe(1);
    expect(service.err).toContain("postern login");
    for (const argv of [["devices", "d_x"], ["devices", "--managed"]]) expect(await operator(...argv)).toMatchObject({ exit: 2, out: "" });
    expect((await operator("devices", "d_x", "--managed")).exit).toBe(1);
  });

  it("as an agent enrols, reports, and ends when it is told to", async () => {
    const { tokenFile } = await stage.person("alice");
    const agent = start(["agent", "run", "--json", "--checks", checks, "--state", stage.folder("state"), ...options(tokenFile)]);
    const events = await agent.lines(2);
    expect(events).toMatchObject([{ event: "enrolled" }, { event: "reported", seq: 1, changed: [] }]);
    agent.process.kill("SIGTERM");
    expect(await agent.ended).toBe(0);
  });

  it("as an agent whose key was revoked ends, and with a new key is another device", async () => {
    const { tokenFile } = await stage.person("alice");
    const state = stage.folder("state");
    const argv = ["agent", "run", "--json", "--state", state, ...options(tokenFile)];
    const first = start(argv);
    const [enrolled] = await first.lines(2);
    first.process.kill("SIGTERM");
    await first.ended;
    await operator("revoke", "device", String(enrolled?.["device"]));
    const barred = start(argv);
    expect(await barred.ended).toBe(1);
    expect(await barred.lines(1)).toMatchObject([{ error: { code: "device_barred" } }]);
    const anew = start([...argv, "--new-device"]);
    const [other] = await anew.lines(2);
    expect(other?.["device"]).not.toBe(enrolled?.["device"]);
    anew.process.kill("SIGTERM");
    expect(await anew.ended).toBe(0);
  });
});

interface Started {
  readonly process: ChildProcess;
  readonly lines: (count: number) => Promise<Readonly<Record<string, unknown>>[]>;
  readonly ended: Promise<number>;
}

/** The program itself, and what it printed as JSON. */
function start(argv: readonly string[]): Started {
  const child = spawn(process.execPath, [join(PROJECT, "bin/postern.mjs"), ...argv], { stdio: ["ignore", "pipe", "pipe"] });
  let out = "";
  child.stdout.on("data", (part: Buffer) => (out += part.toString()));
  child.stderr.resume();
  const ended = new Promise<number>((resolve) => child.once("close", (code) => resolve(code ?? -1)));
  const lines = async (count: number): Promise<Readonly<Record<string, unknown>>[]> => {
    await expect.poll(() => out.split("\n").length - 1, { timeout: 30_000 }).toBeGreaterThanOrEqual(count);
    return out.trim().split("\n").map((line) => JSON.parse(line) as Record<string, unknown>);
  };
  return { process: child, lines, ended };
}
