/** The launcher: exactly the apps that the same decide() allows (or would after a step-up), and who one is. */
import { ADMIN_APP } from "../../core/ids.ts";
import { at } from "../../core/time.ts";
import { decide } from "../../policy/decide.ts";
import { hostOf } from "../../policy/document.ts";
import { standingAt } from "../../policy/visible.ts";
import { readCredential } from "../credentials.ts";
import { type Exchange, isNavigation } from "../exchange.ts";
import { factsOf } from "../gate.ts";
import { launcherPage } from "../pages/launcher.ts";
import { mePage } from "../pages/me.ts";
import { newestPolicy } from "../policy-cache.ts";
import { json, page, redirect, refuse } from "../respond.ts";
import type { SessionSnapshot } from "../../durable-objects/session/rpc.ts";
import { verifiedSession } from "../session-cache.ts";
import { glassState } from "./admin/break-glass.ts";
import { withTarget } from "../target-facts.ts";
import { providerLogoutOrigins } from "./sign-out.ts";

/** GET / at the launcher */
export async function launcher(x: Exchange): Promise<Response> {
  const policy = await newestPolicy(x.env, x.now);
  if (policy === undefined) return refuse(x, "unavailable", { detail: "No policy is live yet." });
  const credential = readCredential(x.request, x.env, x.url.host, ADMIN_APP);
  const session = credential.kind === "presented" ? await verifiedSession(x.env, credential.presented, x.now, true, true) : undefined;
  const loginUrl = `${x.launcher}/.postern/login?to=${encodeURIComponent(`${x.launcher}/`)}`;
  if (session === undefined) return isNavigation(x.request) ? redirect(x, loginUrl) : refuse(x, "sign_in_required", { signInUrl: loginUrl });
  const facts = factsOf(x, session);
  const all = await Promise.all(policy.document.apps.map(async (app) => ({ app, stands: standingAt(policy, app, await withTarget(x, policy, app, session, facts), at(x.now)) })));
  const apps = all.flatMap(({ app, stands }) => {
    const host = hostOf(app, policy.document);
    if (stands === undefined || stands === "askable") return [];
    return {
      id: app.id,
      name: app.name ?? app.id,
      host,
      tags: app.tags,
      stepUp: stands === "step_up",
      ...(app.protocol === "http" ? { url: `${x.url.scheme}://${host}${x.url.port}/` } : {}),
    };
  });
  const askable = all.filter(({ stands }) => stands === "askable").map(({ app: { id, name } }) => ({ id, name: name ?? id }));
  const operator = decide(policy, { app: ADMIN_APP, protocol: "http", method: "GET", path: "/" }, facts, at(x.now)).effect === "allow";
  if (!isNavigation(x.request)) return json(x, { apps, askable });
  const formOrigins = await providerLogoutOrigins(x, session);
  const glass = operator ? await glassState(x).catch(() => undefined) : undefined;
  const html = launcherPage({
    user: { name: session.display.name ?? session.display.email ?? session.subject.id, email: session.display.email },
    apps,
    askable,
    session: { expiresAt: at(session.endsAt) },
    now: at(x.now),
    operator,
    alarm: glass?.openUntil !== undefined ? "open" : glass?.opensAt !== undefined ? "counting down" : undefined,
    passkeys: policy.document.passkeys !== "off",
  });
  return page(x, html, 200, { formOrigins });
}

/** GET /.postern/me on every host: a page for people, JSON for the app's own pages and for scripts. */
export async function me(x: Exchange): Promise<Response> {
  const app = x.policy?.appByHost(x.url.host);
  const atLauncher = x.url.host === x.policy?.document.domain;
  const credential = readCredential(x.request, x.env, x.url.host, atLauncher ? ADMIN_APP : app?.id);
  const session = credential.kind === "presented" ? await verifiedSession(x.env, credential.presented, x.now, true) : undefined;
  if (session === undefined) return refuse(x, "sign_in_required");
  const { display, subject, facts } = session;
  if (isNavigation(x.request) && subject.kind === "user") return page(x, mePage(meOf(x, session)), 200, { formOrigins: await providerLogoutOrigins(x, session) });
  return json(x, {
    subject: { kind: subject.kind, id: subject.id },
    name: display.name,
    email: display.email,
    provider: display.provider,
    groups: facts["groups"]?.value ?? null,
    signed_in_at: new Date(session.startedAt).toISOString(),
    expires_at: new Date(session.endsAt).toISOString(),
  });
}

function meOf(x: Exchange, { display, subject, facts, startedAt, endsAt }: SessionSnapshot): Parameters<typeof mePage>[0] {
  const groups = facts["groups"]?.value;
  const proved: unknown = facts["mfa"]?.value;
  const methods = typeof proved === "object" && proved !== null && "methods" in proved ? proved.methods : undefined;
  const texts = (list: unknown): string[] => (Array.isArray(list) ? list.filter((one): one is string => typeof one === "string") : []);
  return {
    user: { name: display.name ?? display.email ?? subject.id, email: display.email, provider: display.provider ?? "", groups: texts(groups) },
    session: { authenticatedAt: at(facts["auth"]?.observedAt ?? startedAt), expiresAt: at(endsAt), methods: texts(methods) },
    launcherUrl: `${x.launcher}/`,
  };
}
