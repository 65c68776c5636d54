/**
 * A subject of a scenario: somebody of a provider, at a place, in a browser, by an endpoint of
 * their own. The endpoint is a real one to the edge: a key, an enrolment, signed reports.
 */
import { cpSync } from "node:fs";
import { join } from "node:path";
import type { DeviceReports } from "../../../agent/device-reports.ts";
import { userIdOf } from "../../../identity/claims.ts";
import type { PostureFacts } from "../../../identity/posture-report.ts";
import { loopbackFetch } from "../../../start/loopback-http.ts";
import { FormBrowser } from "../../start/form-browser.ts";
import { cookieIn, SESSION_COOKIE } from "../credentials/people-edge.ts";
import { type Answered, ask } from "../credentials/plain-request.ts";
import type { Somebody } from "../credentials/own-issuer.ts";
import { machineAt } from "../devices/machine.ts";
import type { Place } from "./places.ts";
import type { Provider, World } from "./world.ts";

/** An enterprise's endpoint, a privately owned one, one that nobody enrolled. */
export type EndpointKind = "EP" | "BYOD" | "Guest";

export const COMPLIANT: PostureFacts = { disk_encrypted: true, edr: true, os: "linux" };
export const NOT_COMPLIANT: PostureFacts = { ...COMPLIANT, disk_encrypted: false };

export interface Machine {
  readonly id: string;
  readonly folder: string;
  readonly reports: DeviceReports;
}

export interface Account {
  readonly provider: Provider;
  readonly sub: string;
  /** In the directory of `own`. */
  readonly scimId: string;
}

export interface Person {
  readonly world: World;
  readonly account: Account;
  readonly browser: FormBrowser;
  readonly place: Place;
  /** Of the same session, as `postern login` gets it. */
  readonly token: string;
  readonly machine: Machine | undefined;
}

/** A user's id at Postern. */
export const idOf = (world: World, { provider, sub }: Account): Promise<string> => userIdOf(world.issuers[provider].issuer, sub);

let made = 0;

/** Somebody new of a provider, in these groups; `active: false` is who the directory barred. */
export async function account(world: World, provider: Provider, groups: readonly string[], active = true): Promise<Account> {
  const sub = `s${++made}`;
  world.issuers[provider].people.set(sub, { groups });
  if (provider === "partner") return { provider, sub, scimId: "" };
  const { id: scimId } = (await world.scim("POST", "/Users", { userName: sub, externalId: sub, active })) as { id: string };
  for (const group of groups) await world.member("add", group, scimId);
  return { provider, sub, scimId };
}

/** What the provider knows of somebody from now on: refused, another time of signing in, more factors. */
export function atProvider(world: World, { provider, sub }: Account, change: Somebody): void {
  const { people } = world.issuers[provider];
  people.set(sub, { ...people.get(sub), ...change });
}

/** Takes a browser through the provider to whatever page comes of it. */
export async function authenticate(world: World, who: Account, browser: FormBrowser, url = `${world.launcher}/.postern/login`): Promise<number> {
  const { provider, sub } = who;
  const login = `${world.launcher}/.postern/login`;
  let start = new URL(url);
  if (!url.startsWith(login)) {
    const arrival = await browser.follow(await browser.get(url), url, login);
    if (arrival.stopped === undefined) throw new Error(`${url} did not lead to the sign-in: ${arrival.page?.status}`);
    start = arrival.stopped;
  }
  start.searchParams.set("provider", provider);
  const asked = await browser.follow(await browser.get(start.href), start.href, `${world.issuers[provider].issuer}/authorize`);
  if (asked.stopped === undefined) throw new Error(`the sign-in did not lead to the provider: ${asked.page?.status} ${asked.page?.text.slice(0, 300)}`);
  asked.stopped.searchParams.set("as", sub);
  const done = await browser.follow(await browser.get(asked.stopped.href), asked.stopped.href);
  return done.page?.status ?? 0;
}

export interface Entrance {
  readonly place?: Place;
  readonly endpoint?: EndpointKind;
  readonly posture?: PostureFacts;
}

