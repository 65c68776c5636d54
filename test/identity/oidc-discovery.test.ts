import { beforeEach, describe, expect, it } from "vitest";
import { at } from "../../core/time.ts";
import { discover } from "../../identity/oidc-discovery.ts";
import { JWKS_FRESH_MS, JWKS_REFETCH_MS, JWKS_TTL_MS } from "../../identity/provider-keys.ts";
import { verifyIdToken } from "../../identity/id-token.ts";
import type { ProviderSettings } from "../../identity/provider.ts";
import { FakeProvider, newSigner, START } from "./fake-provider.ts";

const signer = await newSigner("k1");
const newer = await newSigner("k2");
const sameId = await newSigner("k1");
const DISCOVERY = "/.well-known/openid-configuration";
let idp: FakeProvider;
beforeEach(() => {
  idp = new FakeProvider(signer);
});

async function reasonOf(settings: Partial<ProviderSettings> = {}): Promise<string> {
  const result = await discover({ ...idp.settings, ...settings }, idp.io);
  return result.ok ? "ok" : (result.error.reason ?? result.error.code);
}
const metadata = (change: Record<string, unknown>) => () => ({ body: { ...idp.metadata(), ...change } });

describe("discovery believes only its own issuer (class F)", () => {
  it.each<[string, Partial<ProviderSettings>, string]>([
    ["http on a public name", { issuer: "http://idp.example.com" }, "issuer_refused"],
    ["a query", { issuer: "https://idp.example.com/?x=1" }, "issuer_refused"],
    ["a user", { issuer: "https://a@idp.example.com" }, "issuer_refused"],
    ["no URL", { issuer: "corp" }, "issuer_refused"],
    ["file", { issuer: "file:///etc/passwd" }, "issuer_refused"],
    ["Entra's placeholder", { issuer: "https://login.microsoftonline.com/{tenantid}/v2.0" }, "multi_tenant_issuer"],
  ])("an issuer with %s is refused without a request", async (_, settings, reason) => {
    expect(await reasonOf(settings)).toBe(reason);
    expect(idp.asked).toEqual([]);
  });

  it.each<[string, Record<string, unknown>, string]>([
    ["another issuer", { issuer: "https://evil.example" }, "issuer_mismatch"],
    ["an issuer that differs by a slash", { issuer: "https://idp.example.com/" }, "issuer_mismatch"],
    ["the placeholder of all tenants", { issuer: "https://idp.example.com/{tenantid}" }, "multi_tenant_issuer"],
    ["no issuer", { issuer: undefined }, "not_metadata"],
    ["an http key set", { jwks_uri: "http://idp.example.com/jwks" }, "endpoint_refused"],
    ["a key set on a private address", { jwks_uri: "https://10.0.0.1/jwks" }, "endpoint_refused"],
    ["a key set on the metadata address", { jwks_uri: "http://169.254.169.254/latest" }, "endpoint_refused"],
    ["a key set on loopback", { jwks_uri: "https://localhost/jwks" }, "endpoint_refused"],
    ["a key set on an IPv6 literal", { jwks_uri: "https://[fd00::1]/jwks" }, "endpoint_refused"],
    ["a key set on an internal name", { jwks_uri: "https://vault.internal/jwks" }, "endpoint_refused"],
    ["a token endpoint with a user", { token_endpoint: "https://a:b@idp.example.com/token" }, "endpoint_refused"],
    ["a file as token endpoint", { token_endpoint: "file:///etc/passwd" }, "endpoint_refused"],
    ["a javascript authorization endpoint", { authorization_endpoint: "javascript:alert(1)" }, "endpoint_refused"],
    ["no token endpoint", { token_endpoint: undefined }, "endpoint_refused"],
    ["endpoints on other public hosts (Google)", { token_endpoint: "https://oauth2.example.net/token" }, "ok"],
  ])("metadata with %s", async (_, change, reason) => {
    idp.answers[DISCOVERY] = metadata(change);
    expect(await reasonOf()).toBe(reason);
  });

  it.each<[string, () => object, string]>([
    ["a redirect to another host", () => ({ status: 302, headers: { location: "https://evil.example/" } }), "redirected"],
    ["70 KB", () => ({ body: { ...idp.metadata(), padding: "x".repeat(70_000) } }), "too_large"],
    ["503", () => ({ status: 503 }), "provider_unreachable"],
    ["404", () => ({ status: 404, body: {} }), "not_metadata"],
    ["a page", () => ({ body: "<html>" }), "not_metadata"],
    ["JSON nesting that is no object", () => ({ body: [] }), "not_metadata"],
  ])("an answer of %s", async (_, answer, reason) => {
    idp.answers[DISCOVERY] = answer;
    expect(await reasonOf()).toBe(reason);
    expect(idp.asked).toHaveLength(1);
  });

  it("a body without end is cut at the cap, not read", async () => {
    let pulled = 0;
    const stream = () => new ReadableStream<Uint8Array>({
      pull: (controller) => {
        pulled += 16_384;
        controller.enqueue(new Uint8Array(16_384).fill(32));
      },
    });
    idp.answers[DISCOVERY] = () => ({ stream: stream() });
    expect(await reasonOf()).toBe("too_large");
    expect(pulled).toBeLessThan(65_536 * 3);
  });

  it("a stalled provider is given up by the deadline's signal, over head and body", async () => {
    const given: AbortController[] = [];
    const lengths: number[] = [];
    const io = {
      ...idp.io,
      deadline: (length: number) => {
        lengths.push(length);
        const controller = new AbortController();
        given.push(controller);
        return controller.signal;
      },
      fetch: (_url: string, init: RequestInit) =>
        new Promise<Response>((_resolve, reject) => {
          init.signal?.addEventListener("abort", () => reject(new Error("aborted")));
          queueMicrotask(() => given[0]?.abort());
        }),
    };
    const result = await discover(idp.settings, io);
    expect(result).toMatchObject({ ok: false, error: { code: "provider_unreachable" } });
    expect(lengths).toEqual([10_000]);
  });

  it.each([
    ["http://127.0.0.1:4000", "http://127.0.0.1:4000/token", "ok"],
    ["http://idp.localhost:4000", "http://localhost:4001/token", "ok"],
    ["http://[::1]:4000", "http://[::1]:4000/token", "ok"],
    ["http://127.0.0.1:4000", "http://10.0.0.1/token", "endpoint_refused"],
    ["https://idp.localhost", "http://idp.localhost/token", "endpoint_refused"],
    ["https://10.1.2.3", "https://10.1.2.3/token", "ok"],
    ["https://tenant.example.com/", "https://tenant.example.com/token", "ok"],
    ["https://kc.example.com/realms/main", "https://kc.example.com/realms/main/token", "ok"],
  ])("issuer %s with token endpoint %s: %s", async (issuer, token, reason) => {
    idp = new FakeProvider(signer, { issuer });
    idp.answers[DISCOVERY] = metadata({ token_endpoint: token });
    expect(await reasonOf()).toBe(reason);
  });

  it("an end_session_endpoint that may not be used is left out", async () => {
    idp.answers[DISCOVERY] = metadata({ end_session_endpoint: "http://evil.example/logout" });
    const result = await discover(idp.settings, idp.io);
    expect(result.ok && result.value.end_session_endpoint).toBeUndefined();
  });
});

