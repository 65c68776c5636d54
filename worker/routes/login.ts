/**
 * Signing in at the launcher: the way to the provider and back (OpenID Connect code flow with
 * PKCE), and the session that comes of it. Crossing to an app's host is hand-off.ts.
 */
import { hostAudience } from "../../core/audience.ts";
import { toBase64Url } from "../../core/bytes.ts";
import type { ErrorCode } from "../../core/errors.ts";
import { after, at } from "../../core/time.ts";
import { CONTROL_NAME } from "../../durable-objects/bindings.ts";
import type { Display, SignIn } from "../../durable-objects/user/rpc.ts";
import { discover } from "../../identity/oidc-discovery.ts";
import { beginLogin, finishLogin, type LoginDemand, type LoginState, type SignedIn } from "../../identity/oidc-login.ts";
import type { OidcProblem, OidcProblemCode } from "../../identity/problems.ts";
import { loginCookieName, sealLoginState, unsealLoginState } from "../../identity/sealed-cookie.ts";
import { formatSessionToken, hashSecret, newSecret } from "../../identity/session-token.ts";
import type { CompiledPolicy } from "../../policy/compile.ts";
import { needsProviders } from "../../policy/losses.ts";
import { cookieOf, SESSION_COOKIE, setCookie } from "../cookies.ts";
import { asInDirectory } from "../directory-standing.ts";
import { type Exchange } from "../exchange.ts";
import { noteSignIn } from "../known-person.ts";
import { ATTEMPT_LIFE } from "../lifetimes.ts";
import { chooserPage } from "../pages/chooser.ts";
import { continuePage } from "../pages/continue.ts";
import { newestPolicy } from "../policy-cache.ts";
import { oidcIo, providerSettings } from "../providers.ts";
import { personAtLauncher } from "../person-at-launcher.ts";
import { spendAttempt } from "../spent-attempts.ts";
import { random } from "../random.ts";
import { countAnonymousDenial, recordAct } from "../record.ts";
import { page, redirect, refuse } from "../respond.ts";
import { sealKey } from "../seal-key.ts";
import { sessionStub } from "../session-cache.ts";
import { SIGN_IN_REFUSALS } from "../sign-in-refusals.ts";
import { lostCookie } from "../signed-out.ts";
import { whereFrom } from "../where-from.ts";
import { handOff, safeTarget } from "./hand-off.ts";
import { stepUpByPasskey } from "./passkeys.ts";
import { endOwnSession } from "./sign-out.ts";

/** What the cookie of an attempt holds once it was used, so that a reload of the callback is told from a stranger's. */
const USED = "used";

/** GET /.postern/login?to&n[&provider][&max_age][&mfa][&passkey] */
export async function login(x: Exchange): Promise<Response> {
  const { policy } = x;
  if (policy === undefined) return refuse(x, "unavailable", { detail: "No policy is live yet." });
  const query = new URLSearchParams(x.url.query);
  const target = safeTarget(x, query.get("to"));
  const nonceHash = query.get("n") ?? "";
  let demand = readDemand(query);
  if (demand === undefined) {
    const person = await personAtLauncher(x);
    if (person !== undefined) return redirect(x, await handOff(x, person.presented, target, nonceHash));
  } else {
    const first = await stepUpByPasskey(x, query);
    if (first instanceof Response) return first;
    // The second factor is asked for afterwards, when only it is missing.
    if (first === "sign_in") demand = { ...demand, mfa: false };
  }
  const providers = policy.document.providers;
  const wanted = query.get("provider") ?? (providers.length === 1 ? providers[0]?.id : undefined);
  if (wanted === undefined) {
    const flow = toBase64Url(random(12));
    const choices = providers.map((one) => ({ id: one.id, name: one.id, url: choiceUrl(x, one.id, flow) }));
    return page(x, chooserPage({ providers: choices, flow }), 200, { script: true });
  }
  return begin(x, policy, wanted, { target, nonceHash, demand, flow: query.get("flow") ?? undefined });
}

function choiceUrl(x: Exchange, provider: string, flow: string): string {
  const query = new URLSearchParams(x.url.query);
  query.set("provider", provider);
  query.set("flow", flow);
  return `/.postern/login?${query.toString()}`;
}

