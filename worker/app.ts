/**
 * The edge's whole route table on one screen. Every request becomes an exchange (canonical, or
 * refused), lands on one of three kinds of host, and meets its route. What is not in this table
 * is the gate's.
 */
import { Hono } from "hono/tiny";
import { ADMIN_API, AGENT_PATH, BREAK_GLASS_PATH, BULK_PATH, CONNECT_PATH, CONNECTOR_PROGRAM_PATH, DEVICES_PATH, ENROLL_PATH, LOGIN_CODE_BEGIN_PATH, LOGOUT_PATH, ME_PATH, READY_PATH, REQUEST_PATH, TOKEN_PATH } from "../protocol/paths.ts";
import { RecordLost } from "../durable-objects/audit/record.ts";
import { canonicalise, MAX_SOCKET_PATH_CHARS, readFraming } from "./canonical.ts";
import { connectionFacts } from "./connection-facts.ts";
import type { Env } from "./env.ts";
import { readErrorWords } from "./error-words.ts";
import { type Exchange, newRequestId } from "./exchange.ts";
import { gate } from "./gate.ts";
import { currentPolicy } from "./policy-cache.ts";
import { headersTooLarge } from "./proxy.ts";
import { blank, refuse } from "./respond.ts";
import * as breakGlass from "./routes/admin/break-glass.ts";
import * as adminDevices from "./routes/admin/devices.ts";
import * as explain from "./routes/admin/explain.ts";
import * as grants from "./routes/admin/grants.ts";
import * as policy from "./routes/admin/policy.ts";
import * as revocation from "./routes/admin/revocation.ts";
import * as services from "./routes/admin/services.ts";
import * as sessions from "./routes/admin/sessions.ts";
import * as sites from "./routes/admin/sites.ts";
import { agent } from "./routes/agent.ts";
import * as connectors from "./routes/connectors.ts";
import { askForAccess } from "./routes/access.ts";
import { openBreakGlass } from "./routes/break-glass.ts";
import { backchannelLogout } from "./routes/backchannel.ts";
import { beginLoginCode, decideLoginCode, loginCodeEntry } from "./routes/login-code.ts";
import * as devices from "./routes/devices.ts";
import { redeem, signIn } from "./routes/hand-off.ts";
import { launcher, me } from "./routes/launcher.ts";
import { callback, login } from "./routes/login.ts";
import { passkey, passkeys, removePasskey } from "./routes/passkeys.ts";
import { scim, SCIM_BASE } from "./routes/scim.ts";
import { askSignOut, signedOut, signOut } from "./routes/sign-out.ts";
import { receiveEvents } from "./routes/ssf.ts";
import { token } from "./routes/token.ts";
import { connectorFile, keys, pageFile, ready } from "./routes/well-known.ts";

type Bindings = { Bindings: { exchange: Exchange; place: Place } };
/** The launcher's host, or any other: an app's or nobody's, which only the gate tells apart. */
type Place = "launcher" | "app";

/** What begins so is ours at every host; no app is ever asked for it. */
const OURS = "/.postern/";

