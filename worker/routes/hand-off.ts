/**
 * Crossing from the launcher to a host of the domain: a one-time code for that host and that
 * browser becomes a cookie there (M19). The same for every host, whether an app is there or not.
 */
import { hostAudience } from "../../core/audience.ts";
import { fromBase64Url, toBase64Url } from "../../core/bytes.ts";
import { at } from "../../core/time.ts";
import { createOneTimeCode, hashHostNonce, parseOneTimeCode } from "../../identity/one-time-code.ts";
import { safeReturnUrl } from "../../identity/return-url.ts";
import { formatSessionToken, hashSecret, newSecret } from "../../identity/session-token.ts";
import { canonicalHost } from "../canonical.ts";
import { cookieOf, NONCE_COOKIE, SESSION_COOKIE, setCookie } from "../cookies.ts";
import { type Exchange, originOf } from "../exchange.ts";
import { random } from "../random.ts";
import { redirect, refuse } from "../respond.ts";
import { type Presented, sessionStub } from "../session-cache.ts";
import { beginSignIn, lostCookie, signInAddress } from "../signed-out.ts";

/** Where a browser may be sent: the launcher, any host under the domain, an app's own host name. */
export function safeTarget(x: Exchange, target: string | null): string {
  return safeReturnUrl(target, { home: new URL(x.launcher), isOurs: (host) => isOurs(x, host) });
}

function isOurs(x: Exchange, hostAndPort: string): boolean {
  const split = canonicalHost(hostAndPort);
  const domain = x.policy?.document.domain;
  if (split === undefined || domain === undefined || split.port !== x.url.port) return false;
  return split.host === domain || split.host.endsWith(`.${domain}`) || x.policy?.appByHost(split.host) !== undefined;
}

/** The address at the target's host that redeems a fresh code; the target itself at the launcher. */
export async function handOff(x: Exchange, presented: Presented, target: string, nonceHash: string): Promise<string> {
  const url = new URL(target);
  const host = canonicalHost(url.host)?.host ?? "";
  if (host === x.url.host) return target;
  const bytes = /^[A-Za-z0-9_-]{43}$/.test(nonceHash) ? fromBase64Url(nonceHash) : undefined;
  const to = `${url.pathname}${url.search}`;
  // Without a nonce of that host (a bookmark of ours, say) the host asks for one first.
  if (bytes === undefined) return `${url.origin}/.postern/sign-in?to=${encodeURIComponent(to)}`;
  const { code, record } = await createOneTimeCode({ sid: presented.sid, host, nonceHash: bytes }, random, at(x.now));
  const hash = toBase64Url(await hashSecret(presented.secret));
  const minted = await sessionStub(x.env, presented.sid)?.mintCode({ audience: presented.audience, hash }, record);
  if (minted !== true) return `${url.origin}/.postern/sign-in?to=${encodeURIComponent(to)}`;
  return `${url.origin}/.postern/continue?code=${code}&to=${encodeURIComponent(to)}`;
}

/** GET /.postern/sign-in?to[&max_age][&mfa][&passkey] on an app's host: the nonce first, then the launcher. */
export function signIn(x: Exchange): Promise<Response> {
  const query = new URLSearchParams(x.url.query);
  const demand = ["max_age", "mfa", "passkey"].map((name) => (/^[0-9]{1,9}$/.test(query.get(name) ?? "") ? `&${name}=${query.get(name)}` : "")).join("");
  return beginSignIn(x, ownPath(x, query.get("to")), demand);
}

/** GET /.postern/continue?code&to on an app's host: the code becomes this host's cookie. */
export async function redeem(x: Exchange): Promise<Response> {
  const query = new URLSearchParams(x.url.query);
  const [given = "", ...more] = query.getAll("code");
  const code = more.length > 0 ? undefined : parseOneTimeCode(given);
  const to = ownPath(x, query.get("to"));
  const nonce = cookieOf(x.request, NONCE_COOKIE);
  const nonceHash = nonce === undefined ? undefined : await hashHostNonce(nonce);
  if (nonceHash === undefined) {
    return refuse(x, lostCookie(x), { signInUrl: signInAddress(x, to) });
  }
  if (code === undefined) return refuse(x, "callback_replayed", { signInUrl: signInAddress(x, to) });
  const secret = newSecret(random);
  const shown = { codeHash: await hashSecret(code.secret), host: x.url.host, nonceHash };
  const life = x.policy?.document.defaults.session.max ?? 0;
  const redeemed = await sessionStub(x.env, code.sid)?.redeemCode(shown, {
    kind: "cookie",
    audience: hostAudience(x.url.host),
    hash: toBase64Url(await hashSecret(secret)),
    expiresAt: x.now + life,
  });
  if (redeemed !== true) return refuse(x, "callback_replayed", { signInUrl: signInAddress(x, to) });
  // The nonce stays for another tab that is on its way (the code was good once), and the count of
  // bounces runs on: only time tells whether this host ever saw the cookie that is set here.
  return redirect(x, originOf(x.url) + to, [setCookie(SESSION_COOKIE, formatSessionToken({ sid: code.sid, secret }), life / 1000)]);
}

/** A path of this host, or "/". */
function ownPath(x: Exchange, target: string | null): string {
  const safe = new URL(safeReturnUrl(target, { home: new URL(originOf(x.url)), isOurs: () => false }));
  return safe.pathname + safe.search;
}
