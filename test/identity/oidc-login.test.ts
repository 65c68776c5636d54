import { beforeEach, describe, expect, it } from "vitest";
import { at } from "../../core/time.ts";
import { finishLogin, LOGIN_LIFETIME_MS } from "../../identity/oidc-login.ts";
import type { LoginDemand, LoginState } from "../../identity/oidc-login.ts";
import { discover } from "../../identity/oidc-discovery.ts";
import { CALLBACK, FakeProvider, newSigner } from "./fake-provider.ts";

const signer = await newSigner("k1");
const strangerKey = await newSigner("k1");
const rsa = await newSigner("k-rsa", "RS256");
let idp: FakeProvider;
beforeEach(() => {
  idp = new FakeProvider(signer);
});

async function finish(loginState: LoginState, query: string, provider = idp) {
  const as = await discover(provider.settings, provider.io);
  if (!as.ok) throw new Error(as.error.cause);
  const callbackUrl = new URL(`${CALLBACK}?${query}`);
  return finishLogin({ provider: provider.settings, as: as.value, callbackUrl, loginState, io: provider.io, now: provider.now });
}

/** A whole sign-in whose ID token carries `extra`; answers the problem's code, or "ok". */
async function signIn(
  extra: Record<string, unknown> = {},
  options: { demand?: LoginDemand; header?: Record<string, unknown>; key?: typeof signer; spoil?: (token: string) => string } = {},
) {
  const { loginState } = await idp.begin(options.demand);
  const token = await idp.mint(idp.claims({ nonce: loginState.nonce, ...extra }), options.header, options.key);
  idp.grant(options.spoil?.(token) ?? token);
  return finish(loginState, `code=c&state=${loginState.state}`);
}
const codeOf = (result: Awaited<ReturnType<typeof finish>>): string => (result.ok ? "ok" : result.error.code);
const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString("base64url");

describe("beginning a sign-in", () => {
  it("asks for a code with PKCE S256, state, nonce and max_age, and keeps their secrets out of the URL", async () => {
    const { authorizationUrl, loginState } = await idp.begin();
    const query = Object.fromEntries(authorizationUrl.searchParams);
    expect(query).toMatchObject({
      client_id: "postern",
      response_type: "code",
      redirect_uri: CALLBACK,
      scope: "openid email",
      code_challenge_method: "S256",
      state: loginState.state,
      nonce: loginState.nonce,
      max_age: "2592000",
    });
    expect(query["code_challenge"]).toMatch(/^[A-Za-z0-9_-]{43}$/);
    expect(authorizationUrl.href).not.toContain(loginState.verifier);
    expect(new Set([loginState.state, loginState.nonce, loginState.verifier]).size).toBe(3);
  });
  it("step-up sends prompt, max_age and acr_values", async () => {
    idp = new FakeProvider(signer, { acrValues: ["phr", "mfa"] });
    const { authorizationUrl } = await idp.begin({ prompt: "login", maxAgeSeconds: 0, mfa: true });
    expect(Object.fromEntries(authorizationUrl.searchParams)).toMatchObject({ prompt: "login", max_age: "0", acr_values: "phr mfa" });
  });
});

