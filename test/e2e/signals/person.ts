/** Somebody of the demo with everything open that a signal may end: a WebSocket, an event stream, a download, a TCP connection, an SSH login. */
import { loopbackFetch } from "../../../start/loopback-http.ts";
import { until } from "../../start/running-stack.ts";
import type { FormBrowser } from "../../start/form-browser.ts";
import { DEMO_PASSWORD } from "../../../start/demo-users.ts";
import { type Person, signIn } from "../sign-in.ts";
import { type ClientSide, open } from "../revocation/stream-clients.ts";
import { TestAgent } from "../tcp/agent-client.ts";
import { type AppConnection, appConnection } from "../tcp/app-connection.ts";
import { type Login, logIn } from "./shell.ts";
import type { Demand, SignalStage } from "./stage.ts";

export interface Connected {
  readonly person: Person;
  readonly clients: readonly ClientSide[];
  readonly tcp: AppConnection;
  readonly login: Login | undefined;
  /** Bytes that the local end of the TCP connection was given; each is sent back to the app. */
  readonly received: () => number;
  /** Ends what is left of it, in good order: a lost agent's connection would be kept for a minute. */
  readonly leave: () => Promise<void>;
}

/** Signs in, again and again for a while: who was just signed out is refused for a moment longer. */
export async function signedIn(stage: SignalStage, user: string, app: Demand = "crew"): Promise<Person> {
  let person: Person | undefined;
  await until(async () => {
    person = await signIn(stage.urlOf(app), user).catch(() => undefined);
    return person !== undefined;
  }, `${user} can sign in`, 15_000);
  if (person === undefined) throw new Error("nobody");
  return person;
}

/** A program's token of this person's session, as `postern login` gets it. */
async function tokenOf(stage: SignalStage, person: Person): Promise<string> {
  const { launcher } = stage.stack;
  const form = async (path: string, fields: Record<string, string>): Promise<Record<string, string>> =>
    JSON.parse((await loopbackFetch(`${launcher}/.postern/${path}`, { method: "POST", headers: { "content-type": "application/x-www-form-urlencoded" }, body: new URLSearchParams(fields).toString() })).text) as Record<string, string>;
  const begun = await form("device/begin", { client_id: "signals" });
  await person.browser.submit(`${launcher}/.postern/device`, { user_code: begun["user_code"] ?? "", decision: "approve" });
  const { access_token: token } = await form("token", { grant_type: "urn:ietf:params:oauth:grant-type:device_code", device_code: begun["device_code"] ?? "" });
  if (token === undefined) throw new Error("no token");
  return token;
}

/** Opens all of it at the apps of this demand; every connection has carried something. */
export async function connect(stage: SignalStage, person: Person, demand: Demand = "crew"): Promise<Connected> {
  const clients: ClientSide[] = [];
  for (const kind of ["websocket", "events", "download"] as const) {
    const opened = await open(kind, { port: stage.stack.port, headers: person.headers(stage.urlOf(demand)), name: `${person.user}-${kind}-${crypto.randomUUID()}` });
    if (!opened.ok) throw new Error(`${kind} was refused: ${opened.status}`);
    clients.push(opened.client);
  }
  const agent = await TestAgent.connect({ port: stage.stack.port, host: new URL(stage.stack.launcher).host, app: `${demand}-pipe`, token: await tokenOf(stage, person) });
  const tcp = await appConnection(agent, `${demand}-pipe`);
  let received = 0;
  tcp.local.on("error", () => undefined);
  tcp.local.on("data", (bytes: Buffer) => {
    received += bytes.length;
    if (!tcp.local.writableEnded) tcp.local.write(bytes);
  });
  tcp.local.write("round and round");
  await until(() => received > 150, "bytes go round");
  const login = stage.shell === undefined ? undefined : await logIn(stage.shell, () => appConnection(agent, `${demand}-shell`));
  const leave = async (): Promise<void> => {
    clients.forEach((client) => client.abandon());
    await login?.leave();
    if (tcp.stream.end === "open") {
      tcp.local.end();
      await tcp.over;
    }
    agent.close();
  };
  return { person, clients, tcp, login, received: () => received, leave };
}

/** Follows a page's way to a stronger sign-in, and shows the second factor. */
export async function stepUp(browser: FormBrowser, url: string, user: string): Promise<void> {
  const shown = await browser.open(url);
  const link = /href="([^"]*\/\.postern\/[^"]*mfa=1[^"]*)"/.exec(shown.page?.text ?? "")?.[1]?.replaceAll("&amp;", "&");
  if (link === undefined) throw new Error(`no way to step up: ${shown.page?.status}`);
  const asked = await browser.open(new URL(link, shown.at).href);
  const form = /action="(\/interaction\/[^"]+)"/.exec(asked.page?.text ?? "")?.[1];
  if (form === undefined) throw new Error("the provider did not ask");
  const action = new URL(form, asked.at).href;
  await browser.follow(await browser.submit(action, { user, password: DEMO_PASSWORD, second_factor: "yes" }), action);
}
