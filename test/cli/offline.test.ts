/** Commands that speak with no edge: check, test, explain with a local document, init. */
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { liveDocument } from "../../cli/document-file.ts";
import { parseCanonical } from "../../policy/canonical-text.ts";
import { parseDocument } from "../../policy/parse-document.ts";
import { PROJECT } from "../architecture/source-files.ts";
import { canonical } from "../canonical.ts";
import { jsonOf, type Ran, runCommand } from "./run-command.ts";

const NOON = Date.UTC(2026, 10, 18, 12);
const folder = mkdtempSync(join(tmpdir(), "postern-cli-"));
afterAll(() => rmSync(folder, { recursive: true }));
const file = (name: string, text: string): string => {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
};

const DOCUMENT = `version: 1
domain: access.example.com
identity: { providers: [{ id: corp, issuer: "https://login.example.com", client_id: p, client_secret: { secret: S }, groups_claim: groups }] }
sites: [{ id: office }]
apps:
  - { id: wiki, site: office, upstream: "http://10.0.0.5:8080" }
  - { id: pg, site: office, upstream: "tcp://10.0.0.9:5432" }
policies:
  - { id: staff, effect: allow, apps: [wiki, pg], when: { group: [staff], time_window: { days: [mon-fri], from: "07:00", to: "20:00", zone: UTC } } }
tests:
  - { as: { user: alice, groups: [staff] }, app: wiki, request: { method: GET, path: / }, at: "2026-11-18T10:00:00Z", expect: allow, by: staff }
`;

