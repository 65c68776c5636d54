/** The product for a long proof: one site, one app beside it, and services whose tokens are sessions spread over its lanes. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { edgeApi } from "../../start/edge-api.ts";
import { loopbackFetch } from "../../start/loopback-http.ts";
import { type Child, plainEnvironment } from "../../start/processes.ts";
import { type Stack, startStack } from "../../start/stack.ts";
import { waitFor } from "../program.ts";
import { THIS_MACHINE_OPERATES } from "../../test/start/own-document.ts";

export interface SoakSite {
  readonly stack: Stack;
  readonly host: string;
  readonly tokens: readonly string[];
  readonly app: Child;
  readonly operatorToken: string;
  /** GET of the admin API, parsed. */
  readonly api: (path: string) => Promise<{ readonly status: number; readonly json: unknown }>;
  readonly stop: () => Promise<void>;
}

export interface SiteOptions {
  readonly folder: string;
  readonly lanes: number;
  readonly services: number;
  readonly withoutConnectors?: boolean;
  /** Further TCP apps, by id, and the ports of this machine where they listen. */
  readonly tcpApps?: Readonly<Record<string, number>>;
  /** A provider whose people may come to the app `soak`, by the ID tokens that they have for "robots". */
  readonly issuer?: string;
}

const providerOf = (issuer: string): string => `identity:
  providers:
    - { id: own, issuer: "${issuer}", client_id: postern, scopes: [openid, email, profile], email_domains: [example.com], token_audiences: [robots] }
`;

/** What the app's ports are, and where further TCP apps listen. */
interface Upstreams {
  readonly http: number;
  readonly tcp: number;
  readonly more: Readonly<Record<string, number>>;
}

const documentOf = ({ http, tcp, more }: Upstreams, lanes: number, services: readonly string[], people: string): string => `version: 1
domain: postern.localhost
${people}sites: [{ id: office, lanes: ${lanes} }]
apps:
  - { id: soak, site: office, upstream: "http://127.0.0.1:${http}" }
  - { id: closed, site: office, upstream: "http://127.0.0.1:${http}" }
${Object.entries({ line: tcp, ...more }).map(([id, port]) => `  - { id: ${id}, site: office, upstream: "tcp://127.0.0.1:${port}" }`).join("\n")}
policies:
  - { id: all, effect: allow, apps: [soak, ${["line", ...Object.keys(more)].join(", ")}], when: { service: [${services.join(", ")}] } }
  - { id: nobody, effect: allow, apps: [closed], when: { all: [{ service: [${services.join(", ")}] }, { mfa: { max_age: 1h } }] } }
${people === "" ? "" : "  - { id: people, effect: allow, apps: [soak], when: { provider: [own] } }\n"}  - ${THIS_MACHINE_OPERATES}
`;

/** Starts app, edge and connector; whoever calls stops them. */
export async function startSite({ folder, lanes, services, withoutConnectors = false, tcpApps = {}, issuer }: SiteOptions): Promise<SoakSite> {
  const names = Array.from({ length: services }, (_, number) => `soak-${number}`);
  const documentFile = join(folder, "soak.yaml");
  // The app's port is not known before the stack's processes are there; its document is applied again with it.
  const people = issuer === undefined ? "" : providerOf(issuer);
  writeFileSync(documentFile, documentOf({ http: 1, tcp: 1, more: tcpApps }, lanes, names, people));
  const stack = await startStack({ stateDirectory: join(folder, "stack"), port: 0, environment: {}, documentFile, withoutConnectors });
  try {
    const app = stack.processes.start({ name: "app", argv: [process.execPath, join(import.meta.dirname, "echo-app.ts")], env: plainEnvironment(), channel: "ipc" });
    const { port, tcp } = (await waitFor(app)) as { readonly port: number; readonly tcp: number };
    const api = edgeApi(stack.launcher);
    const operatorToken = readFileSync(stack.tokenFile, "utf8").trim();
    await api.apply(operatorToken, documentOf({ http: port, tcp, more: tcpApps }, lanes, names, people));
    const tokens: string[] = [];
    for (const name of names) tokens.push(await api.createService(operatorToken, name, "2d"));
    return {
      stack,
      host: `soak.postern.localhost:${stack.port}`,
      tokens,
      app,
      operatorToken,
      api: async (path) => {
        const answer = await loopbackFetch(`${stack.launcher}/.postern/api/v1${path}`, { headers: { authorization: `Bearer ${operatorToken}` } });
        return { status: answer.status, json: JSON.parse(answer.text) as unknown };
      },
      stop: stack.stop,
    };
  } catch (cause) {
    await stack.stop();
    throw cause;
  }
}
