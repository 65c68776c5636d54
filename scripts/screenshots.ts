/**
 * `npm run screenshots [-- FOLDER]`: takes the pictures of docs/images from a whole stack of its
 * own, at the width of a phone and of a laptop, light and dark. Not a test: people look at these.
 */
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Browser, Page } from "playwright-core";
import { DEMO_PASSWORD } from "../start/demo-users.ts";
import { type Stack, startStack } from "../start/stack.ts";
import { launchChromium } from "./chromium.ts";

const FOLDER = process.argv[2] ?? join(import.meta.dirname, "../docs/images");
const SIZES = [{ width: 390, height: 760 }, { width: 1280, height: 720 }] as const;
const SCHEMES = ["light", "dark"] as const;

/** The demo's people and sample apps under a document that has something to show on every page. */
const DOCUMENT = `version: 1
domain: postern.localhost
identity:
  providers:
    - { id: example, issuer: "http://idp.demo.localhost", client_id: postern, client_secret: { secret: DEMO_CLIENT_SECRET }, scopes: [openid, email, profile, groups], groups_claim: groups, email_domains: [example.com], acr_values: ["urn:postern:demo:second-factor"] }
    - { id: partners, issuer: "http://127.0.0.1:9", client_id: postern, client_secret: { secret: DEMO_CLIENT_SECRET }, email_domains: [partner.example.com] }
sites: [{ id: berlin }, { id: lisbon }]
apps:
  - { id: wiki, name: "Wiki", site: berlin, upstream: "http://hello.demo.localhost", tags: [internal] }
  - { id: grafana, name: "Grafana", site: berlin, upstream: "http://hello.demo.localhost", tags: [internal, monitoring] }
  - { id: clock, name: "Clock", site: lisbon, upstream: "http://clock.demo.localhost", tags: [internal] }
  - { id: reports, name: "Quarterly reports", site: berlin, upstream: "http://hello.demo.localhost", tags: [finance] }
  - { id: orders, name: "Orders database", site: lisbon, upstream: "tcp://tcp-echo.demo.localhost:7", tags: [internal] }
  - { id: payroll, name: "Payroll", site: berlin, upstream: "http://hello.demo.localhost", tags: [finance] }
policies:
  - { id: staff, effect: allow, apps: ["tag:internal"], when: { group: [staff] } }
  - { id: staff-reports, effect: allow, apps: [reports], when: { group: [staff], mfa: { max_age: 12h } } }
  - { id: staff-payroll, effect: allow, apps: [payroll], when: { group: [staff], device: { registered: true, disk_encrypted: true, max_age: 15m }, country: [DE, PT] } }
  - { id: this-machine, effect: allow, apps: ["postern:admin"], when: { service: [local-operator] }, limits: { role: operator } }
`;

async function signIn(page: Page): Promise<void> {
  await page.getByLabel("User name").fill("alice");
  await page.getByLabel("Password").fill(DEMO_PASSWORD);
  await page.getByRole("button", { name: "Sign in" }).click();
}

/** Each picture: its name, and how a page that is signed in as alice gets there. */
function pictures({ launcher }: Stack): readonly (readonly [string, (page: Page) => Promise<unknown>])[] {
  const at = (app: string, path = "/"): string => `${launcher.replace("//", `//${app}.`)}${path}`;
  const heading = (page: Page, name: string): Promise<void> => page.getByRole("heading", { name }).waitFor();
  return [
    ["launcher", (page) => page.goto(`${launcher}/`)],
    ["app", (page) => page.goto(at("wiki", "/handbook"))],
    ["step-up", (page) => page.goto(at("reports"))],
    ["denied", (page) => page.goto(at("payroll"))],
    ["blank", (page) => page.goto(at("no-such-app"))],
    ["error", (page) => page.goto(`${launcher}/.postern/callback?code=x&state=${"x".repeat(43)}`)],
    ["signed-out", async (page) => {
      await page.goto(`${launcher}/`);
      await page.getByRole("button", { name: "Sign out" }).click();
      await page.getByRole("button", { name: "Yes, sign me out" }).click();
      await heading(page, "You are signed out");
    }],
    ["chooser", async (page) => {
      await page.goto(at("wiki", "/handbook"));
      await heading(page, "Sign in");
    }],
  ];
}

async function takeAll(browser: Browser, stack: Stack): Promise<void> {
  for (const viewport of SIZES) {
    for (const colorScheme of SCHEMES) {
      const context = await browser.newContext({ viewport, colorScheme, reducedMotion: "reduce" });
      const page = await context.newPage();
      await page.goto(`${stack.launcher}/`);
      await page.getByRole("link", { name: "Continue with example" }).click();
      await signIn(page);
      await page.waitForURL(`${stack.launcher}/`);
      for (const [name, go] of pictures(stack)) {
        await go(page);
        await page.screenshot({ path: join(FOLDER, `${name}-${viewport.width}-${colorScheme}.png`), fullPage: true });
      }
      await context.close();
    }
  }
}

const state = await mkdtemp(join(tmpdir(), "postern-screenshots-"));
await mkdir(FOLDER, { recursive: true });
const documentFile = join(state, "own.yaml");
await writeFile(documentFile, DOCUMENT);
const stack = await startStack({ stateDirectory: join(state, "state"), port: 0, documentFile, environment: {} });
try {
  const browser = await launchChromium();
  try {
    await takeAll(browser, stack);
  } finally {
    await browser.close();
  }
} finally {
  await stack.stop();
  await rm(state, { recursive: true, force: true });
}
