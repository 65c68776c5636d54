import { UnsecuredJWT } from "jose";
import { describe, expect, it } from "vitest";
import { at } from "../../core/time.ts";
import { LOGOUT_EVENT, verifyLogoutToken } from "../../identity/logout-token.ts";
import { discover } from "../../identity/oidc-discovery.ts";
import { STATEMENT_MAX_AGE_SECONDS } from "../../identity/provider-jws.ts";
import { FakeProvider, newSigner, START } from "./fake-provider.ts";

const idp = new FakeProvider(await newSigner("k"));
const stranger = await newSigner("k");
const seconds = START / 1_000;

const GOOD = { iss: "https://idp.example.com", aud: "postern", iat: seconds, exp: seconds + 120, jti: "j1", sub: "alice", sid: "s1", events: { [LOGOUT_EVENT]: {} } };

async function check(token: string): Promise<unknown> {
  const as = await discover(idp.settings, idp.io);
  if (!as.ok) throw new Error(as.error.cause);
  const read = await verifyLogoutToken(token, idp.settings, as.value, idp.io);
  return read.ok ? read.value : read.error.code;
}
const mint = (claims: Record<string, unknown> = {}, header: Record<string, unknown> = { typ: "logout+jwt" }, signer = idp.signer): Promise<string> => idp.mint({ ...GOOD, ...claims }, header, signer);

describe("a logout token (OpenID Connect Back-Channel Logout §2.6)", () => {
  it.each<[string, Record<string, unknown>, unknown]>([
    ["names the provider's session before the person", {}, { jti: "j1", named: { providerSession: "s1" } }],
    ["names the person when it names no session", { sid: undefined }, { jti: "j1", named: { sub: "alice" } }],
    ["may name a session alone", { sub: undefined }, { jti: "j1", named: { providerSession: "s1" } }],
    ["may have an audience in a list", { aud: ["postern"] }, { jti: "j1", named: { providerSession: "s1" } }],
    ["may be without exp", { exp: undefined }, { jti: "j1", named: { providerSession: "s1" } }],
    ["may say in its payload what it is", { typ: "Logout" }, { jti: "j1", named: { providerSession: "s1" } }],
  ])("%s", async (_, claims, expected) => expect(await check(await mint(claims))).toEqual(expected));

  it.each(["logout+jwt", "JWT", undefined])("has the type %s", async (typ) => expect(await check(await mint({}, typ === undefined ? {} : { typ }))).toMatchObject({ jti: "j1" }));

  it.each<[string, Record<string, unknown>]>([
    ["no jti", { jti: undefined }],
    ["an empty jti", { jti: "" }],
    ["a jti that is too long", { jti: "j".repeat(256) }],
    ["a jti that is no text", { jti: 1 }],
    ["no iat", { iat: undefined }],
    ["a nonce", { nonce: "n" }],
    ["a nonce that is null", { nonce: null }],
    ["no events", { events: undefined }],
    ["empty events", { events: {} }],
    ["events that are a list", { events: [LOGOUT_EVENT] }],
    ["another event", { events: { "https://schemas.openid.net/secevent/caep/event-type/session-revoked": {} } }],
    ["another event beside it", { events: { [LOGOUT_EVENT]: {}, other: {} } }],
    ["an event that is no object", { events: { [LOGOUT_EVENT]: "x" } }],
    ["neither sub nor sid", { sub: undefined, sid: undefined }],
    ["a sub that is no text beside a good sid", { sub: 7 }],
    ["an empty sid beside a good sub", { sid: "" }],
    ["another issuer", { iss: "https://other.example.com" }],
    ["no issuer", { iss: undefined }],
    ["another client's audience (row 63)", { aud: "another" }],
    ["another client's audience beside ours", { aud: ["postern", "another"] }],
    ["no audience", { aud: undefined }],
    ["the label of an ID token", { typ: "ID" }],
    ["an exp that is no number", { exp: "1" }],
  ])("with %s is refused", async (_, claims) => expect(await check(await mint(claims))).toBe("token_invalid"));

  it.each<[string, Record<string, unknown>]>([
    ["from the future", { iat: seconds + 31 }],
    ["that ran out", { exp: seconds - 31 }],
    ["without exp, a day old", { exp: undefined, iat: seconds - STATEMENT_MAX_AGE_SECONDS - 31 }],
    ["a day old, whatever its exp", { exp: seconds + 1e6, iat: seconds - STATEMENT_MAX_AGE_SECONDS - 31 }],
  ])("%s is refused", async (_, claims) => expect(await check(await mint(claims))).toBe("clock_wrong"));

  it.each<[string, () => string | Promise<string>]>([
    ["an ID token", () => idp.mint(idp.claims())],
    ["a security event", () => mint({}, { typ: "secevent+jwt" })],
    ["an access token", () => mint({}, { typ: "at+jwt" })],
    ["signed by another key of the same id", () => mint({}, { typ: "logout+jwt" }, stranger)],
    ["unsigned", () => new UnsecuredJWT(GOOD).encode()],
    ["that is to be unpacked (row 51)", () => mint({}, { typ: "logout+jwt", zip: "DEF" })],
    ["that says where its keys are", () => mint({}, { typ: "logout+jwt", jku: "https://evil.example/jwks" })],
    ["that brings its key", () => mint({}, { typ: "logout+jwt", jwk: stranger.jwk })],
    ["of dots", () => ".".repeat(1_000_000)],
    ["of nothing", () => ""],
  ])("%s is none (class F)", async (_, token) => expect(await check(await token())).toBe("token_invalid"));

  it("with one bit of its signature changed is none (row 50)", async () => {
    const token = await mint();
    const [head = "", body = "", signature = ""] = token.split(".");
    const other = signature.startsWith("A") ? "B" : "A";
    expect(await check(`${head}.${body}.${other}${signature.slice(1)}`)).toBe("token_invalid");
    expect(idp.now).toBe(at(START));
  });
});
