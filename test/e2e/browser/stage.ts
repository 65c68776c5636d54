/**
 * A stage for stories in a real browser: one whole stack and one Chromium, and what people do at
 * a page: sign in, look whether it is sound. Holds no story itself.
 */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import type { Browser, BrowserContext, Page } from "playwright-core";
import { expect } from "vitest";
import { canonical } from "../../canonical.ts";
import { launchChromium } from "../../../scripts/chromium.ts";
import { DEMO_PASSWORD } from "../../../start/demo-users.ts";
import { type LoopbackAnswer, loopbackFetch } from "../../../start/loopback-http.ts";
import { type Stack, type StackOptions, startStack } from "../../../start/stack.ts";
import { temporaryState } from "../../start/running-stack.ts";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
/** All bytes of a page: document, stylesheet, script and icon. */
const MAX_PAGE_BYTES = 50_000;
/** The width of the smallest phone, and of 1280 px at 400 % (WCAG 1.4.10). */
const NARROW_PX = 320;
/** Longest wait for one step of a story. */
const STEP_TIMEOUT_MS = 15_000;

export interface Stage {
  readonly stack: Stack;
  readonly browser: Browser;
  /** The address of a path at an app's host; at any host under the domain when no app has this id. */
  readonly at: (app: string, path?: string) => string;
  /** A browser profile of its own: no cookie is shared with another. */
  readonly profile: (options?: Parameters<Browser["newContext"]>[0]) => Promise<BrowserContext>;
  /** One call of the admin API as this machine's operator; the parsed answer and when it was there. */
  readonly operate: <Answer>(path: string, body: string | object) => Promise<{ readonly answer: Answer; readonly status: number; readonly atNs: bigint; readonly atMs: number }>;
  /** What a path of the admin API answers this machine's operator. */
  readonly read: <Answer>(path: string) => Promise<Answer>;
  readonly close: () => Promise<void>;
}

/** Starts both; whatever fails, nothing is left running. */
export async function openStage(options: Partial<StackOptions> = {}): Promise<Stage> {
  const state = temporaryState();
  const stack = await startStack({ stateDirectory: state.path, port: 0, environment: {}, ...options }).catch((cause: unknown) => {
    state.remove();
    throw cause;
  });
  const end = async (): Promise<void> => {
    await stack.stop();
    state.remove();
  };
  const browser = await launchChromium().catch(async (cause: unknown) => {
    await end();
    throw cause;
  });
  const token = readFileSync(stack.tokenFile, "utf8").trim();
  return {
    stack,
    browser,
    at: (app, path = "/") => `${stack.launcher.replace("//", `//${app}.`)}${path}`,
    profile: async (profileOptions = {}) => {
      const context = await browser.newContext(profileOptions);
      context.setDefaultTimeout(STEP_TIMEOUT_MS);
      return context;
    },
    operate: async <Answer>(path: string, body: string | object) => {
      const answer = await loopbackFetch(`${stack.launcher}/.postern/api/v1${path}`, {
        method: "POST",
        headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
        body: typeof body === "string" ? canonical(body) : JSON.stringify(body),
      });
      const [atNs, atMs] = [process.hrtime.bigint(), Date.now()];
      return { answer: JSON.parse(answer.text) as Answer, status: answer.status, atNs, atMs };
    },
    read: async <Answer>(path: string) => JSON.parse((await loopbackFetch(`${stack.launcher}/.postern/api/v1${path}`, { headers: { authorization: `Bearer ${token}` } })).text) as Answer,
    close: async () => {
      await browser.close();
      await end();
    },
  };
}

/** What a receipt says (CONTRACT "Answers"). */
export interface Receipt {
  readonly found: number;
  readonly closed: number;
  readonly slowest_ms: number;
  readonly unconfirmed: readonly unknown[];
  readonly complete: boolean;
}

/** Fills in the demo provider's form, at which the page is. */
export async function fillIn(page: Page, user: string, secondFactor = false): Promise<void> {
  await page.getByLabel("User name").fill(user);
  await page.getByLabel("Password").fill(DEMO_PASSWORD);
  if (secondFactor) await page.getByLabel("second factor").check();
  await page.getByRole("button", { name: "Sign in" }).click();
}

/** Opens an address, signs in at the provider on the way, and is back at the address. */
export async function visitAs(page: Page, user: string, url: string): Promise<void> {
  await page.goto(url);
  await fillIn(page, user);
  await page.waitForURL(url).catch(async (cause: unknown) => {
    throw new Error(`instead of ${url}: ${page.url()} ${await page.locator("body").innerText()}`, { cause });
  });
}

/** The Cookie header that a browser would send to this address. */
export async function cookieHeader(context: BrowserContext, url: string): Promise<string> {
  return (await context.cookies(url)).map(({ name, value }) => `${name}=${value}`).join("; ");
}

/** A navigation without a browser: raw, so that every header of the answer can be compared. */
export const navigate = (url: string, headers: Readonly<Record<string, string>> = {}): Promise<LoopbackAnswer> =>
  loopbackFetch(url, { headers: { accept: "text/html", "sec-fetch-mode": "navigate", ...headers } });

/** What axe-core finds, one line a node. */
export async function axeFindings(page: Page): Promise<string[]> {
  await page.evaluate(AXE);
  return page.evaluate<string[]>(`axe.run(document, { resultTypes: ["violations"] }).then(({ violations }) =>
    violations.map(({ id, nodes }) => id + " " + nodes.map(({ html, failureSummary }) => html + failureSummary).join(" ")))`);
}

/** Expects a page of ours to be accessible in light and dark, not to scroll sideways on the smallest phone, and to be light. */
export async function expectSound(page: Page, size = { width: 1280, height: 800 }): Promise<void> {
  const findings: string[] = [];
  for (const colorScheme of ["light", "dark"] as const) {
    await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
    findings.push(...(await axeFindings(page)).map((finding) => `${colorScheme}: ${finding}`));
  }
  await page.setViewportSize({ width: NARROW_PX, height: 640 });
  const width = await page.evaluate<number>("document.documentElement.scrollWidth");
  if (width > NARROW_PX) findings.push(`${width} px wide at ${NARROW_PX} px`);
  await page.setViewportSize(size);
  await page.emulateMedia({ colorScheme: null, reducedMotion: null });
  const bytes = await page.evaluate<number>(`performance.getEntriesByType("navigation").concat(performance.getEntriesByType("resource")).reduce((sum, entry) => sum + entry.decodedBodySize, 0)`);
  const icon = await page.evaluate<string | null>(`document.querySelector("link[rel=icon]")?.href ?? null`);
  const iconBytes = icon === null ? 0 : (await loopbackFetch(icon)).text.length;
  if (bytes === 0 || bytes + iconBytes > MAX_PAGE_BYTES) findings.push(`${bytes + iconBytes} bytes`);
  expect(findings, page.url()).toEqual([]);
}
