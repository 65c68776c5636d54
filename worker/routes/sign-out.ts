/**
 * Signing out, on any host: the session ends everywhere at once, and at the provider where it can.
 * A state change: POST with this host's own Origin (M19).
 */
import { toBase64Url } from "../../core/bytes.ts";
import { ADMIN_APP } from "../../core/ids.ts";
import type { SessionSnapshot } from "../../durable-objects/session/rpc.ts";
import { endSessionUrl } from "../../identity/end-session.ts";
import { discover } from "../../identity/oidc-discovery.ts";
import { hashSecret } from "../../identity/session-token.ts";
import { dropCookie, SESSION_COOKIE } from "../cookies.ts";
import { readCredential } from "../credentials.ts";
import { type Exchange, isNavigation, originOf } from "../exchange.ts";
import { signOutPage } from "../pages/sign-out.ts";
import { signedOutPage } from "../pages/signed-out.ts";
import { oidcIo, providerSettings } from "../providers.ts";
import { recordAct } from "../record.ts";
import { json, page, redirect, refuse } from "../respond.ts";
import { type Presented, sessionStub, verifiedSession } from "../session-cache.ts";

/** GET /.postern/logout: the question. */
export async function askSignOut(x: Exchange): Promise<Response> {
  const credential = readCredential(x.request, x.env, x.url.host, undefined);
  const session = credential.kind === "presented" ? await verifiedSession(x.env, credential.presented, x.now) : undefined;
  const formOrigins = await providerLogoutOrigins(x, session);
  return page(x, signOutPage({ signOutUrl: "/.postern/logout", backUrl: `${x.launcher}/` }), 200, { formOrigins });
}

/** POST /.postern/logout */
export async function signOut(x: Exchange): Promise<Response> {
  const atLauncher = x.url.host === x.policy?.document.domain;
  const credential = readCredential(x.request, x.env, x.url.host, atLauncher ? ADMIN_APP : x.policy?.appByHost(x.url.host)?.id);
  // A cookie is sent by whatever page asks for it; a token is not.
  const byToken = credential.kind === "presented" && !credential.cookie;
  if (!byToken && x.request.headers.get("origin") !== originOf(x.url)) return refuse(x, "origin_not_allowed");
  let next = `${x.launcher}/.postern/signed-out`;
  if (credential.kind === "presented") {
    const session = await verifiedSession(x.env, credential.presented, x.now, true);
    if (session !== undefined) {
      const { sid, secret, audience } = credential.presented;
      // Asked before it ends: afterwards nobody can prove to be its holder.
      const hint = await sessionStub(x.env, sid)?.signOutHint({ audience, hash: toBase64Url(await hashSecret(new Uint8Array(secret))) });
      await endOwnSession(x, credential.presented, session);
      next = (await providerLogout(x, session, hint)) ?? next;
    }
  }
  if (!isNavigation(x.request)) return json(x, { signed_out: true }, 200, { "set-cookie": dropCookie(SESSION_COOKIE) });
  return redirect(x, next, [dropCookie(SESSION_COOKIE)], 303);
}

/** GET /.postern/signed-out */
export function signedOut(x: Exchange): Response {
  return page(x, signedOutPage({ signInUrl: `${x.launcher}/`, providerToo: false }));
}

/** Ends a session whose holder asked for it; recorded first. */
export async function endOwnSession(x: Exchange, presented: Presented, session: SessionSnapshot): Promise<void> {
  await recordAct(x, "sign_out", session.sid, { sid: session.sid, subject: session.subject.id });
  await sessionStub(x.env, presented.sid)?.end("signed_out", "self");
}

async function providerLogout(x: Exchange, session: SessionSnapshot, idToken: string | undefined): Promise<string | undefined> {
  const { policy } = x;
  const id = session.display.provider;
  const provider = policy === undefined || id === undefined ? undefined : providerSettings(policy, x.env, id);
  if (provider === undefined) return undefined;
  const as = await discover(provider, oidcIo(x.env));
  if (!as.ok) return undefined;
  return endSessionUrl({
    provider,
    as: as.value,
    postLogoutRedirectUri: `${x.launcher}/.postern/signed-out`,
    ...(idToken === undefined ? {} : { idToken }),
  });
}

/**
 * Chromium checks a form's redirects against form-action: a page that holds the sign-out form must
 * name where it ends, which is the launcher and this session's own provider.
 */
export async function providerLogoutOrigins(x: Exchange, session: SessionSnapshot | undefined): Promise<readonly string[]> {
  const next = session === undefined ? undefined : await providerLogout(x, session, undefined);
  return next === undefined ? [x.launcher] : [x.launcher, new URL(next).origin];
}