/** Routes see the canonical path under the kind of host, never a path of their own reading. */
const routes = new Hono<Bindings>({
  strict: true,
  getPath: (_request, options) => {
    const { exchange, place } = (options?.env ?? {}) as Bindings["Bindings"];
    return `/${place}${exchange.url.path}`;
  },
})
  // Anybody, at every host
  .get("/:place/.postern/jwks.json", (c) => keys(c.env.exchange))
  .get(`/:place${READY_PATH}`, (c) => ready(c.env.exchange))
  // People, at the launcher
  .get("/launcher/", (c) => launcher(c.env.exchange))
  .get("/launcher/.postern/login", (c) => login(c.env.exchange))
  .get("/launcher/.postern/callback", (c) => callback(c.env.exchange))
  .get("/launcher/.postern/signed-out", (c) => signedOut(c.env.exchange))
  .post(`/launcher${LOGIN_CODE_BEGIN_PATH}`, (c) => beginLoginCode(c.env.exchange))
  .post("/launcher/.postern/device", (c) => decideLoginCode(c.env.exchange))
  .get("/launcher/.postern/device", (c) => loginCodeEntry(c.env.exchange))
  .get("/launcher/.postern/passkeys", (c) => passkeys(c.env.exchange))
  .post("/launcher/.postern/passkeys", (c) => passkey(c.env.exchange))
  .post("/launcher/.postern/passkeys/remove", (c) => removePasskey(c.env.exchange))
  .post(`/launcher${TOKEN_PATH}`, (c) => token(c.env.exchange))
  // People, at every host
  .get(`/:place${ME_PATH}`, (c) => me(c.env.exchange))
  .get(`/:place${LOGOUT_PATH}`, (c) => askSignOut(c.env.exchange))
  .post(`/:place${LOGOUT_PATH}`, (c) => signOut(c.env.exchange))
  .post(`/:place${REQUEST_PATH}`, (c) => askForAccess(c.env.exchange))
  // Crossing to an app's host
  .get("/app/.postern/sign-in", (c) => signIn(c.env.exchange))
  .get("/app/.postern/continue", (c) => redeem(c.env.exchange))
  // Connectors
  .get(`/launcher${CONNECTOR_PROGRAM_PATH}`, (c) => connectorFile(c.env.exchange))
  .get(`/launcher${CONNECTOR_PROGRAM_PATH}.sha256`, (c) => connectorFile(c.env.exchange))
  .post(`/launcher${ENROLL_PATH}`, (c) => connectors.enroll(c.env.exchange))
  .get(`/launcher${CONNECT_PATH}`, (c) => connectors.connect(c.env.exchange))
  .on(["GET", "POST"], `/launcher${BULK_PATH}:at`, (c) => connectors.bulk(c.env.exchange, c.req.param("at")))
  // Agents
  .get(`/launcher${AGENT_PATH}`, (c) => agent(c.env.exchange))
  // Devices
  .post(`/launcher${DEVICES_PATH}`, (c) => devices.enrol(c.env.exchange))
  .get(`/launcher${DEVICES_PATH}/bind`, (c) => devices.askToBind(c.env.exchange))
  .post(`/launcher${DEVICES_PATH}/bind`, (c) => devices.bind(c.env.exchange))
  .post(`/launcher${DEVICES_PATH}/:id/report`, (c) => devices.report(c.env.exchange, c.req.param("id")))
  // Whoever holds the codes of a seal
  .post(`/launcher${BREAK_GLASS_PATH}`, (c) => openBreakGlass(c.env.exchange))
  // Systems that say what becomes of people
  .post("/launcher/.postern/backchannel/:provider", (c) => backchannelLogout(c.env.exchange, c.req.param("provider")))
  .post("/launcher/.postern/ssf/:source", (c) => receiveEvents(c.env.exchange, c.req.param("source")))
  .on(["GET", "POST", "PUT", "PATCH", "DELETE"], `/launcher${SCIM_BASE}/*`, (c) => scim(c.env.exchange))
  // Operators
  .post(`/launcher${ADMIN_API}/setup`, (c) => policy.setup(c.env.exchange))
  .post(`/launcher${ADMIN_API}/policy`, (c) => policy.apply(c.env.exchange))
  .get(`/launcher${ADMIN_API}/policy`, (c) => policy.read(c.env.exchange))
  .get(`/launcher${ADMIN_API}/policy/history`, (c) => policy.history(c.env.exchange))
  .post(`/launcher${ADMIN_API}/revoke`, (c) => revocation.revoke(c.env.exchange))
  .get(`/launcher${ADMIN_API}/receipts/:id`, (c) => revocation.receipt(c.env.exchange, c.req.param("id")))
  .post(`/launcher${ADMIN_API}/grants`, (c) => grants.give(c.env.exchange))
  .get(`/launcher${ADMIN_API}/grants`, (c) => grants.list(c.env.exchange))
  .post(`/launcher${ADMIN_API}/grants/:id/deny`, (c) => grants.deny(c.env.exchange, c.req.param("id")))
  .post(`/launcher${ADMIN_API}/services`, (c) => services.create(c.env.exchange))
  .get(`/launcher${ADMIN_API}/services`, (c) => services.list(c.env.exchange))
  .post(`/launcher${ADMIN_API}/break-glass`, (c) => breakGlass.seal(c.env.exchange))
  .get(`/launcher${ADMIN_API}/break-glass`, (c) => breakGlass.show(c.env.exchange))
  .post(`/launcher${ADMIN_API}/break-glass/cancel`, (c) => breakGlass.cancel(c.env.exchange))
  .post(`/launcher${ADMIN_API}/enroll-tokens`, (c) => sites.createEnrollToken(c.env.exchange))
  .get(`/launcher${ADMIN_API}/connectors`, (c) => sites.connectors(c.env.exchange))
  .get(`/launcher${ADMIN_API}/edge-status`, (c) => sites.edgeStatus(c.env.exchange))
  .get(`/launcher${ADMIN_API}/sessions`, (c) => sessions.sessions(c.env.exchange))
  .get(`/launcher${ADMIN_API}/devices`, (c) => adminDevices.list(c.env.exchange))
  .post(`/launcher${ADMIN_API}/devices/:id`, (c) => adminDevices.set(c.env.exchange, c.req.param("id")))
  .post(`/launcher${ADMIN_API}/devices/:id/facts`, (c) => adminDevices.say(c.env.exchange, c.req.param("id")))
  .post(`/launcher${ADMIN_API}/users/:id/facts`, (c) => adminDevices.sayOfUser(c.env.exchange, c.req.param("id")))
  .get(`/launcher${ADMIN_API}/explain/:id`, (c) => explain.explainRequest(c.env.exchange, c.req.param("id")));