/** A step-up: what a policy demands beyond being signed in (P4). */
function readDemand(query: URLSearchParams): LoginDemand | undefined {
  const maxAge = query.get("max_age");
  const mfa = query.get("mfa") === "1";
  if (maxAge === null && !mfa) return undefined;
  const seconds = /^[0-9]{1,9}$/.test(maxAge ?? "") ? Number(maxAge) : undefined;
  return { prompt: "login", ...(seconds === undefined ? {} : { maxAgeSeconds: seconds }), ...(mfa ? { mfa: true } : {}) };
}

interface Attempt {
  readonly target: string;
  readonly nonceHash: string;
  readonly demand: LoginDemand | undefined;
  readonly flow: string | undefined;
}

async function begin(x: Exchange, policy: CompiledPolicy, id: string, attempt: Attempt): Promise<Response> {
  const provider = providerSettings(policy, x.env, id);
  if (provider === undefined) return refuse(x, "provider_misconfigured");
  // Where apps depend on it, nobody is sent to a provider that is known not to answer.
  if (needsProviders(policy.document) && (await x.env.CONTROL.getByName(CONTROL_NAME).providerAway(id))) return refuse(x, "provider_unreachable");
  const as = await discover(provider, oidcIo(x.env));
  if (!as.ok) return explain(x, as.error, attempt.target);
  // Chosen by the page before, when there was one: the fragment is kept under it.
  const flow = attempt.flow !== undefined && /^[A-Za-z0-9_-]{16}$/.test(attempt.flow) ? attempt.flow : toBase64Url(random(12));
  const { authorizationUrl, loginState } = await beginLogin({
    provider,
    as: as.value,
    redirectUri: `${x.launcher}/.postern/callback`,
    returnTo: attempt.target,
    random,
    now: at(x.now),
    ...(attempt.demand === undefined ? {} : { demand: attempt.demand }),
    carry: { n: attempt.nonceHash, flow },
  });
  const name = loginCookieName(loginState.state);
  const sealed = await sealLoginState(loginState, after(at(x.now), ATTEMPT_LIFE), await sealKey(x.env), random);
  if (name === undefined || !sealed.ok) return refuse(x, "internal");
  const cookies: [string, string][] = [["set-cookie", setCookie(name, sealed.value, ATTEMPT_LIFE / 1000)]];
  if (attempt.flow !== undefined) return redirect(x, authorizationUrl, [setCookie(name, sealed.value, ATTEMPT_LIFE / 1000)]);
  return page(x, continuePage({ mode: "keep", to: authorizationUrl, flow }), 200, { script: true }, cookies);
}

/** GET /.postern/callback */
export async function callback(x: Exchange): Promise<Response> {
  // What was applied since the attempt began counts: a provider may be gone, a session shorter.
  const policy = await newestPolicy(x.env, x.now);
  if (policy === undefined) return refuse(x, "unavailable", { detail: "No policy is live yet." });
  const callbackUrl = new URL(`${x.launcher}${x.url.path}${x.url.query}`);
  const name = loginCookieName(callbackUrl.searchParams.get("state") ?? "");
  const sealed = name === undefined ? undefined : cookieOf(x.request, name);
  if (name === undefined || sealed === undefined) {
    return refuse(x, lostCookie(x), { signInUrl: `${x.launcher}/` });
  }
  if (sealed === USED) return refuse(x, "callback_replayed");
  const attempt = await unsealLoginState(sealed, at(x.now), await sealKey(x.env));
  if (!attempt.ok) return refuse(x, attempt.error === "expired" ? "login_expired" : "callback_other_browser", { signInUrl: `${x.launcher}/` });
  const provider = providerSettings(policy, x.env, attempt.value.provider);
  if (provider === undefined) return refuse(x, "provider_misconfigured");
  const io = oidcIo(x.env);
  const as = await discover(provider, io);
  if (!as.ok) return explain(x, as.error, attempt.value.returnTo);
  // Whatever comes of it, an attempt is taken to the provider once.
  if (!spendAttempt(x.env.CONTROL, attempt.value.state)) return refuse(x, "callback_replayed");
  const identity = await finishLogin({ provider, as: as.value, callbackUrl, loginState: attempt.value, io, now: at(x.now) });
  if (!identity.ok) {
    // Nobody in particular failed to sign in: counted, not a row each (M20).
    countAnonymousDenial(x);
    return explain(x, identity.error, attempt.value.returnTo, setCookie(name, USED, ATTEMPT_LIFE / 1000));
  }
  const known = await asInDirectory(x, policy, identity.value);
  if (known === undefined) return refuse(x, "account_inactive", { signInUrl: `${x.launcher}/` });
  return establish(x, policy, known, attempt.value, name);
}