/** Tries to sign in at a place; without a session, undefined. */
export async function enter(world: World, who: Account, { place = "office", endpoint = "Guest", posture = COMPLIANT }: Entrance = {}): Promise<Person | undefined> {
  const browser = new FormBrowser(world.from(place));
  await authenticate(world, who, browser);
  if (cookieIn(browser, world.launcher, SESSION_COOKIE) === undefined) return undefined;
  const token = await tokenOf(world, browser);
  const machine = endpoint === "Guest" ? undefined : await enrolled(world, token, endpoint);
  await machine?.reports.report(posture);
  return { world, account: who, browser, place, token, machine };
}

/** Signs in, and throws if that fails. */
export async function entered(world: World, who: Account, entrance?: Entrance): Promise<Person> {
  const person = await enter(world, who, entrance);
  if (person === undefined) throw new Error(`${who.sub} could not sign in`);
  return person;
}

async function tokenOf({ launcher }: World, browser: FormBrowser): Promise<string> {
  const form = async (path: string, fields: Record<string, string>): Promise<Record<string, string>> =>
    JSON.parse((await loopbackFetch(`${launcher}/.postern/${path}`, { method: "POST", headers: { "content-type": "application/x-www-form-urlencoded" }, body: new URLSearchParams(fields).toString() })).text) as Record<string, string>;
  const begun = await form("device/begin", { client_id: "scenarios" });
  await browser.submit(`${launcher}/.postern/device`, { user_code: begun["user_code"] ?? "", decision: "approve" });
  const { access_token: token } = await form("token", { grant_type: "urn:ietf:params:oauth:grant-type:device_code", device_code: begun["device_code"] ?? "" });
  if (token === undefined) throw new Error("no token");
  return token;
}

async function enrolled(world: World, token: string, endpoint: EndpointKind): Promise<Machine> {
  const folder = join(world.stack.stateDirectory, `machine-${++made}`);
  const reports = machineAt(world.launcher, folder);
  const { id } = await reports.enrol(token, "laptop");
  const answer = await world.operator.call("POST", `/devices/${id}`, JSON.stringify({ managed: endpoint === "EP" }));
  if (answer.status !== 200) throw new Error(`the device was not taken in: ${answer.text}`);
  return { id, folder, reports };
}

/** Another machine with a copy of the key speaks besides: neither is the device any more. */
export async function failsAsDevice({ world, machine }: Person): Promise<void> {
  if (machine === undefined) throw new Error("no machine");
  const copy = join(world.stack.stateDirectory, `copy-${machine.id}`);
  cpSync(machine.folder, copy, { recursive: true, preserveTimestamps: true });
  await machineAt(world.launcher, copy).report({ ...COMPLIANT, os: "macos" });
  const code = await machine.reports.report(COMPLIANT).then(() => "it still counts", (cause: { readonly code?: string }) => cause.code);
  if (code !== "device_cloned") throw new Error(`the copied key was not found: ${code}`);
}

export interface Call {
  readonly method?: string;
  readonly path?: string;
  readonly from?: Place;
}

/** A request of this person's browser at an app; the first one hands the sign-in on to its host. */
export async function call({ world, browser, place }: Person, app: string, { method = "GET", path = "/low/x", from = place }: Call = {}): Promise<Answered> {
  const home = world.at(app, "/.postern/me");
  if (cookieIn(browser, home, SESSION_COOKIE) === undefined) {
    const first = world.at(app, "/.postern/sign-in?to=%2F.postern%2Fme");
    await browser.follow(await browser.get(first), first);
  }
  const origin = new URL(home).origin;
  return ask({ url: world.at(app, path), method, headers: [["Cookie", browser.cookieHeader(home)], ["Origin", origin], ["Accept", "application/json"], ...Object.entries(world.from(from))], ...(method === "GET" ? {} : { body: "change" }) });
}

/** The step-up or sign-in that a refusal names, done or refused at the provider as it stands there. */
export async function again(person: Person, refusal: Answered): Promise<void> {
  const { error } = JSON.parse(refusal.text) as { error: { login_url?: string } };
  if (error.login_url === undefined) throw new Error(`no way to sign in again: ${refusal.status} ${refusal.code}`);
  // In the second of the signal, whose time has milliseconds: a provider's has none, and must be after it.
  atProvider(person.world, person.account, { authTime: Math.ceil(Date.now() / 1_000) });
  await authenticate(person.world, person.account, person.browser, error.login_url);
}
