/**
 * The pages in a real Chromium, under the headers that the edge sends: accessibility (axe-core) in
 * light and dark, 320 px, the keyboard, what happens without script, and the fragment's way
 * through signing in. The browser comes out of an npm package (Linux x64); elsewhere name one in CHROMIUM_PATH.
 */
import { readFileSync } from "node:fs";
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import type { AddressInfo } from "node:net";
import { basename } from "node:path";
import type { Browser, BrowserContext, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { launchChromium } from "../../scripts/chromium.ts";
import { continuePage } from "../../worker/pages/continue.ts";
import { PAGE_FILES, pageHeaders } from "../../worker/pages/headers.ts";
import { everyPage } from "./every-page.ts";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const PAGES = everyPage();
/** Every page that has a shape of its own; the codes of the registry differ in words only, so three of them stand for all. */
const SHAPES = PAGES.filter(({ name }) => !name.startsWith("error-") || /-(all-fields|unavailable|headers_too_large|provider_misconfigured)$/.test(name));
const BROWSER_TIMEOUT_MS = 60_000;
/** The width of the smallest phone, and of 1280 px at 400 % (WCAG 1.4.10). */
const NARROW = { width: 320, height: 640 };

let server: Server;
let browser: Browser;
let origin = "";
const posted: { readonly path: string; readonly origin: string | undefined }[] = [];

function answer(request: IncomingMessage, response: ServerResponse): void {
  const url = new URL(request.url ?? "/", origin);
  const type = PAGE_FILES[url.pathname];
  if (request.method === "POST") posted.push({ path: url.pathname, origin: request.headers.origin });
  const page = PAGES.find(({ name }) => `/${name}` === url.pathname);
  if (type !== undefined) return void response.writeHead(200, { "content-type": type }).end(readFileSync(new URL(`../../worker/pages/${basename(url.pathname)}`, import.meta.url)));
  if (url.pathname === "/go") {
    const [mode, flow] = [url.searchParams.get("mode") === "keep" ? "keep" : "restore", url.searchParams.get("flow") ?? ""] as const;
    return void response.writeHead(200, pageHeaders({ script: true })).end(continuePage({ mode, flow, to: `/landed?${mode}` }));
  }
  // Any other path stands for the identity provider and the app.
  if (page === undefined) return void response.writeHead(200, pageHeaders()).end("<!DOCTYPE html><title>landed</title>");
  response.writeHead(200, pageHeaders({ script: page.script === true })).end(page.html);
}

beforeAll(async () => {
  server = createServer(answer);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  browser = await launchChromium();
}, BROWSER_TIMEOUT_MS);

afterAll(async () => {
  await browser?.close();
  server?.closeAllConnections();
  server?.close();
});

/** Runs `use` on a fresh tab; the context is closed whatever happens. */
async function inTab(options: Parameters<Browser["newContext"]>[0], use: (page: Page, context: BrowserContext) => Promise<void>): Promise<void> {
  const context = await browser.newContext(options);
  try {
    await use(await context.newPage(), context);
  } finally {
    await context.close();
  }
}

/** The interstitials leave at once; without their script they stay and can be looked at. */
const stay = (page: Page) => page.route("**/fragment.js", (route) => route.abort());

describe.each(["light", "dark"] as const)("in %s", (colorScheme) => {
  it("axe-core finds nothing on any page, and the policy refuses nothing that a page wants", async () => {
    await inTab({ viewport: { width: 1280, height: 800 }, colorScheme, reducedMotion: "reduce" }, async (page) => {
      await stay(page);
      const complaints: string[] = [];
      page.on("console", (message) => {
        if (/content security policy/i.test(message.text())) complaints.push(message.text());
      });
      expect(SHAPES.length).toBeGreaterThan(18);
      for (const { name } of SHAPES) {
        await page.goto(`${origin}/${name}`);
        await page.evaluate(AXE);
        const found = await page.evaluate<string[]>(`axe.run(document, { resultTypes: ["violations"] }).then(({ violations }) =>
          violations.map(({ id, nodes }) => id + " " + nodes.map(({ html, failureSummary }) => html + failureSummary).join(" ")))`);
        complaints.push(...found.map((text) => `${name}: ${text}`));
      }
      expect(complaints).toEqual([]);
    });
  }, BROWSER_TIMEOUT_MS);

  it("the background is the scheme's own", async () => {
    await inTab({ colorScheme }, async (page) => {
      await page.goto(`${origin}/blank`);
      const paper = await page.evaluate<string>("getComputedStyle(document.body).backgroundColor");
      expect(paper).toBe(colorScheme === "light" ? "rgb(244, 243, 238)" : "rgb(15, 21, 19)");
    });
  }, BROWSER_TIMEOUT_MS);
});

describe("layout", () => {
  it("axe-core sees a fault when there is one (the check can fail)", async () => {
    await inTab({}, async (page) => {
      await page.goto(`${origin}/blank`);
      await page.evaluate(AXE);
      const found = await page.evaluate<string[]>(`document.querySelector("h1").innerHTML = '<button></button>', axe.run().then(({ violations }) => violations.map(({ id }) => id))`);
      expect(found).toContain("button-name");
    });
  }, BROWSER_TIMEOUT_MS);

  it("no page scrolls sideways at 320 px, and every target is at least 24 px high (WCAG 2.5.8)", async () => {
    await inTab({ viewport: NARROW }, async (page) => {
      await stay(page);
      const wide: string[] = [];
      for (const { name } of PAGES) {
        await page.goto(`${origin}/${name}`);
        const [width, small] = await page.evaluate<[number, string[]]>(`[document.documentElement.scrollWidth,
          [...document.querySelectorAll("a, button")].filter((target) => target.getBoundingClientRect().height < 24).map((target) => target.outerHTML)]`);
        if (width > NARROW.width) wide.push(`${name}: ${width} px`);
        wide.push(...small.map((target) => `${name}: small ${target}`));
      }
      expect(wide).toEqual([]);
    });
  }, BROWSER_TIMEOUT_MS);

  it("nothing moves for those who asked for stillness, and print shows no buttons", async () => {
    await inTab({ reducedMotion: "reduce" }, async (page) => {
      await page.goto(`${origin}/launcher`);
      expect(await page.evaluate(`getComputedStyle(document.querySelector("a.tile")).transitionDuration`)).toBe("0s");
      await page.emulateMedia({ media: "print" });
      expect(await page.locator(".who form").isVisible()).toBe(false);
      expect(await page.locator("h1").isVisible()).toBe(true);
    });
  }, BROWSER_TIMEOUT_MS);
});

describe("by keyboard", () => {
  it.each([
    ["launcher", ["Sign out", "Administer Postern", "Your passkeys", "Wiki", "Payroll", "Grafana"]],
    ["denied", ["Sign in again", "How to encrypt your disk", "Try again", "Your apps", "Sign in as somebody else"]],
    ["denied-step-up", ["Confirm it is you", "Sign in as somebody else"]],
    ["chooser", ["Continue with Example Corporation", "Continue with Partner accounts"]],
    ["form-not-sent", ["Sign in (new tab)"]],
    ["sign-out", ["Sign out", "Stay signed in"]],
    // What lets somebody in comes after what keeps them out.
    ["device-confirm", ["Refuse", "Approve"]],
  ] as const)("%s: the order of reading, each stop with a visible ring", async (name, stops) => {
    await inTab({}, async (page) => {
      await page.goto(`${origin}/${name}`);
      for (const stop of stops) {
        await page.keyboard.press("Tab");
        const [text, ring] = await page.evaluate<[string, string]>(`(() => { const at = document.activeElement, style = getComputedStyle(at);
          return [(at.querySelector(".name") ?? at).textContent.trim(), style.outlineStyle + " " + style.outlineWidth]; })()`);
        expect([text, ring]).toEqual([stop, "solid 3px"]);
      }
    });
  }, BROWSER_TIMEOUT_MS);

  it("sign-out is a POST whose Origin is our own (M19), pressed with Enter", async () => {
    await inTab({}, async (page) => {
      await page.goto(`${origin}/launcher`);
      await page.keyboard.press("Tab");
      posted.length = 0;
      await page.keyboard.press("Enter");
      await page.waitForURL(`${origin}/.postern/logout`);
      expect(posted).toEqual([{ path: "/.postern/logout", origin }]);
    });
  }, BROWSER_TIMEOUT_MS);
});

describe("the fragment's way through signing in", () => {
  const landed = (page: Page) => page.waitForURL(/\/landed/);

  it("is kept before and restored after, once, for its own sign-in only", async () => {
    await inTab({}, async (page) => {
      const go = async (mode: string, flow: string, hash = "") => {
        await page.goto(`${origin}/go?mode=${mode}&flow=${flow}${hash}`);
        await landed(page);
        return page.url().slice(origin.length);
      };
      expect(await go("keep", "one", "#sec%203/x")).toBe("/landed?keep");
      expect(await go("restore", "two")).toBe("/landed?restore");
      expect(await go("restore", "one")).toBe("/landed?restore#sec%203/x");
      expect(await go("restore", "one")).toBe("/landed?restore");
      expect(await go("keep", "one", `#${"x".repeat(2_048)}`)).toBe("/landed?keep");
      expect(await go("restore", "one")).toBe("/landed?restore");
    });
  }, BROWSER_TIMEOUT_MS);

  it("is kept by the chooser too", async () => {
    await inTab({}, async (page) => {
      await page.goto(`${origin}/chooser#sec3`);
      await page.goto(`${origin}/go?mode=restore&flow=f1`);
      await landed(page);
      expect(new URL(page.url()).hash).toBe("#sec3");
    });
  }, BROWSER_TIMEOUT_MS);

  it("leaves no page behind that the Back button would run into", async () => {
    await inTab({}, async (page) => {
      await page.goto(`${origin}/blank`);
      await page.goto(`${origin}/go?mode=keep&flow=one`);
      await landed(page);
      await page.goBack();
      expect(page.url()).toBe(`${origin}/blank`);
    });
  }, BROWSER_TIMEOUT_MS);

  it("without script the page goes on by itself", async () => {
    await inTab({ javaScriptEnabled: false }, async (page) => {
      await page.goto(`${origin}/go?mode=keep&flow=one#sec3`);
      await landed(page);
    });
  }, BROWSER_TIMEOUT_MS);

  it("when the script does not load, the link goes on", async () => {
    await inTab({}, async (page) => {
      await stay(page);
      await page.goto(`${origin}/go?mode=restore&flow=one`);
      await page.getByRole("link", { name: "Continue" }).click();
      await landed(page);
    });
  }, BROWSER_TIMEOUT_MS);
});