describe("check", () => {
  it("says what is good", async () => {
    const good = file("good.yaml", DOCUMENT);
    expect(await runCommand(["check", good], { now: NOON })).toEqual({ exit: 0, out: `${good}: good; 2 apps, 1 policies, 1 tests hold, 0 warnings\n`, err: "" });
    expect(jsonOf(await runCommand(["check", "-", "--json"], { stdin: DOCUMENT }))).toEqual({ ok: true, warnings: [], apps: 2, policies: 1, tests: 1 });
  });

  it("warns, with its line, where a second factor is asked for and nobody said what a first passkey needs", async () => {
    const direct = DOCUMENT.replace("group: [staff], time", "mfa: true, group: [staff], time").replace("groups: [staff] }", "groups: [staff], mfa: true }");
    const named = DOCUMENT.replace("group: [staff], time", "use: mfa, group: [staff], time").replace("groups: [staff] }", "groups: [staff], mfa: true }") + "conditions:\n  mfa:\n    any: [{ mfa: { max_age: 1h } }]\n";
    for (const [text, place] of [[direct, "9:"], [named, "14:13: "]] as const) {
      const ran = await runCommand(["check", file("mfa.yaml", text)], { now: NOON });
      expect(ran).toMatchObject({ exit: 0, err: expect.stringContaining(`mfa.yaml:${place}`) as string });
      expect(ran.err).toContain("after_mfa if your provider has second factors");
      for (const said of ["after_sign_in", "after_mfa", "off"]) {
        expect((await runCommand(["check", "-"], { stdin: text.replace("identity: {", `identity: { passkeys: ${said},`), now: NOON })).err).toBe("");
      }
    }
  });

  it("warns where the break-glass account is named and could open nothing", async () => {
    const glass = (when: string, more = ""): string => DOCUMENT.replace("policies:\n", `policies:\n  - { id: glass, effect: allow, apps: ["postern:admin"], when: ${when}, limits: { role: operator } }\n${more}`);
    const check = async (text: string): Promise<string> => (await runCommand(["check", "-"], { stdin: text, now: NOON })).err;
    expect(await check(glass("{ service: [break-glass] }"))).toBe("");
    expect(await check(glass('{ service: [break-glass], time_window: { days: [sun], from: "02:00", to: "04:00", zone: UTC } }'))).toBe("");
    expect(await check(glass("{ service: [break-glass], ip_range: [192.0.2.0/24] }"))).toContain("the break-glass account could open nothing");
    expect(await check(glass("{ service: [break-glass] }", '  - { id: no-robots, effect: deny, apps: ["*", "postern:admin"], subject: service, when: { not: { country: [AQ] } } }\n'))).toContain("the break-glass account could open nothing");
  });

  it("prints the document as the edge takes it, with --canonical", async () => {
    const ran = await runCommand(["check", file("good.yaml", DOCUMENT), "--canonical"], { now: NOON });
    expect(ran).toMatchObject({ exit: 0, err: "" });
    expect(ran.out).toBe(`${canonical(DOCUMENT)}\n`);
    expect(parseCanonical(ran.out).ok).toBe(true);
    expect(jsonOf(await runCommand(["check", "-", "--canonical", "--json"], { stdin: DOCUMENT }))).toMatchObject({ ok: true, canonical: canonical(DOCUMENT) });
    expect((await runCommand(["check", "-", "--canonical"], { stdin: "version: 1\n" })).out).toBe("");
  });

  it("reads the live document, be it JSON or the YAML that an older edge kept", () => {
    const [now, before] = [liveDocument(canonical(DOCUMENT), 7), liveDocument(DOCUMENT, 7)];
    expect(now.document.apps).toEqual(before.document.apps);
    expect(now.policy.version).toBe(7);
  });

  it("points at each problem with file, line, column and a suggestion", async () => {
    const bad = file("bad.yaml", DOCUMENT.replace("group: [staff], time", "groop: [staff], time").replace("app: wiki, request", "app: wikki, request"));
    const ran = await runCommand(["check", bad, "--json"]);
    expect(ran.exit).toBe(1);
    expect(ran.err).toMatch(new RegExp(`^${bad}:9:\\d+: .*groop.*did you mean "group"`, "m"));
    expect(jsonOf(ran)).toMatchObject({ error: { code: "document_invalid", problems: [{ line: 9, column: expect.any(Number), file: bad, fix: expect.any(String) }] } });
  });

  it("fails on the document's own tests, and names their lines", async () => {
    const failing = file("failing.yaml", DOCUMENT.replace("expect: allow, by: staff", "expect: deny"));
    const ran = await runCommand(["check", failing]);
    expect(ran.exit).toBe(1);
    expect(ran.err).toMatch(/failing\.yaml:11:1: test 1: expected deny, got allow/);
  });

  it("prints no control character of a hostile document", async () => {
    const ran = await runCommand(["check", "-"], { stdin: `${DOCUMENT}"\\e[2Jx\\u202E": 1\n` });
    expect(ran.exit).toBe(1);
    // oxlint-disable-next-line no-control-regex -- control characters are what must not be there
    expect(ran.err).not.toMatch(/[\x00-\x09\x0b-\x1f\u202e]/);
  });

  it("says which file cannot be read", async () => {
    expect((await runCommand(["check", join(folder, "absent")])).err).toMatch(/absent cannot be read\nwhy: the system says ENOENT/);
  });
});

describe("test", () => {
  it("lists each test, and takes an instant for those that name none", async () => {
    const timeless = file("timeless.yaml", DOCUMENT.replace(' at: "2026-11-18T10:00:00Z",', ""));
    const day = await runCommand(["test", timeless, "--at", "2026-11-18T10:00:00+01:00"]);
    expect(day).toMatchObject({ exit: 0, err: "" });
    expect(day.out).toMatch(/^RESULT +LINE +APP +REQUEST +EXPECTED\nok +11 +wiki +GET \/ +allow\n1 tests hold\n$/);
    const night = await runCommand(["test", timeless, "--at", "2026-11-18T22:00:00Z"]);
    expect(night.exit).toBe(1);
    expect(night.out).toContain("FAIL");
    expect(night.err).toContain("1 of 1 tests fail");
  });

  it("fails when nothing is tested", async () => {
    expect(await runCommand(["test", "-"], { stdin: DOCUMENT.slice(0, DOCUMENT.indexOf("tests:")) })).toMatchObject({ exit: 1, err: expect.stringContaining("no tests") });
  });
});

