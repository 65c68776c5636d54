/** A person signs the command line in with a browser elsewhere (RFC 8628), uses it, and signs it out again. One stack. */
import { copyFileSync, existsSync, mkdtempSync, readFileSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough, duplexPair } from "node:stream";
import { text } from "node:stream/consumers";
import { describe, expect, it } from "vitest";
import { run } from "../../cli/run.ts";
import { loopbackFetch } from "../../start/loopback-http.ts";
import { visit } from "../e2e/demo-visit.ts";
import { demoStack } from "../start/demo-stack.ts";
import { FormBrowser } from "../start/form-browser.ts";
import { runCommand } from "./run-command.ts";

const STACK_MS = 60_000;
const folder = mkdtempSync(join(tmpdir(), "postern-login-"));
const demo = demoStack(folder);

interface Login {
  readonly address: string;
  readonly code: string;
  readonly ended: Promise<{ readonly exit: number; readonly err: string }>;
}

/** Starts `postern login` and resolves once it shows its code. */
function login(tokenFile: string): Promise<Login> {
  let err = "";
  return new Promise((shown) => {
    const ended = run(["login", "--edge", demo.stack.launcher, "--token-file", tokenFile], {
      out: () => undefined,
      err: (text) => {
        err += text;
        const address = /Open (\S+)/.exec(err)?.[1];
        const code = /code (\S+)/.exec(err)?.[1];
        if (address !== undefined && code !== undefined) shown({ address, code, ended: ended.then((exit) => ({ exit, err })) });
      },
      env: { SSH_CONNECTION: "somewhere else" },
      ask: () => Promise.resolve(""),
      now: Date.now,
      random: () => new Uint8Array(16),
      stdin: () => Promise.resolve(""),
      duplex: () => new PassThrough(),
      stopped: () => new Promise(() => undefined),
    });
  });
}

