/**
 * The state of an app through the whole product: its connector reads a bill of materials and checks
 * its health, a policy asks for both, and what is open ends when the file says otherwise.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { plainEnvironment } from "../../../start/processes.ts";
import { type Stack, startStack } from "../../../start/stack.ts";
import { temporaryState, until } from "../../start/running-stack.ts";
import { type StampingOrigin, startStampingOrigin } from "../revocation/stamping-origin.ts";
import { type ClientSide, type Kind, open } from "../revocation/stream-clients.ts";
import { type Person, signIn } from "../sign-in.ts";

const PROGRAM = join(import.meta.dirname, "../../../bin/postern-connector.mjs");
/** A connector looks at its files every 10 s, on a machine that has other things to do. */
const SEEN_MS = 30_000;

const state = temporaryState();
const file = join(state.path, "bom.json");
let origin: StampingOrigin;
let stack: Stack;
let connector: ChildProcess | undefined;
let url: string;

beforeAll(async () => {
  origin = await startStampingOrigin();
  const documentFile = join(state.path, "own.yaml");
  writeFileSync(
    documentFile,
    `version: 1
domain: postern.localhost
identity:
  providers:
    - { id: demo, issuer: "http://idp.demo.localhost", client_id: postern, client_secret: { secret: DEMO_CLIENT_SECRET }, scopes: [openid, email, profile, groups], groups_claim: groups, email_domains: [example.com, partner.example.com] }
sites: [{ id: office, lanes: 1 }]
apps: [{ id: stamps, site: office, upstream: "${origin.url}", health: { path: /now, every: 1s } }]
policies:
  - { id: in-order, effect: allow, apps: [stamps], when: { provider: [demo], target: { healthy: true, version: 4.2.1, max_critical: 0, max_age: 24h } } }
  - { id: this-machine-operates, effect: allow, apps: ["postern:admin"], when: { service: [local-operator] }, limits: { role: operator } }
`,
  );
  stack = await startStack({ stateDirectory: join(state.path, "state"), port: 0, environment: {}, documentFile });
  url = stack.apps[0]?.url ?? "";
});
afterAll(async () => {
  if (connector?.kill("SIGKILL") === true) await once(connector, "exit");
  await stack.stop();
  await origin.close();
  state.remove();
});

/** A bill of materials with a finding of each severity, as a scanner replaces it. */
function found(...severities: readonly string[]): void {
  const vulnerabilities = severities.map((severity, n) => ({ id: `CVE-2026-${n}`, ratings: [{ severity }] }));
  writeFileSync(`${file}.new`, JSON.stringify({ bomFormat: "CycloneDX", specVersion: "1.6", metadata: { timestamp: new Date().toISOString(), component: { type: "container", name: "stamps", version: "4.2.1" } }, vulnerabilities }));
  renameSync(`${file}.new`, file);
}

const statusAt = async (person: Person): Promise<number> => (await person.call(`${url}/now`)).status;
const answers = (person: Person, status: number): Promise<void> => until(async () => (await statusAt(person)) === status, `the app answers ${status}`, SEEN_MS);

async function live(person: Person, kind: Kind): Promise<ClientSide> {
  const opened = await open(kind, { port: stack.port, headers: person.headers(url), name: kind });
  if (!opened.ok) throw new Error(`status ${opened.status}`);
  return opened.client;
}

it("an app opens once its connector says that it is in order, what is open ends with a critical finding, and a fixed app opens again (B-1 n, C-1, F-3)", { timeout: 120_000 }, async () => {
  const person = await signIn(url, "alice");
  expect(await statusAt(person)).toBe(403);
  const [first] = stack.connectors;
  await first?.child.stop();
  found("medium", "high");
  connector = spawn(process.execPath, [PROGRAM, "run", "--state", first?.stateDirectory ?? "", "--target", `stamps=${file}`], { env: plainEnvironment(), stdio: "ignore" });
  await answers(person, 200);
  const open = await Promise.all((["websocket", "events", "download"] as const).map((kind) => live(person, kind)));
  found("critical");
  await until(() => open.every(({ end }) => end !== undefined), "what was open has ended", SEEN_MS);
  expect(open.map(({ end }) => end)).toEqual(["4403", "error", "error"]);
  expect(await statusAt(person)).toBe(403);
  found();
  await answers(person, 200);
});