describe("discovery is cached by its caller", () => {
  it("asks once an hour, and stands an outage of the provider for a day", async () => {
    await discover(idp.settings, idp.io);
    await discover(idp.settings, idp.io);
    expect(idp.asks(DISCOVERY)).toBe(1);
    idp.answers[DISCOVERY] = () => ({ status: 503 });
    idp.now = at(START + 3_600_000);
    expect(await reasonOf()).toBe("ok");
    expect(idp.asks(DISCOVERY)).toBe(2);
    idp.now = at(START + 24 * 3_600_000);
    expect(await reasonOf()).toBe("provider_unreachable");
  });
  it("a failing provider is asked at most every 5 s, however many strangers come", async () => {
    delete idp.answers[DISCOVERY];
    for (let i = 0; i < 20; i++) expect(await reasonOf()).toBe("provider_unreachable");
    expect(idp.asks(DISCOVERY)).toBe(1);
    idp.now = at(START + 5_000);
    await reasonOf();
    expect(idp.asks(DISCOVERY)).toBe(2);
  });
  it("metadata that turned wrong fails at once, outage or not", async () => {
    await discover(idp.settings, idp.io);
    idp.answers[DISCOVERY] = metadata({ issuer: "https://evil.example" });
    idp.now = at(START + 3_600_000);
    expect(await reasonOf()).toBe("issuer_mismatch");
  });
});