describe("finishing a sign-in", () => {
  it("an honest return gives the identity, and the code goes out once with the verifier and client authentication", async () => {
    const { loginState } = await idp.begin();
    idp.grant(await idp.mint(idp.claims({ nonce: loginState.nonce, email: "Alice@Example.com", email_verified: true })));
    const result = await finish(loginState, `code=the-code&state=${loginState.state}`);
    expect(result).toMatchObject({ ok: true, value: { sub: "alice", provider: "corp", email: "alice@example.com" } });
    const posts = idp.asked.filter(({ url }) => url.endsWith("/token"));
    expect(posts).toHaveLength(1);
    const form = new URLSearchParams(posts[0]?.body);
    expect(form.get("grant_type")).toBe("authorization_code");
    expect(form.get("code")).toBe("the-code");
    expect(form.get("code_verifier")).toBe(loginState.verifier);
    expect(form.get("redirect_uri")).toBe(CALLBACK);
  });

  describe("returns that never reach the token endpoint (class E)", () => {
    const S = (state: LoginState): string => `state=${state.state}`;
    it.each<[string, (state: LoginState) => string, string]>([
      ["another browser's state", () => `code=c&state=${"A".repeat(43)}`, "callback_mismatch"],
      ["no state", () => "code=c", "callback_invalid"],
      ["an empty state", () => "code=c&state=", "callback_mismatch"],
      ["state twice", (s) => `code=c&${S(s)}&${S(s)}`, "callback_invalid"],
      ["code twice", (s) => `code=a&code=b&${S(s)}`, "callback_invalid"],
      ["error twice", (s) => `error=a&error=b&${S(s)}`, "callback_invalid"],
      ["no code", S, "callback_invalid"],
      ["an empty code", (s) => `code=&${S(s)}`, "callback_invalid"],
      ["another issuer (RFC 9207)", (s) => `code=c&${S(s)}&iss=https%3A%2F%2Fevil.example`, "callback_mismatch"],
      ["an issuer that differs by a slash", (s) => `code=c&${S(s)}&iss=https%3A%2F%2Fidp.example.com%2F`, "callback_mismatch"],
      ["a query of 20 KB", (s) => `code=${"c".repeat(20_000)}&${S(s)}`, "callback_invalid"],
      ["access_denied", (s) => `error=access_denied&${S(s)}`, "consent_denied"],
      ["access_denied with another browser's state", () => "error=access_denied&state=x", "callback_mismatch"],
      ["server_error", (s) => `error=server_error&${S(s)}`, "provider_unreachable"],
      ["invalid_scope", (s) => `error=invalid_scope&${S(s)}`, "provider_misconfigured"],
      ["unmet_authentication_requirements", (s) => `error=unmet_authentication_requirements&${S(s)}`, "step_up_unmet"],
      ["an invented error", (s) => `error=%3Cscript%3E&${S(s)}`, "provider_error"],
      ["an ID token beside the code (hybrid flow)", (s) => `code=c&id_token=a.b.c&${S(s)}`, "token_invalid"],
      ["a signed response beside the code (JARM)", (s) => `code=c&response=a.b.c&${S(s)}`, "token_invalid"],
    ])("%s", async (_, query, code) => {
      const { loginState } = await idp.begin();
      idp.grant(await idp.mint(idp.claims({ nonce: loginState.nonce })));
      expect(codeOf(await finish(loginState, query(loginState)))).toBe(code);
      expect(idp.asks("/token")).toBe(0);
    });
    it("a provider that announces iss and does not send it", async () => {
      idp.answers["/.well-known/openid-configuration"] = () => ({
        body: { ...idp.metadata(), authorization_response_iss_parameter_supported: true },
      });
      const { loginState } = await idp.begin();
      expect(codeOf(await finish(loginState, `code=c&state=${loginState.state}`))).toBe("callback_mismatch");
      expect(idp.asks("/token")).toBe(0);
    });
    it("an attempt begun at another provider", async () => {
      const other = new FakeProvider(signer, { id: "partner", issuer: "https://partner.example" });
      const { loginState } = await other.begin();
      expect(codeOf(await finish(loginState, `code=c&state=${loginState.state}`))).toBe("callback_mismatch");
      expect(idp.asks("/token")).toBe(0);
    });
    it.each([
      [LOGIN_LIFETIME_MS - 1, "ok"],
      [LOGIN_LIFETIME_MS, "login_expired"],
      [-1, "login_expired"],
    ])("an attempt %i ms old", async (age, code) => {
      const { loginState } = await idp.begin();
      idp.now = at(idp.now + age);
      idp.grant(await idp.mint(idp.claims({ nonce: loginState.nonce })));
      expect(codeOf(await finish(loginState, `code=c&state=${loginState.state}`))).toBe(code);
    });
  });

  it("an invented error code and its description reach nobody", async () => {
    const { loginState } = await idp.begin();
    const result = await finish(loginState, `error=%3Cscript%3E&error_description=call+0900&state=${loginState.state}`);
    expect(JSON.stringify(result)).not.toMatch(/script|0900/);
  });

  describe("what the token endpoint may answer", () => {
    it.each<[string, () => { status?: number; headers?: Record<string, string>; body?: unknown }, string]>([
      ["invalid_grant", () => ({ status: 400, body: { error: "invalid_grant" } }), "callback_replayed"],
      ["invalid_client", () => ({ status: 401, body: { error: "invalid_client" } }), "provider_misconfigured"],
      ["a challenge", () => ({ status: 401, headers: { "www-authenticate": 'Basic realm="x"' }, body: {} }), "provider_misconfigured"],
      ["slow_down", () => ({ status: 400, body: { error: "slow_down" } }), "provider_error"],
      ["503", () => ({ status: 503, body: "down" }), "provider_unreachable"],
      ["a redirect to another host", () => ({ status: 302, headers: { location: "https://evil.example/" } }), "provider_misconfigured"],
      ["a page", () => ({ body: "<html>", headers: { "content-type": "text/html" } }), "token_invalid"],
      ["an error that is no text", () => ({ status: 400, body: { error: {} } }), "token_invalid"],
      ["a list", () => ({ body: [] }), "token_invalid"],
      ["null", () => ({ body: "null" }), "token_invalid"],
      ["200 with an error", () => ({ body: { error: "invalid_grant" } }), "token_invalid"],
      ["no ID token", () => ({ body: { access_token: "a", token_type: "bearer" } }), "token_invalid"],
      ["no access token", () => ({ body: { token_type: "bearer", id_token: "a.b.c" } }), "token_invalid"],
      ["another kind of token", () => ({ body: { access_token: "a", token_type: "mac", id_token: "a.b.c" } }), "token_invalid"],
      ["300 KB", () => ({ body: { access_token: "a".repeat(300_000), token_type: "bearer" } }), "provider_misconfigured"],
    ])("%s", async (_, answer, code) => {
      const { loginState } = await idp.begin();
      idp.answers["/token"] = answer;
      expect(codeOf(await finish(loginState, `code=c&state=${loginState.state}`))).toBe(code);
    });
    it("nothing", async () => {
      const { loginState } = await idp.begin();
      expect(codeOf(await finish(loginState, `code=c&state=${loginState.state}`))).toBe("provider_unreachable");
    });
    it("a client secret that is not there is the operator's to mend, and no code is sent without it", async () => {
      const { clientSecret: _, ...settings } = idp.settings;
      const { loginState } = await idp.begin();
      const as = await discover(settings, idp.io);
      if (!as.ok) throw new Error(as.error.cause);
      const callbackUrl = new URL(`${CALLBACK}?code=c&state=${loginState.state}`);
      const result = await finishLogin({ provider: settings, as: as.value, callbackUrl, loginState, io: idp.io, now: idp.now });
      expect(result).toMatchObject({ ok: false, error: { code: "provider_misconfigured", reason: "no_client_secret" } });
      expect(idp.asks("/token")).toBe(0);
    });
    it("no failure text holds the code, the verifier, the secret or the token", async () => {
      const { loginState } = await idp.begin();
      idp.grant("eyJ.secret-token.x");
      const text = JSON.stringify(await finish(loginState, `code=secret-code&state=${loginState.state}`));
      for (const secret of ["secret-code", "secret-token", "s3cret", loginState.verifier]) expect(text).not.toContain(secret);
    });
  });

  describe("ID tokens that prove nothing (classes E and F)", () => {
    const now = (): number => idp.seconds;
    it.each<[string, () => Record<string, unknown>, string]>([
      ["another nonce", () => ({ nonce: "other" }), "token_invalid"],
      ["no nonce", () => ({ nonce: undefined }), "token_invalid"],
      ["another issuer", () => ({ iss: "https://evil.example" }), "token_invalid"],
      ["another audience", () => ({ aud: "other" }), "token_invalid"],
      ["an audience besides ours", () => ({ aud: ["postern", "other"], azp: "postern" }), "token_invalid"],
      ["no audience", () => ({ aud: undefined }), "token_invalid"],
      ["another authorized party", () => ({ azp: "other" }), "token_invalid"],
      ["no exp", () => ({ exp: undefined }), "token_invalid"],
      ["exp 1e300", () => ({ exp: 1e300 }), "token_invalid"],
      ["exp as text", () => ({ exp: "1" }), "token_invalid"],
      ["exp null (NaN)", () => ({ exp: null }), "token_invalid"],
      ["no iat", () => ({ iat: undefined }), "token_invalid"],
      ["expired 30 s ago", () => ({ exp: now() - 30 }), "clock_wrong"],
      ["issued 31 s ahead", () => ({ iat: now() + 31 }), "clock_wrong"],
      ["not valid for 31 s", () => ({ nbf: now() + 31 }), "clock_wrong"],
      ["no sub", () => ({ sub: undefined }), "token_invalid"],
      ["an empty sub", () => ({ sub: "" }), "token_invalid"],
      ["a sub of 256 characters", () => ({ sub: "s".repeat(256) }), "token_invalid"],
      ["a logout token", () => ({ events: { "http://schemas.openid.net/event/backchannel-logout": {} } }), "token_invalid"],
      ["a Keycloak access token", () => ({ typ: "Bearer" }), "token_invalid"],
    ])("%s", async (_, claims, code) => {
      expect(codeOf(await signIn(claims()))).toBe(code);
    });
    it.each<[string, () => Record<string, unknown>]>([
      ["expired 29 s ago", () => ({ exp: now() - 29 })],
      ["issued 30 s ahead", () => ({ iat: now() + 30 })],
      ["an audience list of ours alone", () => ({ aud: ["postern"], azp: "postern" })],
    ])("within tolerance: %s", async (_, claims) => expect(codeOf(await signIn(claims()))).toBe("ok"));

    it.each<[string, (token: string) => string]>([
      ["alg none", (t) => `${part({ alg: "none" })}.${t.split(".")[1]}.`],
      ["alg NoNe", (t) => `${part({ alg: "NoNe" })}.${t.split(".")[1]}.AA`],
      ["HS256", (t) => `${part({ alg: "HS256", kid: "k1" })}.${t.split(".")[1]}.${"A".repeat(43)}`],
      ["no alg", (t) => `${part({ kid: "k1" })}.${t.split(".")[1]}.${t.split(".")[2]}`],
      ["RS256 over an EC key", (t) => `${part({ alg: "RS256", kid: "k1" })}.${t.split(".")[1]}.${t.split(".")[2]}`],
      ["one bit of the signature", (t) => t.slice(0, -20) + (t.at(-20) === "A" ? "B" : "A") + t.slice(-19)],
      ["another payload", (t) => `${t.split(".")[0]}.${part({ sub: "bob" })}.${t.split(".")[2]}`],
      ["padding", (t) => `${t}=`],
      ["an encrypted token", (t) => `${t}.a.b`],
      ["a megabyte of dots", () => ".".repeat(200_000)],
    ])("%s is refused", async (_, spoil) => {
      expect(codeOf(await signIn({}, { spoil }))).toBe("token_invalid");
    });
    it("another key under the same id is refused", async () => {
      expect(codeOf(await signIn({}, { key: strangerKey }))).toBe("token_invalid");
    });
    it.each([
      ["jku", { jku: "https://evil.example/jwks" }],
      ["x5u", { x5u: "https://evil.example/cert" }],
      ["jwk", { jwk: signer.jwk }],
      ["typ at+jwt", { typ: "at+jwt" }],
      ["typ logout+jwt", { typ: "logout+jwt" }],
    ])("a header with %s is refused and fetches nothing", async (_, header) => {
      expect(codeOf(await signIn({}, { header }))).toBe("token_invalid");
      expect(idp.asked.some(({ url }) => url.includes("evil"))).toBe(false);
    });
    it.each<[string, unknown, string]>([
      ["others", ["RS256", "EdDSA"], "token_invalid"],
      ["none, which stands for RS256", undefined, "token_invalid"],
      ["it among others", ["none", "ES256"], "ok"],
    ])("an ES256 token of a provider that announces %s", async (_, listed, code) => {
      idp.answers["/.well-known/openid-configuration"] = () => ({ body: { ...idp.metadata(), id_token_signing_alg_values_supported: listed } });
      expect(codeOf(await signIn())).toBe(code);
    });
    it("a symmetric or private key in the provider's set is never used", async () => {
      idp.answers["/jwks"] = () => ({ body: { keys: [{ kty: "oct", k: "c2VjcmV0", kid: "k1", alg: "HS256" }, { ...signer.jwk, d: "x" }] } });
      expect(codeOf(await signIn())).toBe("provider_misconfigured");
    });
    it("an RSA provider without key ids works", async () => {
      const { kid: _kid, ...jwk } = rsa.jwk;
      idp.answers["/jwks"] = () => ({ body: { keys: [signer.jwk, { ...strangerRsa.jwk }, jwk] } });
      expect(codeOf(await signIn({}, { key: { ...rsa, jwk } }))).toBe("ok");
    });
  });

  describe("step-up is proved by auth_time, never by iat (class E)", () => {
    const old = (): number => idp.seconds - 3_600;
    it.each<[string, LoginDemand, () => Record<string, unknown>, string]>([
      ["a fresh auth_time", { maxAgeSeconds: 60 }, () => ({ auth_time: idp.seconds }), "ok"],
      ["an old auth_time in a fresh token", { maxAgeSeconds: 60 }, () => ({ auth_time: old() }), "step_up_unmet"],
      ["no auth_time", { maxAgeSeconds: 60 }, () => ({}), "step_up_unmet"],
      ["auth_time from the future", { maxAgeSeconds: 60 }, () => ({ auth_time: idp.seconds + 3_600 }), "step_up_unmet"],
      ["mfa without amr", { mfa: true }, () => ({ auth_time: idp.seconds }), "step_up_unmet"],
      ["mfa with a password only", { mfa: true }, () => ({ auth_time: idp.seconds, amr: ["pwd"] }), "step_up_unmet"],
      ["mfa said but not when", { mfa: true }, () => ({ amr: ["pwd", "otp"] }), "step_up_unmet"],
      ["mfa said and when", { mfa: true }, () => ({ auth_time: idp.seconds, amr: ["pwd", "otp"] }), "ok"],
    ])("%s", async (_, demand, claims, code) => {
      expect(codeOf(await signIn(claims(), { demand }))).toBe(code);
    });
    it("prompt=login without auth_time counts from the attempt's start; a plain sign-in does not count at all", async () => {
      const forced = await signIn({}, { demand: { prompt: "login" } });
      expect(forced.ok && forced.value.facts["auth"]?.observedAt).toBe(idp.now);
      const plain = await signIn({});
      expect(plain.ok && plain.value.facts["auth"]).toBeUndefined();
    });
  });
});

const strangerRsa = await newSigner(undefined, "RS256");
