import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { systemdUnit } from "../../connector/install.ts";
import { CLOSE_CODES } from "../../protocol/close-codes.ts";
import { TestEdge } from "./test-edge.ts";
import { temporaryFolder } from "../temporary-folder.ts";

const LAUNCHER = new URL("../../bin/postern-connector.mjs", import.meta.url).pathname;
const RELAUNCH = new URL("../../bin/relaunch.mjs", import.meta.url).href;
const cleanups: (() => void)[] = [];
afterEach(() => {
  for (const clean of cleanups.splice(0)) clean();
});

function program(args: readonly string[], node = process.execPath, script = LAUNCHER) {
  const child = spawn(node, [script, ...args], { stdio: ["pipe", "pipe", "pipe"], env: { PATH: process.env["PATH"], HOME: tmpdir() } });
  cleanups.push(() => child.kill("SIGKILL"));
  const output = { stdout: "", stderr: "" };
  child.stdout.on("data", (part: Buffer) => (output.stdout += part.toString()));
  child.stderr.on("data", (part: Buffer) => (output.stderr += part.toString()));
  const exit = once(child, "close").then(([code]) => code as number | null);
  return { child, output, exit };
}

describe("the program", () => {
  it.each([
    ["20.20.2", 1],
    ["22.18.9", 1],
    ["22.19.0", 0],
    ["24.0.0", 0],
  ])("looks at the Node it runs under before anything else: %s ends with %i", async (version, code) => {
    const main = new URL("../../connector/main.ts", import.meta.url).pathname;
    const claim = `data:text/javascript,Object.defineProperty(process,"versions",{value:{...process.versions,node:"${version}"}})`;
    const child = spawn(process.execPath, ["--import", claim, main, "--help"], { stdio: ["ignore", "ignore", "pipe"] });
    let said = "";
    child.stderr.on("data", (part: Buffer) => (said += part.toString()));
    expect((await once(child, "close"))[0]).toBe(code);
    if (code === 1) expect(said).toMatch(/^error: the connector needs Node 22\.19 or newer; this is .+\n$/);
    else expect(said).toBe("");
  });

  it("names node:tls as a whole, so that an older Node can load the bundle far enough to say so", () => {
    for (const file of ["trust.ts", "origin.ts"]) {
      expect(readFileSync(new URL(`../../connector/${file}`, import.meta.url), "utf8")).not.toMatch(/import \{[^}]*\} from "node:tls"/);
    }
  });

  it("runs, says where it listens, answers status, drains on SIGTERM and exits 0", async () => {
    const server = createServer((_request, response) => void response.end("ok"));
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const edge = await TestEdge.start();
    cleanups.push(() => edge.close(), () => server.close());
    edge.configure({ id: "wiki", upstreams: [`http://127.0.0.1:${(server.address() as AddressInfo).port}`] });
    const state = edge.stateDirectory();
    const { child, output, exit } = program(["run", "--state", state]);
    const link = await edge.link();
    expect((await (await link.ask()).body()).toString()).toBe("ok");
    await expect.poll(() => output.stdout).toContain("listening");
    expect(JSON.parse(output.stdout)).toMatchObject({ event: "listening", metrics: expect.stringMatching(/^http:\/\/127\.0\.0\.1:[0-9]+$/) as string });

    const asked = program(["status", "--state", state, "--json"]);
    expect(await asked.exit).toBe(0);
    expect(JSON.parse(asked.output.stdout)).toMatchObject({ ready: true, pid: child.pid, lanes: [{ lane: 0, state: "ready" }] });

    child.kill("SIGTERM");
    await link.next("draining");
    expect(await exit).toBe(0);
    expect(existsSync(join(state, "runtime.json"))).toBe(false);
    for (const line of output.stderr.trim().split("\n")) expect(JSON.parse(line)).toHaveProperty("event");
    const after = program(["status", "--state", state]);
    expect(await after.exit).toBe(1);
    expect(after.output.stderr).toContain("next: postern-connector run");
  });

  it("revoked: one attempt, exit 1, and says why", async () => {
    const edge = await TestEdge.start({ closeAtOnce: CLOSE_CODES.connector_revoked.code });
    cleanups.push(() => edge.close());
    const { output, exit } = program(["run", "--state", edge.stateDirectory()]);
    expect(await exit).toBe(1);
    expect(output.stderr).toContain("revoked");
    expect(edge.upgrades).toBe(1);
  });

  it.each<[string[], number, string]>([
    [["--help"], 0, "enroll URL"],
    [["enroll", "--help"], 0, "--allow HOST:PORT"],
    [["frobnicate"], 2, ""],
    [["run", "--state", "/nonexistent/state"], 1, ""],
    [["install", "--print"], 0, "NoNewPrivileges=yes"],
    [["install", "--print", "--canary", "127.0.0.1:7070"], 0, " --canary 127.0.0.1:7070\n"],
  ])("%j exits %i", async (args, code, text) => {
    const { output, exit } = program(args);
    expect(await exit).toBe(code);
    expect(output.stdout).toContain(text);
    if (code !== 0) expect(output.stderr).toMatch(/^error: .+\nwhy: .+\nnext: .+\n$/);
  });

  it("a path that would say more to systemd is refused (row 93)", () => {
    for (const state of ["/var/lib/x y", "/var/lib/$(id)", "/var/lib/x\nExecStartPre=/bin/sh", "relative", '/x"', "/x%n"]) {
      expect(() => systemdUnit({ node: "/usr/bin/node", program: "/opt/c.mjs", state, ca: undefined })).toThrow();
    }
  });
});

describe("the launcher", () => {
  const older = ["/usr/bin/node", "/usr/local/bin/node"].find((path) => existsSync(path));

  it.skipIf(older === undefined)("under an older Node runs the same program with the bundled one, and passes exit code and signals on", async () => {
    const folder = temporaryFolder("launch");
    const target = join(folder, "program.ts");
    writeFileSync(target, 'const code: number = 7; process.on("SIGTERM", () => process.exit(code)); setInterval(() => undefined, 1000); console.log(process.versions.node);');
    const script = join(folder, "launch.mjs");
    writeFileSync(script, `import { relaunch } from ${JSON.stringify(RELAUNCH)};\nawait relaunch(${JSON.stringify(RELAUNCH)}, ${JSON.stringify(`file://${target}`)});\n`);
    const { child, output, exit } = program([], older, script);
    await expect.poll(() => output.stdout).toContain(".");
    expect(Number(output.stdout.split(".")[0])).toBeGreaterThanOrEqual(24);
    child.kill("SIGTERM");
    expect(await exit).toBe(7);
  });

  it("is plain JavaScript that says nothing of types", () => {
    expect(readFileSync(LAUNCHER, "utf8")).toContain('relaunch(import.meta.url, "../connector/main.ts")');
  });
});
