/**
 * The connector's way to the edge through a network that misbehaves (F8), real processes at both
 * ends: what only delays costs nothing; what destroys bytes is an error at both ends, never a byte
 * of one stream in another, never a crash; and when it is over everything works again.
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

const SEED = Number(process.env["POSTERN_TEST_SEED"] ?? 8);
const LOOPS_COUNT = 6;
/** Lines of one answer: below and above what fits into one message of the tunnel. */
const LINES = [20, 6_000];
const DELAYED_ANSWERS_COUNT = 60;
const BREAKING_MS = 2_000;
/** A client of a network that loses bytes; where nothing is lost, everything comes. */
const GIVE_UP_MS = 1_500;
const RECOVERED_WITHIN_MS = 30_000;
const TIMEOUT_MS = 60_000;

/** A name of which no single flip makes another. */
const nameOf = (number: number): string => `${number}x${createHash("sha256").update(String(number)).digest("hex").slice(0, 16)}`;
const isName = (text: string): boolean => text === nameOf(Number.parseInt(text, 10));
const bodyOf = (name: string, lines: number): string => Array.from({ length: lines }, (_, line) => `${name} ${line}\n`).join("");

const state = temporaryState();
let app: Server;
let stack: Stack;
let proxy: ChaosProxy;
let connector: LocalConnector;
let token: string;
let asked = 0;

beforeAll(async () => {
  app = createServer((asking, answer) => {
    const [, name = "", lines = ""] = (asking.url ?? "").split("/");
    answer.end(bodyOf(name, Number(lines)));
  });
  app.listen(0, "127.0.0.1");
  await new Promise((up) => app.once("listening", up));
  const documentFile = join(state.path, "chaos.yaml");
  writeFileSync(documentFile, `version: 1
domain: postern.localhost
sites: [{ id: office }]
apps: [{ id: lines, site: office, upstream: "http://127.0.0.1:${(app.address() as AddressInfo).port}" }]
policies:
  - { id: all, effect: allow, apps: [lines], when: { service: [probe] } }
  - { id: operators, effect: allow, apps: ["postern:admin"], when: { service: [local-operator] }, limits: { role: operator } }
`);
  stack = await startStack({ stateDirectory: join(state.path, "state"), port: 0, environment: {}, documentFile, withoutConnectors: true });
  const operatorToken = readFileSync(stack.tokenFile, "utf8").trim();
  token = await edgeApi(stack.launcher).createService(operatorToken, "probe", "1d");
  proxy = await startChaosProxy(stack.port, seeded(SEED));
  // Enrolled at the proxy's address: the connector never knows another way.
  connector = await startConnector({ processes: stack.processes, api: edgeApi(`http://postern.localhost:${proxy.port}`), operatorToken, site: "office", stateDirectory: join(state.path, "connector") });
}, TIMEOUT_MS);
afterAll(async () => {
  await proxy?.close();
  await (stack as Stack | undefined)?.stop();
  app?.closeAllConnections();
  app?.close();
  state.remove();
});

interface Got {
  readonly name: string;
  readonly outcome: "whole" | "refused" | "broken" | "altered";
  /** Lines that name another request. */
  readonly foreign: readonly string[];
}

function ask(lines: number, giveUpMs = GIVE_UP_MS): Promise<Got> {
  const name = nameOf(asked++);
  return new Promise((done) => {
    let text = "";
    const over = (outcome: Got["outcome"]): void => {
      const names = new Set(text.split("\n").map((line) => line.split(" ")[0] ?? ""));
      names.delete(name);
      done({ name, outcome, foreign: [...names].filter(isName) });
    };
    const sending = request({ host: "127.0.0.1", port: stack.port, path: `/${name}/${lines}`, agent: false, headers: { host: `lines.postern.localhost:${stack.port}`, authorization: `Bearer ${token}` } }, (answer) => {
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
async function load(isEnough: (got: readonly Got[]) => boolean, giveUpMs?: number): Promise<readonly Got[]> {
  const got: Got[] = [];
  await Promise.all(Array.from({ length: LOOPS_COUNT }, async (_, loop) => {
    while (!isEnough(got)) got.push(await ask(LINES[loop % LINES.length] ?? 1, giveUpMs));
  }));
  return got;
}

const count = (faults: readonly Fault[]): number => faults.reduce((sum, fault) => sum + proxy.suffered[fault], 0);

describe("a network that", () => {
  it(`delays and stalls costs no answer (seed ${SEED})`, { timeout: TIMEOUT_MS }, async () => {
    proxy.suffer(["delay", "delay", "delay", "stall"], 4);
    const got = await load((all) => all.length >= DELAYED_ANSWERS_COUNT, TIMEOUT_MS);
    proxy.suffer([], 1);
    expect(count(["delay", "stall"])).toBeGreaterThan(10);
    expect(got.filter(({ outcome }) => outcome !== "whole")).toEqual([]);
  });

  // What a flip alters within a body is beyond a tunnel without TLS; that it stays within its stream is not.
  const KINDS: readonly (readonly [string, readonly Fault[], readonly Got["outcome"][]])[] = [
    ["cuts connections off in the middle of a frame", ["cut"], ["whole", "refused", "broken"]],
    ["flips, swaps, drops and doubles bytes", ["flip", "swap", "drop", "double"], ["whole", "refused", "broken", "altered"]],
  ];
  it.each(KINDS)(`%s: an error or the whole, each byte in its own stream, and all is well afterwards (seed ${SEED})`, { timeout: TIMEOUT_MS }, async (_title, faults, outcomes) => {
    const before = count(faults);
    const startedAt = performance.now();
    proxy.suffer(faults, 12);
    const got = await load(() => performance.now() - startedAt > BREAKING_MS && count(faults) > before);
    proxy.suffer([], 1);
    // What waits for bytes that were lost is found by its deadlines (KA2); here the connections end, as they do when a network is back.
    proxy.cutAll();
    expect(got.flatMap(({ foreign }) => foreign)).toEqual([]);
    expect([...new Set(got.map(({ outcome }) => outcome))].filter((outcome) => !outcomes.includes(outcome))).toEqual([]);
    await until(async () => (await ask(LINES[1] ?? 1)).outcome === "whole", "an answer again", RECOVERED_WITHIN_MS);
    expect(connector.child.ended()).toBe(false);
    expect(stack.edge().ended()).toBe(false);
  });
});
