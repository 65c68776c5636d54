/** The verifier that apps copy: takes a good assertion and nothing else. */
import { createLocalJWKSet, type CryptoKey, exportJWK, generateKeyPair, SignJWT } from "jose";
import { describe, expect, it } from "vitest";
import { assertionVerifier } from "../../examples/verify-assertion/verify.ts";

const LAUNCHER = "https://access.example.com";
const pair = await generateKeyPair("ES256");
const other = await generateKeyPair("ES256");
const keys = createLocalJWKSet({ keys: [{ ...(await exportJWK(pair.publicKey)), alg: "ES256", kid: "k" }] });
const verify = assertionVerifier(LAUNCHER, "wiki", keys);

const assertion = (change: { iss?: string; aud?: string; exp?: string; key?: CryptoKey; sub?: string; typ?: string } = {}): Promise<string> => {
  const jwt = new SignJWT({ email: "alice@example.com", groups: ["corp:staff", 7] }).setProtectedHeader({ alg: "ES256", kid: "k", typ: change.typ ?? "postern-assertion+jwt" }).setIssuer(change.iss ?? LAUNCHER).setAudience(change.aud ?? "wiki");
  if (change.sub !== "") jwt.setSubject("u_alice");
  if (change.exp !== "") jwt.setExpirationTime(change.exp ?? "60s");
  return jwt.sign(change.key ?? pair.privateKey);
};

describe("assertionVerifier", () => {
  it("tells who is asking", async () => {
    expect(await verify(await assertion())).toEqual({ subject: "u_alice", email: "alice@example.com", groups: ["corp:staff"] });
  });

  it.each([
    { why: "another issuer", change: { iss: "https://evil.example" } },
    { why: "another app", change: { aud: "pay" } },
    { why: "an old one", change: { exp: "-1s" } },
    { why: "one that never ends", change: { exp: "" } },
    { why: "one about nobody", change: { sub: "" } },
    { why: "a token that is no assertion", change: { typ: "JWT" } },
    { why: "another key", change: { key: other.privateKey } },
  ])("refuses $why", async ({ change }) => {
    expect(await verify(await assertion(change))).toBeUndefined();
  });

  it("refuses none and nonsense", async () => {
    expect(await verify(undefined)).toBeUndefined();
    expect(await verify("a.b.c")).toBeUndefined();
  });
});
