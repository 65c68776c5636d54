/**
 * People at work in a real browser: each sees exactly their apps, is told why one is closed and
 * what to do, and cannot tell a forbidden app from none. Signing out ends all of it.
 */
import type { BrowserContext, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { loopbackFetch } from "../../../start/loopback-http.ts";
import { interleavedMedians } from "./interleaved-medians.ts";
import { cookieHeader, expectSound, fillIn, navigate, openStage, type Stage, visitAs } from "./stage.ts";

const TIMING_ATTEMPTS_COUNT = 3;

let stage: Stage;
beforeAll(async () => {
  stage = await openStage();
});
afterAll(() => stage?.close());

const tiles = (page: Page): Promise<string[]> => page.locator(".tile .name").allTextContents();
const launcher = (): string => `${stage.stack.launcher}/`;

/** A blank answer as a stranger compares it: all of it but the request id. */
async function answerTo(url: string, cookie: string): Promise<unknown> {
  const { status, headers, text } = await navigate(url, cookie === "" ? {} : { cookie });
  const { "postern-request-id": id, date: _date, ...rest } = headers;
  expect(String(id)).toMatch(/^r_/);
  return { status, rest, body: text.replaceAll(String(id), "ID") };
}

describe("alice", () => {
  let alice: BrowserContext;
  let page: Page;
  beforeAll(async () => {
    alice = await stage.profile();
    page = await alice.newPage();
  });
  afterAll(() => alice?.close());

  it("signs in at the launcher and sees her apps only", async () => {
    await page.goto(launcher());
    await page.getByLabel("User name").waitFor();
    await expectSound(page);
    await fillIn(page, "alice");
    await page.waitForURL(launcher());
    expect((await tiles(page)).toSorted()).toEqual(["Clock", "Hello", "Reports", "WebSocket echo", "tcp-echo"]);
    expect(await page.locator(".who").innerText()).toContain("alice@example.com");
    await expectSound(page);
  });

  it("opens one without signing in again, and the app knows who she is", async () => {
    await page.getByRole("link", { name: "Hello" }).click();
    await page.waitForURL(stage.at("hello"));
    const text = await page.locator("body").innerText();
    expect(text).toContain("Hello, alice@example.com");
    expect(text).toContain("Verified against the launcher's keys.");
    await expectSound(page);
    await page.getByRole("link", { name: "sign out" }).click();
    await page.getByRole("heading", { name: "Sign out?" }).waitFor();
    await expectSound(page);
    await page.getByRole("link", { name: "Stay signed in" }).click();
    await page.waitForURL(launcher());
  });

  it("is told what reports is missing, steps up and is in, and the event stream in another tab ticks on", async () => {
    const clock = await alice.newPage();
    await clock.goto(stage.at("clock"));
    await clock.evaluate(`window.ticks = 0; window.cuts = 0; window.stream = new EventSource("/events");
      stream.onmessage = () => { ticks++; }; stream.onerror = () => { cuts++; };`);
    await clock.waitForFunction("ticks > 0");

    const refused = await page.goto(stage.at("reports", "/q3?page=2"));
    expect(refused?.status()).toBe(403);
    expect(refused?.headers()["cache-control"]).toBe("no-store");
    expect(await page.locator("h1").innerText()).toBe("Confirm that it is you");
    expect(await page.locator(".advice").innerText()).toMatch(/second factor/i);
    await expectSound(page);
    await page.getByRole("link", { name: "Confirm it is you" }).click();
    await page.getByText("asks for a second factor").waitFor();
    await fillIn(page, "alice", true);
    await page.waitForURL(stage.at("reports", "/q3?page=2"));
    expect(await page.locator("body").innerText()).toContain("You are in the private app reports");

    const before = await clock.evaluate<number>("ticks");
    await clock.waitForFunction(`ticks > ${before}`);
    expect(await clock.evaluate("cuts")).toBe(0);
    await page.goto(launcher());
    expect(await page.getByText("asks you to confirm").count()).toBe(0);
    await clock.close();
  });

  it("cannot tell the forbidden partners from a host that does not exist, byte for byte", async () => {
    const blank = await page.goto(stage.at("partners"));
    expect(blank?.status()).toBe(404);
    expect(await page.locator("h1").innerText()).toBe("Nothing to open here");
    await expectSound(page);
    await page.goto(stage.at("no-such-app"));
    const forbidden = await answerTo(stage.at("partners", "/x"), await cookieHeader(alice, stage.at("partners")));
    expect(await answerTo(stage.at("no-such-app", "/x"), await cookieHeader(alice, stage.at("no-such-app")))).toEqual(forbidden);
    expect(forbidden).toMatchObject({ status: 404 });
  });

  it("and not by the clock either: medians of 500 interleaved timings within 10 %", async () => {
    // Names of one length, so that the addresses differ in nothing else.
    for (const app of ["partners", "nowheres"]) await page.goto(stage.at(app));
    const cookies = { partners: await cookieHeader(alice, stage.at("partners")), nowheres: await cookieHeader(alice, stage.at("nowheres")) };
    // A leak shows every time; another program on this machine does not.
    const differences: number[] = [];
    for (let attempt = 0; attempt < TIMING_ATTEMPTS_COUNT; attempt++) {
      const [forbidden, unknown] = await interleavedMedians(stage.stack.port, Object.entries(cookies).map(([app, cookie]) => ({ host: new URL(stage.at(app)).host, cookie })));
      differences.push(Math.abs(forbidden - unknown) / Math.min(forbidden, unknown));
      if (differences.some((difference) => difference <= 0.1)) break;
    }
    expect(Math.min(...differences)).toBeLessThanOrEqual(0.1);
  });

  it("and neither can her scripts", async () => {
    const asked = async (app: string): Promise<unknown> => {
      const { status, headers, text } = await loopbackFetch(stage.at(app, "/api"), { headers: { cookie: await cookieHeader(alice, stage.at(app)), accept: "application/json" } });
      const { "postern-request-id": id, date: _date, ...rest } = headers;
      return { status, rest, body: text.replaceAll(String(id), "ID") };
    };
    expect(await asked("partners")).toEqual(await asked("no-such-app"));
    expect(await asked("partners")).toMatchObject({ status: 404 });
  });
});

describe("signed out", () => {
  it("every host makes the same redirect or the same 401, whether an app is there or not", async () => {
    const shown = async (app: string): Promise<unknown> => {
      const masked = (text: unknown): string => JSON.stringify(text).replaceAll(`${app}.`, "HOST.").replace(/n=[\w-]{43}/, "n=N").replace(/nonce=[\w-]+/, "nonce=N").replace(/(bounce=[\w-]+\.1)\.\d+/, "$1.T");
      const [page, api] = [await answerTo(stage.at(app, "/a?b"), ""), await loopbackFetch(stage.at(app, "/a?b"))];
      const { "postern-request-id": id, date: _date, ...rest } = api.headers;
      return [masked(page), masked([api.status, rest, api.text.replaceAll(String(id), "ID")])];
    };
    const hello = await shown("hello");
    expect(hello).toEqual([expect.stringContaining('"status":302'), expect.stringMatching(/^\[401/)]);
    expect(await shown("no-it")).toEqual(hello);
    const partners = await shown("partners");
    for (const other of ["nowheres", "tcp-echo", "a.b.c.de"]) expect(await shown(other)).toEqual(partners);
  });
});

describe("bob", () => {
  let profile: BrowserContext;
  let page: Page;
  beforeAll(async () => {
    profile = await stage.profile();
    page = await profile.newPage();
  });
  afterAll(() => profile?.close());

  it("sees the partner portal and nothing of the staff's", async () => {
    await visitAs(page, "bob", launcher());
    expect(await tiles(page)).toEqual(["Partner portal"]);
    await page.getByRole("link", { name: "Partner portal" }).click();
    await page.waitForURL(stage.at("partners"));
    expect(await page.locator("h1").innerText()).toBe("Hello, bob@partner.example.com");
    const blanks = new Set<string>();
    for (const app of ["hello", "reports", "no-such-app"]) {
      await page.goto(stage.at(app));
      blanks.add(JSON.stringify(await answerTo(stage.at(app), await cookieHeader(profile, stage.at(app)))));
    }
    expect(blanks.size).toBe(1);
  });
});

describe("signing out", () => {
  it("ends every app's cookie, the event stream and the WebSocket at once; the next person gets a session of their own (class G)", async () => {
    const profile = await stage.profile();
    const page = await profile.newPage();
    await visitAs(page, "alice", launcher());
    for (const app of ["hello", "clock"]) await page.goto(stage.at(app));
    const held = new Map<string, string>();
    for (const app of ["hello", "clock"]) held.set(app, await cookieHeader(profile, stage.at(app)));
    held.set("launcher", await cookieHeader(profile, launcher()));

    const [clock, echo] = [await profile.newPage(), await profile.newPage()];
    await clock.goto(stage.at("clock"));
    await clock.getByText("running").waitFor();
    await echo.goto(stage.at("echo"));
    await echo.getByText("open").waitFor();

    await page.goto(launcher());
    await page.getByRole("button", { name: "Sign out" }).click();
    await page.getByRole("button", { name: "Yes, sign me out" }).click();
    await page.getByRole("heading", { name: "You are signed out" }).waitFor();
    await expectSound(page);
    await clock.getByText("cut: the stream has ended").waitFor();
    await echo.getByText("closed 4401").waitFor();
    for (const [app, cookie] of held) {
      const url = app === "launcher" ? launcher() : stage.at(app);
      const answer = await loopbackFetch(url, { headers: { cookie, accept: "application/json" } });
      expect([app, answer.status]).toEqual([app, 401]);
    }

    await page.getByRole("link", { name: "Sign in again" }).click();
    await fillIn(page, "bob");
    await page.waitForURL(launcher());
    expect(await tiles(page)).toEqual(["Partner portal"]);
    // The cookie that alice left at hello is replaced, so the app is bob's to ask for: and blank to him.
    const hello = await page.goto(stage.at("hello"));
    expect(hello?.status()).toBe(404);
    await page.goto(stage.at("hello", "/.postern/me"));
    const me = await page.locator("main").innerText();
    expect(me).toContain("bob@partner.example.com");
    expect(me).not.toMatch(/alice/i);
    await expectSound(page);
    await profile.close();
  });
});
