import { describe, expect, it } from "vitest";
import { discover } from "../../identity/oidc-discovery.ts";
import { endSessionUrl } from "../../identity/end-session.ts";
import { FakeProvider, newSigner } from "./fake-provider.ts";

const signer = await newSigner("k");
const SIGNED_OUT = "https://access.example.com/.postern/signed-out";

async function urlOf(change: Record<string, unknown>, extra: { state?: string; idToken?: string } = {}): Promise<string | undefined> {
  const idp = new FakeProvider(signer);
  idp.answers["/.well-known/openid-configuration"] = () => ({ body: { ...idp.metadata(), ...change } });
  const as = await discover(idp.settings, idp.io);
  if (!as.ok) throw new Error(as.error.cause);
  return endSessionUrl({ provider: idp.settings, as: as.value, postLogoutRedirectUri: SIGNED_OUT, ...extra });
}

describe("signing out at the provider", () => {
  it("names the client and the page to come back to, and keeps the endpoint's own query", async () => {
    const url = new URL((await urlOf({ end_session_endpoint: "https://idp.example.com/out?p=1" }, { state: "s", idToken: "t" })) ?? "");
    expect(Object.fromEntries(url.searchParams)).toEqual({
      p: "1",
      client_id: "postern",
      post_logout_redirect_uri: SIGNED_OUT,
      state: "s",
      id_token_hint: "t",
    });
  });
  it("leaves out a hint that would make the URL too long", async () => {
    expect(await urlOf({}, { idToken: "x".repeat(5_000) })).not.toContain("id_token_hint");
  });
  it.each([
    ["offers none (Google)", undefined],
    ["names an http page", "http://evil.example/logout"],
    ["names a script", "javascript:alert(1)"],
  ])("a provider that %s gets no redirect", async (_, end_session_endpoint) => {
    expect(await urlOf({ end_session_endpoint })).toBeUndefined();
  });
});
