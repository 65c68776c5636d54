/**
 * What `npm run bench:revoke` runs on: the product as `npm start` runs it with two lanes, a provider
 * with as many people as are asked for, the private app, sshd where OpenSSH is, agents, the clients.
 */
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { edgeApi } from "../../start/edge-api.ts";
import { type LocalConnector, startConnector } from "../../start/local-connector.ts";
import { createProcesses, plainEnvironment } from "../../start/processes.ts";
import { type Stack, type StackOptions, startStack } from "../../start/stack.ts";
import { privateFolder } from "../../start/state-files.ts";
import { canonical } from "../../test/canonical.ts";
import { type OwnIssuer, startOwnIssuer } from "../../test/e2e/credentials/own-issuer.ts";
import { type Operator, operatorOf } from "../../test/e2e/revocation/operator.ts";
import { freePort, hasOpenSsh, startSshd } from "../sshd.ts";
import { programPath } from "../soak/programs.ts";
import { type AppPorts } from "./app.ts";
import { type Agent, startAgent } from "./agents.ts";
import { callsOf } from "./calls.ts";
import type { Login } from "./openers.ts";
import { inBrowser, onCommandLine, type SignedIn, withToken } from "./sessions.ts";

/** The app's three faces: what a browser opens, and two TCP services. */
export const APPS = ["web", "pipe", "shell"] as const;
export type App = (typeof APPS)[number];
const LANES_COUNT = 2;
export const SERVICE = "bench-service";

export interface Stage {
  readonly stack: Stack;
  readonly operator: Operator;
  readonly issuer: OwnIssuer;
  readonly folder: string;
  readonly app: ReturnType<typeof callsOf>;
  readonly clients: ReturnType<typeof callsOf>;
  /** How to log in at the app `shell` through an agent; undefined without OpenSSH. */
  readonly login: Login | undefined;
  /** The document as canonical JSON, these policies in place of the usual ones. */
  readonly document: (policies?: string) => string;
  /** A person of the team `staff` with a session of their own at an app. */
  readonly signIn: (person: string, app: App) => Promise<SignedIn>;
  /** The same, always with the token of a command line. */
  readonly signInWithToken: (person: string, app: App) => Promise<SignedIn>;
  /** An agent of an app, started when first asked for, whoever it acts for then; two of one app act for two sessions. */
  readonly agent: (app: App, slot: number, session: SignedIn) => Promise<Agent>;
  /** Ends the agents: one whose session lives on would go on acting for it. */
  readonly endAgents: () => Promise<void>;
  /** The connector that carries everything now. */
  readonly connector: () => LocalConnector;
  /** Another connector of the site, in place of one that is gone. */
  readonly renewConnector: () => Promise<void>;
  /** Kills the connector (SIGKILL) and starts the same one again. */
  readonly restartConnector: () => Promise<void>;
  readonly stop: () => Promise<void>;
}

export const STAFF = `  - { id: staff, effect: allow, apps: [${APPS.join(", ")}], when: { group: [staff] } }
  - { id: service, effect: allow, apps: [${APPS.join(", ")}], when: { service: [${SERVICE}] } }`;

const textOf = (issuer: string, ports: AppPorts, policies: string): string => `version: 1
domain: postern.localhost
identity:
  providers:
    - { id: own, issuer: "${issuer}", client_id: postern, scopes: [openid, email, profile, groups], groups_claim: groups, email_domains: [example.com] }
sites: [{ id: office, lanes: ${LANES_COUNT} }]
apps:
  - { id: web, site: office, upstream: "http://127.0.0.1:${ports.http}" }
  - { id: pipe, site: office, upstream: "tcp://127.0.0.1:${ports.tcp}" }
  - { id: shell, site: office, upstream: "tcp://127.0.0.1:${ports.tcp}" }
policies:
${policies}
  - { id: this-machine-operates, effect: allow, apps: ["postern:admin"], when: { service: [local-operator] }, limits: { role: operator } }
`;

export interface StageOptions {
  readonly say: (line: string) => void;
  /** Another Worker than the project's. */
  readonly wranglerConfig?: string;
  /** The connector reaches the edge at this port, given the edge's own: something may stand in between. */
  readonly between?: (edgePort: number) => Promise<number>;
}