describe("explain with --facts and --policy", () => {
  const explain = (facts: string, ...more: readonly string[]): Promise<Ran> =>
    runCommand(["explain", "--facts", file("facts.yaml", facts), "--policy", file("policy.yaml", DOCUMENT), ...more], { now: NOON });

  it("answers in the shape of CONTRACT, for http and tcp", async () => {
    for (const app of ["wiki", "pg"]) {
      const ran = await explain("{user: alice, groups: [staff]}", "--app", app, "--at", "2026-11-18T10:00:00Z", "--json");
      expect(jsonOf(ran)).toMatchObject({
        effect: "allow",
        policy_version: 0,
        decided_by: ["staff"],
        policies: [{ id: "staff", effect: "allow", result: "true", criteria: [{ path: "when.group", result: "true", fact: "groups", source: "corp", age_ms: 0 }, { path: "when.time_window", result: "true" }] }],
        limits: { read_only: false },
        redecide_at: "2026-11-18T20:00:00.000Z",
        fix: [],
      });
    }
  });

  it("shows people what failed and what is not known", async () => {
    const { out } = await explain("{user: alice}", "--app", "wiki");
    expect(out).toMatch(/^deny \(no_allow\) by no policy/);
    expect(out).toContain("? when.group: unknown; groups is not known");
  });

  it.each([
    ["an app that is not there", "{user: alice}", ["--app", "wikki"], /has no app wikki\nwhy: its apps are wiki, pg/],
    ["a fact that is none", "user: alice\ngroop: [staff]\n", ["--app", "wiki"], /facts\.yaml:2:1: .*groop/],
    ["a path for tcp", "{user: alice}", ["--app", "pg", "--path", "/"], /TCP app/],
    ["a path with a query", "{user: alice}", ["--app", "wiki", "--path", "/x?y"], /no canonical path/],
    ["facts that are no YAML", "{user: ", ["--app", "wiki"], /cannot be read/],
  ])("refuses %s", async (_title, facts, more, said) => {
    const ran = await explain(facts, ...more);
    expect(ran.exit).toBeGreaterThan(0);
    expect(ran.err).toMatch(said);
  });
});

