/**
 * Several identity providers: the choice between them keeps the way back; one whose clock is
 * wrong, and an answer of one in the name of another, let nobody in and say why (class E).
 */
import { type ChildProcess, fork } from "node:child_process";
import { generateKeyPairSync } from "node:crypto";
import { writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import type { BrowserContext, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { demoProvider } from "../../../start/demo-provider.ts";
import { temporaryState } from "../../start/running-stack.ts";
import { expectSound, fillIn, openStage, type Stage } from "./stage.ts";

const SECRET = "shared with every provider of this test";
const state = temporaryState();
const servers: Server[] = [];
let late: ChildProcess;
let stage: Stage;

const jwks = (): { keys: unknown[] } => ({ keys: [{ ...generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey.export({ format: "jwk" }), use: "sig", alg: "RS256", kid: "k" }] });
async function listening(): Promise<{ readonly server: Server; readonly issuer: string }> {
  const server = createServer();
  servers.push(server);
  await new Promise<void>((ready) => server.listen(0, "127.0.0.1", ready));
  return { server, issuer: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
}
const said = (child: ChildProcess): Promise<unknown> =>
  new Promise((heard, failed) => {
    child.once("message", heard);
    child.once("exit", (code) => failed(new Error(`the provider ended with ${code}`)));
  });

const document = (issuers: Readonly<Record<string, string>>): string => `version: 1
domain: access.example.com
identity:
  providers:
${Object.entries(issuers).map(([id, issuer]) => `    - { id: ${id}, issuer: "${issuer}", client_id: postern, client_secret: { secret: SHARED }, scopes: [openid, email, profile], email_domains: [example.com, partner.example.com] }`).join("\n")}
sites: [{ id: office }]
apps:
  - { id: hello, site: office, upstream: "http://hello.demo.localhost" }
  - { id: payroll, name: "Payroll", site: office, upstream: "http://hello.demo.localhost" }
policies:
  - { id: payroll-at-home, effect: allow, apps: [payroll], when: { email_domain: [example.com], country: [DE], device: { disk_encrypted: true } } }
  - { id: everybody, effect: allow, apps: [hello], when: { email_domain: [example.com, partner.example.com] } }
  - { id: this-machine, effect: allow, apps: ["postern:admin"], when: { service: [local-operator] }, limits: { role: operator } }
`;

beforeAll(async () => {
  const [corp, partners] = [await listening(), await listening()];
  late = fork(join(import.meta.dirname, "fast-clock-provider.ts"));
  const port = await said(late);
  const file = join(state.path, "own.yaml");
  writeFileSync(file, document({ corp: corp.issuer, partners: partners.issuer, late: `http://127.0.0.1:${String(port)}` }));
  stage = await openStage({ documentFile: file, environment: { SHARED: SECRET } });
  const { launcher } = stage.stack;
  for (const [providerId, { server, issuer }] of Object.entries({ corp, partners })) {
    server.on("request", demoProvider({ issuer, clientId: "postern", clientSecret: SECRET, launcher, providerId, jwks: jwks(), cookieKeys: ["k"] }));
  }
  late.send({ clientId: "postern", clientSecret: SECRET, launcher, providerId: "late", jwks: jwks(), cookieKeys: ["k"] });
  await said(late);
});
afterAll(async () => {
  late?.kill();
  for (const server of servers) {
    server.close();
    server.closeAllConnections();
  }
  await stage?.close();
  state.remove();
});

let profile: BrowserContext;
afterEach(() => profile?.close());
async function choose(provider: string, path: string): Promise<Page> {
  profile = await stage.profile();
  const page = await profile.newPage();
  await page.goto(stage.at("hello", path));
  await page.getByRole("link", { name: `Continue with ${provider}` }).click();
  return page;
}

describe("an explained denial", () => {
  it("tells a person whom the policy names what is missing, and never which values it accepts", async () => {
    const page = await choose("corp", "/");
    await fillIn(page, "alice");
    await page.waitForURL(stage.at("hello"));
    const denied = await page.goto(stage.at("payroll", "/salaries?y=2026"));
    expect([denied?.status(), denied?.headers()["cache-control"]]).toEqual([403, "no-store"]);
    expect(await page.locator("h1").innerText()).toBe("Payroll is closed to you right now");
    expect(await page.locator(".advice li").allTextContents()).toEqual([expect.stringMatching(/device/i), expect.stringMatching(/country/i)]);
    expect(await denied?.text()).not.toMatch(/\bDE\b|disk|payroll-at-home|encrypt/);
    expect(await page.getByRole("link", { name: "Try again" }).getAttribute("href")).toBe(stage.at("payroll", "/salaries?y=2026"));
    await expectSound(page);
  });
});

describe("several providers", () => {
  it("are offered by a page that keeps path, query and fragment, and each knows its own people", async () => {
    profile = await stage.profile();
    const page = await profile.newPage();
    await page.goto(stage.at("hello", "/deep?x=1#part"));
    expect(await page.locator(".choice b").allTextContents()).toEqual(["corp", "partners", "late"]);
    await expectSound(page);
    await page.getByRole("link", { name: "Continue with partners" }).click();
    await fillIn(page, "bob");
    await page.waitForURL(stage.at("hello", "/deep?x=1#part"));
    await page.goto(stage.at("hello", "/.postern/me"));
    expect(await page.locator("main").innerText()).toContain("partners");
    // The sign-out form ends at the provider of this session, which is not the first of the document.
    await page.getByRole("button", { name: "Sign out" }).click();
    await page.getByRole("button", { name: "Yes, sign me out" }).click();
    await page.getByRole("heading", { name: "You are signed out" }).waitFor();
  });

  it("one whose clock is an hour ahead: the page says that a clock is wrong and by how much", async () => {
    const page = await choose("late", "/");
    await fillIn(page, "alice");
    await page.getByRole("heading", { name: "A clock is wrong" }).waitFor();
    expect(await page.locator("main").innerText()).toMatch(/Identity provider: late\. The clocks differ by 3[56]\d\d seconds\./);
    await expectSound(page);
  });

  it("an answer in the name of another provider (RFC 9207) is refused, and its code is sent to nobody", async () => {
    const page = await choose("corp", "/");
    await page.getByLabel("Password").waitFor();
    const begun = (await profile.cookies(stage.stack.launcher)).find(({ name }) => name.startsWith("__Host-postern-login"));
    expect(begun).toBeDefined();
    const authorization = page.waitForRequest((request) => new URL(request.url()).searchParams.has("state"));
    await page.goto(`${stage.stack.launcher}/.postern/login?provider=corp&to=${encodeURIComponent(stage.at("hello"))}`);
    const stateText = new URL((await authorization).url()).searchParams.get("state") ?? "";
    const answer = await page.goto(`${stage.stack.launcher}/.postern/callback?${new URLSearchParams({ code: "stolen", state: stateText, iss: "http://127.0.0.1:1" }).toString()}`);
    expect(answer?.status()).toBe(400);
    expect(await page.locator("h1").innerText()).toBe("The sign-in was begun elsewhere");
  });
});
