/**
 * Trust that runs out or shrinks by itself: a session and a service token end at their instant,
 * to the request (row 64), and a group that the provider took away counts from the next sign-in
 * on (row 59). No sweep is waited for.
 */
import { generateKeyPairSync } from "node:crypto";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { demoProvider } from "../../../start/demo-provider.ts";
import { DEMO_USERS } from "../../../start/demo-users.ts";
import { loopbackFetch } from "../../../start/loopback-http.ts";
import type { Stack } from "../../../start/stack.ts";
import { startOwn, THIS_MACHINE_OPERATES } from "../../start/own-document.ts";
import { temporaryState, until } from "../../start/running-stack.ts";
import { visit } from "../demo-visit.ts";
import { signIn } from "../sign-in.ts";
import { operatorOf } from "./operator.ts";
import { startStampingOrigin, type StampingOrigin } from "./stamping-origin.ts";
import { open } from "./stream-clients.ts";

const SESSION_SECONDS = 6;
const CLIENT_SECRET = "a secret of the test";

const state = temporaryState();
const provider: Server = createServer();
let origin: StampingOrigin;
let stack: Stack;
let app = "";

const document = (issuer: string): string => `version: 1
domain: postern.localhost
defaults: { session: { max: ${SESSION_SECONDS}s, idle: ${SESSION_SECONDS}s } }
identity:
  providers:
    - { id: corp, issuer: "${issuer}", client_id: postern, client_secret: { secret: CORP_SECRET }, scopes: [openid, email, profile, groups], groups_claim: groups, email_domains: [example.com] }
sites: [{ id: office }]
apps: [{ id: stamps, site: office, upstream: "${origin.url}" }]
policies:
  - { id: people, effect: allow, apps: [stamps], when: { group: [staff] } }
  - { id: batch, effect: allow, apps: [stamps], when: { service: [batch] } }
  - ${THIS_MACHINE_OPERATES}
`;

beforeAll(async () => {
  provider.listen(0, "127.0.0.1");
  await new Promise((up) => provider.once("listening", up));
  const issuer = `http://127.0.0.1:${(provider.address() as AddressInfo).port}`;
  origin = await startStampingOrigin();
  stack = await startOwn(state.path, document(issuer), { environment: { CORP_SECRET: CLIENT_SECRET } });
  const key = generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey.export({ format: "jwk" });
  provider.on("request", demoProvider({ issuer, clientId: "postern", clientSecret: CLIENT_SECRET, launcher: stack.launcher, providerId: "corp", jwks: { keys: [{ ...key, use: "sig", alg: "RS256", kid: "k" }] }, cookieKeys: ["k"] }));
  app = stack.apps[0]?.url ?? "";
});
afterAll(async () => {
  await stack.stop();
  await origin.close();
  provider.close();
  provider.closeAllConnections();
  state.remove();
});

/** No status: neither before the instant nor after it may there be one of these. */
const BROKEN = 0;

interface Asked {
  readonly from: number;
  readonly to: number;
  readonly status: number;
}

/** Asks without a pause until half a second after `end` (Unix time, ms): whatever is warm is as warm as can be. */
async function askUntil(end: number, headers: Record<string, string>): Promise<readonly Asked[]> {
  const asked: Asked[] = [];
  while (Date.now() < end + 500) {
    const from = Date.now();
    // One that is under way at the very instant may be broken off: an error, never a short success.
    const answer = await loopbackFetch(`${app}/plain`, { headers: { ...headers, accept: "application/json" } }).catch(() => undefined);
    asked.push({ from, to: Date.now(), status: answer?.status ?? BROKEN });
  }
  return asked;
}

function expectExact(asked: readonly Asked[], end: number): void {
  const before = asked.filter((one) => one.to < end);
  const after = asked.filter((one) => one.from >= end);
  expect(before.length).toBeGreaterThan(0);
  expect(after.length).toBeGreaterThan(0);
  expect([...new Set(before.map((one) => one.status))]).toEqual([200]);
  expect([...new Set(after.map((one) => one.status))]).toEqual([401]);
}

describe("trust that runs out", () => {
  it("ends a session at its instant: requests, sockets and bodies (row 64)", async () => {
    const alice = await signIn(app, "alice");
    const me = JSON.parse((await alice.call(`${app}/.postern/me`)).text) as { expires_at: string };
    const end = Date.parse(me.expires_at);
    const opened = await Promise.all((["websocket", "events", "download"] as const).map((kind) => open(kind, { port: stack.port, headers: alice.headers(app), name: `out-${kind}` })));
    const clients = opened.map((one) => {
      if (!one.ok) throw new Error(`refused: ${one.status}`);
      return one.client;
    });
    expectExact(await askUntil(end, alice.headers(app)), end);
    await until(() => clients.every((client) => client.endedAt !== undefined), "its streams have ended", 2_000);
    expect(clients.map((client) => client.end)).toEqual(["4401", "error", "error"]);
    const endHere = end - performance.timeOrigin;
    expect(clients.filter((client) => client.lastStamp > endHere + 1).map((client) => client.name), "got what the app wrote after the end").toEqual([]);
  });

  it("ends a service token at its instant (row 64)", async () => {
    const made = await operatorOf(stack.launcher, stack.tokenFile).call("POST", "/services", JSON.stringify({ name: "batch", expires: "3s" }));
    // Its operator's token is older than a person's session may be: services have no such end (P13, P19).
    expect(made.status).toBe(201);
    const { token, expires_at } = JSON.parse(made.text) as { token: string; expires_at: string };
    expectExact(await askUntil(Date.parse(expires_at), { host: new URL(app).host, authorization: `Bearer ${token}` }), Date.parse(expires_at));
  });

  it("denies the next request once somebody signed in again without their group (row 59)", async () => {
    const person = await signIn(app, "alice");
    expect((await person.call(`${app}/plain`)).status).toBe(200);
    const alice = DEMO_USERS.find((user) => user.name === "alice") as { groups: readonly string[] };
    const before = alice.groups;
    alice.groups = [];
    try {
      // A step-up is the sign-in that somebody who is signed in makes; the session goes on with what it says.
      await visit(person.browser, `${app}/.postern/sign-in?to=%2F&max_age=0`, "alice");
      expect((await person.call(`${app}/plain`)).status).toBe(404);
    } finally {
      alice.groups = before;
    }
  });
});
