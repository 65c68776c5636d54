import { describe, expect, it } from "vitest";
import { fromBase64Url, toBase64Url } from "../../core/bytes.ts";
import { after, at } from "../../core/time.ts";
import { LOGIN_LIFETIME_MS } from "../../identity/oidc-login.ts";
import type { LoginState } from "../../identity/oidc-login.ts";
import {
  importSealKey,
  loginCookieName,
  seal,
  SEALED_MAX_CHARS,
  sealLoginState,
  unseal,
  unsealLoginState,
} from "../../identity/sealed-cookie.ts";
import { countingRandom, START } from "./fake-provider.ts";

const random = countingRandom();
const key = await importSealKey(random(32));
const otherKey = await importSealKey(random(32));
const state: LoginState = {
  provider: "corp",
  state: "s".repeat(43),
  nonce: "n".repeat(43),
  verifier: "v".repeat(43),
  redirectUri: "https://access.example.com/.postern/callback",
  returnTo: "https://wiki.access.example.com/a?b=c",
  startedAt: START,
  demand: { maxAgeSeconds: 0, prompt: "login", mfa: true },
  carry: { nonce: "x" },
};
const end = after(START, LOGIN_LIFETIME_MS);
async function sealed(): Promise<string> {
  const result = await sealLoginState(state, end, key, random);
  if (!result.ok) throw new Error(result.error);
  return result.value;
}

describe("sealed sign-in state (classes E and G)", () => {
  it("opens to what was sealed, shows nothing of it, and fits a cookie", async () => {
    const text = await sealed();
    expect(await unsealLoginState(text, START, key)).toEqual({ ok: true, value: state });
    expect(text).toMatch(/^v1\.[A-Za-z0-9_-]+$/);
    expect(text.length).toBeLessThan(SEALED_MAX_CHARS);
    expect(Buffer.from(text.slice(3), "base64url").toString("latin1")).not.toContain("corp");
  });
  it("two seals of one value differ", async () => expect(await sealed()).not.toBe(await sealed()));
  it("counts until its expiry and not at it", async () => {
    const text = await sealed();
    expect((await unsealLoginState(text, at(end - 1), key)).ok).toBe(true);
    expect(await unsealLoginState(text, end, key)).toEqual({ ok: false, error: "expired" });
  });
  it("any flipped bit is refused", async () => {
    const text = await sealed();
    const bytes = fromBase64Url(text.slice(3));
    if (bytes === undefined) throw new Error("sealed text");
    for (let i = 0; i < bytes.length; i += 7) {
      const spoilt = bytes.slice();
      spoilt[i] = (spoilt[i] ?? 0) ^ 1;
      expect(await unsealLoginState(`v1.${toBase64Url(spoilt)}`, START, key)).toEqual({ ok: false, error: "not_ours" });
    }
  });
  it.each([
    ["another version", (t: string) => `v2${t.slice(2)}`, "malformed"],
    ["no version", (t: string) => t.slice(3), "malformed"],
    ["padding", (t: string) => `${t}==`, "malformed"],
    ["nothing", () => "", "malformed"],
    ["only an IV", () => `v1.${"A".repeat(16)}`, "malformed"],
    ["4 KB", () => `v1.${"A".repeat(4_096)}`, "too_large"],
    ["a cut end", (t: string) => t.slice(0, -4), "not_ours"],
  ])("%s is refused", async (_, spoil, error) => {
    expect(await unsealLoginState(spoil(await sealed()), START, key)).toEqual({ ok: false, error });
  });
  it("another key or another context does not open it", async () => {
    const text = await sealed();
    expect(await unsealLoginState(text, START, otherKey)).toEqual({ ok: false, error: "not_ours" });
    expect(await unseal(text, "elsewhere", START, key)).toEqual({ ok: false, error: "not_ours" });
  });
  it("a value of another shape under the same context is refused", async () => {
    const foreign = await seal({ state: 1 }, "login", end, key, random);
    expect(foreign.ok && (await unsealLoginState(foreign.value, START, key))).toEqual({ ok: false, error: "malformed" });
  });
  it("a state that would not fit a cookie is refused, not cut", async () => {
    const long = { ...state, carry: { x: "y".repeat(SEALED_MAX_CHARS) } };
    expect(await sealLoginState(long, end, key, random)).toEqual({ ok: false, error: "too_large" });
  });
  it("each attempt has a __Host- cookie of its own, named only by our own states", () => {
    expect(loginCookieName("abcdefghijkl" + "m".repeat(31))).toBe("__Host-postern-login-abcdefghijkl");
    for (const state of ["", "short", `${"a".repeat(42)};`, "a".repeat(44)]) expect(loginCookieName(state)).toBeUndefined();
  });
});
