/**
 * The way back: signing in ends at the exact address that was asked for, with or without script,
 * in two tabs at once; and each way in which it can fail ends at a page that says what to do.
 */
import type { BrowserContext, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { DEMO_PASSWORD } from "../../../start/demo-users.ts";
import { FormBrowser } from "../../start/form-browser.ts";
import { expectSound, fillIn, openStage, type Stage, visitAs } from "./stage.ts";

let stage: Stage;
beforeAll(async () => {
  stage = await openStage();
});
afterAll(() => stage?.close());

const opened: BrowserContext[] = [];
afterEach(async () => {
  for (const profile of opened.splice(0)) await profile.close();
});
async function freshTab(options?: Parameters<Stage["profile"]>[0]): Promise<{ readonly page: Page; readonly profile: BrowserContext }> {
  const profile = await stage.profile(options);
  opened.push(profile);
  return { profile, page: await profile.newPage() };
}

const DEEP = "/docs/a%20b/~c?x=1&y=%2Fz&x=2";
const heading = (page: Page): Promise<string> => page.locator("h1").innerText();
/** Remembers the address of the first request of this page whose path starts so. */
const requested = async (page: Page, path: string): Promise<string> => (await page.waitForRequest((request) => new URL(request.url()).pathname.startsWith(path))).url();

describe("signing in ends at the exact address that was asked for", () => {
  it("path, query and fragment", async () => {
    const { page } = await freshTab();
    await visitAs(page, "alice", stage.at("hello", `${DEEP}#sec%203/x`));
    expect(await page.locator("main code").first().innerText()).toBe(DEEP);
    // Signed in already: the next app's deep link passes through the launcher unseen.
    await page.goto(stage.at("clock", "/at?t=1#now"));
    await page.waitForURL(stage.at("clock", "/at?t=1#now"));
  });

  it("without script too, but for the fragment", async () => {
    const { page } = await freshTab({ javaScriptEnabled: false });
    await page.goto(stage.at("hello", `${DEEP}#sec`));
    await fillIn(page, "alice");
    await page.getByRole("heading", { name: "Hello, alice@example.com" }).waitFor();
    expect(page.url().split("#")[0]).toBe(stage.at("hello", DEEP));
    await page.goto(stage.at("reports"));
    await page.getByRole("link", { name: "Confirm it is you" }).click();
    await fillIn(page, "alice", true);
    await page.getByText("You are in the private app reports").waitFor();
    await page.goto(stage.at("hello", "/.postern/logout"));
    await page.getByRole("button", { name: "Sign out" }).click();
    await page.getByRole("button", { name: "Yes, sign me out" }).click();
    await page.getByRole("heading", { name: "You are signed out" }).waitFor();
  });

  it("two tabs that sign in at once both arrive, each at its own address", async () => {
    const { page, profile } = await freshTab();
    const other = await profile.newPage();
    const [one, two] = [stage.at("hello", "/one#1"), stage.at("hello", "/two?2#2")];
    await page.goto(one);
    await other.goto(two);
    await Promise.all([fillIn(page, "alice").then(() => page.waitForURL(one)), fillIn(other, "alice").then(() => other.waitForURL(two))]);
    expect(await heading(page)).toBe("Hello, alice@example.com");
    expect(await heading(other)).toBe("Hello, alice@example.com");
  });

  it("by keyboard alone: sign in, open an app, step up", async () => {
    const { page } = await freshTab();
    const until = async (name: RegExp): Promise<void> => {
      const focused = (): Promise<string> => page.evaluate<string>("document.activeElement.innerText ?? ''");
      for (let press = 0; press < 12; press++) {
        await page.keyboard.press("Tab");
        if (name.test(await focused())) return;
      }
      throw new Error(`no stop ${String(name)} on ${page.url()}`);
    };
    await page.goto(`${stage.stack.launcher}/`);
    await page.locator("input[name=user]:focus").waitFor();
    await page.keyboard.type("alice");
    await page.keyboard.press("Tab");
    await page.keyboard.type(DEMO_PASSWORD);
    await page.keyboard.press("Enter");
    await page.waitForURL(`${stage.stack.launcher}/`);
    await until(/^Reports|\nReports/m);
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { name: "Confirm that it is you" }).waitFor();
    await until(/^Confirm it is you$/);
    await page.keyboard.press("Enter");
    await page.locator("input[name=password]:focus").waitFor();
    await page.keyboard.type(DEMO_PASSWORD);
    await page.keyboard.press("Enter");
    await page.getByText("You are in the private app reports").waitFor();
  });
});

describe("an ended session", () => {
  it("a form is not sent, says so, and can be sent after all; an API call gets 401 JSON", async () => {
    const { page, profile } = await freshTab();
    await visitAs(page, "alice", stage.at("hello"));
    await profile.clearCookies({ domain: new URL(stage.at("hello")).hostname });
    const calls = await page.evaluate<[number, { error: { code: string; login_url: string } }]>(`fetch("/api").then(async (answer) => [answer.status, await answer.json()])`);
    expect(calls).toMatchObject([401, { error: { code: "sign_in_required", login_url: expect.stringContaining("/.postern/sign-in?to=%2Fapi") } }]);

    const answered = page.waitForResponse((response) => response.request().method() === "POST");
    await page.evaluate(`(() => { const form = document.createElement("form"); form.method = "post"; form.action = "/save"; document.body.append(form); form.submit(); })()`);
    expect((await answered).status()).toBe(401);
    await page.getByRole("heading", { name: "Your form was not sent" }).waitFor();
    await expectSound(page);
    const [tab] = await Promise.all([profile.waitForEvent("page"), page.getByRole("link", { name: "Sign in" }).click()]);
    await tab.waitForURL(stage.at("hello"));
    const again = await page.reload();
    expect([again?.request().method(), again?.status()]).toEqual(["POST", 200]);
    expect(await page.locator("main code").first().innerText()).toBe("/save");
  });
});