/** Nothing of ours answers at the launcher or under `/.postern/` but what the table names. */
routes.notFound((c) => blank(c.env.exchange));
routes.onError((error, c) => failed(c.env.exchange, error));

/** Everything that is not ours at a host that is not the launcher: an app's, or nobody's. */
async function toGate(x: Exchange): Promise<Response> {
  try {
    return await gate(x);
  } catch (error) {
    return failed(x, error);
  }
}

/** The cause goes to the operator's log, never to the answer. */
function failed(x: Exchange, error: unknown): Response {
  console.error(JSON.stringify({ level: "error", request: x.id, message: error instanceof Error ? error.message : "unknown" }));
  return refuse(x, error instanceof RecordLost ? "audit_lost" : "unavailable");
}

/** Methods that no app gets: they speak to proxies, not to resources. */
const REFUSED_METHODS = new Set(["CONNECT", "TRACE", "TRACK"]);
/** What a 405 names (RFC 9110 §15.5.6): the usual ones; an app may know more. */
const APP_METHODS = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";

/** The Worker's fetch. Never throws: what fails is refused. */
export async function handle(request: Request, env: Env, later: (work: Promise<unknown>) => void): Promise<Response> {
  const now = Date.now();
  // Begun with everything else and waited for below by all alike; at hand in all but an isolate's first requests.
  const words = readErrorWords(env.ASSETS, now);
  const strict = canonicalise(request.url);
  // What reads one way without relaxing reads so with it, too.
  const raw = strict.ok ? strict : canonicalise(request.url, ["encoded_slash", "double_slash"]);
  const base = {
    id: newRequestId(),
    request,
    fields: [...request.headers],
    method: request.method,
    env,
    now,
    later,
    connection: connectionFacts(request, env, now),
  };
  if (!raw.ok) {
    await words;
    return refuse(nowhere(base), raw.error.code, { detail: `What cannot be read one way only: ${raw.error.what}.` });
  }
  let compiled: Exchange["policy"];
  try {
    // A piece of a body asks nobody but its lane, at whatever host.
    compiled = raw.value.path.startsWith(BULK_PATH) ? undefined : await currentPolicy(env, now);
    await words;
  } catch {
    await words;
    return refuse({ ...nowhere(base), url: raw.value }, "control_lost");
  }
  const domain = compiled?.document.domain ?? raw.value.host;
  const place: Place = raw.value.host === domain ? "launcher" : "app";
  const app = place === "app" ? compiled?.appByHost(raw.value.host) : undefined;
  const launcherOrigin = `${raw.value.scheme}://${domain}${raw.value.port}`;
  const url = strict.ok || app === undefined ? strict : canonicalise(request.url, app.insecurePaths);
  const framing = readFraming(request.method, request.headers);
  const exchange: Exchange = {
    ...base,
    policy: compiled,
    launcher: launcherOrigin,
    url: url.ok ? url.value : raw.value,
    framing: framing.ok ? framing.value : { websocket: false, body: "none" },
  };
  if (!url.ok) return refuse(exchange, url.error.code, { detail: `What cannot be read one way only: ${url.error.what}.` });
  if (!framing.ok) return refuse(exchange, framing.error.code, { detail: `What cannot be read one way only: ${framing.error.what}.` });
  if (REFUSED_METHODS.has(request.method)) return refuse(exchange, "method_not_allowed", { headers: { allow: APP_METHODS } });
  if (exchange.framing.websocket && exchange.url.path.length > MAX_SOCKET_PATH_CHARS) return refuse(exchange, "uri_too_long");
  if (headersTooLarge(exchange)) return refuse(exchange, "headers_too_large");
  if (place === "app" && !exchange.url.path.startsWith(OURS)) return toGate(exchange);
  return pageFile(exchange) ?? routes.fetch(request, { exchange, place });
}

/** An exchange of a request whose address could not be read. */
function nowhere(base: Omit<Exchange, "policy" | "launcher" | "url" | "framing">): Exchange {
  const url = { scheme: "https" as const, host: "", port: "", path: "/", query: "" };
  return { ...base, policy: undefined, launcher: "", url, framing: { websocket: false, body: "none" } };
}

/** For the test that demands a class for every route. */
export const routeTable = routes.routes.map(({ method, path }) => [method, path] as const);

