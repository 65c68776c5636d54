/**
 * Who may call each route: a class for every line of worker/app.ts's table, and each class tried
 * on the Worker itself over objects that write down what they are asked. A route that is added
 * without a class fails here; a class is a promise that SECURITY.md relies on.
 */
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { toBase64Url } from "../../core/bytes.ts";
import type { SessionId } from "../../core/ids.ts";
import { at } from "../../core/time.ts";
import type { SessionSnapshot } from "../../durable-objects/session/rpc.ts";
import { formatOperatorToken, formatServiceToken, formatSessionToken } from "../../identity/session-token.ts";
import { parseDocument } from "../../policy/parse-document.ts";
import { BULK_HEADER } from "../../protocol/bulk.ts";
import { ADMIN_API } from "../../protocol/paths.ts";
import { handle, routeTable } from "../../worker/app.ts";
import { SESSION_COOKIE } from "../../worker/cookies.ts";
import type { Env } from "../../worker/env.ts";

/**
 * anybody: says nothing about anybody · person: finds out by itself who is signed in ·
 * code: needs a secret that was handed out for this · key: proves a connector's or a device's key, or a token ·
 * system: a token that a provider or transmitter signed, or a secret that the document names ·
 * bearer: a program's own token, through the gate, and no cookie · token: a person's own sign-in of a program, and no cookie · ticket: judged by the lane that issued it ·
 * page: a change by a cookie, so it compares Origin · setup: the setup key · a role: postern:admin.
 */
type Class = "anybody" | "person" | "code" | "key" | "system" | "bearer" | "token" | "ticket" | "page" | "setup" | "viewer" | "responder" | "operator";

const CLASSES: Readonly<Record<string, Class>> = {
  "get /:place/.postern/jwks.json": "anybody",
  "get /:place/.postern/ready": "anybody",
  "get /launcher/": "person",
  "get /launcher/.postern/login": "person",
  "get /launcher/.postern/callback": "code",
  "get /launcher/.postern/signed-out": "anybody",
  "post /launcher/.postern/token": "code",
  "post /launcher/.postern/break-glass": "code",
  "post /launcher/.postern/device/begin": "anybody",
  "get /launcher/.postern/device": "person",
  "post /launcher/.postern/device": "page",
  "get /launcher/.postern/passkeys": "person",
  "post /launcher/.postern/passkeys": "page",
  "post /launcher/.postern/passkeys/remove": "page",
  "get /:place/.postern/me": "person",
  "get /:place/.postern/logout": "person",
  "post /:place/.postern/logout": "page",
  "post /:place/.postern/request": "page",
  "get /app/.postern/sign-in": "anybody",
  "get /app/.postern/continue": "code",
  "get /launcher/.postern/connector.mjs": "anybody",
  "get /launcher/.postern/connector.mjs.sha256": "anybody",
  "post /launcher/.postern/connectors/enroll": "key",
  "get /launcher/.postern/connect": "key",
  "get /launcher/.postern/bulk/:at": "ticket",
  "post /launcher/.postern/bulk/:at": "ticket",
  "get /launcher/.postern/agent": "bearer",
  "post /launcher/.postern/devices": "token",
  "get /launcher/.postern/devices/bind": "person",
  "post /launcher/.postern/devices/bind": "page",
  "post /launcher/.postern/devices/:id/report": "key",
  "get /api/devices": "viewer",
  "post /api/devices/:id": "operator",
  "post /api/devices/:id/facts": "responder",
  "post /api/users/:id/facts": "responder",
  "post /launcher/.postern/backchannel/:provider": "system",
  "post /launcher/.postern/ssf/:source": "system",
  "get /launcher/.postern/scim/v2/*": "system",
  "post /launcher/.postern/scim/v2/*": "system",
  "put /launcher/.postern/scim/v2/*": "system",
  "patch /launcher/.postern/scim/v2/*": "system",
  "delete /launcher/.postern/scim/v2/*": "system",
  "post /api/setup": "setup",
  "post /api/policy": "operator",
  "get /api/policy": "viewer",
  "get /api/policy/history": "viewer",
  "post /api/revoke": "responder",
  "get /api/receipts/:id": "viewer",
  "get /api/grants": "viewer",
  "post /api/grants": "operator",
  "post /api/grants/:id/deny": "responder",
  "post /api/services": "operator",
  "get /api/services": "viewer",
  "post /api/break-glass": "operator",
  "get /api/break-glass": "viewer",
  "post /api/break-glass/cancel": "responder",
  "post /api/enroll-tokens": "operator",
  "get /api/connectors": "viewer",
  "get /api/edge-status": "viewer",
  "get /api/sessions": "viewer",
  "get /api/explain/:id": "viewer",
};

const ROLES = ["viewer", "responder", "operator"] as const;
type Role = (typeof ROLES)[number];
const isRole = (what: Class | undefined): what is Role => ROLES.some((one) => one === what);

const routes = routeTable.filter(([method]) => method !== "ALL").map(([method, path]) => ({ name: `${method.toLowerCase()} ${path.replace(`/launcher${ADMIN_API}`, "/api")}`, method, path }));