async function establish(x: Exchange, policy: CompiledPolicy, identity: SignedIn, attempt: LoginState, cookieName: string): Promise<Response> {
  const { max, idle } = policy.document.defaults.session;
  const secret = newSecret(random);
  const credential = {
    kind: "cookie" as const,
    audience: hostAudience(x.url.host),
    hash: toBase64Url(await hashSecret(secret)),
    expiresAt: x.now + max,
  };
  const before = await personAtLauncher(x);
  const held = before?.session;
  let sid = held?.subject.id === identity.userId ? held.sid : undefined;
  if (sid !== undefined) {
    // The same person again: the session goes on with newer facts, and nothing that is open ends (M5).
    const renewal = { attemptStartedAt: attempt.startedAt, endsAt: credential.expiresAt, from: whereFrom(x) };
    const isTheirs = await x.env.USER.getByName(identity.userId).renew(sid, renewal);
    const refreshed = isTheirs && (await sessionStub(x.env, sid)?.refresh({ facts: identity.facts, display: displayOf(identity), endsAt: credential.expiresAt }, credential));
    if (refreshed !== true) sid = undefined;
  } else if (before !== undefined) await endOwnSession(x, before.presented, before.session);
  if (sid === undefined) {
    const signIn: SignIn = {
      owner: identity.userId,
      subject: { kind: "user", id: identity.userId },
      display: displayOf(identity),
      facts: identity.facts,
      attemptStartedAt: attempt.startedAt,
      endsAt: x.now + max,
      idleMs: idle,
      credential,
      from: whereFrom(x),
    };
    const signedIn = await x.env.USER.getByName(identity.userId).signIn(signIn);
    if (!signedIn.ok) return refuse(x, SIGN_IN_REFUSALS[signedIn.code], { signInUrl: `${x.launcher}/` });
    sid = signedIn.sid;
  }
  const [stands] = await Promise.all([
    noteSignIn(x, identity, { sid, endsAt: credential.expiresAt }),
    recordAct(x, "sign_in", sid, { user: identity.userId, provider: identity.provider, sid, email: identity.email, groups: identity.groupsNote }),
  ]);
  if (!stands) {
    await sessionStub(x.env, sid)?.end("revoked", "self");
    return refuse(x, SIGN_IN_REFUSALS.revoked, { signInUrl: `${x.launcher}/` });
  }
  const presented = { sid, secret, audience: credential.audience };
  const next = await handOff(x, presented, attempt.returnTo, attempt.carry["n"] ?? "");
  const cookies: [string, string][] = [
    ["set-cookie", setCookie(SESSION_COOKIE, formatSessionToken(presented), max / 1000)],
    ["set-cookie", setCookie(cookieName, USED, ATTEMPT_LIFE / 1000)],
  ];
  return page(x, continuePage({ mode: "restore", to: next, flow: attempt.carry["flow"] ?? "" }), 200, { script: true }, cookies);
}

function displayOf({ sub, provider, email, name, idToken }: SignedIn): Display {
  return { sub, provider, idToken, ...(email === undefined ? {} : { email }), ...(name === undefined ? {} : { name }) };
}

const CODES: Readonly<Record<OidcProblemCode, ErrorCode>> = {
  provider_unreachable: "provider_unreachable",
  provider_misconfigured: "provider_misconfigured",
  provider_error: "provider_error",
  callback_invalid: "callback_other_browser",
  callback_mismatch: "callback_other_browser",
  callback_replayed: "callback_replayed",
  login_expired: "login_expired",
  consent_denied: "consent_denied",
  clock_wrong: "clock_wrong",
  token_invalid: "token_invalid",
  step_up_unmet: "step_up_required",
};

function explain(x: Exchange, problem: OidcProblem, returnTo: string, cookie?: string): Response {
  const skew = problem.skewSeconds === undefined ? "" : ` The clocks differ by ${Math.abs(problem.skewSeconds)} seconds.`;
  const said = problem.providerCode === undefined ? "" : ` The provider said: ${problem.providerCode}.`;
  const signInUrl = `${x.launcher}/.postern/login?to=${encodeURIComponent(returnTo)}`;
  return refuse(x, CODES[problem.code], { detail: `Identity provider: ${problem.provider}.${skew}${said}`, signInUrl, ...(cookie === undefined ? {} : { headers: { "set-cookie": cookie } }) });
}
