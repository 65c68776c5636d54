/**
 * The sign-in against a certified OpenID provider, over real HTTP on a loopback port: what the
 * fake provider's honesty is measured by. Its clock is the machine's, so ours is too here.
 */
// oxlint-disable-next-line typescript/triple-slash-reference -- an ambient declaration cannot be imported
/// <reference path="../../start/oidc-provider.d.ts" />
import { createServer } from "node:http";
import type { Server } from "node:http";
import { Provider } from "oidc-provider";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { at } from "../../core/time.ts";
import { beginLogin, finishLogin } from "../../identity/oidc-login.ts";
import type { LoginDemand } from "../../identity/oidc-login.ts";
import { discover } from "../../identity/oidc-discovery.ts";
import { endSessionUrl } from "../../identity/end-session.ts";
import { newProviderCache } from "../../identity/provider-cache.ts";
import type { OidcIo, ProviderSettings } from "../../identity/provider.ts";
import { generateKeyPair, exportJWK } from "jose";

const CALLBACK = "http://postern.localhost:8787/.postern/callback";
const SIGNED_OUT = "http://postern.localhost:8787/.postern/signed-out";
let server: Server;
let settings: ProviderSettings;
/** What the next interaction at the provider ends in. */
let answer: { login?: { accountId: string; amr?: string[]; acr?: string }; error?: string };
let io: OidcIo;

beforeAll(async () => {
  const keys = await Promise.all(
    (["RS256", "ES256", "PS256", "EdDSA"] as const).map(async (alg) => {
      const pair = await generateKeyPair(alg, { extractable: true });
      return { ...(await exportJWK(pair.privateKey)), alg, use: "sig", kid: alg };
    }),
  );
  server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  const issuer = `http://127.0.0.1:${address.port}`;
  const client = (id: string, alg: string, auth: string) => ({
    client_id: id,
    ...(auth === "none" ? {} : { client_secret: "client secret with / and : in it" }),
    token_endpoint_auth_method: auth,
    id_token_signed_response_alg: alg,
    redirect_uris: [CALLBACK],
    post_logout_redirect_uris: [SIGNED_OUT],
    response_types: ["code"],
    grant_types: ["authorization_code"],
  });
  const provider: Provider = new Provider(issuer, {
    jwks: { keys },
    enabledJWA: { idTokenSigningAlgValues: ["RS256", "ES256", "PS256", "EdDSA"] },
    clients: [
      client("rs", "RS256", "client_secret_basic"),
      client("es", "ES256", "client_secret_post"),
      client("ps", "PS256", "client_secret_basic"),
      client("ed", "EdDSA", "none"),
    ],
    claims: { openid: ["sub", "groups", "acr", "amr", "auth_time"], email: ["email", "email_verified"], profile: ["name"] },
    acrValues: ["gold"],
    conformIdTokenClaims: false,
    features: { devInteractions: { enabled: false }, rpInitiatedLogout: { enabled: true } },
    ttl: { AccessToken: 600, AuthorizationCode: 60, Grant: 600, IdToken: 600, Interaction: 600, Session: 600 },
    cookies: { keys: ["a test key"] },
    findAccount: (_ctx: unknown, id: string) => ({
      accountId: id,
      claims: () => ({ sub: id, email: `${id}@example.com`, email_verified: true, name: id, groups: ["staff"] }),
    }),
    loadExistingGrant: async (ctx: { oidc: { client: { clientId: string }; session: { accountId: string } } }) => {
      const grant = new provider.Grant({ clientId: ctx.oidc.client.clientId, accountId: ctx.oidc.session.accountId });
      grant.addOIDCScope("openid email profile");
      await grant.save();
      return grant;
    },
    interactions: { url: (_ctx: unknown, interaction: { uid: string }) => `/interaction/${interaction.uid}` },
  });
  const handle = provider.callback();
  server.on("request", (request, response) => {
    if (request.url?.startsWith("/interaction/") === true) void provider.interactionFinished(request, response, { ...answer }, { mergeWithLastSubmission: false });
    else handle(request, response);
  });
  settings = {
    id: "demo",
    issuer,
    clientId: "rs",
    clientSecret: "client secret with / and : in it",
    clientAuth: "client_secret_basic",
    scopes: ["openid", "email", "profile"],
    groupsClaim: "groups",
    emailDomains: ["example.com"],
    trustEmail: false,
    acrValues: ["gold"],
    tokenAudiences: [],
  };
});
afterAll(() => new Promise((resolve) => server.close(resolve)));
beforeEach(() => {
  answer = { login: { accountId: "alice", amr: ["pwd", "otp"] } };
  io = {
    fetch: (url, init) => fetch(url, init),
    deadline: (length) => AbortSignal.timeout(length),
    now: () => at(Date.now()),
    cache: newProviderCache(),
  };
});

