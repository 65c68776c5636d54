/** Access for a while at the command line, from the question to the receipt: people with tokens of their own, on the whole product. */
import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { duplexPair } from "node:stream";
import { beforeAll, describe, expect, it } from "vitest";
import { parseDocument } from "yaml";
import type { GivenAnswer, GrantsAnswer, ReceiptAnswer } from "../../protocol/admin-api.ts";
import { loopbackFetch } from "../../start/loopback-http.ts";
import { visit } from "../e2e/demo-visit.ts";
import { demoStack } from "../start/demo-stack.ts";
import { FormBrowser } from "../start/form-browser.ts";
import { jsonOf, type Ran, runCommand } from "./run-command.ts";

const folder = mkdtempSync(join(tmpdir(), "postern-grants-"));
const demo = demoStack(folder);
type Who = "operator" | "alice" | "bob" | "carol";
const tokenOf = (who: Who): string => (who === "operator" ? demo.stack.tokenFile : join(folder, who));

const postern = (who: Who, ...argv: readonly string[]): Promise<Ran> => runCommand(argv, { env: { POSTERN_EDGE: demo.stack.launcher, POSTERN_TOKEN_FILE: tokenOf(who) } });
async function json<T>(who: Who, ...argv: readonly string[]): Promise<T> {
  const ran = await postern(who, ...argv, "--json");
  expect([ran.exit, ran.err], argv.join(" ")).toEqual([0, ""]);
  return jsonOf<T>(ran);
}
const refused = async (who: Who, ...argv: readonly string[]): Promise<string> => {
  const ran = await postern(who, ...argv, "--json");
  expect(ran.exit, argv.join(" ")).toBe(1);
  return jsonOf<{ error: { code: string } }>(ran).error.code;
};
const ask = (who: Who, app = "tcp-echo", ...more: readonly string[]): readonly [Who, ...string[]] => [who, "request", app, "--for", "1h", "--reason", "an incident", ...more];

/** Signs somebody's command line in, by a browser without scripts. */
async function signIn(user: Exclude<Who, "operator">): Promise<void> {
  const { launcher } = demo.stack;
  const post = async (path: string, fields: Record<string, string>): Promise<Record<string, string>> =>
    JSON.parse((await loopbackFetch(`${launcher}/.postern/${path}`, { method: "POST", headers: { "content-type": "application/x-www-form-urlencoded" }, body: new URLSearchParams(fields).toString() })).text) as Record<string, string>;
  const begun = await post("device/begin", { client_id: "test" });
  const browser = new FormBrowser();
  await visit(browser, begun["verification_uri_complete"] ?? "", user);
  await browser.submit(`${launcher}/.postern/device`, { user_code: begun["user_code"] ?? "", decision: "approve" });
  const { access_token: token } = await post("token", { grant_type: "urn:ietf:params:oauth:grant-type:device_code", device_code: begun["device_code"] ?? "" });
  writeFileSync(tokenOf(user), token ?? "", { mode: 0o600 });
}

/** What a line sent through `postern tcp` brings back; how the command ended. */
async function echo(who: Who): Promise<{ readonly local: ReturnType<typeof duplexPair>[0]; readonly ran: Promise<Ran> }> {
  const [local, duplex] = duplexPair();
  return { local, ran: runCommand(["tcp", "tcp-echo", "--stdio"], { env: { POSTERN_EDGE: demo.stack.launcher, POSTERN_TOKEN_FILE: tokenOf(who) }, duplex }) };
}

beforeAll(async () => {
  const document = parseDocument(readFileSync(demo.stack.documentFile, "utf8"));
  document.deleteIn(["tests"]);
  document.setIn(["policies", 0, "apps"], ["hello"]);
  document.addIn(["policies"], document.createNode({ id: "oncall", effect: "allow", apps: ["tcp-echo"], when: { group: "staff", grant: { max: "4h" } } }));
  const file = join(folder, "postern.yaml");
  writeFileSync(file, document.toString());
  await json("operator", "apply", file);
  for (const user of ["alice", "bob", "carol"] as const) await signIn(user);
});

