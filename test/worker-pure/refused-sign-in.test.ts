/** What somebody is told whom their own user object does not sign in, by a browser and by a program. */
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { at } from "../../core/time.ts";
import { ID_TOKEN_TYPE, TOKEN_EXCHANGE_GRANT } from "../../identity/token-exchange.ts";
import { parseDocument } from "../../policy/parse-document.ts";
import { handle } from "../../worker/app.ts";
import type { Env } from "../../worker/env.ts";
import { FakeProvider, newSigner } from "../identity/fake-provider.ts";

const LAUNCHER = "https://access.example.com";
const parsed = parseDocument(`version: 1
domain: access.example.com
identity: { providers: [{ id: corp, issuer: "https://idp.example.com", client_id: postern, token_audiences: [ci], scim: { token: { secret: SCIM_TOKEN } } }] }
sites: [{ id: berlin }]
apps: [{ id: wiki, site: berlin, upstream: "http://10.0.0.5:8080" }]
policies: [{ id: staff, effect: allow, apps: [wiki], when: { provider: [corp] } }]
`);
if (!parsed.ok) throw new Error(JSON.stringify(parsed.error));
const { document } = parsed.value;
const signer = await newSigner("k");
const sealKey = new Uint8Array(32).fill(3);

let provider: FakeProvider;
beforeEach(() => {
  provider = new FakeProvider(signer);
  provider.now = at(Date.now());
  vi.stubGlobal("fetch", provider.io.fetch);
});
afterEach(() => vi.unstubAllGlobals());

/** The Worker over a user object that refuses with `code`, or a directory that says "inactive". */
function edgeThatRefuses(code: "revoked" | "full" | "inactive"): (path: string, init?: RequestInit) => Promise<Response> {
  const standing = () => Promise.resolve(code === "inactive" ? code : { groups: [], at: at(Date.now()) });
  const env = {
    AUDIT: { getByName: () => ({ append: () => Promise.resolve({ seq: 1 }) }) },
    CONTROL: { getByName: () => ({ policy: () => Promise.resolve({ document, version: 1 }), sealKey: () => Promise.resolve(sealKey), standing }) },
    USER: { getByName: () => ({ signIn: () => Promise.resolve({ ok: false, code }) }) },
  } as unknown as Env;
  return (path, init) => handle(new Request(LAUNCHER + path, init), env, () => undefined);
}

describe.each([
  ["revoked", "revoked", 401],
  ["full", "too_many_sessions", 403],
  ["inactive", "account_inactive", 403],
] as const)("a sign-in that is refused as %s", (refusal, code, status) => {
  it(`is answered with ${code} to a browser`, async () => {
    const edge = edgeThatRefuses(refusal);
    const begun = await edge("/.postern/login?provider=corp&flow=AAAAAAAAAAAAAAAA");
    const asked = new URL(begun.headers.get("location") ?? "").searchParams;
    provider.grant(await provider.mint(provider.claims({ nonce: asked.get("nonce") })));
    const cookie = (begun.headers.get("set-cookie") ?? "").split(";")[0] ?? "";
    const answer = await edge(`/.postern/callback?code=c&state=${asked.get("state")}`, { headers: { cookie, accept: "application/json" } });
    expect({ status: answer.status, body: await answer.json() }).toMatchObject({ status, body: { error: { code } } });
    expect(answer.headers.get("set-cookie")).toBeNull();
  });

  it(`is answered with ${code} to a program that exchanges a token`, async () => {
    const subjectToken = await provider.mint(provider.claims({ aud: "ci" }));
    const form = { grant_type: TOKEN_EXCHANGE_GRANT, subject_token: subjectToken, subject_token_type: ID_TOKEN_TYPE, audience: "wiki" };
    const answer = await edgeThatRefuses(refusal)("/.postern/token", { method: "POST", body: new URLSearchParams(form) });
    expect({ status: answer.status, body: await answer.json() }).toEqual({ status: 400, body: { error: "invalid_request", error_description: code } });
  });
});