/** A browser at the provider: follows redirects with its cookies until one leads back to us. */
class Browser {
  readonly #cookies = new Map<string, string>();
  async visit(url: string): Promise<URL> {
    let next = new URL(url);
    for (let hops = 0; hops < 10; hops++) {
      const cookie = [...this.#cookies].map(([name, value]) => `${name}=${value}`).join("; ");
      const response = await fetch(next, { redirect: "manual", headers: { cookie } });
      for (const line of response.headers.getSetCookie()) {
        const [pair = ""] = line.split(";");
        this.#cookies.set(pair.slice(0, pair.indexOf("=")), pair.slice(pair.indexOf("=") + 1));
      }
      const location = response.headers.get("location");
      if (location === null) throw new Error(`${next.pathname} answered ${response.status}: ${(await response.text()).slice(0, 200)}`);
      next = new URL(location, next);
      if (next.href.startsWith(CALLBACK)) return next;
    }
    throw new Error("too many redirects");
  }
}

async function signIn(options: { provider?: ProviderSettings; browser?: Browser; demand?: LoginDemand } = {}) {
  const { provider = settings, browser = new Browser(), demand = {} } = options;
  const as = await discover(provider, io);
  if (!as.ok) throw new Error(as.error.cause);
  const random = (length: number) => crypto.getRandomValues(new Uint8Array(length));
  const begun = await beginLogin({ provider, as: as.value, redirectUri: CALLBACK, returnTo: "/", random, now: io.now(), demand });
  const callbackUrl = await browser.visit(begun.authorizationUrl);
  const finish = (change: Partial<Parameters<typeof finishLogin>[0]> = {}) =>
    finishLogin({ provider, as: as.value, callbackUrl, loginState: begun.loginState, io, now: io.now(), ...change });
  return { as: as.value, loginState: begun.loginState, callbackUrl, finish };
}

describe("a whole sign-in against oidc-provider", () => {
  it.each([
    ["rs", "client_secret_basic"],
    ["es", "client_secret_post"],
    ["ps", "client_secret_basic"],
    ["ed", "none"],
  ] as const)("client %s (%s authentication)", async (clientId, clientAuth) => {
    const { finish, callbackUrl } = await signIn({ provider: { ...settings, clientId, clientAuth } });
    expect(callbackUrl.searchParams.get("iss")).toBe(settings.issuer);
    const result = await finish();
    expect(result).toMatchObject({
      ok: true,
      value: { sub: "alice", email: "alice@example.com", groupsNote: "given", name: "alice" },
    });
    const facts = result.ok ? result.value.facts : {};
    expect(facts["user"]?.value).toBe("demo:alice");
    expect(facts["groups"]?.value).toEqual(["demo:staff"]);
    expect(facts["mfa"]?.value).toEqual({ methods: ["mfa", "otp", "pwd"] });
    expect(facts["auth"]?.value).toBe(true);
  });

  it("a code works once: its replay is refused and makes no second session (class E)", async () => {
    const { finish } = await signIn();
    expect((await finish()).ok).toBe(true);
    expect(await finish()).toMatchObject({ ok: false, error: { code: "callback_replayed", providerCode: "invalid_grant" } });
  });
  it("a code with another attempt's verifier is refused by the provider", async () => {
    const first = await signIn();
    const second = await signIn();
    const { verifier } = second.loginState;
    const crossed = await first.finish({ loginState: { ...first.loginState, verifier } });
    expect(crossed).toMatchObject({ ok: false, error: { code: "callback_replayed" } });
  });
  it("one browser's callback with another's state is refused before the provider is asked", async () => {
    const victim = await signIn();
    const attacker = await signIn();
    const crossed = await victim.finish({ callbackUrl: attacker.callbackUrl });
    expect(crossed).toMatchObject({ ok: false, error: { code: "callback_mismatch", reason: "state" } });
    expect((await attacker.finish()).ok).toBe(true);
  });
  it("a changed issuer in the callback is refused (RFC 9207)", async () => {
    const { callbackUrl, finish } = await signIn();
    const moved = new URL(callbackUrl);
    moved.searchParams.set("iss", "https://evil.example");
    expect(await finish({ callbackUrl: moved })).toMatchObject({ ok: false, error: { code: "callback_mismatch" } });
    moved.searchParams.delete("iss");
    expect(await finish({ callbackUrl: moved })).toMatchObject({ ok: false, error: { code: "callback_mismatch" } });
  });
  it("a person who declines is told so", async () => {
    answer = { error: "access_denied" };
    const { finish } = await signIn();
    expect(await finish()).toMatchObject({ ok: false, error: { code: "consent_denied" } });
  });
  it("a wrong client secret is the operator's to mend", async () => {
    const { finish } = await signIn({ provider: { ...settings, clientSecret: "wrong" } });
    expect(await finish()).toMatchObject({ ok: false, error: { code: "provider_misconfigured" } });
  });

  it("step-up makes the provider authenticate again, and auth_time moves (class E)", async () => {
    const browser = new Browser();
    answer = { login: { accountId: "alice", amr: ["pwd"] } };
    const first = await (await signIn({ browser })).finish();
    expect(first.ok && first.value.facts["mfa"]).toBeUndefined();
    answer = { login: { accountId: "alice", amr: ["pwd", "hwk"] } };
    const again = await (await signIn({ browser, demand: { prompt: "login", maxAgeSeconds: 0, mfa: true } })).finish();
    expect(again.ok && again.value.facts["mfa"]?.value).toEqual({ methods: ["hwk", "mfa", "pwd"] });
  });
  it("a step-up answered with a password alone is refused", async () => {
    answer = { login: { accountId: "alice", amr: ["pwd"] } };
    const { finish } = await signIn({ demand: { prompt: "login", mfa: true } });
    expect(await finish()).toMatchObject({ ok: false, error: { code: "step_up_unmet", reason: "no_mfa" } });
  });

  it("twenty interleaved sign-ins each give their own identity (class E)", async () => {
    const begun = [];
    for (let i = 0; i < 20; i++) {
      answer = { login: { accountId: `user${i}` } };
      begun.push(await signIn());
    }
    const results = await Promise.all(begun.toReversed().map(({ finish }) => finish()));
    expect(results.map((result) => result.ok && result.value.sub)).toEqual(Array.from({ length: 20 }, (_, i) => `user${19 - i}`));
    expect(new Set(results.map((result) => result.ok && result.value.userId)).size).toBe(20);
  });

  it("the provider accepts our sign-out URL", async () => {
    const { as, finish } = await signIn();
    const result = await finish();
    const url = endSessionUrl({
      provider: settings,
      as,
      postLogoutRedirectUri: SIGNED_OUT,
      ...(result.ok ? { idToken: result.value.idToken } : {}),
    });
    const response = await fetch(url ?? "", { redirect: "manual" });
    expect(response.status).toBe(200);
    expect(await response.text()).toContain("logout");
  });
});
