/**
 * A shell over `postern ssh`, with OpenSSH at both ends: a report that its person is at risk holds it
 * where it stands, a passkey in the browser lets it go on, and it is the same shell.
 */
import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { userInfo } from "node:os";
import { join } from "node:path";
import type { BrowserContext, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { plainEnvironment } from "../../../start/processes.ts";
import { loopbackFetch } from "../../../start/loopback-http.ts";
import { DEMO_PROVIDER } from "../../start/own-document.ts";
import { temporaryState, until } from "../../start/running-stack.ts";
import { hasOpenSsh, type Shell as Sshd, startShell } from "../signals/shell.ts";
import { openStage, type Stage, visitAs } from "./stage.ts";

const POSTERN = join(import.meta.dirname, "../../../bin/postern.mjs");
const STARTED_WITHIN_MS = 30_000;

const document = (port: number): string => `version: 1
domain: access.example.com
identity:
  providers:
    - ${DEMO_PROVIDER}
sites: [{ id: office }]
apps:
  - { id: hello, site: office, upstream: "http://hello.demo.localhost" }
  - { id: shell, site: office, upstream: "tcp://127.0.0.1:${port}" }
policies:
  - { id: everybody, effect: allow, apps: [hello], when: { provider: [demo] } }
  - { id: shells, effect: allow, apps: [shell], when: { provider: [demo], any: [{ risk: { max: medium } }, { mfa: { max_age: 5m } }] } }
  - { id: this-machine, effect: allow, apps: ["postern:admin"], when: { service: [local-operator] }, limits: { role: operator } }
`;

const state = temporaryState();
let stage: Stage;
let sshd: Sshd;
let alice: BrowserContext;
let page: Page;
let shell: Shell;

/** ssh without a terminal: what it printed, and what it said beside that. */
class Shell {
  readonly #child: ChildProcessWithoutNullStreams;
  out = "";
  said = "";

  constructor(argv: readonly string[]) {
    this.#child = spawn("ssh", argv, { env: plainEnvironment() });
    this.#child.stdout.on("data", (chunk: Buffer) => (this.out += chunk.toString()));
    this.#child.stderr.on("data", (chunk: Buffer) => (this.said += chunk.toString()));
    this.#child.stdin.on("error", () => undefined);
  }

  type(line: string): void {
    this.#child.stdin.write(`${line}\n`);
  }

  prints(text: string): Promise<void> {
    return until(() => this.out.includes(text), `the shell prints ${text}: ${this.said}`, STARTED_WITHIN_MS);
  }

  get hasEnded(): boolean {
    return this.#child.exitCode !== null;
  }

  end(): void {
    this.#child.kill();
  }
}

/** What `postern login` leaves: a token of the browser's own session. */
async function signInProgram(): Promise<string> {
  const post = async (path: string, fields: Readonly<Record<string, string>>): Promise<Readonly<Record<string, string>>> => {
    const answer = await loopbackFetch(`${stage.stack.launcher}/.postern/${path}`, { method: "POST", headers: { "content-type": "application/x-www-form-urlencoded" }, body: new URLSearchParams(fields).toString() });
    return JSON.parse(answer.text) as Readonly<Record<string, string>>;
  };
  const begun = await post("device/begin", { client_id: "postern login" });
  await page.goto(begun["verification_uri_complete"] ?? "");
  await page.getByRole("button", { name: "Approve" }).click();
  await page.getByRole("heading", { level: 1 }).waitFor();
  const { access_token: token } = await post("token", { grant_type: "urn:ietf:params:oauth:grant-type:device_code", device_code: begun["device_code"] ?? "" });
  if (token === undefined) throw new Error("no token");
  const file = join(state.path, "token");
  writeFileSync(file, `${token}\n`, { mode: 0o600 });
  return file;
}

describe.skipIf(!hasOpenSsh)("a shell over postern ssh", () => {
  beforeAll(async () => {
    sshd = await startShell(state.path);
    const file = join(state.path, "own.yaml");
    writeFileSync(file, document(sshd.port));
    stage = await openStage({ documentFile: file });
    alice = await stage.profile();
    page = await alice.newPage();
    await visitAs(page, "alice", stage.at("hello"));
    const cdp = await alice.newCDPSession(page);
    await cdp.send("WebAuthn.enable");
    await cdp.send("WebAuthn.addVirtualAuthenticator", { options: { protocol: "ctap2", transport: "internal", hasResidentKey: true, hasUserVerification: true, isUserVerified: true, automaticPresenceSimulation: true } });
    await page.goto(`${stage.stack.launcher}/.postern/passkeys`);
    await page.getByRole("button", { name: "Add a passkey" }).click();
    await page.getByRole("button", { name: "Use your passkey" }).waitFor();
    const agent = join(state.path, "agent");
    mkdirSync(agent, { mode: 0o700 });
    const proxy = [process.execPath, POSTERN, "ssh", "shell", "--proxy-command", "--edge", stage.stack.launcher, "--token-file", await signInProgram(), "--state", agent].join(" ");
    shell = new Shell(["-T", "-o", `ProxyCommand=${proxy}`, ...sshd.options, `${userInfo().username}@shell`, "/bin/sh"]);
    shell.type("mine=$$; echo shell is $mine");
    await shell.prints("shell is ");
  }, 2 * STARTED_WITHIN_MS);
  afterAll(async () => {
    shell?.end();
    await stage?.close();
    await sshd?.stop();
    state.remove();
  });

  it("is held by a risk signal, says where to confirm, goes on after a passkey, and is the same shell", async () => {
    const [session] = await stage.read<readonly { readonly subject: { readonly id: string } }[]>("/sessions");
    const alicesId = session?.subject.id ?? "";
    const expires = new Date(Date.now() + 600_000).toISOString();
    const { answer, status } = await stage.operate<{ found: number; closed: number }>(`/users/${alicesId}/facts`, { facts: { risk: { value: "high", expires_at: expires } } });
    expect({ status, ...answer }).toMatchObject({ status: 200, found: 1, closed: 0 });
    await until(() => shell.said.includes("on hold"), "the agent says what is wanted");
    shell.type("echo typed while held by $mine");
    const address = /Open (http:\S+)/.exec(shell.said)?.[1] ?? "";
    // A request through the same lane and back: had the shell an answer, it would be here.
    expect((await page.goto(stage.at("hello")))?.status()).toBe(200);
    expect(shell.out).not.toContain("typed while held");

    await page.goto(address);
    await page.getByRole("button", { name: "Use your passkey" }).click();
    await page.waitForURL(`${stage.stack.launcher}/`);
    await shell.prints("typed while held by");
    const own = /shell is (\d+)/.exec(shell.out)?.[1] ?? "none";
    expect(shell.out).toContain(`typed while held by ${own}`);
    shell.type("echo $mine lives on");
    await shell.prints(`${own} lives on`);
    expect(shell.said).toContain("signed in again: the connection goes on");
    expect(shell.hasEnded).toBe(false);
  });
});
