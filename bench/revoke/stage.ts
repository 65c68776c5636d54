/**
 * What `npm run bench:revoke` runs on: the product as `npm start` runs it with two lanes, a provider
 * with as many people as are asked for, the private app, sshd where OpenSSH is, agents, the clients.
 */
import { randomBytes } from "node:crypto";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { edgeApi } from "../../start/edge-api.ts";
import { type ConnectorOptions, enroll, type LocalConnector, startConnector } from "../../start/local-connector.ts";
import { createProcesses, plainEnvironment } from "../../start/processes.ts";
import { type Stack, type StackOptions, startStack } from "../../start/stack.ts";
import { privateFolder } from "../../start/state-files.ts";
import { canonical } from "../../test/canonical.ts";
import { type OwnIssuer, startOwnIssuer } from "../../test/e2e/credentials/own-issuer.ts";
import { type Operator, operatorOf } from "../../test/e2e/revocation/operator.ts";
import { THIS_MACHINE_OPERATES } from "../../test/start/own-document.ts";
import { freePort, hasOpenSsh, startSshd } from "../sshd.ts";
import { programPath } from "../soak/programs.ts";
import { type AppPorts } from "./app.ts";
import { type Agent, startAgent } from "./agents.ts";
import { callsOf } from "./calls.ts";
import type { Login } from "./openers.ts";
import { inBrowser, onCommandLine, type SignedIn } from "./sessions.ts";

/** The app's three faces: what a browser opens, and two TCP services. */
export const APPS = ["web", "pipe", "shell"] as const;
export type App = (typeof APPS)[number];
const LANES_COUNT = 2;
/** What OpenSSH would rather begin with costs it more than all that is measured of a login. */
const CHEAP_LOGIN = ["-o", "KexAlgorithms=curve25519-sha256"];
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
  /** The document as canonical JSON, these parts in place of the usual ones. */
  readonly document: (parts?: DocumentParts) => string;
  /** The directory's bearer. */
  readonly scimToken: string;
  /** A person of the team `staff` with a session of their own at an app. */
  readonly signIn: (person: string, app: App) => Promise<SignedIn>;
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

/** What a signal's document has of its own. */
export interface DocumentParts {
  /** The policies that let people in. */
  readonly policies?: string;
  /** Further keys of the provider, and further sections. */
  readonly provider?: string;
  readonly sections?: string;
}

const everyApp = `apps: [${APPS.join(", ")}]`;
/** The policies that let somebody in on this condition, everywhere. */
export const when = (condition: string): string => `  - { id: staff, effect: allow, ${everyApp}, when: ${condition} }`;
const STAFF = `${when("{ group: [staff] }")}
  - { id: service, effect: allow, ${everyApp}, when: { service: [${SERVICE}] } }`;

const textOf = (issuer: string, ports: AppPorts, { policies = STAFF, provider = "", sections = "" }: DocumentParts): string => `version: 1
domain: postern.localhost
identity:
  providers:
    - { id: own, issuer: "${issuer}", client_id: postern, scopes: [openid, email, profile, groups], groups_claim: groups, email_domains: [example.com]${provider} }
${sections}
sites: [{ id: office, lanes: ${LANES_COUNT} }]
apps:
  - { id: web, site: office, upstream: "http://127.0.0.1:${ports.http}" }
  - { id: pipe, site: office, upstream: "tcp://127.0.0.1:${ports.tcp}" }
  - { id: shell, site: office, upstream: "tcp://127.0.0.1:${ports.tcp}" }
policies:
${policies}
  - ${THIS_MACHINE_OPERATES}
`;

/** A directory that writes by SCIM. */
export const WITH_SCIM = ", scim: { token: { secret: BENCH_SCIM_TOKEN } }";

