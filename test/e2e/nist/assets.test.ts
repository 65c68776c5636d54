/**
 * Scenarios of NIST SP 1800-35 about assets and services: endpoints and connectors that are
 * onboarded and authenticate again, calls between services, and that all of it is on record.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterAll, beforeAll, expect, it } from "vitest";
import { generateConnectorKey } from "../../../identity/connector-proof.ts";
import { SUBPROTOCOL } from "../../../protocol/hello.ts";
import { CONNECT_PATH } from "../../../protocol/paths.ts";
import { edgeApi } from "../../../start/edge-api.ts";
import { type LocalConnector, startConnector } from "../../../start/local-connector.ts";
import { plainEnvironment } from "../../../start/processes.ts";
import { PROJECT } from "../../architecture/source-files.ts";
import { until } from "../../start/running-stack.ts";
import { type Answered, ask, upgrade } from "../credentials/plain-request.ts";
import { TestAgent } from "../tcp/agent-client.ts";
import { type AppConnection, appConnection } from "../tcp/app-connection.ts";
import { access, expectRecorded } from "./judge.ts";
import { goesOn, isTerminated, live } from "./live.ts";
import { account, call, COMPLIANT, type EndpointKind, entered, failsAsDevice, NOT_COMPLIANT } from "./person.ts";
import { pairOf, type Place } from "./places.ts";
import { oneWant, type Row } from "./rows.ts";
import { scenario } from "./scenario.ts";
import { startWorld, type World } from "./world.ts";

/** An edge that is killed and started again, on a machine that does something else too. */
const FAULTS_MS = 60_000;
let world: World;
let made = 0;
beforeAll(async () => {
  world = await startWorld();
  // The connectors of this site are the scenarios' own.
  await world.stack.connectors.find(({ site }) => site === "branch")?.child.stop(0);
});
afterAll(() => world?.end());

const inCloud = (app: string, to: "office" | "cloud"): string => (to === "cloud" ? `${app}-cloud` : app);
const newFolder = (): string => join(world.stack.stateDirectory, `connector-${++made}`);

/** Runs the program of a connector of the branch; rejects when the edge does not take it. */
function connectorIn(folder: string): Promise<LocalConnector> {
  const operatorToken = readFileSync(world.stack.tokenFile, "utf8").trim();
  return startConnector({ processes: world.stack.processes, api: edgeApi(world.launcher), operatorToken, site: "branch", stateDirectory: folder });
}

/** Another key than the one that was enrolled. */
async function otherKey(folder: string): Promise<void> {
  const { privateJwk } = await generateConnectorKey(crypto.subtle);
  writeFileSync(join(folder, "key.json"), JSON.stringify(privateJwk), { mode: 0o600 });
}

/** The program with this state, until the edge has told it that its proof is no good. */
async function isRefused(folder: string): Promise<void> {
  const argv = [process.execPath, join(PROJECT, "bin/postern-connector.mjs"), "run", "--state", folder] as const;
  const child = world.stack.processes.start({ name: `refused-${++made}`, argv, env: plainEnvironment() });
  const log = (): string => readFileSync(child.logFile, "utf8");
  await until(() => log().includes("refused the hello") || child.ended(), "the edge answers the hello", 15_000).catch((cause: unknown) => {
    throw new Error(log(), { cause });
  });
  expect(log()).toContain("refused the hello");
  await child.stop(0);
}

/** A call of a service, from a place. */
async function serviceCall(service: string, app: string, from: Place = "office"): Promise<Answered> {
  return ask({ url: world.at(app, "/low/call"), headers: [["Authorization", `Bearer ${await world.serviceToken(service)}`], ...Object.entries(world.from(from))] });
}
const answers = async (): Promise<number> => (await serviceCall("billing", "api-branch")).status;

