/**
 * The connector's way to the edge through a network that misbehaves (F8), real processes at both
 * ends: what only delays costs nothing; what cuts or alters is an error at both ends, never a byte
 * of one stream in another, never a crash; and when it is over everything works again.
 * What is altered is altered under TLS, as on every way that is not loopback: TLS is what finds it.
 */
import { createHash } from "node:crypto";
import { createServer, request, type Server } from "node:http";
import { type AddressInfo } from "node:net";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { edgeApi } from "../../../start/edge-api.ts";
import { type LocalConnector, startConnector } from "../../../start/local-connector.ts";
import { type Stack, startStack } from "../../../start/stack.ts";
import { seeded } from "../../seeded.ts";
import { temporaryState, until } from "../../start/running-stack.ts";
import { type ChaosProxy, type Fault, startChaosProxy } from "./chaos-proxy.ts";
import { startTlsFront, type TlsFront } from "./tls-front.ts";

const SEED = Number(process.env["POSTERN_TEST_SEED"] ?? 8);
const LOOPS_COUNT = 6;
/** Lines of one answer: what fits into one message of the tunnel, what does not, and what goes by a request of the connector's own. */
const LINES = [20, 6_000, 24_000];
/** Of each site. The first altered piece ends a connection under TLS: the more there are, the more is altered before all wait to come again. */
const LANES_COUNT = 8;
const DELAYED_ANSWERS_COUNT = 60;
/** One piece in so many suffers. */
const SUFFERING_EVERY = 24;
/** Pieces cut or altered before the network is good again. */
const ENOUGH_FAULTS_COUNT = 6;
/** A client of a network that loses bytes; where nothing is lost, everything comes. */
const GIVE_UP_MS = 1_500;
const RECOVERED_WITHIN_MS = 30_000;
/** Of an answer when nothing is lost any more. */
const PATIENCE_MS = 10_000;
const TIMEOUT_MS = 120_000;

/** A name of which no single flip makes another. */
const nameOf = (number: number): string => `${number}x${createHash("sha256").update(String(number)).digest("hex").slice(0, 16)}`;
const isName = (text: string): boolean => text === nameOf(Number.parseInt(text, 10));
const bodyOf = (name: string, lines: number): string => Array.from({ length: lines }, (_, line) => `${name} ${line}\n`).join("");

const SERVICES = Array.from({ length: LOOPS_COUNT }, (_, loop) => `probe-${loop}`);
const HOST = "postern.localhost";
/** A site whose connector goes to the edge in the clear, as it may on loopback only, and one that goes by https. */
const SITES = ["plain", "sealed"] as const;
type Site = (typeof SITES)[number];

interface Way {
  readonly proxy: ChaosProxy;
  readonly connector: LocalConnector;
}

const state = temporaryState();
let app: Server;
let stack: Stack;
let front: TlsFront;
const ways = new Map<Site, Way>();
const proxies: ChaosProxy[] = [];
/** One for each loop: each service has a lane of its own choice, so that the loops share the lanes out among them. */
let tokens: readonly string[];
let asked = 0;

beforeAll(async () => {
  app = createServer((asking, answer) => {
    const [, name = "", lines = ""] = (asking.url ?? "").split("/");
    answer.end(bodyOf(name, Number(lines)));
  });
  app.listen(0, "127.0.0.1");
  await new Promise((up) => app.once("listening", up));
  const upstream = `http://127.0.0.1:${(app.address() as AddressInfo).port}`;
  const documentFile = join(state.path, "chaos.yaml");
  writeFileSync(documentFile, `version: 1
domain: ${HOST}
sites: [${SITES.map((site) => `{ id: ${site}, lanes: ${LANES_COUNT} }`).join(", ")}]
apps: [${SITES.map((site) => `{ id: lines-${site}, site: ${site}, upstream: "${upstream}" }`).join(", ")}]
policies:
  - { id: all, effect: allow, apps: [${SITES.map((site) => `lines-${site}`).join(", ")}], when: { service: [${SERVICES.join(", ")}] } }
  - { id: operators, effect: allow, apps: ["postern:admin"], when: { service: [local-operator] }, limits: { role: operator } }
`);
  stack = await startStack({ stateDirectory: join(state.path, "state"), port: 0, environment: {}, documentFile, withoutConnectors: true });
  front = await startTlsFront(stack.port, HOST);
  const caFile = join(state.path, "front.pem");
  writeFileSync(caFile, front.certificate);
  const operatorToken = readFileSync(stack.tokenFile, "utf8").trim();
  const api = edgeApi(stack.launcher);
  tokens = await Promise.all(SERVICES.map((name) => api.createService(operatorToken, name, "1d")));
  await Promise.all(SITES.map(async (site) => {
    const proxy = await startChaosProxy(site === "sealed" ? front.port : stack.port, seeded(SEED));
    proxies.push(proxy);
    // Enrolled at the proxy's address: the connector never knows another way.
    const launcher = `${site === "sealed" ? "https" : "http"}://${HOST}:${proxy.port}`;
    const connector = await startConnector({ processes: stack.processes, api: { ...api, launcher }, operatorToken, site, stateDirectory: join(state.path, `connector-${site}`), ...(site === "sealed" && { caFile }) });
    ways.set(site, { proxy, connector });
  }));
}, TIMEOUT_MS);
afterAll(async () => {
  await Promise.all(proxies.map((proxy) => proxy.close()));
  await (front as TlsFront | undefined)?.close();
  await (stack as Stack | undefined)?.stop();
  app?.closeAllConnections();
  app?.close();
  state.remove();
});

