import { beforeEach, describe, expect, it } from "vitest";
import { at } from "../../core/time.ts";
import { ID_TOKEN_TYPE, parseExchangeRequest, TOKEN_EXCHANGE_GRANT, verifySubjectToken } from "../../identity/token-exchange.ts";
import { FakeProvider, newSigner } from "./fake-provider.ts";

const signer = await newSigner("k");
let idp: FakeProvider;
beforeEach(() => {
  idp = new FakeProvider(signer, { tokenAudiences: ["ci", "agent"] });
});
async function exchange(claims: Record<string, unknown>, providers = [idp.settings], header = {}) {
  return verifySubjectToken(await idp.mint(idp.claims({ aud: "ci", ...claims }), header), providers, idp.io);
}
const code = (result: Awaited<ReturnType<typeof exchange>>): string => (result.ok ? "ok" : result.error.code);

describe("subject tokens (RFC 8693, CONTRACT b)", () => {
  it("an ID token for a listed audience becomes an identity whose bearer never outlives it", async () => {
    const short = await exchange({ exp: idp.seconds + 300 });
    expect(short).toMatchObject({ ok: true, value: { identity: { sub: "alice", provider: "corp" }, expiresAt: idp.now + 300_000 } });
    const long = await exchange({ exp: idp.seconds + 86_400 });
    expect(long).toMatchObject({ ok: true, value: { expiresAt: idp.now + 3_600_000 } });
  });
  it("the day it was issued dates no authentication", async () => {
    const result = await exchange({ amr: ["mfa"] });
    expect(result.ok && Object.keys(result.value.identity.facts).sort()).toEqual(["provider", "user"]);
  });
  it.each<[string, () => Record<string, unknown>]>([
    ["our own sign-in client", () => ({ aud: "postern" })],
    ["nobody", () => ({ aud: undefined })],
    ["an unlisted audience besides", () => ({ aud: ["ci", "other"] })],
    ["an unlisted authorized party", () => ({ azp: "other" })],
    ["an unknown issuer", () => ({ iss: "https://evil.example" })],
    ["a moment ago, within the clock tolerance", () => ({ exp: idp.seconds })],
    ["longer than a logout is remembered", () => ({ iat: idp.seconds - 86_401, exp: idp.seconds + 3_600 })],
    ["ever (no exp)", () => ({ exp: undefined })],
    ["access (Keycloak)", () => ({ typ: "Bearer" })],
  ])("a token for %s is refused", async (_, claims) => {
    expect(code(await exchange(claims()))).toBe("token_invalid");
  });
  it("one that was issued a day ago is not too old", async () => expect(code(await exchange({ iat: idp.seconds - 86_400, exp: idp.seconds + 300 }))).toBe("ok"));
  it("two listed audiences at once are fine", async () => expect(code(await exchange({ aud: ["ci", "agent"] }))).toBe("ok"));
  it("a provider without token_audiences is not even asked", async () => {
    expect(code(await exchange({}, [{ ...idp.settings, tokenAudiences: [] }]))).toBe("token_invalid");
    expect(idp.asked).toEqual([]);
  });
  it("an access token is refused by its type", async () => {
    expect(code(await exchange({}, [idp.settings], { typ: "at+jwt" }))).toBe("token_invalid");
  });
  it("dots, blanks and megabytes are refused without a request", async () => {
    for (const text of ["", "...", "a.b.c", ".".repeat(1_000_000)]) {
      expect(code(await verifySubjectToken(text, [idp.settings], idp.io))).toBe("token_invalid");
    }
    expect(idp.asked).toEqual([]);
  });
  it("an old token says that a clock is wrong", async () => {
    const token = await idp.mint(idp.claims({ aud: "ci" }));
    idp.now = at(idp.now + 3_600_000);
    expect(code(await verifySubjectToken(token, [idp.settings], idp.io))).toBe("clock_wrong");
  });
});

describe("the token endpoint's form (RFC 8693 §2.1)", () => {
  const form = { grant_type: TOKEN_EXCHANGE_GRANT, subject_token: "t", subject_token_type: ID_TOKEN_TYPE, audience: "wiki" };
  it("reads a complete one", () => {
    expect(parseExchangeRequest(new URLSearchParams(form))).toEqual({ ok: true, value: { subjectToken: "t", audience: "wiki" } });
  });
  it.each<[string, Record<string, string | undefined>, string]>([
    ["another grant", { grant_type: "password" }, "unsupported_grant_type"],
    ["no grant", { grant_type: undefined }, "unsupported_grant_type"],
    ["an access token as subject", { subject_token_type: "urn:ietf:params:oauth:token-type:access_token" }, "invalid_request"],
    ["no subject", { subject_token: undefined }, "invalid_request"],
    ["an actor", { actor_token: "x" }, "invalid_request"],
    ["a refresh token asked for", { requested_token_type: "urn:ietf:params:oauth:token-type:refresh_token" }, "invalid_request"],
    ["no audience", { audience: undefined }, "invalid_target"],
    ["audience and resource", { resource: "https://wiki.example" }, "invalid_target"],
    ["100,000 characters", { subject_token: "x".repeat(100_000) }, "invalid_request"],
  ])("refuses %s", (_, change, error) => {
    const entries = Object.entries({ ...form, ...change }).filter((entry): entry is [string, string] => entry[1] !== undefined);
    expect(parseExchangeRequest(new URLSearchParams(entries))).toEqual({ ok: false, error });
  });
  it("refuses anything sent twice", () => {
    const twice = new URLSearchParams(form);
    twice.append("audience", "pg");
    expect(parseExchangeRequest(twice)).toEqual({ ok: false, error: "invalid_request" });
  });
});
