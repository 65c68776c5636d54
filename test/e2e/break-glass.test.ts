/** The break-glass account by the command line, on the whole product, with an identity provider that is down. */
import { readFileSync, statSync, writeFileSync } from "node:fs";
import { get } from "node:http";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { BreakGlassAnswer, EdgeStatusAnswer, ExplainedRequestAnswer, ReceiptAnswer, SealedAnswer } from "../../protocol/admin-api.ts";
import { loopbackFetch, type LoopbackAnswer } from "../../start/loopback-http.ts";
import { type Stack, startStack } from "../../start/stack.ts";
import { jsonOf, type Ran, runCommand } from "../cli/run-command.ts";
import { temporaryState } from "../start/running-stack.ts";
import { startStampingOrigin, type StampingOrigin } from "./revocation/stamping-origin.ts";

const state = temporaryState();
const at = (name: string): string => join(state.path, name);
let origin: StampingOrigin;
let stack: Stack;
const printed: string[] = [];

beforeAll(async () => {
  origin = await startStampingOrigin();
  // Nobody listens on port 9: the provider is dead from the beginning to the end.
  writeFileSync(at("own.yaml"), `version: 1
domain: postern.localhost
identity: { providers: [{ id: corp, issuer: "http://127.0.0.1:9", client_id: postern, client_secret: { secret: CORP_SECRET } }] }
sites: [{ id: office }]
apps:
  - { id: wiki, site: office, upstream: "${origin.url}" }
  - { id: payroll, site: office, upstream: "${origin.url}" }
policies:
  - { id: staff, effect: allow, apps: [wiki, payroll], when: { provider: corp } }
  - { id: emergency, effect: allow, apps: [wiki, "postern:admin"], when: { service: [break-glass] }, limits: { role: operator } }
  - { id: this-machine-operates, effect: allow, apps: ["postern:admin"], when: { service: [local-operator] }, limits: { role: operator } }
`);
  stack = await startStack({ stateDirectory: at("state"), port: 0, environment: { CORP_SECRET: "the secret of a provider that is not there" }, documentFile: at("own.yaml") });
});
afterAll(async () => {
  await stack?.stop();
  await origin?.close();
  state.remove();
});

async function postern(argv: readonly string[], tokenFile: string | undefined = stack.tokenFile): Promise<Ran> {
  const ran = await runCommand(argv, { env: { POSTERN_EDGE: stack.launcher, POSTERN_TOKEN_FILE: tokenFile } });
  printed.push(ran.out, ran.err);
  return ran;
}
const json = async <T>(...argv: readonly string[]): Promise<T> => {
  const ran = await postern([...argv, "--json"]);
  expect(ran.exit, `${argv.join(" ")}: ${ran.err}`).toBe(0);
  return jsonOf<T>(ran);
};
const secretOf = (name: string): string => readFileSync(at(name), "utf8").trim();
const urlOf = (app: string): string => stack.apps.find(({ id }) => id === app)?.url ?? "";
const asking = (app: string, token: string): Promise<LoopbackAnswer> => loopbackFetch(`${urlOf(app)}/`, { headers: { authorization: `Bearer ${token}`, accept: "application/json" } });
const openByFiles = (...files: readonly string[]): Promise<Ran> => postern(["break-glass", "open", ...files.flatMap((file) => ["--code-file", at(file)])], undefined);

