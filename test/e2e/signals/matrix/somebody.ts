/** Who holds the connections of one row: a session come by as people do, in a browser and at the command line, and a machine that is theirs. */
import { DeviceReports, type Post } from "../../../../agent/device-reports.ts";
import { DeviceStateFile } from "../../../../agent/device-state.ts";
import { StateFolder } from "../../../../agent/state-folder.ts";
import { userIdOf } from "../../../../identity/claims.ts";
import { loopbackFetch } from "../../../../start/loopback-http.ts";
import type { FormBrowser } from "../../../start/form-browser.ts";
import type { Somebody as Known } from "../../credentials/own-issuer.ts";
import { cookieIn, type PeopleEdge, SESSION_COOKIE, signInAs } from "../../credentials/people-edge.ts";
import { type Ground, SERVICE } from "./ground.ts";

/** Long enough ago that an event which tells of a moment ago comes after it. */
const SIGNED_IN_AGO_S = 60;

export interface Holder {
  readonly name: string;
  /** Headers of a request at an app. */
  readonly headers: (app: string) => Promise<Readonly<Record<string, string>>>;
  /** What an agent presents. */
  readonly token: string;
}

export interface Somebody extends Holder {
  readonly sid: string;
  /** Postern's id of the person. */
  readonly id: string;
  readonly browser: FormBrowser;
}

type Provider = "own" | "dir";

const issuerOf = (ground: Ground, provider: Provider): Ground["people"] => (provider === "own" ? ground.people : ground.directory);
const edgeOf = (ground: Ground, provider: Provider): PeopleEdge => ({ launcher: ground.stack.launcher, issuer: issuerOf(ground, provider) }) as PeopleEdge;
const now = (): number => Math.floor(Date.now() / 1_000);

/** Signs in somebody new. Two factors a minute ago, unless `known` says otherwise. */
export async function signInSomebody(ground: Ground, name: string, provider: Provider = "own", known: Known = {}): Promise<Somebody> {
  const { launcher } = ground.stack;
  const issuer = issuerOf(ground, provider);
  issuer.people.set(name, { groups: ["staff"], amr: ["pwd", "hwk"], authTime: now() - SIGNED_IN_AGO_S, ...known });
  const { browser, sid } = await signInAs(edgeOf(ground, provider), name, `${launcher}/.postern/login?provider=${provider}&to=${encodeURIComponent(`${launcher}/`)}`);
  const form = async (path: string, fields: Record<string, string>): Promise<Record<string, string>> =>
    JSON.parse((await loopbackFetch(`${launcher}/.postern/${path}`, { method: "POST", headers: { "content-type": "application/x-www-form-urlencoded" }, body: new URLSearchParams(fields).toString() })).text) as Record<string, string>;
  const begun = await form("device/begin", { client_id: "matrix" });
  await browser.submit(`${launcher}/.postern/device`, { user_code: begun["user_code"] ?? "", decision: "approve" });
  const { access_token: token } = await form("token", { grant_type: "urn:ietf:params:oauth:grant-type:device_code", device_code: begun["device_code"] ?? "" });
  if (token === undefined) throw new Error(`${name} has no token`);
  const headers = async (app: string): Promise<Record<string, string>> => {
    const url = ground.urlOf(app);
    if (cookieIn(browser, url, SESSION_COOKIE) === undefined) await browser.open(`${url}/plain`);
    const { host, origin } = new URL(url);
    return { host, origin, cookie: browser.cookieHeader(url) };
  };
  return { name, headers, token, sid, id: await userIdOf(issuer.issuer, name), browser };
}

/** Shows two factors now, as a page or an agent asks for. */
export async function stepUp(ground: Ground, { name, browser }: Somebody): Promise<void> {
  const { launcher } = ground.stack;
  ground.people.people.set(name, { ...ground.people.people.get(name), authTime: now() });
  await signInAs(edgeOf(ground, "own"), name, `${launcher}/.postern/login?provider=own&mfa=1&max_age=300&to=${encodeURIComponent(`${launcher}/`)}`, browser);
}

/** A program with a token of its own. */
export async function service(ground: Ground): Promise<Holder> {
  const token = await ground.operator.createService(SERVICE);
  return { name: SERVICE, headers: async (app) => ({ host: new URL(ground.urlOf(app)).host, authorization: `Bearer ${token}` }), token };
}

/** Enrols a machine by this sign-in; its session counts as it from now on. */
export async function enrolled(ground: Ground, { name, token }: Somebody): Promise<{ readonly id: string; readonly reports: DeviceReports }> {
  const post: Post = async (path, { body, type, authorization }) => {
    const headers = { "content-type": type, ...(authorization === undefined ? {} : { authorization }) };
    const { status, text } = await loopbackFetch(`${ground.stack.launcher}${path}`, { method: "POST", headers, body, timeoutMs: 45_000 });
    return { status, json: JSON.parse(text) as unknown };
  };
  const reports = new DeviceReports(new DeviceStateFile(new StateFolder(ground.folder("machine")), ground.stack.launcher), post, Date.now);
  const { id } = await reports.enrol(token, name);
  return { id, reports };
}