const LAUNCHER = "https://access.example.com";
const parsed = parseDocument(`version: 1
domain: access.example.com
identity: { providers: [{ id: corp, issuer: "https://login.example.com", client_id: postern, scim: { token: { secret: SCIM_TOKEN } } }] }
signals: [{ id: feed, issuer: "https://ssf.example.com", jwks_uri: "https://ssf.example.com/jwks", audience: us, provider: corp }]
sites: [{ id: berlin }]
apps: [{ id: wiki, site: berlin, upstream: "http://10.0.0.5:8080" }]
policies:
  - { id: viewers, effect: allow, apps: ["postern:admin"], when: { service: viewer } }
  - { id: responders, effect: allow, apps: ["postern:admin"], when: { service: responder }, limits: { role: responder } }
  - { id: operators, effect: allow, apps: ["postern:admin"], when: { service: operator }, limits: { role: operator } }
`);
if (!parsed.ok) throw new Error(JSON.stringify(parsed.error));
const { document } = parsed.value;

const SECRET = new Uint8Array(32).fill(7);
const SID = "a".repeat(64) as SessionId;
const COOKIE = `${SESSION_COOKIE}=${formatSessionToken({ sid: SID, secret: SECRET })}`;
const TOKEN = `Bearer ${formatServiceToken({ id: toBase64Url(new Uint8Array(16)), secret: SECRET })}`;

const sessionOf = (service: string): SessionSnapshot => {
  const now = Date.now();
  return {
    v: 1, sid: SID, epoch: 1, subject: { kind: "service", id: service }, display: { sub: service },
    facts: { service: { value: service, source: "postern", observedAt: at(now) } },
    startedAt: now, lastActiveAt: now, endsAt: now + 3_600_000,
  };
};

/** One request, and what the objects were asked apart from the policy. They answer who `service` is, store what is recorded, and fail at all else. */
async function tried({ method, path }: { method: string; path: string }, headers: Record<string, string>, service?: string): Promise<{ status: number; code: string | undefined; asked: string[] }> {
  const asked: string[] = [];
  const known: Readonly<Record<string, () => unknown>> = {
    "CONTROL.policy": () => ({ document, version: 1 }),
    "SESSION.verify": () => (service === undefined ? undefined : sessionOf(service)),
    "AUDIT.append": () => ({ seq: 1 }),
  };
  const stub = (object: string): unknown => new Proxy({}, {
    get: (_target, call) => () => {
      const name = `${object}.${String(call)}`;
      if (name !== "CONTROL.policy") asked.push(name);
      const answer = known[name];
      return answer === undefined ? Promise.reject(new Error("the objects of this test cannot do that")) : Promise.resolve(answer());
    },
  });
  const namespace = (object: string): unknown => ({ getByName: () => stub(object), get: () => stub(object), idFromString: (id: string) => id, idFromName: () => SID });
  const env = { ...Object.fromEntries(["CONTROL", "USER", "SESSION", "TUNNEL", "AUDIT", "SIGNER", "DEVICE"].map((one) => [one, namespace(one)])), POSTERN_SETUP_KEY: "k".repeat(43) } as unknown as Env;
  const place = path.startsWith("/app") ? "https://wiki.access.example.com" : LAUNCHER;
  const url = place + path.replace(/^\/(?:launcher|app|:place)/, "").replace(":id", "x").replace(":provider", "corp").replace(":source", "feed").replace("*", "Users/x");
  const answer = await handle(new Request(url, { method, headers: { accept: "application/json", ...headers }, ...(method === "POST" ? { body: "x=1" } : {}) }), env, () => undefined);
  const body = (await answer.json().catch(() => undefined)) as { error?: { code?: string } } | undefined;
  return { status: answer.status, code: body?.error?.code, asked };
}

// What gets past its guard fails at the objects of this test, and the Worker logs that.
beforeAll(() => void vi.spyOn(console, "error").mockImplementation(() => undefined));
afterAll(() => vi.restoreAllMocks());

