/** The demo's OpenID provider as a client meets it: code flow with PKCE, claims, second factor, refusals. */
import { createHash, generateKeyPairSync } from "node:crypto";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { decodeJwt } from "jose";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { demoProvider } from "../../start/demo-provider.ts";
import { ACR_PASSWORD, ACR_SECOND_FACTOR, DEMO_PASSWORD } from "../../start/demo-users.ts";
import { loopbackFetch } from "../../start/loopback-http.ts";
import { FormBrowser } from "./form-browser.ts";

const LAUNCHER = "http://postern.localhost:8787";
const CALLBACK = `${LAUNCHER}/.postern/callback`;
const VERIFIER = "a-verifier-of-at-least-forty-three-characters-x";
const CHALLENGE = createHash("sha256").update(VERIFIER).digest("base64url");

let server: Server;
let issuer: string;

beforeAll(async () => {
  const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  server = createServer().listen(0, "127.0.0.1");
  await new Promise((up) => server.once("listening", up));
  issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const jwks = { keys: [{ ...privateKey.export({ format: "jwk" }), use: "sig", alg: "RS256", kid: "k" }] };
  server.on("request", demoProvider({ issuer, clientId: "postern", clientSecret: "a client secret", launcher: LAUNCHER, providerId: "demo", jwks, cookieKeys: ["cookie key"] }));
});
afterAll(() => {
  server.close();
  server.closeAllConnections();
});

const authorize = (more: Readonly<Record<string, string>> = {}): string =>
  `${issuer}/auth?${new URLSearchParams({ client_id: "postern", response_type: "code", scope: "openid email profile groups", redirect_uri: CALLBACK, state: "s", nonce: "n", code_challenge: CHALLENGE, code_challenge_method: "S256", ...more }).toString()}`;

async function claimsOf(callback: URL | undefined): Promise<Record<string, unknown>> {
  const form = new URLSearchParams({ grant_type: "authorization_code", code: callback?.searchParams.get("code") ?? "", redirect_uri: CALLBACK, code_verifier: VERIFIER });
  const answer = await loopbackFetch(`${issuer}/token`, {
    method: "POST",
    headers: { "content-type": "application/x-www-form-urlencoded", authorization: `Basic ${Buffer.from("postern:a+client+secret").toString("base64")}` },
    body: form.toString(),
  });
  return decodeJwt((JSON.parse(answer.text) as { id_token: string }).id_token);
}

/** Opens the sign-in page and sends the form. */
async function signIn(browser: FormBrowser, fields: Readonly<Record<string, string>>, more?: Readonly<Record<string, string>>) {
  const url = authorize(more);
  const shown = await browser.follow(await browser.get(url), url, CALLBACK);
  expect(shown.page?.status).toBe(200);
  return browser.follow(await browser.submit(shown.at, fields), shown.at, CALLBACK);
}

describe("demo provider", () => {
  it.each([
    { name: "alice", second: false, groups: ["staff"], amr: ["pwd"], acr: ACR_PASSWORD },
    { name: "bob", second: true, groups: ["contractors"], amr: ["pwd", "otp"], acr: ACR_SECOND_FACTOR },
    { name: "carol", second: false, groups: ["staff", "admins"], amr: ["pwd"], acr: ACR_PASSWORD },
  ])("signs $name in (second factor: $second) with groups, amr and acr in the ID token", async ({ name, second, groups, amr, acr }) => {
    const { stopped } = await signIn(new FormBrowser(), { user: name, password: DEMO_PASSWORD, ...(second ? { second_factor: "yes" } : {}) });
    const claims = await claimsOf(stopped);
    expect(claims).toMatchObject({ iss: issuer, aud: "postern", sub: name, nonce: "n", email_verified: true, groups, amr, acr });
    expect(typeof claims["auth_time"]).toBe("number");
  });

  it("signs in again without a form while its own session lasts, and asks again for max_age=0", async () => {
    const browser = new FormBrowser();
    await signIn(browser, { user: "alice", password: DEMO_PASSWORD });
    const again = authorize();
    expect((await browser.follow(await browser.get(again), again, CALLBACK)).stopped).toBeDefined();
    const fresh = authorize({ max_age: "0" });
    expect((await browser.follow(await browser.get(fresh), fresh, CALLBACK)).page?.text).toContain("<form");
  });

  it("steps up: asks for the second factor by acr_values and takes no less", async () => {
    const browser = new FormBrowser();
    await signIn(browser, { user: "alice", password: DEMO_PASSWORD });
    const refused = await signIn(browser, { user: "alice", password: DEMO_PASSWORD }, { acr_values: ACR_SECOND_FACTOR });
    expect(refused.page?.status).toBe(403);
    const { stopped } = await signIn(browser, { user: "alice", password: DEMO_PASSWORD, second_factor: "yes" }, { acr_values: ACR_SECOND_FACTOR });
    expect(await claimsOf(stopped)).toMatchObject({ amr: ["pwd", "otp"], acr: ACR_SECOND_FACTOR });
  });

  it.each([
    { why: "a wrong password", fields: { user: "alice", password: "wrong <b>" } },
    { why: "an unknown user", fields: { user: "mallory", password: DEMO_PASSWORD } },
    { why: "no fields", fields: {} },
  ])("refuses $why with the same words and shows no password", async ({ fields }) => {
    const { page, stopped } = await signIn(new FormBrowser(), fields);
    expect(stopped).toBeUndefined();
    expect(page?.status).toBe(403);
    expect(page?.text).toContain("User name or password is wrong.");
    expect(page?.text).not.toContain("wrong <b>");
    expect(page?.text).not.toContain(DEMO_PASSWORD);
  });

  it.each([
    { why: "no PKCE", more: { code_challenge: "", code_challenge_method: "" } },
    { why: "another redirect address", more: { redirect_uri: "http://evil.localhost/" } },
    { why: "another client", more: { client_id: "other" } },
  ])("refuses a request with $why", async ({ more }) => {
    const answer = await new FormBrowser().get(authorize(more));
    const location = typeof answer.headers["location"] === "string" ? answer.headers["location"] : "";
    expect(location).not.toContain("code=");
    expect(answer.status >= 400 || location.includes("error=invalid_request")).toBe(true);
  });
});