describe("key rotation at the provider (F12)", () => {
  async function check(key = signer): Promise<string> {
    const as = await discover(idp.settings, idp.io);
    if (!as.ok) throw new Error(as.error.cause);
    const token = await idp.mint(idp.claims(), {}, key);
    const result = await verifyIdToken(token, ["postern"], idp.settings, as.value, idp.io);
    return result.ok ? "ok" : result.error.code;
  }
  const serve = (...keys: object[]): void => {
    idp.answers["/jwks"] = () => ({ body: { keys } });
  };
  const wait = (ms: number): void => {
    idp.now = at(idp.now + ms);
  };

  it("overlap: old and new keys verify, without a request for each", async () => {
    serve(signer.jwk, newer.jwk);
    for (const key of [signer, newer, signer, newer]) expect(await check(key)).toBe("ok");
    expect(idp.asks("/jwks")).toBe(1);
  });
  it("sudden: an unknown id asks once, then works", async () => {
    expect(await check()).toBe("ok");
    serve(newer.jwk);
    wait(JWKS_REFETCH_MS);
    expect(await check(newer)).toBe("ok");
    expect(await check(newer)).toBe("ok");
    expect(idp.asks("/jwks")).toBe(2);
  });
  it("a new key under the old id asks once, then works", async () => {
    expect(await check()).toBe("ok");
    serve(sameId.jwk);
    wait(JWKS_REFETCH_MS);
    expect(await check(sameId)).toBe("ok");
    expect(idp.asks("/jwks")).toBe(2);
  });
  it("a flood of invented ids asks once in 30 s", async () => {
    expect(await check()).toBe("ok");
    wait(JWKS_REFETCH_MS);
    for (let i = 0; i < 10; i++) expect(await check(newer)).toBe("token_invalid");
    expect(idp.asks("/jwks")).toBe(2);
    expect(await check()).toBe("ok");
  });
  it.each([
    ["at a cold start", 0],
    ["at a sudden change", JWKS_REFETCH_MS],
  ])("three sign-ins at once %s all succeed, and a hundred ask four times", async (_, pause) => {
    if (pause > 0) expect(await check()).toBe("ok");
    wait(pause);
    serve(newer.jwk);
    const before = idp.asks("/jwks");
    expect(await Promise.all([check(newer), check(newer), check(newer)])).toEqual(["ok", "ok", "ok"]);
    wait(JWKS_FRESH_MS);
    await Promise.all(Array.from({ length: 100 }, () => check(signer)));
    expect(idp.asks("/jwks") - before).toBeLessThanOrEqual(3 + 4);
  });
  it("a provider that never answers for its keys is given up and asked again", async () => {
    let asked = 0;
    const allUnderWay = new Promise<void>((resolve) => {
      idp.answers["/jwks"] = () => {
        if (++asked === 4) resolve();
        return new Promise(() => undefined);
      };
    });
    for (let i = 0; i < 4; i++) void check();
    await allUnderWay;
    expect(await check()).toBe("provider_unreachable");
    wait(10_000);
    serve(signer.jwk);
    expect(await check()).toBe("ok");
  });
  it("a withdrawn key stops counting when the set is renewed", async () => {
    expect(await check()).toBe("ok");
    serve(newer.jwk);
    wait(JWKS_FRESH_MS);
    expect(await check()).toBe("token_invalid");
  });
  it.each<[string, () => object]>([
    ["an empty set", () => ({ body: { keys: [] } })],
    ["no set", () => ({ body: {} })],
    ["503", () => ({ status: 503 })],
    ["a redirect", () => ({ status: 302, headers: { location: "https://evil.example" } })],
    ["300 KB", () => ({ body: { keys: [], padding: "x".repeat(300_000) } })],
  ])("%s keeps the last good set for its hour, then fails closed", async (_, answer) => {
    expect(await check()).toBe("ok");
    idp.answers["/jwks"] = answer;
    wait(JWKS_FRESH_MS);
    expect(await check()).toBe("ok");
    wait(JWKS_TTL_MS - JWKS_FRESH_MS - 1);
    expect(await check()).toBe("ok");
    wait(1);
    expect(await check()).toMatch(/^provider_/);
  });
  it("two issuers never share keys", async () => {
    expect(await check()).toBe("ok");
    const other = new FakeProvider(newer, { id: "other", issuer: "https://other.example" });
    const shared = { ...other.io, cache: idp.io.cache };
    const as = await discover(other.settings, shared);
    if (!as.ok) throw new Error(as.error.cause);
    const forged = await idp.mint(other.claims());
    const result = await verifyIdToken(forged, ["postern"], other.settings, as.value, shared);
    expect(result).toMatchObject({ ok: false, error: { code: "token_invalid" } });
  });
});
