/**
 * The state of an app through the whole product: its connector reads a bill of materials and checks
 * its health, a policy asks for both, and what is open ends when the file says otherwise.
 */
import { renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import type { Stack } from "../../../start/stack.ts";
import { DEMO_PROVIDER, startOwn, THIS_MACHINE_OPERATES } from "../../start/own-document.ts";
import { temporaryState, until } from "../../start/running-stack.ts";
import { type StampingOrigin, startStampingOrigin } from "../revocation/stamping-origin.ts";
import { type ClientSide, type Kind, open } from "../revocation/stream-clients.ts";
import { type Person, signIn } from "../sign-in.ts";

/** A connector looks at its files every 10 s, on a machine that has other things to do. */
const SEEN_MS = 30_000;

const state = temporaryState();
const file = join(state.path, "bom.json");
let origin: StampingOrigin;
let stack: Stack;
let url: string;

beforeAll(async () => {
  origin = await startStampingOrigin();
  stack = await startOwn(
    state.path,
    `version: 1
domain: postern.localhost
identity:
  providers:
    - ${DEMO_PROVIDER}
sites: [{ id: office, lanes: 1 }]
apps: [{ id: stamps, site: office, upstream: "${origin.url}", health: { path: /now, every: 1s } }]
policies:
  - { id: in-order, effect: allow, apps: [stamps], when: { provider: [demo], target: { healthy: true, version: 4.2.1, max_critical: 0, max_age: 24h } } }
  - ${THIS_MACHINE_OPERATES}
`,
    { connectorArguments: ["--target", `stamps=${file}`] },
  );
  url = stack.apps[0]?.url ?? "";
});
afterAll(async () => {
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
  found("medium", "high");
  await answers(person, 200);
  const open = await Promise.all((["websocket", "events", "download"] as const).map((kind) => live(person, kind)));
  found("critical");
  await until(() => open.every(({ end }) => end !== undefined), "what was open has ended", SEEN_MS);
  expect(open.map(({ end }) => end)).toEqual(["4403", "error", "error"]);
  expect(await statusAt(person)).toBe(403);
  found();
  await answers(person, 200);
});
