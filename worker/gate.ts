/**
 * The gate: the ONE enforcement point of the edge. A request for an app host comes in canonical;
 * it goes on to a lane, to sign-in, or nowhere. Nothing reaches an app but through `gate()`.
 */
import type { ErrorCode } from "../core/errors.ts";
import { ADMIN_APP, type AppId } from "../core/ids.ts";
import { at } from "../core/time.ts";
import type { SessionSnapshot } from "../durable-objects/session/rpc.ts";
import { type Refusal, TCP_ASK } from "../durable-objects/tunnel/rpc.ts";
import { advise } from "../policy/advice.ts";
import type { CompiledPolicy } from "../policy/compile.ts";
import { decide } from "../policy/decide.ts";
import type { Decision } from "../policy/decision.ts";
import type { App } from "../policy/document.ts";
import type { Ask, Facts } from "../policy/facts.ts";
import { passkeysThatHelp } from "../policy/passkey.ts";
import { sessionFacts } from "../policy/session-facts.ts";
import { canonicalise } from "./canonical.ts";
import { readCredential, type Credential } from "./credentials.ts";
import { preflight, readable } from "./cors.ts";
import { type Exchange, isNavigation, originOf } from "./exchange.ts";
import { deniedPage } from "./pages/denied.ts";
import { newestPolicy } from "./policy-cache.ts";
import { bodyToSend, type BodyToSend, proxy } from "./proxy.ts";
import { noteDenial } from "./noted-denials.ts";
import { countAnonymousDenial, recordDecision } from "./record.ts";
import { blank, page, refuse } from "./respond.ts";
import { verifiedSession } from "./session-cache.ts";
import { withTarget } from "./target-facts.ts";
import { signInAddress, toSignIn } from "./signed-out.ts";

/** What a request is, once everything about it is known. */
export interface Standing {
  readonly policy: CompiledPolicy;
  readonly app: App | undefined;
  readonly ask: Ask;
  readonly facts: Facts;
  readonly decision: Decision;
  readonly session: SessionSnapshot | undefined;
  /** Anybody may: the app is told nobody's name, whoever asks (P20). */
  readonly isPublic: boolean;
}

/** The app id that stands for a host without an app: decide() knows it as unknown. */
const NO_APP = "" as AppId;

export async function gate(x: Exchange): Promise<Response> {
  const { policy } = x;
  if (policy === undefined) return refuse(x, "unavailable", { detail: "No policy is live yet." });
  const app = appOf(x, policy);
  const early = app === undefined ? undefined : preflight(x, app);
  if (early !== undefined) return early;
  const credential = credentialOf(x, app);
  if (credential.kind === "malformed") return readable(x, app, refuse(x, "token_invalid"));
  const standing = await stand(x, policy, credential, false);
  return readable(x, app, await answer(x, credential, standing));
}

async function answer(x: Exchange, credential: Credential, first: Standing): Promise<Response> {
  // A cookie of a sign-in that is over is nobody's: a public path stays public (P20). A token that is not valid is an error.
  const worthless = credential.kind === "presented" && first.session === undefined;
  if (worthless && (!credential.cookie || first.decision.effect !== "allow")) return notSignedIn(x, credential);
  if (first.decision.effect === "allow") return pass(x, worthless ? { kind: "none" } : credential, first);
  if (first.session === undefined) return notSignedIn(x, credential);
  // A denial is confirmed with what the session and control know now, before it is shown (M7).
  const policy = (await newestPolicy(x.env, x.now)) ?? first.policy;
  const newest = await stand(x, policy, credential, true);
  if (newest.session === undefined) return notSignedIn(x, credential);
  return newest.decision.effect === "allow" ? pass(x, credential, newest) : denied(x, newest, true);
}

const appOf = (x: Exchange, policy: CompiledPolicy): App | undefined => (x.agentFor === undefined ? policy.appByHost(x.url.host) : policy.app(x.agentFor));