export interface StageOptions {
  readonly say: (line: string) => void;
  /** Another Worker than the project's. */
  readonly wranglerConfig?: string;
  /** More arguments of workerd; for a profile. */
  readonly workerdArguments?: readonly string[];
  /** The connector reaches the edge at this port, given the edge's own: something may stand in between. */
  readonly between?: (edgePort: number) => Promise<number>;
}

/** Starts all of it; whatever fails, nothing is left running. */
export async function startStage({ say, wranglerConfig, workerdArguments, between }: StageOptions): Promise<Stage> {
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
    // The start hands the Worker the secrets that its document names.
    await writeFile(documentFile, textOf(issuer.issuer, ports, { provider: WITH_SCIM }));
    const scimToken = randomBytes(32).toString("base64url");
    say("starting the product");
    const options: StackOptions = { stateDirectory: join(folder, "stack"), port: 0, environment: { BENCH_SCIM_TOKEN: scimToken }, documentFile, withoutConnectors: true, ...(wranglerConfig === undefined ? {} : { wranglerConfig }), ...(workerdArguments === undefined ? {} : { workerdArguments }) };
    const running = await startStack(options);
    stack = running;
    const operatorToken = (await readFile(running.tokenFile, "utf8")).trim();
    const edge = between === undefined ? running.launcher : `http://postern.localhost:${await between(running.port)}`;
    let connectors = 0;
    const connectorAt = (stateDirectory: string): ConnectorOptions => ({ processes: running.processes, api: edgeApi(edge), operatorToken, site: "office", stateDirectory });
    const begin = (stateDirectory: string): Promise<LocalConnector> => startConnector(connectorAt(stateDirectory));
    const another = (): string => join(folder, `connector-${++connectors}`);
    let connector = await begin(another());
    let upcoming = another();
    let login: Login | undefined;
    if (hasOpenSsh("bash")) {
      const sshd = await startSshd(processes, folder, await freePort());
      await app("sshd", sshd.port);
      login = { argv: [programPath("ssh") ?? "", ...sshd.options, ...CHEAP_LOGIN], target: `${sshd.user}@127.0.0.1`, remote: `bash ${join(import.meta.dirname, "shell.sh")} ${ports.tcp}` };
    }
    const document = (parts: DocumentParts = {}): string => canonical(textOf(issuer.issuer, ports, parts));
    const operator = operatorOf(running.launcher, running.tokenFile);
    const { status, text } = await operator.call("POST", "/policy", document());
    if (status !== 200) throw new Error(`the document was not applied: ${status} ${text.slice(0, 300)}`);
    const agents = new Map<string, Agent>();
    let started = 0;
    const endAgents = async (): Promise<void> => {
      const ending = [...agents.values()];
      agents.clear();
      await Promise.all(ending.map(({ child }) => child.stop()));
    };
    const reach = { launcher: running.launcher, issuer, web: running.apps.find(({ id }) => id === "web")?.url ?? "" };
    return {
      stack: running,
      operator,
      issuer,
      folder,
      app,
      clients,
      login,
      document,
      scimToken,
      signIn: async (person, at) => {
        if (!issuer.people.has(person)) issuer.people.set(person, { groups: ["staff"], amr: ["pwd", "mfa"] });
        return at === "web" ? inBrowser(reach, person) : onCommandLine(reach, person);
      },
      agent: async (of, slot, session) => {
        const key = `${of}-${slot}`;
        const known = agents.get(key);
        if (known !== undefined) {
          await known.actFor(await session.token());
          return known;
        }
        const made = await startAgent(running, of, join(folder, `agent-${key}-${++started}`), await session.token());
        agents.set(key, made);
        return made;
      },
      endAgents,
      connector: () => connector,
      renewConnector: async () => {
        await connector.child.stop();
        // They know the old one's key, and nobody vouches for the new one's.
        await endAgents();
        // The one after it is enrolled while it starts.
        const following = another();
        [connector] = await Promise.all([begin(upcoming), enroll(connectorAt(following))]);
        upcoming = following;
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
