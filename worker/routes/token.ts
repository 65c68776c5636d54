/**
 * POST /.postern/token (RFC 8693): an ID token of a provider becomes a bearer for one app, at most
 * an hour. A session like any other: revoked with its user, decided like any request.
 */
import { appAudience } from "../../core/audience.ts";
import { toBase64Url } from "../../core/bytes.ts";
import { at } from "../../core/time.ts";
import { ACCESS_TOKEN_TYPE, parseExchangeRequest, verifySubjectToken } from "../../identity/token-exchange.ts";
import { formatAppBearer, hashSecret, newSecret } from "../../identity/session-token.ts";
import type { CompiledPolicy } from "../../policy/compile.ts";
import { isExplained } from "../../policy/decide.ts";
import type { App } from "../../policy/document.ts";
import { readBoundedText } from "../bounded-body.ts";
import { canonicalHost } from "../canonical.ts";
import { asInDirectory } from "../directory-standing.ts";
import type { Exchange } from "../exchange.ts";
import { noteSignIn } from "../known-person.ts";
import { newestPolicy } from "../policy-cache.ts";
import { oidcIo, providerSettings } from "../providers.ts";
import { random } from "../random.ts";
import { recordAct } from "../record.ts";
import { json, refuse } from "../respond.ts";
import { sessionStub } from "../session-cache.ts";
import { SIGN_IN_REFUSALS } from "../sign-in-refusals.ts";
import { whereFrom } from "../where-from.ts";
import { LOGIN_CODE_GRANT, pollLoginCode } from "./login-code.ts";

const MAX_FORM_BYTES = 80 * 1024;

export async function token(x: Exchange): Promise<Response> {
  // What was applied last counts: a provider may be gone, an app no longer this person's.
  const policy = await newestPolicy(x.env, x.now);
  if (policy === undefined) return refuse(x, "unavailable");
  const type = (x.request.headers.get("content-type") ?? "").split(";")[0]?.trim().toLowerCase();
  const text = type === "application/x-www-form-urlencoded" ? await readBoundedText(x.request, MAX_FORM_BYTES) : undefined;
  if (text === undefined) return json(x, { error: "invalid_request" }, 400);
  const form = new URLSearchParams(text);
  // RFC 6749 §3.2: no parameter more than once.
  if (new Set(form.keys()).size !== [...form.keys()].length) return json(x, { error: "invalid_request" }, 400);
  if (form.get("grant_type") === LOGIN_CODE_GRANT) return pollLoginCode(x, form);
  const asked = parseExchangeRequest(form);
  if (!asked.ok) return json(x, { error: asked.error }, 400);
  const providers = policy.document.providers.map((one) => providerSettings(policy, x.env, one.id)).filter((one) => one !== undefined);
  const exchanged = await verifySubjectToken(asked.value.subjectToken, providers, oidcIo(x.env));
  if (!exchanged.ok) return json(x, { error: "invalid_request", error_description: exchanged.error.code }, 400);
  const { expiresAt } = exchanged.value;
  const identity = await asInDirectory(x, policy, exchanged.value.identity);
  if (identity === undefined) return json(x, { error: "invalid_request", error_description: "account_inactive" }, 400);
  const subject = { kind: "user" as const, id: identity.userId };
  // Only after the token: to a stranger an app that is not theirs is one that does not exist (promise 1).
  const app = appNamed(policy, asked.value.audience);
  const plan = app === undefined ? undefined : policy.plan(app.id);
  const facts = { subject, known: { ...identity.facts, ...x.connection } };
  if (app === undefined || plan === undefined || !isExplained(plan, facts, at(x.now))) return json(x, { error: "invalid_target" }, 400);
  const secret = newSecret(random);
  const signedIn = await x.env.USER.getByName(identity.userId).signIn({
    owner: identity.userId,
    subject,
    display: { sub: identity.sub, provider: identity.provider, ...(identity.email === undefined ? {} : { email: identity.email }) },
    facts: identity.facts,
    // The token's own issue is the attempt: one from before a revocation buys nothing.
    attemptStartedAt: identity.facts["user"]?.observedAt ?? 0,
    endsAt: expiresAt,
    idleMs: expiresAt - x.now,
    from: whereFrom(x),
    credential: { kind: "app_bearer", audience: appAudience(app.id), hash: toBase64Url(await hashSecret(secret)), expiresAt },
  });
  if (!signedIn.ok) return json(x, { error: "invalid_request", error_description: SIGN_IN_REFUSALS[signedIn.code] }, 400);
  await recordAct(x, "sign_in", signedIn.sid, { user: identity.userId, provider: identity.provider, sid: signedIn.sid, by: "token exchange", app: app.id });
  // From here on a logout at the provider finds it; one of before ends it, and the token buys nothing more.
  if (!(await noteSignIn(x, identity, { sid: signedIn.sid, endsAt: expiresAt }))) {
    await sessionStub(x.env, signedIn.sid)?.end("revoked", "self");
    return json(x, { error: "invalid_request", error_description: SIGN_IN_REFUSALS.revoked }, 400);
  }
  return json(x, {
    access_token: formatAppBearer({ sid: signedIn.sid, secret }),
    issued_token_type: ACCESS_TOKEN_TYPE,
    token_type: "Bearer",
    expires_in: Math.floor((expiresAt - x.now) / 1000),
  });
}

/** By id, or by the app's address. */
function appNamed(policy: CompiledPolicy, audience: string): App | undefined {
  const host = /^https?:\/\/([^/?#]+)\/?$/.exec(audience)?.[1];
  return policy.app(audience) ?? (host === undefined ? undefined : policy.appByHost(canonicalHost(host)?.host ?? ""));
}