describe("what can go wrong on the way has a page of its own", () => {
  it("cookies that are blocked, at the launcher and at the app", async () => {
    const { page, profile } = await freshTab();
    const forget = (url: string): Promise<void> => profile.clearCookies({ domain: new URL(url).hostname });
    await page.goto(stage.at("hello"));
    await forget(stage.stack.launcher);
    await fillIn(page, "alice");
    await page.getByRole("heading", { name: "Your browser did not keep a cookie" }).waitFor();
    expect(page.url()).toMatch(/\/\.postern\/callback\?/);
    await expectSound(page);

    await page.route("**/.postern/continue?*", async (route) => {
      await forget(stage.at("hello"));
      await route.continue();
    });
    await page.goto(stage.at("hello"));
    await page.getByRole("heading", { name: "Your browser did not keep a cookie" }).waitFor();
    expect(new URL(page.url()).host).toBe(new URL(stage.at("hello")).host);
  });

  it("a callback opened in another browser, and one used twice", async () => {
    const mallory = new FormBrowser();
    const form = await mallory.open(stage.at("hello"));
    const action = new URL(/action="([^"]+)"/.exec(form.page?.text ?? "")?.[1] ?? "", form.at).href;
    const signedIn = await mallory.follow(await mallory.submit(action, { user: "bob", password: DEMO_PASSWORD }), action, `${stage.stack.launcher}/.postern/callback`);
    const { page } = await freshTab();
    const strange = await page.goto(signedIn.stopped?.href ?? "");
    expect(strange?.status()).toBe(400);
    expect(await heading(page)).toBe("The sign-in was begun elsewhere");
    await expectSound(page);

    await page.goto(stage.at("hello"));
    const address = requested(page, "/.postern/callback");
    await fillIn(page, "alice");
    await page.waitForURL(stage.at("hello"));
    const callback = await address;
    await page.goto(signedIn.stopped?.href ?? "");
    expect(await heading(page)).toBe("The sign-in was begun elsewhere");
    const replayed = await page.goto(callback);
    expect(replayed?.status()).toBe(400);
    expect(await heading(page)).toBe("This sign-in was already used");
    await expectSound(page);
    await page.getByRole("link", { name: "Your apps" }).click();
    await page.waitForURL(`${stage.stack.launcher}/`);
  });

  it("a hand-off code used twice, or in another browser", async () => {
    const { page } = await freshTab();
    const { page: elsewhere } = await freshTab();
    await page.goto(stage.at("hello"));
    const address = requested(page, "/.postern/continue");
    await fillIn(page, "alice");
    await page.waitForURL(stage.at("hello"));
    await page.goto(await address);
    expect(await heading(page)).toBe("This sign-in was already used");
    await elsewhere.goto(await address);
    expect(await heading(elsewhere)).toBe("The sign-in was begun elsewhere");
  });

  it("a browser that loses our cookie: the third bounce within 30 s stops and explains", async () => {
    const { page, profile } = await freshTab();
    const url = stage.at("hello", "/again");
    await visitAs(page, "alice", url);
    const forget = (): Promise<void> => profile.clearCookies({ domain: new URL(url).hostname, name: "__Host-postern" });
    await forget();
    await page.goto(url);
    await page.waitForURL(url);
    await forget();
    const stopped = await page.goto(url);
    expect(stopped?.status()).toBe(400);
    expect(await heading(page)).toBe("Signing in goes round in circles");
    await expectSound(page);
    await page.getByRole("link", { name: "Sign in once more" }).click();
    await page.waitForURL(url);
  });

  it("a person who cancels, and a provider that refuses: nothing that it said is markup (class I)", async () => {
    const { page } = await freshTab();
    const said = `"><script>document.title = "owned"</script>`;
    for (const [error, title] of [["access_denied", "The sign-in was cancelled"], [`x${said}`, "The identity provider refused"]] as const) {
      // An attempt is good for one answer, whatever it says.
      const authorization = page.waitForRequest((request) => request.url().startsWith(stage.stack.issuer));
      await page.goto(stage.at("hello", "/2"));
      const state = new URL((await authorization).url()).searchParams.get("state") ?? "";
      const query = new URLSearchParams({ error, error_description: said, state, iss: stage.stack.issuer });
      const answer = await page.goto(`${stage.stack.launcher}/.postern/callback?${query.toString()}`);
      expect(await heading(page)).toBe(title);
      expect(await answer?.text()).not.toContain("<script");
      expect(answer?.headers()["content-security-policy"]).not.toMatch(/script-src|unsafe-inline/);
      expect(await page.title()).not.toBe("owned");
    }
    await expectSound(page);
  });
});
