import { abortAllDurableObjects } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { toBase64Url } from "../../core/bytes.ts";
import type { SessionId } from "../../core/ids.ts";
import { Tunnel } from "../../durable-objects/tunnel/tunnel.ts";
import { formatServiceToken, formatSessionToken, hashSecret } from "../../identity/session-token.ts";
import { handle } from "../../worker/app.ts";
import { SESSION_COOKIE } from "../../worker/cookies.ts";
import type { Env } from "../../worker/env.ts";
import { cookieOf, documentFor, objects, randomText, signedIn, wipe } from "../objects/deployment.ts";
import { connected } from "../objects/test-connector.ts";
import { isolate, statusOf } from "./isolate.ts";

const bytes = (): Uint8Array<ArrayBuffer> => crypto.getRandomValues(new Uint8Array(32));
const secret = bytes();
const WIKI = "wiki.access.example.com";
const LAUNCHER = "access.example.com";

// Made anew for each test: an object that was aborted may outlive the wiping.
let operator: { id: string; secret: Uint8Array<ArrayBuffer> };
let ann: string;
let sid: SessionId;
let first: ReturnType<typeof isolate>;
let second: ReturnType<typeof isolate>;

beforeEach(async () => {
  operator = { id: randomText(16), secret: bytes() };
  ann = `u_${randomText(32)}`;
  const token = { tokenId: operator.id, hash: toBase64Url(await hashSecret(operator.secret)), expiresAt: Date.now() + 3_600_000 };
  const done = await objects.CONTROL.getByName("control").setup({ ...documentFor(["wiki", "crm"]), namesOperator: true, token });
  expect(done.ok).toBe(true);
  await connected();
  sid = await signedIn(ann, { credential: cookieOf("wiki", toBase64Url(await hashSecret(secret))) });
  first = isolate();
  second = isolate();
});
afterEach(wipe);

const asAnn = (): RequestInit => ({ headers: { cookie: `${SESSION_COOKIE}=${formatSessionToken({ sid, secret })}`, accept: "application/json" } });
const asOperator = (body: string, type: string): RequestInit => ({ method: "POST", body, headers: { authorization: `Bearer ${formatServiceToken(operator)}`, "content-type": type } });

/** Both isolates know the session and the policy; then `change` is made through the second. */
async function afterwards(change: () => Promise<Response>): Promise<{ changed: number; reachedLane: boolean; status: number }> {
  expect(await statusOf(first(WIKI, "/", asAnn()))).toBe(200);
  expect(await statusOf(second(WIKI, "/", asAnn()))).toBe(200);
  const changed = await change();
  const lane = vi.spyOn(Tunnel.prototype, "fetch");
  const status = await statusOf(first(WIKI, "/", asAnn()));
  return { changed: changed.status, reachedLane: lane.mock.calls.length > 0, status };
}

describe("an isolate that remembers what another one changed: the lane decides (M7)", () => {
  it("a session that was revoked elsewhere is refused at the next request", async () => {
    const seen = await afterwards(() => second(LAUNCHER, "/.postern/api/v1/revoke", asOperator(JSON.stringify({ kind: "session", id: sid }), "application/json")));
    expect(seen).toEqual({ changed: 200, reachedLane: true, status: 401 });
  });

  it("a person who was revoked elsewhere is refused at the next request", async () => {
    const seen = await afterwards(() => second(LAUNCHER, "/.postern/api/v1/revoke", asOperator(JSON.stringify({ kind: "user", id: ann }), "application/json")));
    expect(seen).toEqual({ changed: 200, reachedLane: true, status: 401 });
  });

  it("an app that a newer policy takes away is refused at the next request, as if it did not exist", async () => {
    const seen = await afterwards(() => second(LAUNCHER, "/.postern/api/v1/policy?allow_lockout=1", asOperator(documentFor(["crm"]).text, "application/json")));
    expect(seen).toEqual({ changed: 200, reachedLane: true, status: 404 });
  });

  it("a policy that gives it back is believed at the next request: a denial is confirmed before it is shown", async () => {
    const apply = (apps: string[]): Promise<Response> => second(LAUNCHER, "/.postern/api/v1/policy?allow_lockout=1", asOperator(documentFor(apps).text, "application/json"));
    expect((await afterwards(() => apply(["crm"]))).status).not.toBe(200);
    expect((await apply(["wiki", "crm"])).status).toBe(200);
    expect(await statusOf(first(WIKI, "/", asAnn()))).toBe(200);
  });

  it("a cookie of one app opens no other app and no launcher, in either isolate", async () => {
    for (const ask of [first, second]) {
      expect(await statusOf(ask("crm.access.example.com", "/", asAnn()))).toBe(401);
      expect(await statusOf(ask(LAUNCHER, "/.postern/api/v1/sessions", asAnn()))).toBe(401);
    }
  });
});

describe("after every object died at once (F10)", () => {
  it("a cookie opens what it opened, in an isolate that knows nothing; setup stays closed", async () => {
    expect(await statusOf(first(WIKI, "/", asAnn()))).toBe(200);
    await abortAllDurableObjects();
    await connected();
    expect(await statusOf(isolate()(WIKI, "/", asAnn()))).toBe(200);
    const token = { tokenId: operator.id, hash: toBase64Url(await hashSecret(operator.secret)), expiresAt: Date.now() + 3_600_000 };
    expect(await objects.CONTROL.getByName("control").setup({ ...documentFor(["wiki"]), namesOperator: true, token })).toMatchObject({ ok: false, code: "setup_closed" });
  });

  it("what was revoked stays revoked, also for an isolate that remembers the session", async () => {
    expect(await statusOf(first(WIKI, "/", asAnn()))).toBe(200);
    const revoked = await statusOf(second(LAUNCHER, "/.postern/api/v1/revoke", asOperator(JSON.stringify({ kind: "session", id: sid }), "application/json")));
    expect(revoked).toBe(200);
    await abortAllDurableObjects();
    await connected();
    for (const ask of [first, isolate()]) expect(await statusOf(ask(WIKI, "/", asAnn()))).toBe(401);
  });
});

describe("when the objects cannot be asked (promise 1)", () => {
  it.each(["SESSION", "CONTROL"] as const)("%s down: nobody is let in who was not known before", async (name) => {
    const broken = new Proxy({}, { get: () => () => { throw new Error("down"); } });
    const own = { ...(env as unknown as Env), [name]: broken } as Env;
    const answer = await handle(new Request(`https://${WIKI}/`, { redirect: "manual", ...asAnn() }), own, () => undefined);
    expect(answer.status).not.toBe(200);
    expect(answer.status).toBeGreaterThanOrEqual(400);
    expect(await answer.text()).not.toContain("down");
  });
});
