import { describe, expect, it } from "vitest";
import { discover } from "../../identity/oidc-discovery.ts";
import { verifyIdToken } from "../../identity/id-token.ts";
import { FakeProvider, newSigner } from "./fake-provider.ts";

const idp = new FakeProvider(await newSigner("k"));

async function check(claims: Record<string, unknown>, audiences = ["postern"]): Promise<string> {
  const as = await discover(idp.settings, idp.io);
  if (!as.ok) throw new Error(as.error.cause);
  const result = await verifyIdToken(await idp.mint(idp.claims(claims)), audiences, idp.settings, as.value, idp.io);
  return result.ok ? "ok" : result.error.code;
}

describe("an ID token stands on its own, whoever calls (class F)", () => {
  it("an honest one is taken", async () => expect(await check({})).toBe("ok"));
  it.each<[string, Record<string, unknown>]>([
    ["another issuer under the right key", { iss: "https://other.example" }],
    ["an issuer that differs by a slash", { iss: "https://idp.example.com/" }],
    ["no issuer", { iss: undefined }],
    ["another audience", { aud: "other" }],
    ["an empty audience list", { aud: [] }],
    ["an audience that is no text", { aud: [["postern"]] }],
    ["seventeen audiences", { aud: Array.from({ length: 17 }, () => "postern") }],
    ["an authorized party that is a list", { azp: ["postern"] }],
    ["an authorized party of somebody else", { azp: "other" }],
    ["a Keycloak refresh token's label", { typ: "Refresh" }],
    ["events", { events: {} }],
  ])("%s is refused", async (_, claims) => expect(await check(claims)).toBe("token_invalid"));
  it("with no audience configured nothing is for us", async () => expect(await check({}, [])).toBe("token_invalid"));
});
