import { afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { SessionId } from "../../core/ids.ts";
import { userIdOf } from "../../identity/claims.ts";
import { LOGOUT_EVENT } from "../../identity/logout-token.ts";
import { objects, sessionOf, signedIn, wipe } from "../objects/deployment.ts";
import { isolate } from "./isolate.ts";
import { type Issuer, LAUNCHER, newIssuer, PROVIDER, seconds, serve, setUpDocument } from "./pushing-systems.ts";

const FORM = { "content-type": "application/x-www-form-urlencoded" };
let provider: Issuer;
let other: Issuer;
beforeAll(async () => {
  [provider, other] = [await newIssuer("p"), await newIssuer("p")];
});
beforeEach(async () => {
  serve(provider, other);
  await setUpDocument({ corp: ", token_audiences: [api]" });
});
afterEach(wipe);

const token = (claims: object, header: object = {}, by = provider): Promise<string> =>
  by.sign({ iss: PROVIDER, aud: "postern", iat: seconds(), exp: seconds() + 120, jti: "j1", events: { [LOGOUT_EVENT]: {} }, ...claims }, { typ: "logout+jwt", ...header });
const tell = (body: string, to = "corp", headers: Record<string, string> = FORM): Promise<Response> => isolate()(LAUNCHER, `/.postern/backchannel/${to}`, { method: "POST", headers, body });
const logout = async (claims: object, header: object = {}, by = provider): Promise<Response> => tell(`logout_token=${await token(claims, header, by)}`);
const live = (sids: readonly SessionId[]): Promise<unknown[]> => Promise.all(sids.map((sid) => sessionOf(sid).isLive()));

/** Signs somebody in by a session of the provider. */
async function signIn(sub: string, login: string, more: object = {}): Promise<SessionId> {
  const id = await userIdOf(PROVIDER, sub);
  const sid = await signedIn(id, more);
  await objects.CONTROL.getByName("control").noteSignIn({ id, issuer: PROVIDER, sub, lastSignInAt: 1 }, { id: login, sid, endsAt: Date.now() + 60_000 });
  return sid;
}

describe("a logout at the provider (row 63)", () => {
  it("of a session of its ends what came of it, and nothing else", async () => {
    const sids = [await signIn("ann", "s1"), await signIn("ann", "s1"), await signIn("ann", "s2"), await signIn("bob", "s3")];
    const answer = await logout({ sid: "s1", sub: "ann" });
    expect([answer.status, await answer.text(), answer.headers.get("cache-control")]).toEqual([200, "", "no-store"]);
    expect(await live(sids)).toEqual([false, false, true, true]);
  });

  it("of a person ends every session of theirs", async () => {
    const sids = [await signIn("ann", "s1"), await signIn("ann", "s2"), await signIn("bob", "s3")];
    expect((await logout({ sub: "ann" })).status).toBe(200);
    expect(await live(sids)).toEqual([false, false, true]);
  });

  it("counts once: whoever signed in anew is not ended by the same token", async () => {
    const body = `logout_token=${await token({ sub: "ann" })}`;
    expect((await tell(body)).status).toBe(200);
    const again = await signIn("ann", "s4", { attemptStartedAt: Date.now() + 60_000 });
    expect((await tell(body)).status).toBe(200);
    expect(await live([again])).toEqual([true]);
    expect((await logout({ sub: "ann", jti: "j2" })).status).toBe(200);
    expect(await live([again])).toEqual([false]);
  });

  it("of a session of its ends the bearers that its ID tokens bought, and they buy no more", async () => {
    const idToken = await provider.sign({ iss: PROVIDER, aud: "api", sub: "ann", sid: "s1", iat: seconds() - 10, exp: seconds() + 3_600 }, { typ: "JWT" });
    const form = { grant_type: "urn:ietf:params:oauth:grant-type:token-exchange", subject_token_type: "urn:ietf:params:oauth:token-type:id_token", subject_token: idToken, audience: "wiki" };
    const exchange = async (): Promise<unknown[]> => {
      const answer = await isolate()(LAUNCHER, "/.postern/token", { method: "POST", headers: FORM, body: new URLSearchParams(form).toString() });
      return [answer.status, ((await answer.json()) as Record<string, unknown>)["error_description"]];
    };
    const bearers = async (): Promise<readonly SessionId[]> => objects.USER.getByName(await userIdOf(PROVIDER, "ann")).sessions();
    expect(await exchange()).toEqual([200, undefined]);
    const bought = await bearers();
    expect(await live(bought)).toEqual([true]);
    // It was a sign-in to the signs of risk, too.
    expect((await sessionOf(bought[0] as SessionId).describe())?.facts["risk"]).toMatchObject({ value: "low", source: "postern" });
    expect((await logout({ sid: "s1", sub: "ann" })).status).toBe(200);
    expect(await live(bought)).toEqual([false]);
    expect(await exchange()).toEqual([400, "revoked"]);
    expect(await live(await bearers())).not.toContain(true);
  });

  it("of a session that nobody has here is fine", async () => expect((await logout({ sid: "unknown" })).status).toBe(200));

  it.each<[string, () => Promise<Response>]>([
    ["another client's token", () => logout({ sub: "ann", aud: "other" })],
    ["a token of another key", () => logout({ sub: "ann" }, {}, other)],
    ["a token with a nonce", () => logout({ sub: "ann", nonce: "n" })],
    ["a token without jti", () => logout({ sub: "ann", jti: undefined })],
    ["an old token", () => logout({ sub: "ann", exp: seconds() - 3_600 })],
    ["an ID token", () => logout({ sub: "ann", events: undefined }, { typ: "JWT" })],
    ["two tokens", async () => tell(`logout_token=${await token({ sub: "ann" })}&logout_token=x`)],
    ["no token", () => tell("token=x")],
    ["JSON", async () => tell(JSON.stringify({ logout_token: await token({ sub: "ann" }) }), "corp", { "content-type": "application/json" })],
    ["what is packed (row 106)", async () => tell(`logout_token=${await token({ sub: "ann" })}`, "corp", { ...FORM, "content-encoding": "gzip" })],
    ["a megabyte (row 83)", () => tell(`logout_token=${"a".repeat(1_000_000)}`)],
  ])("%s: 400 in the form of OAuth, and no effect", async (_, act) => {
    const sid = await signIn("ann", "s1");
    const answer = await act();
    expect([answer.status, answer.headers.get("cache-control"), await answer.json()]).toEqual([400, "no-store", { error: "invalid_request", error_description: expect.any(String) as string }]);
    expect(await live([sid])).toEqual([true]);
  });

  it("at a provider that the document does not name, or that cannot be asked for its keys", async () => {
    expect((await tell(`logout_token=${await token({ sub: "ann" })}`, "nobody")).status).toBe(404);
    expect((await tell(`logout_token=${await token({ sub: "ann", iss: "https://partner.example.com" })}`, "partner")).status).toBe(502);
  });
});