describe("init", () => {
  const told = ["--domain", "access.example.com", "--issuer", "https://login.example.com", "--client-id", "postern", "--app", "wiki=http://10.0.0.5:8080", "--app", "pg=tcp://10.0.0.9:5432", "--operator-email", "Ada@example.com"];

  it.each([
    ["custom-domains", ['{ pattern = "access.example.com", custom_domain = true }', '{ pattern = "wiki.access.example.com", custom_domain = true }', '{ pattern = "pg.access.example.com", custom_domain = true }'], "Certificate Transparency"],
    ["wildcard", ['{ pattern = "access.example.com/*", zone_name = "example.com" }', '{ pattern = "*.access.example.com/*", zone_name = "example.com" }'], "advanced certificate"],
  ])("writes a good document, %s routes and a private key, and prints neither key nor an empty promise", async (routes, patterns, said) => {
    const out = join(folder, `init-${routes}`);
    const ran = await runCommand(["init", "--yes", "--routes", routes, "--out", out, ...told]);
    expect(ran).toMatchObject({ exit: 0, err: "" });
    expect(ran.out).toContain(said);
    expect(ran.out).toContain("https://access.example.com/.postern/callback");
    const next = ran.out.slice(ran.out.indexOf("next, in this clone")).split("\n").slice(1).map((line) => line.trim());
    expect(next).toEqual([
      "npx wrangler login",
      `npx wrangler deploy -c ${out}/wrangler.toml`,
      `npx wrangler secret put POSTERN_SETUP_KEY -c ${out}/wrangler.toml < ${out}/.postern-secrets/setup-key`,
      `npx wrangler secret put CORP_CLIENT_SECRET -c ${out}/wrangler.toml`,
      `npx postern check ${out}/postern.yaml`,
      `npx postern setup ${out}/postern.yaml --edge https://access.example.com --key-file ${out}/.postern-secrets/setup-key --token-file ${out}/setup-token`,
      "export POSTERN_EDGE=https://access.example.com",
      `export POSTERN_TOKEN_FILE=${out}/operator-token`,
      "npx postern login",
      "npx postern whoami",
      "",
    ]);
    const text = readFileSync(join(out, "postern.yaml"), "utf8");
    const schema = /^# yaml-language-server: \$schema=(.+)\n/.exec(text)?.[1] ?? "";
    expect(existsSync(join(out, schema))).toBe(true);
    expect(parseDocument(text)).toMatchObject({ ok: true, value: { warnings: [], document: { domain: "access.example.com" } } });
    expect((await runCommand(["check", join(out, "postern.yaml")])).exit).toBe(0);

    const wrangler = readFileSync(join(out, "wrangler.toml"), "utf8");
    const block = /^routes = \[\n([\s\S]*?)^\]/m.exec(wrangler)?.[1] ?? "";
    expect(block.trim().split("\n").map((line) => line.trim().replace(/,$/, ""))).toEqual(patterns);
    expect(wrangler.indexOf("routes = [")).toBeLessThan(wrangler.search(/^\[/m));
    expect(wrangler).toMatch(/^workers_dev = false\b/m);
    expect(wrangler).toMatch(/^preview_urls = false\b/m);
    expect(existsSync(join(out, /^main = "(.+)"/m.exec(wrangler)?.[1] ?? "-"))).toBe(true);

    const keyFile = join(out, ".postern-secrets/setup-key");
    const key = readFileSync(keyFile, "utf8").trim();
    expect(key).toMatch(/^[A-Za-z0-9_-]{43}$/);
    expect(statSync(keyFile).mode & 0o077).toBe(0);
    expect(readFileSync(join(out, ".postern-secrets/.gitignore"), "utf8")).toBe("*\n");
    expect(ran.out + ran.err + text + wrangler).not.toContain(key);

    expect((await runCommand(["init", "--yes", "--routes", routes, "--out", out, ...told])).exit).toBe(2);
    const again = await runCommand(["init", "--yes", "--force", "--json", "--routes", routes, "--out", out, ...told]);
    expect(jsonOf(again)).toMatchObject({ setup_key_file: keyFile, secrets: ["POSTERN_SETUP_KEY", "CORP_CLIENT_SECRET"] });
    expect(readFileSync(keyFile, "utf8").trim()).toBe(key);
    expect(readFileSync(join(out, "wrangler.toml"), "utf8")).toBe(wrangler);
  });

  it("asks a person for what is missing", async () => {
    const out = join(folder, "asked");
    const answers = ["access.example.com", "wildcard", "", "https://login.example.com", "postern", "", "wiki=http://10.0.0.5:8080", "", "ada@example.com"];
    const asked: string[] = [];
    const ran = await runCommand(["init", "--out", out], {
      ask: (question) => {
        asked.push(question);
        return Promise.resolve(answers.shift() ?? "");
      },
    });
    expect(ran).toMatchObject({ exit: 0, err: "" });
    expect(asked).toHaveLength(9);
    expect(readFileSync(join(out, "postern.yaml"), "utf8")).toContain("upstream: http://10.0.0.5:8080");
  });

  it("names all that is missing when there is nobody to ask", async () => {
    const { err } = await runCommand(["init", "--yes", "--out", join(folder, "no")]);
    for (const option of ["--routes", "--domain", "--issuer", "--client-id", "--operator-email"]) expect(err).toContain(option);
    expect(existsSync(join(folder, "no"))).toBe(false);
  });

  it("keeps values values: nothing that is told can add to the document or to wrangler.toml", async () => {
    const out = join(folder, "hostile");
    const odd = 'x"]} # y: [$(id)]\'';
    const ran = await runCommand(["init", "--yes", "--routes", "wildcard", "--out", out, ...told, "--client-id", odd, "--operator-group", odd]);
    expect(ran).toMatchObject({ exit: 0, err: "" });
    expect(parseDocument(readFileSync(join(out, "postern.yaml"), "utf8"))).toMatchObject({ ok: true, value: { document: { providers: [{ clientId: odd }], policies: [{ id: "operators" }, { id: "operators-try-apps" }] } } });
  });

  it("leaves alone a wrangler.toml that has routes of its own", async () => {
    const out = mkdtempSync(join(folder, "own-"));
    writeFileSync(join(out, "wrangler.toml"), `${readFileSync(join(PROJECT, "wrangler.toml"), "utf8").replace("[vars]", 'routes = [{ pattern = "x.example.com", custom_domain = true }]\n\n[vars]')}`);
    const ran = await runCommand(["init", "--yes", "--routes", "wildcard", "--out", out, ...told]);
    expect(ran.exit).toBe(1);
    expect(existsSync(join(out, "postern.yaml"))).toBe(false);
  });
});
