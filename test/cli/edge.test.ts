/** Every command against the whole product, as one operator would use them. Real processes, one stack for the file. */
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { chmodSync, mkdtempSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { get } from "node:http";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { beforeAll, describe, expect, it } from "vitest";
import { toBase64Url } from "../../core/bytes.ts";
import { at } from "../../core/time.ts";
import { generateConnectorKey } from "../../identity/connector-proof.ts";
import { ENROLL_PROOF_TYPE } from "../../identity/enroll-proof.ts";
import { signStrict } from "../../identity/strict-jws.ts";
import type { AppliedAnswer, EdgeStatusAnswer, EnrollTokenAnswer, ExplainedRequestAnswer, ReceiptAnswer, ServiceTokenAnswer, SessionsAnswer, VersionsAnswer } from "../../protocol/admin-api.ts";
import { loopbackFetch } from "../../start/loopback-http.ts";
import { PROJECT } from "../architecture/source-files.ts";
import { visit } from "../e2e/demo-visit.ts";
import { demoStack } from "../start/demo-stack.ts";
import { FormBrowser } from "../start/form-browser.ts";
import { jsonOf, type Ran, runCommand, type Surroundings } from "./run-command.ts";

const folder = mkdtempSync(join(tmpdir(), "postern-cli-"));
/** Set once all of it answers. */
let env: Record<string, string>;
/** The operator's token, the canary that no output may hold. */
let canary: string;
const printed: string[] = [];

const postern = async (argv: readonly string[], surroundings: Surroundings = {}): Promise<Ran> => {
  const ran = await runCommand(argv, { env, ...surroundings });
  printed.push(ran.out, ran.err);
  return ran;
};
const json = async <T>(...argv: readonly string[]): Promise<T> => {
  const ran = await postern([...argv, "--json"]);
  expect(ran.err, argv.join(" ")).toBe("");
  expect(ran.exit, argv.join(" ")).toBe(0);
  return jsonOf<T>(ran);
};
const urlOf = (id: string): string => demo.stack.apps.find((app) => app.id === id)?.url ?? "";
const file = (name: string, text: string): string => {
  const path = join(folder, name);
  writeFileSync(path, text, { mode: 0o600 });
  return path;
};
const demo = demoStack(folder);
beforeAll(() => {
  env = { POSTERN_EDGE: demo.stack.launcher, POSTERN_TOKEN_FILE: demo.stack.tokenFile };
  canary = readFileSync(demo.stack.tokenFile, "utf8").trim();
});

describe("looking", () => {
  it.each([
    [["whoami"], /service local-operator/],
    [["apps"], /no app opens for this token/],
    [["history"], /1 \(live\).*setup/],
    [["connectors"], /^c_\S+ +office/m],
    [["edge-status"], /^office +0 +c_/m],
    [["status"], /nothing is missing/],
    [["service", "list"], /^local-operator .* valid$/m],
    [["sessions"], /service +local-operator/],
  ])("%j answers people", async (argv, shown) => {
    const ran = await postern(argv);
    expect(ran).toMatchObject({ exit: 0, err: "" });
    expect(ran.out).toMatch(shown);
  });

  it("runs as a program through the launcher, with the token's file named by an option", async () => {
    const { stdout } = await promisify(execFile)(process.execPath, [join(PROJECT, "bin/postern.mjs"), "whoami", "--edge", demo.stack.launcher, "--token-file", demo.stack.tokenFile, "--json"], { env: {} });
    expect(JSON.parse(stdout)).toMatchObject({ subject: { kind: "service", id: "local-operator" } });
  });

  it("warns when others may read the token's file, and still answers", async () => {
    const open = file("open-token", canary);
    chmodSync(open, 0o644);
    const ran = await postern(["whoami", "--token-file", open]);
    expect(ran.exit).toBe(0);
    expect(ran.err).toMatch(/warning: .*\nfix: chmod 600/);
    expect((await postern(["whoami", "--token-file", "-"], { stdin: `${canary}\n` })).exit).toBe(0);
  });
});

describe("sessions, revoke and receipt", () => {
  it("lists alice with her live stream, cuts it, and the receipt by id is the answer of revoke", async () => {
    const alice = new FormBrowser();
    await visit(alice, urlOf("clock"), "alice");
    const { host } = new URL(urlOf("clock"));
    let ended = false;
    await new Promise<void>((open, fail) => {
      get({ host: "127.0.0.1", port: demo.stack.port, path: "/events", headers: { host, cookie: alice.cookieHeader(urlOf("clock")), accept: "text/event-stream" }, agent: false }, (answer) => {
        answer.on("error", () => undefined).on("close", () => (ended = true)).once("data", () => open()).resume();
      }).on("error", fail);
    });
    const sessions = await json<SessionsAnswer>("sessions");
    const hers = sessions.find((one) => one.subject.email === "alice@example.com");
    expect(hers).toEqual({ id: expect.stringMatching(/^[0-9a-f]{64}$/), subject: expect.objectContaining({ kind: "user" }), started_at: expect.any(String), expires_at: expect.any(String), streams: [{ id: expect.stringMatching(/^r_/), app: "clock", protocol: "http", bytes_in: expect.any(Number), bytes_out: expect.any(Number), state: "open" }] });
    expect((await postern(["sessions"])).out).toMatch(/alice@example\.com[\s\S]*clock +http +open/);

    const receipt = await json<ReceiptAnswer>("revoke", "session", hers?.id ?? "");
    expect(receipt).toMatchObject({ id: expect.stringMatching(/^rcpt_/), found: 1, closed: 1, frozen: 0, kept: 0, slowest_ms: expect.any(Number), unconfirmed: [], complete: true });
    expect(await json<ReceiptAnswer>("receipt", receipt.id)).toEqual(receipt);
    expect((await postern(["receipt", receipt.id])).out).toContain("closed 1");
    await expect.poll(() => ended).toBe(true);
    expect((await json<SessionsAnswer>("sessions")).some((one) => one.id === hers?.id)).toBe(false);
  });

  it.each([
    [["revoke", "user", "nobody@example.com"], "unknown_id"],
    [["revoke", "session", "0".repeat(64)], "unknown_id"],
    [["revoke", "device", "x"], "unknown_id"],
    [["receipt", "rcpt_AAAAAAAAAAAAAAAAAAAAAA"], "unknown_id"],
    [["explain", "r_AAAAAAAAAAAAAAAAAAAAAA"], "unknown_id"],
    [["explain", "yesterday"], "bad_argument"],
    [["enroll-token", "moon"], "unknown_id"],
  ])("%j is refused with %s, the reason, a fix and the request's id", async (argv, code) => {
    const ran = await postern([...argv, "--json"]);
    expect(ran.exit).toBe(1);
    expect(JSON.parse(ran.out)).toMatchObject({ error: { code, message: expect.any(String), fix: [expect.any(String)], request_id: expect.stringMatching(/^r_/) } });
    expect(ran.err).toMatch(/^error: .+\nwhy: .+\nfix: [\s\S]*^request: r_/m);
  });

  it("revokes an app and a user by email for people", async () => {
    expect((await postern(["revoke", "app", "hello"])).out).toMatch(/app hello[\s\S]*every lane has confirmed/);
    await visit(new FormBrowser(), urlOf("partners"), "bob");
    expect((await postern(["revoke", "user", "bob@partner.example.com"])).out).toMatch(/receipt rcpt_\S+: user u_/);
  });
});

describe("explain", () => {
  it("explains a recorded denial with its criteria", async () => {
    const browser = new FormBrowser();
    await visit(browser, urlOf("hello"), "alice");
    const denied = await visit(browser, urlOf("partners"), "alice");
    const id = denied?.headers["postern-request-id"] as string;
    const explained = await json<ExplainedRequestAnswer>("explain", id);
    expect(explained).toMatchObject({ id, effect: "deny", recorded_effect: "deny", decided_by: [], ask: { app: "partners" }, policies: [{ id: "partners", effect: "allow", result: "false", criteria: [{ path: "when.group", fact: "groups" }] }] });
    expect((await postern(["explain", id])).out).toMatch(/^.+asked partners for GET[\s\S]*deny \(no_allow\)[\s\S]*allow partners: false[\s\S]*- when\.group: false; groups =/);
  });

  it("decides what never was by the live document, as it would by the same document in a file", async () => {
    const facts = file("facts.yaml", "user: alice\ngroups: [staff]\n");
    const argv = ["explain", "--facts", facts, "--app", "reports", "--at", "2026-11-18T10:00:00Z"];
    const live = await json<Record<string, unknown>>(...argv);
    expect(live).toMatchObject({ effect: "step_up", policy_version: 1 });
    const local = await json<Record<string, unknown>>(...argv, "--policy", demo.stack.documentFile);
    expect({ ...local, policy_version: 1 }).toEqual(live);
  });
});

describe("services", () => {
  it("has two valid tokens at a time, refuses a third, and ends all of them at once", async () => {
    const first = await json<ServiceTokenAnswer>("service", "create", "ci", "--expires", "90d");
    const second = await json<ServiceTokenAnswer>("service", "create", "ci", "--expires", "90d");
    for (const one of [first, second]) {
      expect(one).toEqual({ id: expect.any(String), name: "ci", client_id: one.id, client_secret: one.token, token: expect.stringMatching(/^pst_/), expires_at: expect.any(String) });
      expect((await postern(["whoami", "--token-file", file("ci", one.token)])).exit).toBe(0);
    }
    const third = await postern(["service", "create", "ci", "--expires", "90d", "--json"]);
    expect(third.exit).toBe(1);
    expect(JSON.parse(third.out)).toMatchObject({ error: { code: "bad_argument", message: expect.stringContaining("2 valid tokens") } });
    expect((await postern(["revoke", "service", "ci"])).exit).toBe(0);
    for (const one of [first, second]) expect((await postern(["whoami", "--token-file", file("ci", one.token)])).exit).toBe(1);
    expect((await postern(["service", "list"])).out.match(/^ci .* revoked /gm)).toHaveLength(2);
    expect((await postern(["service", "create", "ci", "--expires", "1d"])).exit).toBe(0);
  });

  it("puts a token into a new private file and nowhere else, and never over an old one", async () => {
    const out = join(folder, "deploy-token");
    const ran = await postern(["service", "create", "deploy", "--expires", "1d", "--out", out]);
    expect(ran.exit).toBe(0);
    expect(statSync(out).mode & 0o077).toBe(0);
    const token = readFileSync(out, "utf8").trim();
    expect(token).toMatch(/^pst_/);
    expect(ran.out + ran.err).not.toContain(token);
    expect((await postern(["service", "create", "deploy", "--expires", "1d", "--out", out])).exit).toBe(2);
    expect(readFileSync(out, "utf8").trim()).toBe(token);
    const refused = await postern(["service", "create", "deploy", "--expires", "999d", "--out", `${out}-2`]);
    expect(refused.exit).toBe(1);
    expect(readdirSync(folder)).not.toContain("deploy-token-2");
  });

  it("is refused what only an operator may", async () => {
    const token = file("stranger", (await json<ServiceTokenAnswer>("service", "create", "stranger", "--expires", "1d")).token);
    for (const argv of [["sessions"], ["revoke", "app", "hello"], ["apply", demo.stack.documentFile], ["enroll-token", "office"], ["history"]]) {
      const ran = await postern([...argv, "--token-file", token, "--json"]);
      expect(ran.exit, argv[0]).toBe(1);
      expect(JSON.parse(ran.out), argv[0]).toMatchObject({ error: { code: "not_operator" } });
    }
    const status = await postern(["status", "--token-file", token]);
    expect(status).toMatchObject({ exit: 0, out: expect.stringContaining("you are service stranger") });
    expect(status.out).not.toContain("c_");
  });
});

describe("enroll-token", () => {
  it("makes a token that of fifty at once one connector redeems", async () => {
    const { token, edge, expires_at: ends } = await json<EnrollTokenAnswer>("enroll-token", "office");
    expect(edge).toBe(demo.stack.launcher);
    expect(Date.parse(ends)).toBeGreaterThan(Date.now());
    const bodies = await Promise.all(
      Array.from({ length: 50 }, async () => {
        const key = await generateConnectorKey(crypto.subtle);
        const { privateJwk, publicJwk, thumbprint } = key;
        const claims = { token_hash: toBase64Url(createHash("sha256").update(token).digest()), thumbprint, iat: Math.floor(Date.now() / 1000) };
        const proof = await signStrict(ENROLL_PROOF_TYPE, claims, { kid: thumbprint, alg: "EdDSA", use: "admission", privateJwk, publicJwk, createdAt: at(Date.now()) });
        return JSON.stringify({ token, public_key: publicJwk, name: "many", proof });
      }),
    );
    const answers = await Promise.all(bodies.map((body) => loopbackFetch(`${demo.stack.launcher}/.postern/connectors/enroll`, { method: "POST", headers: { "content-type": "application/json" }, body })));
    expect(answers.filter((one) => one.status === 200)).toHaveLength(1);
    expect(answers.filter((one) => one.status === 401)).toHaveLength(49);
  });

  it("prints lines that enrol a second connector as they stand", async () => {
    const { out } = await postern(["enroll-token", "office"]);
    const line = /^Linux +(.+)$/m.exec(out)?.[1] ?? "";
    expect(line).toMatch(/--allow '127\.0\.0\.1:[0-9]+'/);
    expect(line).not.toMatch(/enroll [^|]*pen_/);
    const path = `${dirname(process.execPath)}:${process.env["PATH"] ?? ""}`;
    const { stdout } = await promisify(execFile)("/bin/sh", ["-c", line], { cwd: folder, env: { PATH: path, STATE_DIRECTORY: join(folder, "second") } });
    expect(stdout).toContain("enrolled c_");
    expect((await postern(["connectors"])).out.match(/^c_/gm)?.length).toBeGreaterThanOrEqual(3);
  });

  it("puts the token into a file and shows lines that read it", async () => {
    const out = join(folder, "enrol");
    const ran = await postern(["enroll-token", "office", "--out", out]);
    const token = readFileSync(out, "utf8").trim();
    expect(token).toMatch(/^pen_/);
    expect(ran.out + ran.err).not.toContain(token);
    expect(statSync(out).mode & 0o077).toBe(0);
  });
});

describe("curl", () => {
  const document = (): string => readFileSync(demo.stack.documentFile, "utf8").replace("policies:\n", 'policies:\n  - { id: probe, effect: allow, apps: [hello, tcp-echo], when: { service: [local-operator] } }\n');

  it("reaches an app that the token may open; the app sees neither token nor client id", async () => {
    expect((await postern(["apply", file("probe.yaml", document())])).exit).toBe(0);
    const ran = await postern(["curl", `${urlOf("hello")}/`, "-H", "X-Asked: yes"]);
    expect(ran).toMatchObject({ exit: 0, err: "" });
    expect(JSON.parse(ran.out)).toMatchObject({ app: "hello", user: "service:local-operator" });
    const whole = await json<{ status: number; headers: Record<string, string>; body: string }>("curl", `${urlOf("hello")}/`);
    expect(whole).toMatchObject({ status: 200, headers: { "postern-request-id": expect.stringMatching(/^r_/) }, body: expect.stringContaining("local-operator") });
    expect((await postern(["curl", "-i", `${urlOf("hello")}/`])).out).toMatch(/^200\n[\s\S]*postern-request-id: r_/);
    const apps = (await postern(["apps"])).out;
    expect(apps).toMatch(/^hello +Hello +http:\/\/hello\..* now$/m);
    expect(apps).toMatch(/^tcp-echo +tcp-echo +postern tcp tcp-echo +now$/m);
  });

  it("fails with the way to the reason when the app is denied", async () => {
    const ran = await postern(["curl", `${urlOf("partners")}/`, "-X", "POST", "-d", "@-"], { stdin: "a=b" });
    expect(ran.exit).toBe(1);
    expect(ran.out.endsWith("\n")).toBe(false);
    expect(ran.err).toMatch(/^\nerror: .+ answered 404\nfix: postern explain r_/);
    const id = /explain (r_\S+)/.exec(ran.err)?.[1] ?? "";
    expect((await postern(["explain", id])).out).toContain("deny (no_allow)");
  });
});

describe("apply", () => {
  it("refuses a document with errors with its own file's name and places, and changes nothing", async () => {
    const before = await json<VersionsAnswer>("history");
    const bad = file("bad.yaml", readFileSync(demo.stack.documentFile, "utf8").replace("policies:", "polices:"));
    const ran = await postern(["apply", bad]);
    expect(ran.exit).toBe(1);
    expect(ran.err).toMatch(new RegExp(`^${bad}:\\d+:\\d+: .*polices.*did you mean "policies"`, "m"));
    expect(await json<VersionsAnswer>("history")).toEqual(before);
  });

  it("names the file's lines for what the edge finds: problems, failing tests, warnings", async () => {
    const text = readFileSync(demo.stack.documentFile, "utf8");
    const twice = file("twice.yaml", text.replace("policies:\n", "policies:\n  - { id: odd, effect: allow, apps: [helo], when: { group: x } }\n"));
    const line = text.split("\n").indexOf("policies:") + 2;
    expect(JSON.parse((await postern(["apply", twice, "--json"])).out)).toMatchObject({ error: { code: "document_invalid", problems: [{ file: twice, line, column: expect.any(Number), path: "policies[0].apps[0]" }] } });
    const failing = file("failing.yaml", `${text.replace(/^tests:[^]*/m, "")}\ntests:\n  - { as: { user: nobody, groups: [] }, app: hello, expect: allow }\n`);
    const at = readFileSync(failing, "utf8").split("\n").indexOf("tests:") + 2;
    const ran = await postern(["apply", failing, "--json"]);
    expect(ran.err).toContain(`${failing}:${at}:1: test 1 fails: `);
    expect(JSON.parse(ran.out)).toMatchObject({ error: { code: "document_invalid", tests: [{ index: 0, line: at }] } });
  });

  it("is curl's as well: canonical JSON is taken and told again, YAML is refused with what to do", async () => {
    const text = readFileSync(demo.stack.documentFile, "utf8");
    const { out } = await postern(["check", demo.stack.documentFile, "--canonical"]);
    const headers = { authorization: `Bearer ${readFileSync(demo.stack.tokenFile, "utf8").trim()}`, "content-type": "application/json" };
    const url = `${demo.stack.launcher}/.postern/api/v1/policy`;
    const refused = await loopbackFetch(url, { method: "POST", headers, body: text });
    expect(refused.status).toBe(422);
    expect(JSON.parse(refused.text)).toMatchObject({ error: { code: "document_invalid", message: expect.stringContaining("this is not JSON"), problems: [{ code: "json", fix: expect.stringContaining("check FILE --canonical") }] } });
    const marked = await loopbackFetch(url, { method: "POST", headers, body: `\uFEFF${out}` });
    expect(JSON.parse(marked.text)).toMatchObject({ error: { problems: [{ code: "json" }] } });
    expect((await loopbackFetch(url, { method: "POST", headers, body: out })).status).toBe(200);
    expect(JSON.parse((await loopbackFetch(url, { headers })).text)).toMatchObject({ text: out.trimEnd() });
  });

  it("refuses a version that is not live any more", async () => {
    const [live] = await json<VersionsAnswer>("history");
    const ran = await postern(["apply", demo.stack.documentFile, "--expect-version", `${(live?.version ?? 0) - 1}`, "--json"]);
    expect(ran.exit).toBe(1);
    expect(JSON.parse(ran.out)).toMatchObject({ error: { code: "version_conflict" } });
    const done = await json<AppliedAnswer>("apply", demo.stack.documentFile, "--expect-version", `${live?.version}`);
    expect(done).toMatchObject({ version: (live?.version ?? 0) + 1, previous: live?.version, receipt: { kind: "policy", complete: true }, warnings: [], denied_by_unknown_facts: { cases: 0, policies: [] } });
    expect(await json<ReceiptAnswer>("receipt", done.receipt.id)).toEqual(done.receipt);
    expect((await json<EdgeStatusAnswer>("edge-status")).policy_version).toBe(done.version);
  });

  it("warns how many live cases a deny stops only because a fact is unknown (P2)", async () => {
    await visit(new FormBrowser(), urlOf("hello"), "carol");
    const text = readFileSync(demo.stack.documentFile, "utf8").replace("policies:\n", "policies:\n  - { id: abroad, effect: deny, subject: [user], apps: [clock], when: { not: { country: [DE] } } }\n");
    const ran = await postern(["apply", file("abroad.yaml", text)]);
    expect(ran.exit).toBe(0);
    expect(ran.err).toMatch(/warning: a deny stops [1-9][0-9]* live cases .*abroad \([1-9]/);
  });

  it("keeps an operator from locking themselves out, unless they say so; then the token opens nothing", async () => {
    const text = file("lockout.yaml", readFileSync(demo.stack.documentFile, "utf8").replace(/local-operator/g, "somebody-else"));
    const ran = await postern(["apply", text, "--json"]);
    expect(ran.exit).toBe(1);
    expect(JSON.parse(ran.out)).toMatchObject({ error: { code: "lockout" } });
    expect((await postern(["history"])).exit).toBe(0);
    expect((await postern(["apply", text, "--allow-lockout"])).exit).toBe(0);
    expect(JSON.parse((await postern(["history", "--json"])).out)).toMatchObject({ error: { code: "not_operator" } });
  });
});

describe("setup", () => {
  it("is over once a document that names an operator is live, with the right key too", async () => {
    const ran = await postern(["setup", "--key-file", join(demo.stack.stateDirectory, "setup-key"), demo.stack.documentFile, "--token-file", join(folder, "never"), "--json"]);
    expect(ran.exit).toBe(1);
    expect(JSON.parse(ran.out)).toMatchObject({ error: { code: "setup_closed" } });
    expect(readdirSync(folder)).not.toContain("never");
    const wrong = await postern(["setup", "--key-file", file("wrong-key", toBase64Url(new Uint8Array(32))), demo.stack.documentFile, "--token-file", join(folder, "never"), "--json"]);
    expect(JSON.parse(wrong.out)).toMatchObject({ error: { code: "setup_key_wrong" } });
  });
});

describe("secrets", () => {
  it("were in no output of all of the above: the operator's token, the setup key, the client secret", () => {
    const secrets = [canary, canary.split(".")[1] ?? "", ...["setup-key", "demo-client-secret"].map((name) => readFileSync(join(demo.stack.stateDirectory, name), "utf8").trim())];
    expect(printed.length).toBeGreaterThan(50);
    for (const secret of secrets) {
      expect(secret.length).toBeGreaterThan(20);
      expect(printed.filter((text) => text.includes(secret))).toEqual([]);
    }
  });
});
