/**
 * A signed-in person for end-to-end tests: the real cookies of an app's host, got by a scripted
 * sign-in at the demo provider, and the headers with which HTTP and WebSocket clients present
 * them. Not a browser: pages are driven by browser/.
 */
import { loopbackFetch, type LoopbackAnswer } from "../../start/loopback-http.ts";
import { FormBrowser } from "../start/form-browser.ts";
import { visit } from "./demo-visit.ts";

/** A session's cookie: its id and a secret. Other cookies of ours name no session. */
const SESSION = /(?:^|[=; ])([0-9a-f]{64})\./;

export interface Person {
  readonly user: string;
  readonly browser: FormBrowser;
  /** Host, Origin and Cookie for requests and upgrades that dial 127.0.0.1 instead of the app's name. */
  readonly headers: (appUrl: string) => Record<string, string>;
  /** An API call at the app with this person's cookie; never follows a redirect. */
  readonly call: (url: string) => Promise<LoopbackAnswer>;
}

/**
 * Signs a demo user in at an app of a running stack (a URL of the app's host) in a browser of
 * their own, or in `browser`, which keeps the session that it holds. Rejects when no session comes of it.
 */
export async function signIn(appUrl: string, user: string, options: { readonly browser?: FormBrowser; readonly secondFactor?: boolean } = {}): Promise<Person> {
  const browser = options.browser ?? new FormBrowser();
  const shown = await visit(browser, appUrl, user, options.secondFactor ?? false);
  if (!SESSION.test(browser.cookieHeader(appUrl))) throw new Error(`${user} got no cookie of ${appUrl}: ${shown?.status} ${shown?.text.replace(/<[^>]*>|\s+/g, " ").slice(0, 300)}`);
  const headers = (url: string): Record<string, string> => {
    const { host, origin } = new URL(url);
    return { host, origin, cookie: browser.cookieHeader(url) };
  };
  const call = (url: string): Promise<LoopbackAnswer> => loopbackFetch(url, { headers: { ...headers(url), accept: "application/json" } });
  return { user, browser, headers, call };
}

/** Id of the session that a cookie or token of ours names; 64 hex digits. */
export function sessionIdOf(person: Person, appUrl: string): string {
  const found = SESSION.exec(person.browser.cookieHeader(appUrl))?.[1];
  if (found === undefined) throw new Error("the cookie names no session");
  return found;
}
