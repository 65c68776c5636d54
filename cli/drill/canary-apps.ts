/** The canary's apps in the live document, and whether a drill would meet somebody else there. Changes nothing. */
import type { AppId } from "../../core/ids.ts";
import type { App } from "../../policy/document.ts";
import { hostOf } from "../../policy/naming.ts";
import { policyText, services, sessions } from "../../protocol/admin-api-shapes.ts";
import type { SessionsAnswer } from "../../protocol/admin-api.ts";
import { ADMIN_API } from "../../protocol/paths.ts";
import { liveDocument } from "../document-file.ts";
import type { EdgeClient } from "../edge-client.ts";
import { type EdgeRoute, parseEdgeUrl, routeTo } from "../edge-route.ts";
import { Failure } from "../failure.ts";
import type { Invocation } from "../invocation.ts";
import { DRILL_SERVICE } from "./drill-token.ts";

export const CANARY_APP = "canary";
export const CANARY_TCP_APP = "canary-tcp";
/** In the lines that we show. */
const EXAMPLE = "127.0.0.1:7070";

export interface CanaryApps {
  readonly web: AppId;
  readonly route: EdgeRoute;
  /** Absent: the document has none. */
  readonly tcp: AppId | undefined;
}

const linesOf = (app: string, tcpApp: string, sites: readonly { readonly id: string }[]): readonly string[] => [
  `under apps: - { id: ${app}, site: ${sites[0]?.id ?? "SITE"}, upstream: "http://${EXAMPLE}", visible: false }`,
  `under apps: - { id: ${tcpApp}, site: ${sites[0]?.id ?? "SITE"}, upstream: "tcp://${EXAMPLE}", visible: false }`,
  allowLine(app, tcpApp),
  `postern-connector run --canary ${EXAMPLE}, on each connector of that site`,
  "postern apply FILE, then this again",
];

/** The policy that lets a drill in. */
export const allowLine = (app: string, tcpApp: string): string => `under policies: - { id: drill, effect: allow, apps: [${app}, ${tcpApp}], when: { service: [${DRILL_SERVICE}] } }`;

/** Throws Failure when the document names no canary. */
export async function canaryApps(client: EdgeClient, named: { readonly app?: string; readonly tcpApp?: string }, { ca, io }: Invocation): Promise<CanaryApps> {
  const { text, version } = (await client.get(`${ADMIN_API}/policy`, policyText)).value;
  const { document } = liveDocument(text, version);
  const { app = CANARY_APP, tcpApp = CANARY_TCP_APP } = named;
  const find = (id: string): App | undefined => document.apps.find((one) => one.id === id);
  const missing = (id: string): Failure => new Failure("canary_missing", `the live document has no app ${id}`, "a drill opens connections to a canary, an app that exists for that alone", linesOf(app, tcpApp, document.sites));
  const [web, tcp] = [find(app), find(tcpApp)];
  if (web === undefined) throw missing(app);
  if (tcp === undefined && named.tcpApp !== undefined) throw missing(tcpApp);
  for (const [one, protocol] of [[web, "http"], [tcp, "tcp"]] as const) {
    if (one !== undefined && one.protocol !== protocol) throw new Failure("canary_protocol", `the app ${one.id} speaks ${one.protocol}`, `here an app that speaks ${protocol} is needed`, linesOf(app, tcpApp, document.sites));
  }
  const url = new URL(client.route.origin);
  url.hostname = hostOf(web, document);
  return { web: web.id, route: routeTo(parseEdgeUrl(url.href), ca, io.env), tcp: tcp?.id };
}

/** Fails while another drill goes on, or one left its token behind: what ends the one ends the other. */
export async function refuseASecondDrill(client: EdgeClient, now: number): Promise<void> {
  const all = (await client.get(`${ADMIN_API}/services`, services)).value;
  const other = all.find((one) => one.name === DRILL_SERVICE && one.revoked_at === null && Date.parse(one.expires_at) > now);
  if (other === undefined) return;
  throw new Failure("drill_running", `the service ${DRILL_SERVICE} has a token already`, `another drill is under way, or one was killed; the token ends by itself at ${other.expires_at}`, [`postern revoke service ${DRILL_SERVICE}, if it was killed`, "--force does that, and begins"]);
}

/** Sessions of the drill itself, and who else has connections at the canary. */
export interface Present {
  readonly own: readonly string[];
  readonly others: number;
  /** The edge named not all: there may be more of both. */
  readonly isPartial: boolean;
}

export async function presentAt(client: EdgeClient, { web, tcp }: CanaryApps): Promise<Present> {
  const { value, truncated } = await client.get(`${ADMIN_API}/sessions`, sessions);
  const isOwn = ({ subject }: SessionsAnswer[number]): boolean => subject.kind === "service" && subject.id === DRILL_SERVICE;
  const others = value.filter((one) => !isOwn(one)).flatMap(({ streams }) => streams.filter(({ app }) => app === web || app === tcp));
  return { own: value.filter(isOwn).map(({ id }) => id), others: others.length, isPartial: truncated !== undefined };
}

export const inUse = ({ web, tcp }: CanaryApps, { others }: Present): Failure =>
  new Failure("canary_in_use", `others have ${others} live connection${others === 1 ? "" : "s"} at ${tcp === undefined ? web : `${web} or ${tcp}`}`, "a drill revokes these apps, and would end them", ["postern sessions shows whose they are", "an app that exists for drills alone: --app, --tcp-app", "--force drills all the same"]);