describe("postern request, requests, grant and grants", () => {
  it("who may have access asks for it, an operator gives it, it opens the app, and `revoke grant` cuts it", async () => {
    const { ran: before } = await echo("alice");
    expect((await before).err).toContain("postern request");
    const { id } = await json<GivenAnswer>(...ask("alice"));
    expect(await json<GrantsAnswer>("operator", "requests")).toMatchObject([{ id, email: "alice@example.com", app: "tcp-echo", reason: "an incident", lasting_ms: 3_600_000, given_at: null }]);
    expect((await postern("operator", "requests")).out).toMatch(/^g_\S+ +alice@example\.com +tcp-echo +1h +\S+ +an incident$/m);
    expect(await json("operator", "grants")).toEqual([]);

    expect((await postern("operator", "grant", id, "--for", "2h")).out).toContain(`postern revoke grant ${id}`);
    // Once more is the same grant.
    const { until } = await json<GivenAnswer>("operator", "grant", id);
    const hours = (Date.parse(until) - Date.now()) / 3_600_000;
    expect(hours > 1.9 && hours <= 2).toBe(true);
    expect(await json<GrantsAnswer>("operator", "grants")).toMatchObject([{ id, by: "service:local-operator", until }]);
    expect((await postern("operator", "grants")).out).toMatch(/alice@example\.com +tcp-echo/);
    expect(await json("operator", "requests")).toEqual([]);

    const { local, ran } = await echo("alice");
    local.write("hello");
    expect(String(await new Promise((heard) => local.once("data", heard)))).toBe("hello");
    expect(await json<ReceiptAnswer>("operator", "revoke", "grant", id)).toMatchObject({ kind: "grant", target: id, closed: 1, complete: true });
    expect((await ran).exit).toBe(1);
    expect(await json("operator", "grants")).toEqual([]);
  });

  it("a request is denied, and is no more", async () => {
    const { id } = await json<GivenAnswer>(...ask("alice"));
    expect((await postern("operator", "requests", "deny", id)).out).toContain(`denied: ${id}`);
    expect(await json("operator", "requests")).toEqual([]);
    expect(await refused("operator", "grant", id)).toBe("unknown_id");
    // Once more says the same.
    expect((await postern("operator", "requests", "deny", id)).exit).toBe(0);
    expect(await refused("operator", "requests", "deny", `g_${"A".repeat(22)}`)).toBe("unknown_id");
    expect(await refused("operator", "revoke", "grant", id)).toBe("unknown_id");
  });

  it("an operator gives access of their own accord, by address; nobody gives it to themselves, and no request of theirs either", async () => {
    const give = (who: Who, user: string, length = "1h"): readonly [Who, ...string[]] => [who, "grant", "--user", user, "--app", "tcp-echo", "--for", length, "--reason", "an incident"];
    const { id } = await json<GivenAnswer>(...give("carol", "alice@example.com"));
    expect(await json<GrantsAnswer>("operator", "grants")).toMatchObject([{ id, by: expect.stringMatching(/^user:u_/) as string }]);
    expect(await refused(...give("carol", "carol@example.com"))).toBe("own_grant");
    const own = await json<GivenAnswer>(...ask("carol"));
    expect(await refused("carol", "grant", own.id)).toBe("own_grant");
    expect(await refused("alice", "grant", own.id)).toBe("not_operator");
    expect(await json("operator", "grant", own.id)).toMatchObject({ id: own.id });
    expect(await refused(...give("operator", "nobody@example.com"))).toBe("unknown_id");
  });

  it("P28: whom no policy would let in asks and is given the same refusal for an app that is there and one that is not", async () => {
    for (const app of ["tcp-echo", "no-such-app", "hello"]) expect(await refused(...ask("bob", app))).toBe("grant_refused");
    expect(await refused("operator", "grant", "--user", "bob@partner.example.com", "--app", "tcp-echo", "--for", "1h", "--reason", "x")).toBe("grant_refused");
    // Longer than the policy lets it count; and one that the person has without.
    expect(await refused("alice", "request", "tcp-echo", "--for", "5h", "--reason", "x")).toBe("grant_refused");
    expect(await refused(...ask("alice", "hello"))).toBe("grant_refused");
  });

  it("`revoke user` ends what a person was granted and asked for", async () => {
    await json("operator", "revoke", "user", "alice@example.com");
    expect((await json<GrantsAnswer>("operator", "grants")).map(({ email }) => email)).toEqual(["carol@example.com"]);
    expect(await refused("operator", "grant", "--user", "alice@example.com", "--app", "tcp-echo", "--for", "1h", "--reason", "x")).toBe("grant_refused");
  });

  it.each([
    [["request", "tcp-echo", "--for", "soon", "--reason", "x"]],
    [["request", "tcp-echo", "--for", "1h"]],
    [["grant"]],
    [["grant", "--user", "alice@example.com"]],
    [["grant", "g_x", "--user", "alice@example.com"]],
    [["grant", "g_x", "--for", "1 hour"]],
    [["requests", "deny"]],
    [["requests", "allow", "g_x"]],
  ])("wrong usage ends with 2: %j", async (argv) => {
    expect((await postern("operator", ...argv)).exit).toBe(2);
  });
});