/** An agent carries what `postern login` or `postern service create` gave it, and no cookie counts. */
function credentialOf(x: Exchange, app: App | undefined): Credential {
  const credential = readCredential(x.request, x.env, x.url.host, x.agentFor === undefined ? (app?.id ?? NO_APP) : ADMIN_APP);
  return x.agentFor !== undefined && credential.kind === "presented" && credential.cookie ? { kind: "none" } : credential;
}

/** Everything a decision looks at, and the decision. `fresh` asks session and lane instead of this isolate's caches. */
export async function stand(x: Exchange, policy: CompiledPolicy, credential: Credential, fresh: boolean, lastActiveAt?: number): Promise<Standing> {
  const app = appOf(x, policy);
  const session = credential.kind === "presented" ? await verifiedSession(x.env, credential.presented, x.now, fresh) : undefined;
  const ask: Ask = {
    app: app?.id ?? NO_APP,
    ...(x.agentFor === undefined ? { protocol: x.framing.websocket ? "websocket" : "http", method: x.method, path: x.url.path } : TCP_ASK),
  };
  const facts = await withTarget(x, policy, app, session, factsOf(x, session, lastActiveAt), fresh);
  const decision = decide(policy, ask, facts, at(x.now));
  const anybody = async (): Promise<Facts> => withTarget(x, policy, app, undefined, factsOf(x, undefined), fresh);
  const isPublic = session !== undefined && decision.effect === "allow" && policy.plan(ask.app)?.open === true && decide(policy, ask, await anybody(), at(x.now)).effect === "allow";
  return { policy, app, ask, facts, session, decision, isPublic };
}

/**
 * The edge does not know when the user last did something: it never finds a session idle by
 * itself. A lane that does says since when, and then that counts (P19).
 */
export function factsOf(x: Exchange, session: SessionSnapshot | undefined, lastActiveAt = Math.max(session?.lastActiveAt ?? 0, x.now)): Facts {
  return sessionFacts(session === undefined ? undefined : { ...session, lastActiveAt }, x.connection);
}

/** What a lane finds wrong with the request itself, by the detail of its refusal. */
const REQUEST_FAULTS: Readonly<Record<string, ErrorCode | undefined>> = {
  body_too_large: "body_too_large",
  body_broken: "bad_request",
  headers_too_large: "headers_too_large",
};

/** `resent`: its body, when a lane that knew better sent it back; once is enough. */
async function pass(x: Exchange, credential: Credential, standing: Standing, resent?: BodyToSend): Promise<Response> {
  const { app } = standing;
  if (app === undefined) return blank(x);
  if (x.framing.websocket && !originAllowed(x, app, credential)) return refuse(x, "origin_not_allowed");
  if (coversOurScope(x)) return refuse(x, "origin_not_allowed", { detail: "A service worker at the root would control Postern's own pages." });
  const body = resent ?? (await bodyToSend(x));
  if (body === undefined) return refuse(x, "bad_request");
  const passed = await proxy(x, app, standing, credential.kind === "presented" && credential.stripAuthorization, body);
  if (passed.kind === "answer") return passed.response;
  const { refusal } = passed;
  switch (refusal.code) {
    case "no_connector": {
      // Said only to somebody whom the newest policy lets in: a lane without a connector asked nobody.
      const newest = await stand(x, (await newestPolicy(x.env, x.now)) ?? standing.policy, credential, true);
      if (newest.decision.effect === "allow") return refuse(x, "no_connector");
      return newest.session === undefined ? notSignedIn(x, credential) : denied(x, newest, true);
    }
    case "stale":
    case "denied":
    case "step_up":
    case "revoked":
      return answerAgain(x, credential, standing, { refusal, ...(resent === undefined && body.again && refusal.sent !== true ? { body } : {}) });
    default:
      return refuse(x, (refusal.code === "upstream_protocol" ? REQUEST_FAULTS[refusal.detail ?? ""] : undefined) ?? refusal.code);
  }
}