const wayOf = (site: Site): Way => {
  const way = ways.get(site);
  if (way === undefined) throw new Error(`no way to ${site}`);
  return way;
};

interface Got {
  readonly name: string;
  readonly outcome: "whole" | "refused" | "broken" | "altered";
  /** Lines that name another request. */
  readonly foreign: readonly string[];
}

/** Asks as one of the loops does, with its token and for its number of lines. */
function ask(site: Site, loop: number, giveUpMs = GIVE_UP_MS): Promise<Got> {
  const lines = LINES[loop % LINES.length] ?? 1;
  const name = nameOf(asked++);
  return new Promise((done) => {
    let text = "";
    const over = (outcome: Got["outcome"]): void => {
      const names = new Set(text.split("\n").map((line) => line.split(" ")[0] ?? ""));
      names.delete(name);
      done({ name, outcome, foreign: [...names].filter(isName) });
    };
    const sending = request({ host: "127.0.0.1", port: stack.port, path: `/${name}/${lines}`, agent: false, headers: { host: `lines-${site}.${HOST}:${stack.port}`, authorization: `Bearer ${tokens[loop] ?? ""}` } }, (answer) => {
      answer.setEncoding("latin1").on("data", (part: string) => (text += part));
      answer.on("error", () => undefined);
      answer.on("close", () => over(answer.statusCode !== 200 ? "refused" : !answer.complete ? "broken" : text === bodyOf(name, lines) ? "whole" : "altered"));
    });
    sending.on("error", () => over("broken"));
    // A frame that was lost leaves both ends waiting until a deadline of theirs; a client has its own.
    sending.setTimeout(giveUpMs, () => sending.destroy());
    sending.end();
  });
}

/** Asks in loops until `isEnough`; everything that came of it. */
async function load(site: Site, isEnough: (got: readonly Got[]) => boolean, giveUpMs?: number): Promise<readonly Got[]> {
  const got: Got[] = [];
  await Promise.all(Array.from({ length: LOOPS_COUNT }, async (_, loop) => {
    while (!isEnough(got)) got.push(await ask(site, loop, giveUpMs));
  }));
  return got;
}

const count = ({ proxy }: Way, faults: readonly Fault[]): number => faults.reduce((sum, fault) => sum + proxy.suffered[fault], 0);
const ALTERING: readonly Fault[] = ["flip", "swap", "drop", "double"];

/** Requests while pieces suffer, until it was enough; then the network is good again. What came of the requests. */
async function suffering(site: Site, faults: readonly Fault[], felt = (): number => count(wayOf(site), faults)): Promise<readonly Got[]> {
  const { proxy } = wayOf(site);
  const enough = felt() + ENOUGH_FAULTS_COUNT;
  proxy.suffer(faults, SUFFERING_EVERY);
  const got = await load(site, () => felt() >= enough);
  proxy.suffer([], 1);
  // What waits for bytes that were lost is found by its deadlines (KA2); here the connections end, as they do when a network is back.
  proxy.cutAll();
  return got;
}

async function expectAllIsWell(site: Site): Promise<void> {
  await Promise.all(Array.from({ length: LOOPS_COUNT }, (_, loop) => until(async () => (await ask(site, loop, PATIENCE_MS)).outcome === "whole", "an answer again", RECOVERED_WITHIN_MS)));
  expect(wayOf(site).connector.child.ended()).toBe(false);
  expect(stack.edge().ended()).toBe(false);
}

const outcomesOf = (got: readonly Got[]): readonly string[] => [...new Set(got.map(({ outcome }) => outcome))];

describe("a network that", () => {
  it(`delays and stalls costs no answer (seed ${SEED})`, { timeout: TIMEOUT_MS }, async () => {
    await Promise.all(SITES.map(async (site) => {
      const way = wayOf(site);
      way.proxy.suffer(["delay", "delay", "delay", "stall"], 4);
      const got = await load(site, (all) => all.length >= DELAYED_ANSWERS_COUNT, TIMEOUT_MS);
      way.proxy.suffer([], 1);
      expect(count(way, ["delay", "stall"])).toBeGreaterThan(10);
      expect(got.filter(({ outcome }) => outcome !== "whole")).toEqual([]);
    }));
  });

  it(`flips, swaps, drops and doubles bytes under TLS: an error or the whole, no byte altered, each in its own stream, and all is well afterwards (seed ${SEED})`, { timeout: TIMEOUT_MS }, async () => {
    const got = await suffering("sealed", ALTERING, front.ended);
    expect(got.flatMap(({ foreign }) => foreign)).toEqual([]);
    expect(outcomesOf(got)).not.toContain("altered");
    await expectAllIsWell("sealed");
  });

  it(`cuts connections off in the middle of a frame: an error or the whole, each byte in its own stream, and all is well afterwards (seed ${SEED})`, { timeout: TIMEOUT_MS }, async () => {
    await Promise.all(SITES.map(async (site) => {
      const got = await suffering(site, ["cut"]);
      expect(got.flatMap(({ foreign }) => foreign)).toEqual([]);
      expect(outcomesOf(got)).not.toContain("altered");
      await expectAllIsWell(site);
    }));
  });

  // Of the content nothing is claimed: without TLS nothing protects it, and frames carry no checksum. Nor are bits flipped,
  // which can make of a close code the one that ends a connector for good.
  it(`swaps, drops and doubles bytes in the clear ends neither end, and all is well afterwards (seed ${SEED})`, { timeout: TIMEOUT_MS }, async () => {
    await suffering("plain", ALTERING.filter((fault) => fault !== "flip"));
    await expectAllIsWell("plain");
  });
});
