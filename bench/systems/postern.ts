/**
 * The product itself, whole, as `npm start` runs it: fifty sessions with real cookies, a hundred
 * policies of which the last one lets in, the record on, one connector on a plain leg, one lane.
 */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type StackOptions, startStack } from "../../start/stack.ts";
import { AGENT_SERVICE, startAgent, TCP_APP } from "./postern-tcp.ts";
import { recordsIn } from "./records.ts";
import { cookiesOf } from "./sign-ins.ts";
import type { Entry, Ground, System } from "./system.ts";

const POLICIES_COUNT = 100;
/** One policy in so many denies somebody else. */
const DENY_EVERY = 10;

/** Policies that look at every request of the app and match nobody who asks, before the one that lets alice in. */
function policies(): string {
  const others = Array.from({ length: POLICIES_COUNT - 1 }, (_, i) =>
    i % DENY_EVERY === 0
      ? `  - { id: never-${i}, effect: deny, apps: [bench, sockets, ${TCP_APP}], when: { ip_range: [198.51.${i}.0/24] } }`
      : `  - { id: team-${i}, effect: allow, apps: [bench, sockets, ${TCP_APP}], when: { group: [team-${i}], email_domain: [team-${i}.example.com] } }`,
  );
  return [...others, `  - { id: staff, effect: allow, apps: [bench, sockets, ${TCP_APP}], when: { group: [staff] } }`].join("\n");
}

const documentOf = ({ origin }: Ground): string => `version: 1
domain: postern.localhost
identity:
  providers:
    - { id: demo, issuer: "http://idp.demo.localhost", client_id: postern, client_secret: { secret: DEMO_CLIENT_SECRET }, scopes: [openid, email, profile, groups], groups_claim: groups, email_domains: [example.com] }
sites: [{ id: office, lanes: 1 }]
apps:
  - { id: bench, site: office, upstream: "http://127.0.0.1:${origin.http}" }
  - { id: sockets, site: office, upstream: "http://127.0.0.1:${origin.websocket}" }
  - { id: ${TCP_APP}, site: office, upstream: "tcp://127.0.0.1:${origin.tcp}" }
policies:
${policies()}
  - { id: agents, effect: allow, apps: [${TCP_APP}], when: { service: [${AGENT_SERVICE}] } }
  - { id: this-machine-operates, effect: allow, apps: ["postern:admin"], when: { service: [local-operator] }, limits: { role: operator } }
`;

/** `tuning`: for a profile; a measurement runs the product as it is. */
export async function startPostern(ground: Ground, tuning: Pick<StackOptions, "wranglerConfig" | "workerdArguments"> = {}): Promise<System> {
  const documentFile = join(ground.folder, "postern.yaml");
  await writeFile(documentFile, documentOf(ground));
  const stack = await startStack({ stateDirectory: join(ground.folder, "postern"), port: 0, environment: {}, documentFile, ...tuning });
  try {
    const connector = stack.connectors[0];
    if (connector === undefined) throw new Error("the connector did not start");
    const urlOf = (id: string): string => stack.apps.find((app) => app.id === id)?.url ?? "";
    ground.say(`signing ${ground.sessions} people in`);
    const cookies = await cookiesOf(`${urlOf("bench")}/`, ground.sessions);
    const [socketCookie = ""] = await cookiesOf(`${urlOf("sockets")}/`, 1);
    const parts = [{ name: "edge", pid: stack.edge().pid }, { name: "connector", pid: connector.child.pid }];
    let agent: Promise<Entry> | undefined;
    return {
      http: { port: stack.port, host: new URL(urlOf("bench")).host, cookies },
      websocket: { port: stack.port, host: new URL(urlOf("sockets")).host, cookies: [socketCookie], headers: [`Origin: ${urlOf("sockets")}`] },
      tcp: () => (agent ??= startAgent(stack, join(ground.folder, "agent"))),
      parts: () => parts,
      records: () => recordsIn(join(ground.folder, "postern/objects"), "bench"),
      stop: stack.stop,
    };
  } catch (cause) {
    await stack.stop();
    throw cause;
  }
}
