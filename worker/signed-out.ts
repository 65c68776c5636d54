/**
 * What somebody who is not signed in gets: the same for every host under the domain, whether an
 * app is there or not (POLICY "Explained or blank"). A navigation goes to sign in, once the
 * browser holds a nonce (M19); a form is not sent; an API call gets 401.
 */
import { toBase64Url } from "../core/bytes.ts";
import { hashHostNonce, newHostNonce } from "../identity/one-time-code.ts";
import { BOUNCE_COOKIE, cookieOf, dropCookie, NONCE_COOKIE, setCookie } from "./cookies.ts";
import { type Exchange, isNavigation, originOf } from "./exchange.ts";
import { ATTEMPT_LIFE } from "./lifetimes.ts";
import { formNotSentPage } from "./pages/form-not-sent.ts";
import { tooManyBouncesPage } from "./pages/too-many-bounces.ts";
import { random } from "./random.ts";
import { page, redirect, refuse } from "./respond.ts";

/** The third bounce of one address within this long stops with an explanation. */
const BOUNCE_WINDOW_MS = 30_000;
const MAX_BOUNCES_COUNT = 3;

/** `/.postern/sign-in` of this host: sets the nonce and goes on to the launcher. For links on pages. */
export function signInAddress(x: Exchange, target: string): string {
  if (x.agentFor !== undefined) return `${x.launcher}/.postern/login?to=${encodeURIComponent(`${x.launcher}/`)}`;
  return `${originOf(x.url)}/.postern/sign-in?to=${encodeURIComponent(target)}`;
}

/** Takes no app on purpose: the answer must be the same whether one is there or not. */
export async function toSignIn(x: Exchange): Promise<Response> {
  const target = x.method === "GET" || x.method === "HEAD" ? x.url.path + x.url.query : "/";
  if (!isNavigation(x.request)) return refuse(x, "sign_in_required", { signInUrl: signInAddress(x, target) });
  if (x.method !== "GET" && x.method !== "HEAD") {
    return page(x, formNotSentPage({ requestId: x.id, signInUrl: signInAddress(x, "/") }), 401);
  }
  return beginSignIn(x, target, "");
}

/** Sends a navigation to the launcher's sign-in; `demand` is "&max_age=…&mfa=1" for a step-up. */
export async function beginSignIn(x: Exchange, target: string, demand: string): Promise<Response> {
  const bounce = await countBounce(x, target);
  // A step-up is somebody's click and no loop: it neither counts nor stops.
  if (bounce === undefined && demand === "") {
    // The count ends here, so that the page's own link is a new beginning.
    return page(x, tooManyBouncesPage({ requestId: x.id, retryUrl: signInAddress(x, target), launcherUrl: `${x.launcher}/` }), 400, {}, [["set-cookie", dropCookie(BOUNCE_COOKIE)]]);
  }
  // A nonce that is there stays: two tabs that sign in at once share it.
  const held = cookieOf(x.request, NONCE_COOKIE);
  const heldHash = held === undefined ? undefined : await hashHostNonce(held);
  const { nonce, nonceHash } = held !== undefined && heldHash !== undefined ? { nonce: held, nonceHash: heldHash } : await newHostNonce(random);
  const to = encodeURIComponent(originOf(x.url) + target);
  const location = `${x.launcher}/.postern/login?to=${to}&n=${toBase64Url(nonceHash)}${demand}`;
  // The nonce is for one attempt, so it lives as long as one.
  const cookies = [setCookie(NONCE_COOKIE, nonce, ATTEMPT_LIFE / 1000)];
  if (bounce !== undefined && demand === "") cookies.push(setCookie(BOUNCE_COOKIE, bounce, BOUNCE_WINDOW_MS / 1000));
  return redirect(x, location, cookies);
}

/**
 * Why a step of a sign-in came without the cookie of the step before. A browser that was led here
 * and brings no cookie at all keeps none; one that opened the address by itself began elsewhere.
 */
export function lostCookie(x: Exchange): "cookies_blocked" | "callback_other_browser" {
  const site = x.request.headers.get("sec-fetch-site");
  const led = site !== null && site !== "none";
  return led && x.request.headers.get("cookie") === null ? "cookies_blocked" : "callback_other_browser";
}

/** The cookie's next value, or undefined when this address bounced too often. */
async function countBounce(x: Exchange, target: string): Promise<string | undefined> {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(target)));
  const address = toBase64Url(digest.subarray(0, 6));
  const [held, count, since] = (cookieOf(x.request, BOUNCE_COOKIE) ?? "").split(".");
  const begun = Number(since);
  const same = held === address && Number.isFinite(begun) && x.now - begun < BOUNCE_WINDOW_MS;
  if (!same) return `${address}.1.${x.now}`;
  const next = Number(count) + 1;
  return next >= MAX_BOUNCES_COUNT ? undefined : `${address}.${next}.${begun}`;
}