describe("two people, while the identity provider is dead", () => {
  it("nobody can sign in", async () => {
    const answer = await loopbackFetch(`${stack.launcher}/.postern/login?to=${encodeURIComponent(`${stack.launcher}/`)}`, { headers: { accept: "application/json" } });
    expect([answer.status, answer.text]).toEqual([502, expect.stringContaining("provider_unreachable")]);
  });

  it("an operator seals it: two codes in two private files, and what it would open", async () => {
    const sealed = await json<Omit<SealedAnswer, "codes">>("break-glass", "seal", "--people", "2", "--out", at("one"), "--out", at("two"));
    expect(sealed).toMatchObject({ state: "sealed", people: 2, opens: ["postern:admin", "wiki"], sealed_by: "service:local-operator" });
    expect(sealed).not.toHaveProperty("codes");
    for (const name of ["one", "two"]) {
      expect(secretOf(name)).toMatch(/^pbg_[A-Za-z0-9_-]{43}$/);
      expect(statSync(at(name)).mode & 0o777).toBe(0o600);
    }
    expect((await postern(["sessions"])).err).toBe("");
  });

  it("one code, or one twice, opens nothing, and no file for a token is left", async () => {
    for (const files of [["two"], ["one", "one"]]) {
      const ran = await postern(["break-glass", "open", ...files.flatMap((file) => ["--code-file", at(file)]), "--out", at("none")], undefined);
      expect(ran.exit).toBe(1);
      expect(ran.err).toMatch(/break_glass_refused|These codes open nothing/);
      expect(() => statSync(at("none"))).toThrow();
    }
  });

  it("both open it without a sign-in; of three at a time there is one token", async () => {
    const bodies = await Promise.all(Array.from({ length: 3 }, () => loopbackFetch(`${stack.launcher}/.postern/break-glass`, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify({ codes: [secretOf("two"), secretOf("one")] }) })));
    expect(bodies.map(({ status }) => status)).toEqual([200, 200, 200]);
    expect(new Set(bodies.map(({ text }) => text)).size).toBe(1);
    const ran = await postern(["break-glass", "open", "--code-file", at("one"), "--code-file", at("two"), "--out", at("token")], undefined);
    expect(ran).toMatchObject({ exit: 0, out: expect.stringMatching(/the account is open until 20/) as string });
    expect((JSON.parse(bodies[0]?.text ?? "") as { token: string }).token).toBe(secretOf("token"));
  });

  it("is decided like everybody else: what the policy gives, and nothing more", async () => {
    expect((await asking("wiki", secretOf("token"))).status).toBe(200);
    expect((await asking("payroll", secretOf("token"))).status).toBe(404);
    expect((await postern(["history"], at("token"))).exit).toBe(0);
  });

  it("each of its decisions is on record when it is answered, repeated ones too", async () => {
    for (let n = 0; n < 3; n++) {
      const { status, headers } = await asking("wiki", secretOf("token"));
      expect(status).toBe(200);
      const explained = await json<ExplainedRequestAnswer>("explain", String(headers["postern-request-id"]));
      expect(explained).toMatchObject({ effect: "allow", decided_by: ["emergency"], subject: { kind: "service", id: "break-glass" } });
    }
  });

  it("operators are told wherever they look", async () => {
    for (const command of ["sessions", "edge-status"]) expect((await postern([command])).err).toMatch(/^warning: the break-glass account: OPEN until 20.*\nfix: /);
    expect(await json<EdgeStatusAnswer>("edge-status")).toMatchObject({ break_glass: { state: "open", people: 0 } });
    expect((await postern(["break-glass", "status"])).out).toMatch(/no seal; OPEN until/);
  });

  it("closing ends what is live by the ordinary receipt, and the codes are worth nothing more", async () => {
    let ended = false;
    const { host, port } = new URL(urlOf("wiki"));
    await new Promise<void>((open, fail) => {
      get({ host: "127.0.0.1", port, path: "/events?name=glass", headers: { host, authorization: `Bearer ${secretOf("token")}`, accept: "text/event-stream" }, agent: false }, (answer) => {
        answer.on("error", () => undefined).on("close", () => (ended = true)).once("data", () => open()).resume();
      }).on("error", fail);
    });
    expect(await json<ReceiptAnswer>("break-glass", "close")).toMatchObject({ kind: "service", target: "break-glass", found: 1, closed: 1, unconfirmed: [], complete: true });
    await expect.poll(() => ended).toBe(true);
    expect((await asking("wiki", secretOf("token"))).status).toBe(401);
    expect((await openByFiles("one", "two")).exit).toBe(1);
    expect((await postern(["sessions"])).err).toBe("");
  });
});

describe("a clock", () => {
  it("runs before anything opens, is seen, and cancelling it makes the seal void", async () => {
    await json("break-glass", "seal", "--delay", "4h", "--out", at("slow"));
    const first = await postern(["break-glass", "open", "--code-file", at("slow"), "--json"], undefined);
    expect(first.exit).toBe(1);
    const { token, opens_at: opensAt } = jsonOf<{ token: null; opens_at: string }>(first);
    expect(token).toBeNull();
    expect(Date.parse(opensAt) - Date.now()).toBeGreaterThan(4 * 3_600_000 - 60_000);
    expect((await postern(["sessions"])).err).toContain(`COUNTING DOWN, its code opens it from ${opensAt}`);
    expect(await json<BreakGlassAnswer>("break-glass", "status")).toMatchObject({ state: "counting", people: 1, delay_ms: 4 * 3_600_000, opens_at: opensAt });
    expect(await json<BreakGlassAnswer>("break-glass", "cancel")).toMatchObject({ state: "none", opens_at: null });
    expect((await openByFiles("slow")).err).toContain("These codes open nothing");
  });
});

describe("what is no way in", () => {
  it.each([
    ["service", "create", "break-glass", "--expires", "1d"],
    ["break-glass", "seal"],
    ["break-glass", "seal", "--people", "3"],
    ["break-glass", "seal", "--people", "2", "--delay", "4h"],
    ["break-glass", "seal", "--delay", "soon"],
    ["break-glass", "seal", "--people", "2", "--out", "/nowhere/one"],
  ])("%s %s %s is wrong usage", async (...argv) => expect((await postern(argv)).exit).toBe(2));

  it("the API makes no token for the name, whoever asks", async () => {
    const answer = await loopbackFetch(`${stack.launcher}/.postern/api/v1/services`, { method: "POST", headers: { authorization: `Bearer ${readFileSync(stack.tokenFile, "utf8").trim()}`, "content-type": "application/json" }, body: '{"name":"break-glass","expires":"1d"}' });
    expect([answer.status, answer.text]).toEqual([400, expect.stringContaining("bad_argument")]);
  });

  it("no code and no token was ever printed", () => {
    for (const name of ["one", "two", "token", "slow"]) expect(printed.join("\n")).not.toContain(secretOf(name));
  });
});
