/** README's demo, command by command as it is written there, against the running product. */
import { execFile, execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { get as httpGet, type IncomingMessage } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Stack, startStack } from "../../start/stack.ts";
import { blocksOf } from "../architecture/our-documents.ts";
import { PROJECT } from "../architecture/source-files.ts";
import { FormBrowser } from "../start/form-browser.ts";
import { temporaryState, until } from "../start/running-stack.ts";
import { visit } from "./demo-visit.ts";

const state = temporaryState();
const folder = mkdtempSync(join(tmpdir(), "postern-readme-"));
let stack: Stack;

beforeAll(async () => {
  stack = await startStack({ stateDirectory: state.path, port: 0, environment: {} });
});
afterAll(async () => {
  await stack.stop();
  state.remove();
  rmSync(folder, { recursive: true });
});

const hasCurl = ((): boolean => {
  try {
    execFileSync("curl", ["--version"], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
})();

const blocks = (tag: string, language = "sh"): string[] => blocksOf("README.md").filter(({ info }) => info[0] === language && (tag === "" || info[1] === tag)).map(({ text }) => text);

/** A block as it would be typed, with this run's port and state folder and no registry to ask. */
function typed(block: string): string {
  return block.replaceAll("8787", String(stack.port)).replaceAll(".postern/", `${state.path}/`).replaceAll("npx postern", `'${process.execPath}' '${join(PROJECT, "bin/postern.mjs")}'`);
}

/** `out`: all that the terminal would show, `answer`: what went to standard output. */
function run(script: string): Promise<{ readonly exit: number; readonly out: string; readonly answer: string }> {
  const env = { ...process.env, POSTERN_EDGE: stack.launcher, POSTERN_TOKEN_FILE: stack.tokenFile };
  return new Promise((resolve) => {
    execFile("bash", ["-euo", "pipefail", "-c", script], { cwd: folder, env }, (error, answer, err) => resolve({ exit: typeof error?.code === "number" ? error.code : error === null ? 0 : 1, out: answer + err, answer }));
  });
}

/** alice's clock, running, and the promise of its end. */
async function runningClock(): Promise<{ readonly ended: Promise<void> }> {
  const clock = stack.apps.find((app) => app.id === "clock")?.url ?? "";
  const alice = new FormBrowser();
  await visit(alice, clock, "alice");
  const answer = await new Promise<IncomingMessage>((resolve, reject) => {
    httpGet({ host: "127.0.0.1", port: stack.port, path: "/events", headers: { host: new URL(clock).host, cookie: alice.cookieHeader(clock) }, agent: false }, resolve).on("error", reject);
  });
  expect(answer.statusCode).toBe(200);
  let ticks = 0;
  answer.on("data", () => ticks++);
  const ended = new Promise<void>((done) => answer.on("close", done).on("error", () => done()));
  await until(() => ticks > 0, "the clock ticks");
  return { ended };
}

describe("README's demo", () => {
  it("shows alice's session and ends her clock with a receipt", async () => {
    const clock = await runningClock();
    const ran = await run(typed(blocks("demo")[0] ?? "exit 9"));
    expect(ran.out).toContain("nothing is missing");
    expect(ran.out).toContain("alice@example.com");
    expect(ran.out).toMatch(/live streams found 1: closed 1, frozen 0, kept 0/);
    expect(ran.out).toContain("every lane has confirmed");
    expect(ran.exit).toBe(0);
    await clock.ended;
  });

  it("drills, in every protocol", async () => {
    const ran = await run(typed(blocks("demo-drill")[0] ?? "exit 9"));
    expect(ran.exit, ran.out).toBe(0);
    expect(ran.answer).toContain("every connection ended as the receipts say");
    for (const protocol of ["http", "sse", "websocket", "tcp"]) expect(ran.answer).toMatch(new RegExp(`^${protocol} +3 +3 `, "m"));
    expect(ran.out).toContain("left out: ssh");
  });

  it.runIf(hasCurl)("answers nobody in particular 401, and the same for a host that does not exist", async () => {
    const { out, answer, exit } = await run(typed(blocks("demo")[1] ?? "exit 9"));
    expect(exit, out).toBe(0);
    const answers = answer.split("}}").filter((one) => one.trim() !== "");
    expect(answers, out).toHaveLength(2);
    expect(answers[0]).toContain('"code":"sign_in_required"');
    const same = (text = ""): string => text.replace(/r_[A-Za-z0-9_-]{22}/g, "r_").replaceAll("nothing.", "hello.");
    expect(same(answers[1])).toBe(same(answers[0]));
  });

  it("lets a service in by a policy and a token, and takes it away", async () => {
    const policy = blocks("", "yaml").find((text) => text.includes("id: ci-hello")) ?? "";
    const file = join(state.path, "postern.yaml");
    writeFileSync(file, readFileSync(file, "utf8").replace(/^policies:\n/m, `policies:\n${policy}`));
    const ran = await run(typed(blocks("demo-with-ci")[0] ?? "exit 9"));
    expect(ran.out).toContain('"user":"service:ci"');
    expect(ran.out).toContain('"verified":true');
    expect(ran.exit).toBe(0);
    const after = await run(typed("npx postern curl http://hello.postern.localhost:8787/ --token-file ci.token"));
    expect(after.out).toContain("token_invalid");
    expect(after.exit).toBe(1);
  });

  it("sends something through a TCP app and back, by a policy of its own", async () => {
    const policy = blocks("", "yaml").find((text) => text.includes("id: ci-echo")) ?? "";
    const file = join(state.path, "postern.yaml");
    writeFileSync(file, readFileSync(file, "utf8").replace(/^policies:\n/m, `policies:\n${policy}`));
    const ran = await run(typed(blocks("demo-with-tcp")[0] ?? "exit 9"));
    expect(ran.exit, ran.out).toBe(0);
    expect(ran.answer).toContain("\nthere and back\n");
    expect(ran.out).toContain("first use of site");
  });

  it("keeps that rule, live and in the file, over a restart that has lost the operator token", async () => {
    const before = await run(typed("npx postern history"));
    await stack.stop();
    stack = await startStack({ stateDirectory: state.path, port: 0, environment: {} });
    expect(readFileSync(stack.documentFile, "utf8")).toContain("id: ci-hello");
    expect(stack.notices).toEqual([]);
    expect((await run(typed("npx postern history"))).out).toBe(before.out);
    await stack.stop();
    rmSync(stack.tokenFile);
    stack = await startStack({ stateDirectory: state.path, port: 0, environment: {} });
    expect(stack.notices).toEqual([expect.stringContaining("no operator token")]);
    expect(stack.connectors).toHaveLength(1);
  });
});
