/**
 * Passkeys in a real browser with an authenticator of its own (CDP): registered after signing in,
 * used where an app asks for a second factor that the provider cannot give, and worth nothing to
 * anybody else, from another page, as a copy, or once removed.
 */
import { generateKeyPairSync } from "node:crypto";
import { writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import type { BrowserContext, CDPSession, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { demoProvider } from "../../../start/demo-provider.ts";
import { temporaryState } from "../../start/running-stack.ts";
import { expectSound, fillIn, openStage, type Stage, visitAs } from "./stage.ts";

const SECRET = "shared with the provider of this test";
const state = temporaryState();
let provider: Server;
let stage: Stage;

/** The provider says of nobody that there was a second factor. */
const document = (issuer: string): string => `version: 1
domain: access.example.com
identity:
  providers:
    - { id: corp, issuer: "${issuer}", client_id: postern, client_secret: { secret: SHARED }, scopes: [openid, email, profile], email_domains: [example.com, partner.example.com] }
sites: [{ id: office }]
apps:
  - { id: hello, site: office, upstream: "http://hello.demo.localhost" }
  - { id: payroll, name: "Payroll", site: office, upstream: "http://hello.demo.localhost" }
  - { id: vault, name: "Vault", site: office, upstream: "http://hello.demo.localhost" }
policies:
  - { id: everybody, effect: allow, apps: [hello], when: { provider: [corp] } }
  - { id: confirmed, effect: allow, apps: [payroll], when: { provider: [corp], mfa: { max_age: 5m } } }
  - { id: hardware, effect: allow, apps: [vault], when: { provider: [corp], mfa: { methods: [hwk] } } }
  - { id: this-machine, effect: allow, apps: ["postern:admin"], when: { service: [local-operator] }, limits: { role: operator } }
`;

beforeAll(async () => {
  provider = createServer();
  await new Promise<void>((ready) => provider.listen(0, "127.0.0.1", ready));
  const issuer = `http://127.0.0.1:${(provider.address() as AddressInfo).port}`;
  const file = join(state.path, "own.yaml");
  writeFileSync(file, document(issuer));
  stage = await openStage({ documentFile: file, environment: { SHARED: SECRET } });
  const jwks = { keys: [{ ...generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey.export({ format: "jwk" }), use: "sig", alg: "RS256", kid: "k" }] };
  provider.on("request", demoProvider({ issuer, clientId: "postern", clientSecret: SECRET, launcher: stage.stack.launcher, providerId: "corp", jwks, cookieKeys: ["k"] }));
});
afterAll(async () => {
  provider?.close();
  provider?.closeAllConnections();
  await stage?.close();
  state.remove();
});

const listUrl = (): string => `${stage.stack.launcher}/.postern/passkeys`;

interface Person {
  readonly context: BrowserContext;
  readonly page: Page;
  readonly cdp: CDPSession;
  readonly authenticatorId: string;
}

/** Somebody who signed in, on a machine that keeps passkeys: its own, or such as are shared among machines. */
async function somebody(user: string, shared = false): Promise<Person> {
  const context = await stage.profile();
  const page = await context.newPage();
  await visitAs(page, user, stage.at("hello"));
  const cdp = await context.newCDPSession(page);
  await cdp.send("WebAuthn.enable");
  const { authenticatorId } = await cdp.send("WebAuthn.addVirtualAuthenticator", {
    options: { protocol: "ctap2", transport: "internal", hasResidentKey: true, hasUserVerification: true, isUserVerified: true, automaticPresenceSimulation: true, defaultBackupEligibility: shared, defaultBackupState: shared },
  });
  return { context, page, cdp, authenticatorId };
}

const add = (page: Page): Promise<void> => page.getByRole("button", { name: "Add a passkey" }).click();
/** The page that asks for a passkey. */
const stepUpUrl = (): string => `${stage.stack.launcher}/.postern/login?to=x&mfa=1&passkey=3`;
const useButton = (page: Page): ReturnType<Page["getByRole"]> => page.getByRole("button", { name: "Use your passkey" });

interface Answer {
  readonly status: number;
  readonly code?: string;
}

const POST = `async (body) => { const answer = await fetch("/.postern/passkeys", { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) }); const value = await answer.json(); return { status: answer.status, code: value.error?.code, ...value }; }`;
const post = <Value>(page: Page, body: object): Promise<Value> => page.evaluate<Value>(`(${POST})(${JSON.stringify(body)})`);
/** An assertion by any key that the machine keeps for the launcher's host, made on this page. */
const assertion = (page: Page, asked: { readonly challenge: string; readonly rpId: string }): Promise<object> =>
  page.evaluate<object>(`navigator.credentials.get({ publicKey: PublicKeyCredential.parseRequestOptionsFromJSON({ ...${JSON.stringify(asked)}, userVerification: "required" }) }).then((made) => made.toJSON())`);
const challenge = (page: Page): Promise<{ challenge: string; rpId: string; keys: string[] }> => post(page, { act: "use", helps: 3 });
/** Uses what the machine keeps by the launcher's own page; what came of it. */
async function use(page: Page, url = stepUpUrl()): Promise<Answer> {
  await page.goto(url);
  return post(page, { act: "use", answer: await assertion(page, await challenge(page)) });
}

describe("alice, whose provider knows no second factor", () => {
  let alice: Person;
  beforeAll(async () => {
    alice = await somebody("alice");
  });
  afterAll(() => alice?.context.close());

  it("registers a passkey from the launcher, by keyboard", async () => {
    const { page } = alice;
    await page.goto(`${stage.stack.launcher}/`);
    await page.getByRole("link", { name: "Your passkeys" }).click();
    await page.waitForURL(listUrl());
    await expectSound(page);
    await page.getByLabel("Name of the new passkey").focus();
    await page.keyboard.press("ControlOrMeta+a");
    await page.keyboard.type("Laptop <b>");
    await page.keyboard.press("Enter");
    // From now on her list is shown to whoever uses one of its keys.
    await useButton(page).waitFor();
  });

  it("is asked for it where an app wants a second factor, and is in", async () => {
    const { page } = alice;
    const url = stage.at("payroll", "/q3?page=2");
    expect((await page.goto(url))?.status()).toBe(403);
    await page.getByRole("link", { name: "Confirm it is you" }).click();
    const button = useButton(page);
    await button.waitFor();
    expect(await page.getByRole("link", { name: "Sign in again at your provider" }).getAttribute("href")).toMatch(/max_age=300&mfa=1$/);
    await expectSound(page);
    await button.focus();
    await page.keyboard.press("Enter");
    await page.waitForURL(url);
    expect(await page.locator("body").innerText()).toContain("Hello, alice@example.com");
    await page.goto(stage.at("payroll", "/.postern/me"));
    expect(await page.locator("main").innerText()).toContain("hwk, mfa, pop, user");
    expect((await page.goto(stage.at("vault")))?.status()).toBe(200);
    await page.goto(listUrl());
    expect(await page.locator(".keys li").innerText()).toMatch(/Laptop <b>\s+Added 20\d\d-\d\d-\d\d, last used 20/);
    await expectSound(page);
  });

  it("is told so when the machine cannot verify her, and may try again", async () => {
    const { page, cdp, authenticatorId } = alice;
    await page.goto(stepUpUrl());
    await cdp.send("WebAuthn.setUserVerified", { authenticatorId, isUserVerified: false });
    const button = useButton(page);
    await button.click();
    await page.getByText("No passkey was used").waitFor();
    await expectSound(page);
    await cdp.send("WebAuthn.setUserVerified", { authenticatorId, isUserVerified: true });
    await button.click();
    await page.waitForURL(`${stage.stack.launcher}/`);
  });

  it("without script she is told why, and has her provider", async () => {
    const context = await stage.profile({ javaScriptEnabled: false });
    const page = await context.newPage();
    await page.goto(stage.at("hello"));
    await fillIn(page, "alice");
    await page.waitForURL(stage.at("hello"));
    await page.goto(stage.at("payroll"));
    await page.getByRole("link", { name: "Confirm it is you" }).click();
    await page.locator("noscript .note").filter({ visible: true }).waitFor();
    expect(await page.getByRole("button").count()).toBe(0);
    await page.getByRole("link", { name: "Sign in again at your provider" }).click();
    await page.getByLabel("Password").waitFor();
    await context.close();
  });

  it("an answer counts once, and only one that was made on the launcher's own page", async () => {
    const { page, context, cdp, authenticatorId } = alice;
    await page.goto(stepUpUrl());
    const asked = await challenge(page);
    const answer = await assertion(page, asked);
    expect((await post<Answer>(page, { act: "use", answer })).status).toBe(200);
    expect(await post<Answer>(page, { act: "use", answer })).toMatchObject({ status: 403, code: "passkey_refused" });

    // A sibling app may ask the browser for the launcher's keys, under its own origin.
    const again = await challenge(page);
    const { credentials } = await cdp.send("WebAuthn.getCredentials", { authenticatorId });
    expect(credentials).toHaveLength(1);
    const sibling = await context.newPage();
    await sibling.goto(stage.at("hello"));
    const there = await context.newCDPSession(sibling);
    await there.send("WebAuthn.enable");
    const other = await there.send("WebAuthn.addVirtualAuthenticator", { options: { protocol: "ctap2", transport: "internal", hasResidentKey: true, hasUserVerification: true, isUserVerified: true, automaticPresenceSimulation: true } });
    const [key] = credentials;
    if (key === undefined) throw new Error("no key");
    await there.send("WebAuthn.addCredential", { authenticatorId: other.authenticatorId, credential: { ...key, signCount: key.signCount + 100 } });
    const stolen = await assertion(sibling, again);
    await sibling.close();
    expect(await post<Answer>(page, { act: "use", answer: stolen })).toMatchObject({ status: 403, code: "passkey_refused" });
  });

  it("a copy of her key that counts from an older number is refused", async () => {
    const { page, cdp, authenticatorId } = alice;
    expect((await use(page)).status).toBe(200);
    const { credentials } = await cdp.send("WebAuthn.getCredentials", { authenticatorId });
    const [key] = credentials;
    if (key === undefined) throw new Error("no key");
    expect(key.signCount).toBeGreaterThan(2);
    await cdp.send("WebAuthn.removeCredential", { authenticatorId, credentialId: key.credentialId });
    await cdp.send("WebAuthn.addCredential", { authenticatorId, credential: { ...key, signCount: key.signCount - 2 } });
    expect(await use(page)).toMatchObject({ status: 403, code: "passkey_refused" });
    await cdp.send("WebAuthn.removeCredential", { authenticatorId, credentialId: key.credentialId });
    await cdp.send("WebAuthn.addCredential", { authenticatorId, credential: { ...key, signCount: key.signCount + 5 } });
    expect((await use(page)).status).toBe(200);
  });

  it("her key opens nothing for bob, who holds it", async () => {
    const bob = await somebody("bob");
    const { credentials } = await alice.cdp.send("WebAuthn.getCredentials", { authenticatorId: alice.authenticatorId });
    for (const key of credentials) await bob.cdp.send("WebAuthn.addCredential", { authenticatorId: bob.authenticatorId, credential: { ...key, signCount: key.signCount + 100 } });
    expect(await use(bob.page, listUrl())).toMatchObject({ status: 403, code: "passkey_refused" });
    expect((await bob.page.goto(stage.at("payroll")))?.status()).toBe(403);
    // Nor does one that alice was asked for: the challenge is her session's.
    await alice.page.goto(listUrl());
    const hers = await challenge(alice.page);
    await bob.page.goto(listUrl());
    expect(await post<Answer>(bob.page, { act: "use", answer: await assertion(bob.page, hers) })).toMatchObject({ status: 403 });
    await bob.context.close();
  });

  it("removes it, and it works no longer", async () => {
    const { page } = alice;
    await page.goto(listUrl());
    await page.getByRole("button", { name: "Remove Laptop <b>" }).click();
    await page.locator(".keys li").waitFor({ state: "detached" });
    await page.waitForURL(listUrl());
    expect(await post<Answer>(page, { act: "use", answer: await assertion(page, await challenge(page)) })).toMatchObject({ status: 403, code: "passkey_refused" });
    // In a new session the provider is asked at once.
    const later = await somebody("alice");
    await later.page.goto(stage.at("payroll"));
    await later.page.getByRole("link", { name: "Confirm it is you" }).click();
    await later.page.getByLabel("Password").waitFor();
    await later.context.close();
  });
});

describe("carol, whose passkey is shared among her machines", () => {
  it("is offered it only where it would open the app", async () => {
    const carol = await somebody("carol", true);
    await carol.page.goto(listUrl());
    await carol.page.getByLabel("Name of the new passkey").fill("Phone");
    await add(carol.page);
    await useButton(carol.page).waitFor();
    await carol.page.goto(stage.at("vault"));
    await carol.page.getByRole("link", { name: "Confirm it is you" }).click();
    await carol.page.getByLabel("Password").waitFor();
    await carol.page.goto(stage.at("payroll"));
    await carol.page.getByRole("link", { name: "Confirm it is you" }).click();
    await useButton(carol.page).click();
    await carol.page.waitForURL(stage.at("payroll"));
    expect((await carol.page.goto(stage.at("vault")))?.status()).toBe(403);
    await carol.context.close();
  });
});
