/** Access for a while as people see it: the page that denies offers to ask, somebody else says yes at the command line, it opens, and ends with the receipt. */
import { readFileSync } from "node:fs";
import type { BrowserContext, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parseDocument } from "yaml";
import type { ExplainedRequestAnswer, GivenAnswer, GrantsAnswer } from "../../../protocol/admin-api.ts";
import { loopbackFetch } from "../../../start/loopback-http.ts";
import { jsonOf, runCommand } from "../../cli/run-command.ts";
import { cookieHeader, expectSound, openStage, type Receipt, type Stage, visitAs } from "./stage.ts";

const REASON = `<b>the "clock" & 'echo' are down</b>`;

let stage: Stage;
let alice: BrowserContext;
let page: Page;
beforeAll(async () => {
  stage = await openStage();
  const document = parseDocument(readFileSync(stage.stack.documentFile, "utf8"));
  document.deleteIn(["tests"]);
  document.setIn(["policies", 0, "apps"], ["hello"]);
  document.addIn(["policies"], document.createNode({ id: "oncall", effect: "allow", apps: ["echo", "clock"], when: { group: "staff", grant: true } }));
  expect((await stage.operate("/policy", document.toString())).status).toBe(200);
  alice = await stage.profile();
  page = await alice.newPage();
});
afterAll(() => stage?.close());

async function postern<T>(...argv: readonly string[]): Promise<T> {
  const ran = await runCommand([...argv, "--json"], { env: { POSTERN_EDGE: stage.stack.launcher, POSTERN_TOKEN_FILE: stage.stack.tokenFile } });
  expect([ran.exit, ran.err], argv.join(" ")).toEqual([0, ""]);
  return jsonOf<T>(ran);
}

describe("alice, on call", () => {
  let request: string;
  let grant: string;

  it("is told that the app is closed, and asks for it on that page, for so long and why; nothing of it is in the address", async () => {
    await visitAs(page, "alice", stage.at("echo"));
    expect(await page.locator("h1").innerText()).toBe("WebSocket echo is closed to you right now");
    expect(await page.locator(".advice").innerText()).toContain("Ask for access");
    await expectSound(page);
    await page.getByLabel("For how long").selectOption("2h");
    await page.getByLabel("Why").fill(REASON);
    await page.getByRole("button", { name: "Ask for access" }).click();
    await page.getByRole("heading", { name: "You asked for access" }).waitFor();
    expect(page.url()).toBe(stage.at("echo", "/.postern/request"));
    await expectSound(page);
    const [asked] = await postern<GrantsAnswer>("requests");
    expect(asked).toMatchObject({ app: "echo", email: "alice@example.com", reason: REASON, lasting_ms: 7_200_000 });
    request = asked?.id ?? "";
    expect((await page.goto(stage.at("echo")))?.status()).toBe(403);
  });

  it("is in once an operator said yes, and until the grant is revoked: her socket is closed with 4403, and the page says so", async () => {
    ({ id: grant } = await postern<GivenAnswer>("grant", request));
    const opened = await page.goto(stage.at("echo"));
    expect(opened?.status()).toBe(200);
    // On record with the grant, and made again from there the same.
    const again = await postern<ExplainedRequestAnswer>("explain", opened?.headers()["postern-request-id"] ?? "");
    expect([again.effect, again.recorded_effect, again.decided_by]).toEqual(["allow", "allow", ["oncall"]]);
    expect(again.policies.flatMap(({ criteria }) => criteria)).toContainEqual(expect.objectContaining({ fact: "grant.echo", result: "true", value: grant, source: "operator:service:local-operator" }));
    await page.evaluate(`window.mine = new WebSocket(location.origin.replace("http", "ws") + "/x");
      mine.onopen = () => mine.send("are you there?"); mine.onmessage = ({ data }) => { window.answered = data; };
      mine.onclose = ({ code }) => { window.cut = code; };`);
    await page.waitForFunction("window.answered === 'are you there?'");
    const receipt = await postern<Receipt>("revoke", "grant", grant);
    expect(receipt).toMatchObject({ complete: true, unconfirmed: [] });
    // The app's own page holds one, too.
    expect(receipt.closed).toBeGreaterThanOrEqual(1);
    await page.waitForFunction("window.cut === 4403");
    expect((await page.goto(stage.at("echo")))?.status()).toBe(403);
  });

  it("finds both apps in the launcher, and asks there without scripts", async () => {
    await page.goto(`${stage.stack.launcher}/`);
    expect(await page.locator(".tile .name").allTextContents()).not.toContain("Clock");
    expect(await page.getByLabel("App", { exact: true }).locator("option").allTextContents()).toEqual(["WebSocket echo", "Clock"]);
    await expectSound(page);
    const plain = await stage.profile({ javaScriptEnabled: false, storageState: await alice.storageState() });
    const form = await plain.newPage();
    await form.goto(`${stage.stack.launcher}/`);
    await form.getByLabel("App", { exact: true }).selectOption({ label: "Clock" });
    await form.getByLabel("Why").fill("to look at it");
    await form.getByRole("button", { name: "Ask for access" }).click();
    await form.getByRole("heading", { name: "You asked for access" }).waitFor();
    await plain.close();
    expect((await postern<GrantsAnswer>("requests")).map(({ app, reason }) => [app, reason])).toEqual([["clock", "to look at it"]]);
  });

  it("P28: names no app at another host than the launcher's: one where no app is and one that is hidden from her refuse alike", async () => {
    const asked = async (host: string): Promise<unknown> => {
      expect((await page.goto(stage.at(host)))?.status()).toBe(404);
      const { status, text } = await loopbackFetch(stage.at(host, "/.postern/request"), {
        method: "POST",
        headers: { cookie: await cookieHeader(alice, stage.at(host)), origin: new URL(stage.at(host)).origin, "content-type": "application/x-www-form-urlencoded" },
        body: new URLSearchParams({ app: "echo", for: "1h", reason: "x" }).toString(),
      });
      return { status, code: (JSON.parse(text) as { readonly error: { readonly code: string } }).error.code };
    };
    const refused = { status: 403, code: "grant_refused" };
    expect(await asked("nosuchapp")).toEqual(refused);
    expect(await asked("partners")).toEqual(refused);
  });
});

describe("bob, whom no policy would let in by a grant", () => {
  it("P28: sees no such app anywhere, and is refused the same for one that is there and one that is not", async () => {
    const bob = await stage.profile();
    const his = await bob.newPage();
    await visitAs(his, "bob", `${stage.stack.launcher}/`);
    expect(await his.getByText("Access for a while").count()).toBe(0);
    expect((await his.goto(stage.at("echo")))?.status()).toBe(404);
    expect(await his.getByText("Ask for access").count()).toBe(0);
    const cookie = await cookieHeader(bob, `${stage.stack.launcher}/`);
    const asked = async (app: string): Promise<unknown> => {
      const { status, headers, text } = await loopbackFetch(`${stage.stack.launcher}/.postern/request`, {
        method: "POST",
        headers: { cookie, origin: stage.stack.launcher, "content-type": "application/x-www-form-urlencoded" },
        body: new URLSearchParams({ app, for: "1h", reason: "x" }).toString(),
      });
      const { "postern-request-id": id, date: _date, ...rest } = headers;
      return { status, rest, body: text.replaceAll(String(id), "ID") };
    };
    const refused = await asked("echo");
    expect(refused).toMatchObject({ status: 403, body: expect.stringContaining("grant_refused") as string });
    expect(await asked("nosu")).toEqual(refused);
    await bob.close();
  });
});
