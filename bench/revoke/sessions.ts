/** Sessions of people, come by as people do: in a browser by the provider's code flow, on a command line by a device code (RFC 8628). */
import { loopbackFetch } from "../../start/loopback-http.ts";
import { type PeopleEdge, SESSION_COOKIE, type SignedIn as Person, signInAs } from "../../test/e2e/credentials/people-edge.ts";
import type { Stage } from "./stage.ts";

/** One session, and what it is used with: the headers of a request at the app `web`, or an agent's token. */
export interface SignedIn {
  readonly sid: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Of a command line that was let in by this session. */
  readonly token: () => Promise<string>;
  /** The person's id. */
  readonly user: () => Promise<string>;
}

export interface Reach {
  readonly launcher: string;
  readonly issuer: Stage["issuer"];
  /** The address of the app `web`. */
  readonly web: string;
}

/** All that a sign-in needs of an edge. */
const edgeOf = ({ launcher, issuer }: Reach): PeopleEdge => ({ launcher, issuer }) as PeopleEdge;

export async function inBrowser(reach: Reach, person: string): Promise<SignedIn> {
  const { host, origin } = new URL(reach.web);
  const signedIn = await signInAs(edgeOf(reach), person, reach.web);
  return { sid: signedIn.sid, token: () => deviceToken(reach, signedIn), user: () => userOf(reach, signedIn), headers: { host, origin, cookie: `${SESSION_COOKIE}=${signedIn.cookie(reach.web)}` } };
}

export async function onCommandLine(reach: Reach, person: string): Promise<SignedIn> {
  const signedIn = await signInAs(edgeOf(reach), person);
  const token = await deviceToken(reach, signedIn);
  return { sid: signedIn.sid, token: () => Promise.resolve(token), user: () => userOf(reach, signedIn), headers: {} };
}

async function userOf({ launcher }: Reach, { cookie }: Person): Promise<string> {
  const { text } = await loopbackFetch(`${launcher}/.postern/me`, { headers: { accept: "application/json", cookie: `${SESSION_COOKIE}=${cookie(launcher)}` } });
  return (JSON.parse(text) as { readonly subject: { readonly id: string } }).subject.id;
}

async function form(url: string, fields: Readonly<Record<string, string>>, headers: Readonly<Record<string, string>> = {}): Promise<{ readonly status: number; readonly text: string }> {
  return loopbackFetch(url, { method: "POST", headers: { ...headers, "content-type": "application/x-www-form-urlencoded" }, body: new URLSearchParams(fields).toString() });
}

async function deviceToken({ launcher }: Reach, { cookie }: Person): Promise<string> {
  const begun = JSON.parse((await form(`${launcher}/.postern/device/begin`, { client_id: "bench" })).text) as { readonly device_code: string; readonly user_code: string };
  const approved = await form(`${launcher}/.postern/device`, { user_code: begun.user_code, decision: "approve" }, { origin: launcher, cookie: `${SESSION_COOKIE}=${cookie(launcher)}` });
  if (approved.status !== 200) throw new Error(`the device was not approved: ${approved.status}`);
  const answer = await form(`${launcher}/.postern/token`, { grant_type: "urn:ietf:params:oauth:grant-type:device_code", device_code: begun.device_code });
  const { access_token: token } = JSON.parse(answer.text) as { readonly access_token?: string };
  if (token === undefined) throw new Error(`no token: ${answer.status} ${answer.text.slice(0, 300)}`);
  return token;
}