describe("signing the command line in (RFC 8628)", () => {
  it("lets an operator in, who then acts as herself, and ends with her sign-out", async () => {
    const tokenFile = join(folder, "carol");
    const { address, code, ended } = await login(tokenFile);
    const browser = new FormBrowser();
    const asked = await visit(browser, address, "carol");
    expect(asked?.text).toContain(`<code>${code}</code>`);
    expect(asked?.text).toContain("carol@example.com");
    const done = await browser.submit(`${demo.stack.launcher}/.postern/device`, { user_code: code, decision: "approve" });
    expect(done.text).toContain("The device is signed in");
    const { exit, err } = await ended;
    expect(exit).toBe(0);
    // At a terminal without a browser beside it: for a telephone.
    expect(err).toMatch(/[\u2580\u2584\u2588 ]{30}/);
    expect(statSync(tokenFile).mode & 0o777).toBe(0o600);
    const env = { POSTERN_EDGE: demo.stack.launcher, POSTERN_TOKEN_FILE: tokenFile };
    expect((await runCommand(["whoami"], { env })).out).toContain("carol@example.com");
    expect((await runCommand(["sessions"], { env })).exit).toBe(0);
    const token = readFileSync(tokenFile, "utf8").trim();
    expect((await runCommand(["logout"], { env })).exit).toBe(0);
    expect(existsSync(tokenFile)).toBe(false);
    const after = await loopbackFetch(`${demo.stack.launcher}/.postern/api/v1/sessions`, { headers: { authorization: `Bearer ${token}` } });
    expect(after.status).toBe(401);
    // The browser's own sign-in was the same session: it is over too.
    const launcher = await browser.get(`${demo.stack.launcher}/`);
    expect(launcher.status).toBe(302);
  }, STACK_MS);

  it("gives somebody who is no operator a token that administers nothing and opens TCP apps, and no others", async () => {
    const tokenFile = join(folder, "alice");
    const { address, code, ended } = await login(tokenFile);
    const browser = new FormBrowser();
    await visit(browser, address, "alice");
    await browser.submit(`${demo.stack.launcher}/.postern/device`, { user_code: code, decision: "approve" });
    expect((await ended).exit).toBe(0);
    const env = { POSTERN_EDGE: demo.stack.launcher, POSTERN_TOKEN_FILE: tokenFile };
    const listed = await runCommand(["sessions"], { env });
    expect([listed.exit, listed.err]).toEqual([1, expect.stringContaining("error:")]);
    const token = readFileSync(tokenFile, "utf8").trim();
    const app = await loopbackFetch(demo.stack.apps[0]?.url ?? "", { headers: { authorization: `Bearer ${token}` } });
    expect(app.status).toBe(401);
    const [local, duplex] = duplexPair();
    const ran = runCommand(["tcp", "tcp-echo", "--stdio"], { env, duplex });
    local.end("hello");
    expect((await text(local))).toBe("hello");
    expect((await ran).exit).toBe(0);
    const revoked = await runCommand(["logout"], { env });
    expect(revoked.exit).toBe(0);
  }, STACK_MS);

  it("does not end a service's token by logout, nor overwrite it by login", async () => {
    const tokenFile = join(folder, "service");
    copyFileSync(demo.stack.tokenFile, tokenFile);
    const env = { POSTERN_EDGE: demo.stack.launcher, POSTERN_TOKEN_FILE: tokenFile };
    expect(await runCommand(["logout"], { env })).toMatchObject({ exit: 2, err: expect.stringContaining("postern revoke service NAME") });
    const refused = await runCommand(["login"], { env });
    expect(refused).toMatchObject({ exit: 2, err: expect.stringContaining("--token-file FILE") });
    expect(refused.err).not.toContain("Open ");
    expect(readFileSync(tokenFile, "utf8")).toBe(readFileSync(demo.stack.tokenFile, "utf8"));
    expect((await runCommand(["sessions"], { env })).exit).toBe(0);
  });

  it.each([
    ["a folder that is not there", () => join(folder, "nowhere", "token")],
    ["a folder", () => folder],
  ])("asks for no code when the token has no place: %s", async (_why, tokenFile) => {
    const { exit, err } = await runCommand(["login", "--edge", demo.stack.launcher, "--token-file", tokenFile()]);
    expect([exit, err]).toEqual([1, expect.stringContaining("error: ")]);
    expect(err).not.toContain("Open ");
  });

  it("stays out when the person refuses, and the code is spent", async () => {
    const tokenFile = join(folder, "refused");
    const { address, code, ended } = await login(tokenFile);
    const browser = new FormBrowser();
    await visit(browser, address, "carol");
    const refused = await browser.submit(`${demo.stack.launcher}/.postern/device`, { user_code: code, decision: "refuse" });
    expect(refused.text).toContain("The device stays out");
    expect(await ended).toMatchObject({ exit: 1, err: expect.stringContaining("refused in the browser") });
    expect(existsSync(tokenFile)).toBe(false);
    const again = await browser.submit(`${demo.stack.launcher}/.postern/device`, { user_code: code, decision: "approve" });
    expect(again.status).toBe(400);
  }, STACK_MS);

  it.each([
    ["no device code", { grant_type: "urn:ietf:params:oauth:grant-type:device_code" }, "invalid_request"],
    ["a device code that nobody made", { grant_type: "urn:ietf:params:oauth:grant-type:device_code", device_code: "A".repeat(43) }, "expired_token"],
  ])("answers a poll with %s by %s", async (_name, fields, error) => {
    const answer = await loopbackFetch(`${demo.stack.launcher}/.postern/token`, {
      method: "POST",
      headers: { "content-type": "application/x-www-form-urlencoded" },
      body: new URLSearchParams(fields).toString(),
    });
    expect([answer.status, JSON.parse(answer.text)]).toEqual([400, { error }]);
  });

  it("takes no decision from another site's page (M19)", async () => {
    const browser = new FormBrowser();
    await visit(browser, `${demo.stack.launcher}/`, "carol");
    const answer = await loopbackFetch(`${demo.stack.launcher}/.postern/device`, {
      method: "POST",
      headers: { cookie: browser.cookieHeader(demo.stack.launcher), origin: "http://evil.postern.localhost", "content-type": "application/x-www-form-urlencoded" },
      body: "user_code=BCDFGHJK&decision=approve",
    });
    expect(answer.status).toBe(403);
  });
});
