/**
 * A whole edge with people of the test's own: its document, its provider, one recording app behind
 * several hosts, an operator. And the sign-in of anybody by name, without a form. Not a browser.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Stack, type StackOptions, startStack } from "../../../start/stack.ts";
import { FormBrowser } from "../../start/form-browser.ts";
import { temporaryState } from "../../start/running-stack.ts";
import { recordingOrigin, type RecordingOrigin, type Reply } from "../corpus/recording-origin.ts";
import { type Operator, operatorOf } from "../revocation/operator.ts";
import { type OwnIssuer, startOwnIssuer } from "./own-issuer.ts";

export interface PeopleEdge {
  readonly stack: Stack;
  readonly launcher: string;
  readonly issuer: OwnIssuer;
  readonly origin: RecordingOrigin;
  readonly operator: Operator;
  /** The address of a path at an app's host. */
  readonly at: (app: string, path?: string) => string;
  /** The document's text with the addresses of this run. */
  readonly document: string;
  /** How often the app was asked for paths that hold `mark`. */
  readonly hits: (mark: string) => number;
  readonly stop: () => Promise<void>;
}

export interface PeopleEdgeOptions extends Partial<StackOptions> {
  /** The document; ISSUER and ORIGIN stand for the addresses. */
  readonly document: string;
  readonly reply?: Reply;
}

/** The YAML of the test's provider, `more` among its keys. */
export const ownProvider = (more = ""): string =>
  `{ id: own, issuer: "ISSUER", client_id: postern, scopes: [openid, email, profile, groups], groups_claim: groups, email_domains: [example.com]${more} }`;

/** Starts all of it; whatever fails, nothing is left running. */
export async function peopleEdge({ document, reply, ...options }: PeopleEdgeOptions): Promise<PeopleEdge> {
  const state = temporaryState();
  const issuer = await startOwnIssuer();
  const origin = await recordingOrigin(reply);
  const release = async (): Promise<void> => {
    await Promise.all([issuer.close(), origin.close()]);
    state.remove();
  };
  const text = document.replaceAll("ISSUER", issuer.issuer).replaceAll("ORIGIN", `http://127.0.0.1:${origin.port}`);
  const documentFile = join(state.path, "own.yaml");
  writeFileSync(documentFile, text);
  const stack = await startStack({ stateDirectory: join(state.path, "state"), port: 0, environment: {}, documentFile, ...options }).catch(async (cause: unknown) => {
    await release();
    throw cause;
  });
  const { launcher } = stack;
  return {
    stack,
    launcher,
    issuer,
    origin,
    operator: operatorOf(launcher, stack.tokenFile),
    at: (app, path = "/") => `${launcher.replace("//", `//${app}.`)}${path}`,
    document: readFileSync(stack.documentFile, "utf8"),
    hits: (mark) => origin.hits.filter(({ target }) => target.includes(mark)).length,
    stop: async () => {
      await stack.stop();
      await release();
    },
  };
}

/** The provider's authorisation address for a sign-in that begins at `url`, which is any host's; nothing of the provider is opened yet. */
export async function beginSignIn(edge: PeopleEdge, browser: FormBrowser, url: string): Promise<URL> {
  const login = `${edge.launcher}/.postern/login`;
  let start = new URL(url);
  if (!url.startsWith(login)) {
    const arrival = await browser.follow(await browser.get(url), url, login);
    if (arrival.stopped === undefined) throw new Error(`${url} did not lead to the sign-in: ${arrival.page?.status}`);
    start = arrival.stopped;
  }
  if (!start.searchParams.has("provider")) start.searchParams.set("provider", "own");
  const arrival = await browser.follow(await browser.get(start.href), start.href, `${edge.issuer.issuer}/authorize`);
  if (arrival.stopped === undefined) throw new Error(`the sign-in did not lead to the provider: ${arrival.page?.status} ${arrival.page?.text.replace(/<[^>]*>|\s+/g, " ").slice(0, 300)}`);
  return arrival.stopped;
}

/** Who is signed in: a browser with the cookies of every host it passed. */
export interface SignedIn {
  readonly user: string;
  readonly browser: FormBrowser;
  /** The value of our session cookie for a host; throws when there is none. */
  readonly cookie: (url: string) => string;
  readonly sid: string;
}

export const SESSION_COOKIE = "__Host-postern";

/** The value of a cookie in a browser, undefined when it has none of this name. */
export function cookieIn(browser: FormBrowser, url: string, name: string): string | undefined {
  const pair = browser.cookieHeader(url).split("; ").find((one) => one.startsWith(`${name}=`));
  return pair?.slice(name.length + 1);
}

/** Signs somebody in at an address: the launcher's, or an app's. `browser` keeps what it holds. */
export async function signInAs(edge: PeopleEdge, user: string, url = `${edge.launcher}/`, browser = new FormBrowser()): Promise<SignedIn> {
  const authorize = await beginSignIn(edge, browser, url);
  authorize.searchParams.set("as", user);
  const arrival = await browser.follow(await browser.get(authorize.href), authorize.href);
  const cookie = (at: string): string => {
    const value = cookieIn(browser, at, SESSION_COOKIE);
    if (value === undefined) throw new Error(`${user} has no session at ${at}: ${arrival.page?.status} ${arrival.page?.text.replace(/<[^>]*>|\s+/g, " ").slice(0, 300)}`);
    return value;
  };
  return { user, browser, cookie, sid: cookie(edge.launcher).slice(0, 64) };
}