/** Starts all of it; whatever fails, nothing is left running. */
export async function startStage({ say, wranglerConfig, between }: StageOptions): Promise<Stage> {
  const folder = await mkdtemp(join(tmpdir(), "postern-revoke-"));
  const processes = createProcesses(await privateFolder(join(folder, "logs")));
  const issuer = await startOwnIssuer();
  let stack: Stack | undefined;
  const stop = async (): Promise<void> => {
    await stack?.stop();
    await processes.stopAll();
    await issuer.close();
    await rm(folder, { recursive: true, force: true });
  };
  try {
    const [app, clients] = ["app", "clients"].map((name) => callsOf(processes.start({ name, argv: [process.execPath, join(import.meta.dirname, `${name}.ts`)], env: plainEnvironment(), channel: "ipc" }))) as [ReturnType<typeof callsOf>, ReturnType<typeof callsOf>];
    const ports = await app<AppPorts>("listen");
    const documentFile = join(folder, "postern.yaml");
    await writeFile(documentFile, textOf(issuer.issuer, ports, STAFF));
    say("starting the product");
    const options: StackOptions = { stateDirectory: join(folder, "stack"), port: 0, environment: {}, documentFile, withoutConnectors: true, ...(wranglerConfig === undefined ? {} : { wranglerConfig }) };
    const running = await startStack(options);
    stack = running;
    const operatorToken = (await readFile(running.tokenFile, "utf8")).trim();
    const edge = between === undefined ? running.launcher : `http://postern.localhost:${await between(running.port)}`;
    let connectors = 0;
    const begin = (stateDirectory: string): Promise<LocalConnector> => startConnector({ processes: running.processes, api: edgeApi(edge), operatorToken, site: "office", stateDirectory });
    const enrol = (): Promise<LocalConnector> => begin(join(folder, `connector-${++connectors}`));
    let connector = await enrol();
    let login: Login | undefined;
    if (hasOpenSsh()) {
      const sshd = await startSshd(processes, folder, await freePort());
      await app("sshd", sshd.port);
      login = { argv: [programPath("ssh") ?? "", ...sshd.options], target: `${sshd.user}@127.0.0.1`, remote: `${process.execPath} ${join(import.meta.dirname, "shell.ts")} ${ports.tcp}` };
    }
    const agents = new Map<string, Agent>();
    let started = 0;
    const endAgents = async (): Promise<void> => {
      const ending = [...agents.values()];
      agents.clear();
      await Promise.all(ending.map(({ child }) => child.stop()));
    };
    const reach = { launcher: running.launcher, issuer, web: running.apps.find(({ id }) => id === "web")?.url ?? "" };
    const isStaff = (person: string): void => {
      if (!issuer.people.has(person)) issuer.people.set(person, { groups: ["staff"] });
    };
    return {
      stack: running,
      operator: operatorOf(running.launcher, running.tokenFile),
      issuer,
      folder,
      app,
      clients,
      login,
      document: (policies = STAFF) => canonical(textOf(issuer.issuer, ports, policies)),
      signIn: async (person, at) => {
        isStaff(person);
        return at === "web" ? inBrowser(reach, person) : onCommandLine(reach, person);
      },
      signInWithToken: async (person, at) => {
        isStaff(person);
        return withToken(reach, person, at);
      },
      agent: async (of, slot, session) => {
        const key = `${of}-${slot}`;
        const known = agents.get(key);
        if (known !== undefined) {
          await known.actFor(session.token);
          return known;
        }
        const made = await startAgent(running, of, join(folder, `agent-${key}-${++started}`), session.token);
        agents.set(key, made);
        return made;
      },
      endAgents,
      connector: () => connector,
      renewConnector: async () => {
        await connector.child.stop();
        // They know the old one's key, and nobody vouches for the new one's.
        await endAgents();
        connector = await enrol();
      },
      restartConnector: async () => {
        connector.child.process.kill("SIGKILL");
        await connector.child.exited;
        connector = await begin(connector.stateDirectory);
      },
      stop,
    };
  } catch (cause) {
    await stop();
    throw cause;
  }
}