describe("routes", () => {
  it("each has a class, and each class a route", () => {
    expect(routes.map((route) => route.name).sort()).toEqual(Object.keys(CLASSES).sort());
  });

  it("what is under the API has a role, or is setup, and nothing else has", () => {
    for (const { name } of routes) expect(isRole(CLASSES[name]) || CLASSES[name] === "setup", name).toBe(name.includes(" /api/"));
  });

  const guarded = routes.flatMap((route) => {
    const least = CLASSES[route.name];
    return isRole(least) ? [{ ...route, least }] : [];
  });

  it.each(guarded)("$name asks the objects for nothing before it knows who calls", async (route) => {
    expect(await tried(route, {})).toEqual({ status: 401, code: "sign_in_required", asked: [] });
    expect(await tried(route, { authorization: TOKEN })).toEqual({ status: 401, code: "token_invalid", asked: ["SESSION.verify"] });
  });

  it.each(guarded)("$name is refused below the role $least, with nothing done but the record of it", async ({ least, ...route }) => {
    for (const service of ["somebody", ...ROLES.slice(0, ROLES.indexOf(least))]) {
      expect(await tried(route, { authorization: TOKEN }, service), service).toEqual({ status: 403, code: "not_operator", asked: ["SESSION.verify", "AUDIT.append"] });
    }
    for (const service of ROLES.slice(ROLES.indexOf(least))) {
      expect(["not_operator", "sign_in_required", "token_invalid"], service).not.toContain((await tried(route, { authorization: TOKEN }, service)).code);
    }
  });

  it.each(routes.filter(({ name }) => CLASSES[name] === "setup"))("$name needs the setup key before anything else", async (route) => {
    for (const authorization of ["", TOKEN, `Bearer ${"j".repeat(43)}`]) {
      expect(await tried(route, { authorization }, "operator")).toEqual({ status: 401, code: "setup_key_wrong", asked: [] });
    }
  });

  it.each(routes.filter(({ name }) => CLASSES[name] === "bearer"))("$name takes a token and no cookie, and none from a page", async (route) => {
    const socket = { upgrade: "websocket", "sec-websocket-key": `${"A".repeat(22)}==`, "sec-websocket-version": "13", "sec-websocket-protocol": "postern.agent.v1" };
    expect(await tried(route, { ...socket, cookie: COOKIE }, "operator")).toEqual({ status: 401, code: "sign_in_required", asked: [] });
    expect(await tried(route, { ...socket, authorization: TOKEN, origin: LAUNCHER }, "operator")).toEqual({ status: 403, code: "origin_not_allowed", asked: [] });
    expect(await tried(route, { ...socket, authorization: TOKEN }, "operator")).toEqual({ status: 404, code: "not_found", asked: ["SESSION.verify", "SESSION.verify", "AUDIT.append"] });
  });

  it.each(routes.filter(({ name }) => CLASSES[name] === "token"))("$name takes a person's token and neither a cookie nor a service's", async (route) => {
    expect(await tried(route, { cookie: COOKIE, origin: LAUNCHER }, "operator")).toEqual({ status: 401, code: "sign_in_required", asked: [] });
    expect(await tried(route, { authorization: TOKEN }, "operator")).toEqual({ status: 401, code: "token_invalid", asked: ["SESSION.verify"] });
    const own = `Bearer ${formatOperatorToken({ sid: SID, secret: SECRET })}`;
    expect(await tried(route, { authorization: own })).toEqual({ status: 401, code: "token_invalid", asked: ["SESSION.verify"] });
  });

  it.each(routes.filter(({ name }) => CLASSES[name] === "ticket"))("$name asks the lane that it names and nobody else, and nobody for a browser", async (route) => {
    const segment = { [BULK_HEADER]: "anything" };
    expect((await tried(route, segment)).asked).toEqual(["TUNNEL.fetch"]);
    for (const said of [{}, { ...segment, cookie: COOKIE }, { ...segment, origin: LAUNCHER }, { ...segment, "sec-fetch-mode": "cors" }]) {
      expect(await tried(route, said, "operator")).toEqual({ status: 404, code: "not_found", asked: [] });
    }
  });

  const changes = routes.filter(({ name, method }) => method !== "GET" && (CLASSES[name] === "page" || isRole(CLASSES[name])));
  it.each(changes)("$name by a cookie compares Origin before it asks or changes anything (class I)", async (route) => {
    for (const origin of [undefined, "null", "https://evil.example", "https://wiki.access.example.com"]) {
      const headers = { cookie: COOKIE, ...(origin === undefined ? {} : { origin }) };
      expect(await tried(route, headers, "operator"), origin).toEqual({ status: 403, code: "origin_not_allowed", asked: [] });
    }
    expect((await tried(route, { cookie: COOKIE, origin: LAUNCHER }, "operator")).asked).toContain("SESSION.verify");
  });

  it.each(routes.filter(({ name }) => CLASSES[name] === "system"))("$name asks the objects for nothing before it knows who calls, and a session is nobody here", async (route) => {
    for (const headers of [{}, { cookie: COOKIE, origin: LAUNCHER }, { authorization: TOKEN }]) {
      const { status, asked } = await tried(route, headers, "operator");
      expect([400, 401, 404]).toContain(status);
      expect(asked).toEqual([]);
    }
  });

  it("any other route that changes state takes no cookie", async () => {
    const others = routes.filter((route) => route.method !== "GET" && !changes.includes(route) && CLASSES[route.name] !== "setup");
    expect(others.map((route) => route.name).sort()).toEqual(["delete /launcher/.postern/scim/v2/*", "patch /launcher/.postern/scim/v2/*", "post /launcher/.postern/backchannel/:provider", "post /launcher/.postern/break-glass", "post /launcher/.postern/bulk/:at", "post /launcher/.postern/connectors/enroll", "post /launcher/.postern/device/begin", "post /launcher/.postern/devices", "post /launcher/.postern/devices/:id/report", "post /launcher/.postern/scim/v2/*", "post /launcher/.postern/ssf/:source", "post /launcher/.postern/token", "put /launcher/.postern/scim/v2/*"]);
    for (const route of others) expect((await tried(route, { cookie: COOKIE, origin: LAUNCHER }, "operator")).asked.filter((one) => one.startsWith("SESSION"))).toEqual([]);
  });
});
