/**
 * A person asks for access to an app for a while, at the app's own host or at the launcher: by a
 * form, or with a program's token. Whoever may not ask learns of no app by it (P28).
 */
import { ADMIN_APP, type UserId } from "../../core/ids.ts";
import { at, parseDuration } from "../../core/time.ts";
import { CONTROL_NAME } from "../../durable-objects/bindings.ts";
import { isAskable } from "../../policy/visible.ts";
import { readBoundedText } from "../bounded-body.ts";
import { readCredential } from "../credentials.ts";
import { type Exchange, isNavigation, originOf } from "../exchange.ts";
import { factsOf } from "../gate.ts";
import { MAX_GRANT_MS, reasonOf } from "../grant-terms.ts";
import { askedPage } from "../pages/access.ts";
import { newestPolicy } from "../policy-cache.ts";
import { json, page, refuse } from "../respond.ts";
import { verifiedSession } from "../session-cache.ts";
import { withTarget } from "../target-facts.ts";

const MAX_FORM_BYTES = 8 * 1024;

/** POST /.postern/request, a form: app (at the launcher), for, reason */
export async function askForAccess(x: Exchange): Promise<Response> {
  const here = x.policy?.appByHost(x.url.host)?.id;
  const isLauncher = x.url.host === x.policy?.document.domain;
  const credential = readCredential(x.request, x.env, x.url.host, isLauncher ? ADMIN_APP : here);
  const presented = credential.kind === "presented" ? credential : undefined;
  // A cookie is sent by whatever page asks for it; a token is not.
  if (presented?.cookie !== false && x.request.headers.get("origin") !== originOf(x.url)) return refuse(x, "origin_not_allowed");
  const session = presented === undefined ? undefined : await verifiedSession(x.env, presented.presented, x.now, true);
  const policy = await newestPolicy(x.env, x.now);
  if (session === undefined || policy === undefined) return refuse(x, "sign_in_required");
  const form = new URLSearchParams(await readBoundedText(x.request, MAX_FORM_BYTES));
  const lasting = parseDuration(form.get("for") ?? "");
  const reason = reasonOf(form.get("reason"));
  if (lasting === undefined || lasting > MAX_GRANT_MS || reason === undefined) return refuse(x, "bad_argument", { detail: "Say for how long and why." });
  // At any other host the form names none: where no app is answers as where one is hidden.
  const plan = policy.plan((isLauncher ? form.get("app") : here) ?? "");
  const facts = plan === undefined ? undefined : await withTarget(x, policy, policy.app(plan.app), session, factsOf(x, session), true);
  if (plan === undefined || facts === undefined || !isAskable(policy, plan, facts, at(x.now), lasting)) return refuse(x, "grant_refused");
  const asked = await x.env.CONTROL.getByName(CONTROL_NAME).askGrant({ user: session.subject.id as UserId, app: plan.app, lasting, reason, connection: x.connection });
  if (!asked.ok) return refuse(x, asked.code);
  if (isNavigation(x.request)) return page(x, askedPage(x.launcher));
  return json(x, { id: asked.id, until: new Date(asked.until).toISOString() }, 201);
}