/** Whether the edge would let anything of the branch through: 200, or 503 without a connector. */
async function resourceOf({ facts, want, scenario: id }: Row): Promise<void> {
  const folder = newFolder();
  if (facts["onboarded"] === "N") {
    const { status, code } = await upgrade(`${world.launcher}${CONNECT_PATH}?connector=c_${"A".repeat(22)}&lane=0`, [], [SUBPROTOCOL]);
    expect([status >= 400, code]).toEqual([true, "connector_unknown"]);
    expect([await answers(), want]).toEqual([503, "No Access to Network"]);
    return;
  }
  const connector = await connectorIn(folder);
  expect(await answers()).toBe(200);
  const isAgain = id === "A-2";
  if (facts["endpoint"] === "N") {
    await world.operator.revoke("connector", connector.id);
    expect(await answers()).toBe(503);
    const { code } = await upgrade(`${world.launcher}${CONNECT_PATH}?connector=${connector.id}&lane=0`, [], [SUBPROTOCOL]);
    expect([code, want]).toEqual(["connector_unknown", isAgain ? "Terminate Access to Network" : "No Access to Network"]);
  } else if (facts["auth"]?.endsWith("-") === true) {
    await connector.child.stop(0);
    await otherKey(folder);
    await isRefused(folder);
    expect([await answers(), want]).toEqual([503, isAgain ? "Terminate Access to Network" : "No Access to Network"]);
  } else if (isAgain) {
    await connector.child.stop(0);
    expect(await answers()).toBe(503);
    const second = await connectorIn(folder);
    expect([await answers(), want]).toEqual([200, "Keep Access to Network"]);
    await second.child.stop(0);
  } else expect(want).toBe("Access to Network");
  await connector.child.stop(0);
}

/** Network is what the company's apps are; the public network is a path that is anybody's. */
const NETWORK: Readonly<Record<string, readonly [rss1: string, rss2: string]>> = {
  "Access to Network": ["Access Successful", "Access Successful"],
  "Limited Access to Network": ["Access Not Successful", "Access Limited"],
  "No Access to Network": ["Access Not Successful", "Access Not Successful"],
  "Access to Public Network": ["Access Not Successful", "Access Not Successful"],
  "Keep Access to Network": ["Access Successful", "Access Successful"],
  "Terminate Access to Network": ["Access Not Successful", "Access Not Successful"],
};

scenario("A-1", async (row) => {
  const { type, onboarded, auth, endpoint } = row.facts;
  if (type === "RSS") return resourceOf(row);
  const kind = onboarded === "Y" ? (type as EndpointKind) : "Guest";
  for (const text of row.at ?? []) {
    const place = pairOf(text).from;
    const person = await entered(world, await account(world, "own", ["full"]), { place, endpoint: kind, posture: endpoint === "N" ? NOT_COMPLIANT : COMPLIANT });
    if (auth === "A-") await failsAsDevice(person);
    expect([await access(person, "rss1"), await access(person, "rss2")], text).toEqual(NETWORK[oneWant(row)]);
    expect((await call(person, "public")).status).toBe(200);
  }
});

scenario("A-2", async (row) => {
  const { type, auth, endpoint } = row.facts;
  if (type === "RSS") return resourceOf(row);
  for (const text of row.at ?? []) {
    const person = await entered(world, await account(world, "own", ["full"]), { place: pairOf(text).from, endpoint: type as EndpointKind });
    const of = await live(person, "rss1", { tcp: "pipe" });
    if (auth === "RA-") await failsAsDevice(person);
    else await person.machine?.reports.report(endpoint === "Y" ? COMPLIANT : NOT_COMPLIANT);
    if (row.want === "Keep Access to Network") await goesOn(of);
    else await isTerminated(world, of);
    expect([await access(person, "rss1"), await access(person, "rss2")], text).toEqual(NETWORK[oneWant(row)]);
    await of.leave();
  }
});

