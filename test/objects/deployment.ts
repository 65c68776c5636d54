/**
 * A deployment inside workerd for the tests of the objects: the real namespaces, a document with
 * one site and four apps, and people who sign in. Holds no rule of Postern.
 */
import { reset } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { vi } from "vitest";
import { toBase64Url } from "../../core/bytes.ts";
import type { AppId, RequestId, SessionId, SiteId } from "../../core/ids.ts";
import { at } from "../../core/time.ts";
import type { ObjectEnv } from "../../durable-objects/bindings.ts";
import { OPEN_HEADER, type OpenContext, TCP_ASK } from "../../durable-objects/tunnel/rpc.ts";
import type { NewCredential, SignIn } from "../../durable-objects/user/rpc.ts";
import type { PolicyDocument } from "../../policy/document.ts";
import { parseDocument } from "../../policy/parse-document.ts";

/** The namespaces as the objects see each other. */
export const objects = env as unknown as ObjectEnv;
/** The same, with the stubs that the test runtime's functions take. */
export const stubs = env;

export const BERLIN = "berlin" as SiteId;
export const ISSUER = "https://access.example.com";

export function documentFor(apps: readonly string[], when = "{ provider: [corp] }", more = ""): { document: PolicyDocument; text: string } {
  const text = `version: 1
domain: access.example.com
identity: { providers: [{ id: corp, issuer: "https://login.example.com", client_id: postern }] }
sites: [{ id: berlin }]
apps:
  - { id: wiki, site: berlin, upstream: "http://10.0.0.5:8080", health: { path: /healthz } }
  - { id: crm, site: berlin, upstream: "http://10.0.0.6:8080" }
  - { id: pg, site: berlin, upstream: "tcp://10.0.0.9:5432", health: { path: / } }
  - { id: my, site: berlin, upstream: "tcp://10.0.0.9:3306" }
policies:
  - { id: staff, effect: allow, apps: [${apps.join(", ")}], when: ${when} }
  - { id: robots, effect: allow, apps: [wiki], when: { service: [backup] } }
  - { id: admins, effect: allow, apps: ["postern:admin"], when: { provider: [corp] }, limits: { role: operator } }
${more}`;
  const parsed = parseDocument(text);
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.error));
  return { document: parsed.value.document, text: parsed.value.canonical };
}

export const randomText = (bytes: number): string => toBase64Url(crypto.getRandomValues(new Uint8Array(bytes)));

/** Sets the deployment up; the document names an operator, so that a second setup is refused. */
export async function setUp(apps: readonly string[] = ["wiki", "crm", "pg", "my"], when?: string, more?: string): Promise<void> {
  const done = await objects.CONTROL.getByName("control").setup({ ...documentFor(apps, when, more), namesOperator: true, token: tokenOf() });
  if (!done.ok) throw new Error(done.code);
}

/** Puts back what was replaced and empties every object; again while what was aborted just before is still there. */
export async function wipe(): Promise<void> {
  vi.restoreAllMocks();
  for (let round = 0; round < 10; round++) {
    await reset();
    if (await objects.CONTROL.getByName("control").setupOpen()) return;
  }
}

/** How a call ends, when all that matters is whether it was refused by an error. */
export async function outcome(call: () => Promise<unknown>): Promise<"answered" | "failed"> {
  try {
    await call();
    return "answered";
  } catch {
    return "failed";
  }
}

export const tokenOf = (): { tokenId: string; hash: string; expiresAt: number } => ({ tokenId: randomText(16), hash: randomText(32), expiresAt: Date.now() + 3_600_000 });

export const userId = (n = 0): string => `u_${String(n).padStart(43, "A")}`;

export function signInOf(owner: string, more: Partial<SignIn> = {}): SignIn {
  const now = Date.now();
  return {
    owner,
    subject: { kind: "user", id: owner },
    display: { sub: "ann", provider: "corp" },
    facts: { provider: { value: "corp", source: "corp", observedAt: at(now) } },
    attemptStartedAt: now,
    endsAt: now + 8 * 3_600_000,
    idleMs: 3_600_000,
    credential: cookieOf("wiki"),
    ...more,
  };
}

export const HASH = "h".repeat(43);
export const cookieOf = (app: string, hash = HASH): NewCredential => ({ kind: "cookie", audience: `host:${app}.access.example.com`, hash, expiresAt: Date.now() + 8 * 3_600_000 });

/** Signs somebody in and answers the session's id. */
export async function signedIn(owner = userId(), more: Partial<SignIn> = {}): Promise<SessionId> {
  const done = await objects.USER.getByName(owner).signIn(signInOf(owner, more));
  if (!done.ok) throw new Error(done.code);
  return done.sid;
}

export const sessionOf = (sid: SessionId): ReturnType<ObjectEnv["SESSION"]["get"]> => objects.SESSION.get(objects.SESSION.idFromString(sid));
export const sessionStub = (sid: SessionId): DurableObjectStub => stubs.SESSION.get(stubs.SESSION.idFromString(sid));
export const laneStub = (lane = 0): DurableObjectStub => stubs.TUNNEL.getByName(`berlin/${lane}`);
export const laneOf = (lane = 0): ReturnType<ObjectEnv["TUNNEL"]["getByName"]> => objects.TUNNEL.getByName(`berlin/${lane}`);

/** A request for an app as the edge hands it to the lane. */
export function openRequest(sid: SessionId, app = "wiki", protocol: OpenContext["ask"]["protocol"] = "http", lane = 0, asked: { readonly method?: string; readonly body?: string } = {}): Request {
  const { method = "GET", body } = asked;
  const open: OpenContext = {
    v: 1,
    request: `r_${randomText(16)}` as RequestId,
    site: BERLIN,
    lane,
    sid,
    ask: { app: app as AppId, ...(protocol === "tcp" ? TCP_ASK : { protocol, method, path: "/" }) },
    stamp: { epoch: 1, policyVersion: 1 },
    connection: {},
    issuer: ISSUER,
    method,
    target: "/",
    headers: [],
    publicOrigin: `https://${app}.access.example.com`,
    body: body === undefined ? "none" : "stream",
    ...(body === undefined ? {} : { length: body.length }),
  };
  const headers = { [OPEN_HEADER]: JSON.stringify(open), ...(protocol === "http" ? {} : { upgrade: "websocket" }) };
  return new Request("https://lane.internal/", { headers, ...(body === undefined ? {} : { method: "POST", body }) });
}