/** The lane knew better than this isolate: ask whoever knows best, read the request by that, and go once more or say why not. */
async function answerAgain(x: Exchange, credential: Credential, before: Standing, lane: { refusal: Refusal; body?: BodyToSend }): Promise<Response> {
  const policy = (await newestPolicy(x.env, x.now)) ?? before.policy;
  const url = canonicalise(x.request.url, appOf(x, policy)?.insecurePaths ?? []);
  if (!url.ok) return refuse(x, url.error.code);
  const reread: Exchange = { ...x, policy, url: url.value };
  const { lastActiveAt, sent, recorded } = lane.refusal;
  const newest = await stand(reread, policy, credential, true, lastActiveAt);
  // What was cut on its way may have been acted on: whoever asked is told so, and asks again himself (M16).
  if (newest.decision.effect === "allow") return lane.body === undefined ? refuse(reread, sent === true ? "upstream_reset" : "unavailable") : pass(reread, credential, newest, lane.body);
  return newest.session === undefined ? notSignedIn(reread, credential) : denied(reread, newest, recorded !== true);
}

/** `record`: a lane that denied has put it on record already. */
async function denied(x: Exchange, standing: Standing, record: boolean): Promise<Response> {
  const { decision, policy, ask, facts, app, session } = standing;
  if (record && session !== undefined) await recordDecision(x, session.sid, ask, facts, decision);
  if (decision.effect === "deny" && session !== undefined) noteDenial(x, session);
  if (!decision.explained || app === undefined || session === undefined) return blank(x);
  const advice = advise(policy, ask, facts, at(x.now));
  const signInUrl = decision.effect === "step_up" ? stepUpAddress(x, standing) : undefined;
  if (decision.reason === "read_only") return refuse(x, "read_only", { advice });
  if (!isNavigation(x.request)) {
    return refuse(x, decision.effect === "step_up" ? "step_up_required" : "denied", { advice, signInUrl });
  }
  const html = deniedPage({
    user: { name: session.display.name ?? "", email: session.display.email },
    app: { name: app.name ?? app.id },
    requestId: x.id,
    advice,
    ask: advice.some(({ code }) => code === "grant") ? { id: app.id, name: "" } : undefined,
    stepUpUrl: signInUrl,
    switchUserUrl: `${x.launcher}/.postern/logout`,
    launcherUrl: `${x.launcher}/`,
    retryUrl: x.method === "GET" ? originOf(x.url) + x.url.path + x.url.query : undefined,
  });
  return page(x, html, 403);
}

function stepUpAddress(x: Exchange, { policy, ask, facts, decision: { stepUp: step } }: Standing): string {
  const target = x.method === "GET" ? x.url.path + x.url.query : "/";
  const maxAge = step === undefined || !Number.isFinite(step.maxAge) ? "" : `&max_age=${Math.floor(step.maxAge / 1000)}`;
  const passkey = passkeysThatHelp(policy, ask, facts, at(x.now));
  return `${signInAddress(x, target)}${maxAge}${step?.mfa === false ? "" : "&mfa=1"}${passkey === 0 ? "" : `&passkey=${passkey}`}`;
}

function notSignedIn(x: Exchange, credential: Credential): Promise<Response> | Response {
  countAnonymousDenial(x);
  if (credential.kind === "presented" && !credential.cookie) return refuse(x, "token_invalid");
  return toSignIn(x);
}

/** P22: the app's own origin or one that it names; without Origin only a credential that no browser sends by itself. */
function originAllowed(x: Exchange, app: App, credential: Credential): boolean {
  const origin = x.request.headers.get("origin");
  if (origin === null) return credential.kind === "presented" && !credential.cookie;
  return app.websocket.origins.length > 0 ? app.websocket.origins.includes(origin) : origin === originOf(x.url);
}

/** A script at the root would become a service worker whose scope takes `/.postern/` in (M19). */
function coversOurScope(x: Exchange): boolean {
  return x.request.headers.get("service-worker") !== null && x.url.path.lastIndexOf("/") === 0;
}