scenario("A-3", async (row) => {
  const isUser = row.facts["type"] === "USER";
  const person = isUser ? await entered(world, await account(world, "own", ["full"]), { endpoint: "EP" }) : undefined;
  const requests: { readonly app: string; readonly id: string }[] = [];
  for (const text of row.at ?? []) {
    const { from, to } = pairOf(text);
    const app = inCloud(person === undefined ? "api" : "rss1", to);
    const answer = person === undefined ? await serviceCall("billing", app, from) : await call(person, app, { from, path: "/low/call" });
    expect(answer.status, text).toBe(200);
    requests.push({ app, id: String(answer.headers["postern-request-id"]) });
  }
  for (const { app, id } of requests) {
    expect(await world.recorded(id)).toMatchObject({ recorded_effect: "allow", ask: { app, method: "GET", path: "/low/call" }, subject: { kind: isUser ? "user" : "service" } });
  }
});

/** G-1 to G-4: allowed or not, a call is on record. */
async function serviceCalls(row: Row): Promise<void> {
  const may = row.facts["authorized"] === "Yes";
  const requests: string[] = [];
  for (const text of row.at ?? ["cloud>office"]) {
    const { from, to } = pairOf(text);
    const answer = await serviceCall(may ? "billing" : "stray", inCloud("api", to), from);
    expect(answer.status === 200 ? "Access successful" : "Access not successful", `${text}: ${answer.status}`).toBe(row.want);
    requests.push(String(answer.headers["postern-request-id"]));
  }
  for (const id of requests) expect((await world.recorded(id)).recorded_effect).toBe(may ? "allow" : "deny");
}

scenario("G-1", serviceCalls);
scenario("G-2", serviceCalls);
scenario("G-3", serviceCalls);
scenario("G-4", serviceCalls);

const tcpOf = async (service: string): Promise<{ readonly agent: TestAgent; readonly connection: AppConnection }> => {
  const agent = await TestAgent.connect({ port: world.stack.port, host: new URL(world.launcher).host, app: "endpoint", token: await world.serviceToken(service) });
  const connection = await appConnection(agent, "endpoint");
  connection.local.on("error", () => undefined);
  connection.local.write("a task");
  await once(connection.local, "data");
  return { agent, connection };
};

/** The endpoint runs a connector; the task is a TCP connection, encrypted from end to end. */
scenario("G-5", async () => {
  const connector = await connectorIn(newFolder());
  const { agent, connection } = await tcpOf("management");
  await expect(tcpOf("billing")).rejects.toThrow();
  connection.local.end();
  await connection.over;
  await until(() => world.echo.sockets.size === 0, "the session is closed at the endpoint");
  agent.close();
  await connector.child.stop(0);
});

it("the record has each decision on endpoints as it was seen (A-3)", async () => {
  expect(await expectRecorded(world)).toBeGreaterThan(50);
});

/** The connector proves itself anew to an edge that was killed, and the connection goes on; or it is barred, and all of it ends. */
scenario("F-3", async ({ facts }) => {
  const connector = await connectorIn(newFolder());
  if (facts["reauth"] === "Fails") {
    const { agent, connection } = await tcpOf("management");
    await world.operator.revoke("connector", connector.id);
    await until(() => connection.stream.end !== "open" && world.echo.sockets.size === 0, "it is over at both ends", 5_000);
    agent.close();
    return;
  }
  const folder = newFolder();
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  writeFileSync(join(folder, "token"), await world.serviceToken("management"), { mode: 0o600 });
  const agent = spawn(process.execPath, [join(PROJECT, "bin/postern.mjs"), "tcp", "endpoint", "--json", "--edge", world.launcher, "--token-file", join(folder, "token")], { stdio: ["ignore", "pipe", "inherit"] });
  try {
    const [line] = (await once(createInterface({ input: agent.stdout }), "line")) as [string];
    const socket = connect({ port: Number((JSON.parse(line) as { listening: string }).listening.split(":").at(-1)), host: "127.0.0.1" });
    socket.write("before");
    expect(String((await once(socket, "data"))[0])).toBe("before");
    await world.stack.restartEdge();
    socket.write("after");
    expect(String((await once(socket, "data"))[0])).toBe("after");
    expect(world.echo.sockets.size).toBe(1);
    socket.destroy();
  } finally {
    agent.kill("SIGKILL");
    await connector.child.stop(0);
  }
}, FAULTS_MS);
