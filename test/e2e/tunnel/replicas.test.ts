/**
 * Two connectors of a site under a steady load (F1 to F3): one that leaves in good order costs no
 * request, one that is killed costs only what was on it and may not be repeated. And meanwhile, at
 * another site, a lane with a thousand open, quiet WebSockets, which the engine evicts: its
 * connector's pings wake nobody, and the next byte on any of them arrives (M3 to M5, M13, M14).
 * Real processes; one file, because the quiet lane needs nothing but time.
 */
import { readFileSync } from "node:fs";
import { Agent, createServer, type IncomingMessage, request, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { DRAIN_ANSWER_MS } from "../../../protocol/deadlines.ts";
import { edgeApi } from "../../../start/edge-api.ts";
import { type LocalConnector, startConnector } from "../../../start/local-connector.ts";
import { loopbackFetch } from "../../../start/loopback-http.ts";
import { until } from "../../start/running-stack.ts";
import { type EdgeUnderTest, edgeUnderTest } from "../corpus/edge-under-test.ts";
import { openQuiet, type QuietApp, type QuietClient, startQuietApp } from "./quiet-sockets.ts";

/** The app thinks for this long, so that there is always something under way. */
const THINKS_MS = 15;
const EVENT_EVERY_MS = 50;
/** Answered before the signal, and again after the process is gone. */
const STEADY_COUNT = 60;
/** A connector with nothing to finish waits for none of its deadlines, of which this is the shortest. */
const IDLE_EXIT_MS = DRAIN_ANSWER_MS;
const LARGE_BYTES = 600_000;
const SHAPES = [
  { method: "GET", body: 0 },
  { method: "GET", body: 0 },
  { method: "DELETE", body: 0 },
  { method: "POST", body: 0 },
  { method: "POST", body: 20_000 },
  { method: "PUT", body: 20_000 },
  // These leave the tunnel's socket.
  { method: "GET", body: 0, answer: LARGE_BYTES },
  { method: "POST", body: LARGE_BYTES },
] as const;
/** What may be sent twice (RFC 9110 §9.2.2): what has no body that is gone. */
const isRepeatable = ({ method, body }: { readonly method: string; readonly body: number }): boolean => method !== "POST" && body === 0;
/** Of those, what is whole in every case: a large answer may have begun. */
const isAnswered = (one: { readonly method: string; readonly body: number; readonly answer: number }): boolean => isRepeatable(one) && one.answer === 0;

const QUIET_COUNT = 1_000;
/** The engine evicts an object that was idle for 10 s; its connector has pinged meanwhile. */
const EVICTED_AFTER_MS = 11_500;

let app: Server;
let quietApp: QuietApp;
let quiet: QuietClient[];
let quietSince: number;
let edge: EdgeUnderTest;
let started = 0;
/** How often the app saw each request, by the name that it carries. */
const seen = new Map<string, number>();

beforeAll(async () => {
  app = createServer((asked, answer) => {
    if (asked.url === "/events") {
      answer.writeHead(200, { "content-type": "text/event-stream" });
      // A client that has gone is noticed when something is written to it.
      const timer = setInterval(() => answer.write("data: on\n\n"), EVENT_EVERY_MS);
      answer.on("close", () => clearInterval(timer));
      return;
    }
    const name = String(asked.headers["x-name"]);
    seen.set(name, (seen.get(name) ?? 0) + 1);
    const text = name.padEnd(Number(asked.headers["x-answer"]), "+");
    asked.resume().on("end", () => setTimeout(() => answer.writeHead(200, { "content-length": text.length }).end(text), THINKS_MS));
    asked.on("error", () => undefined);
  });
  app.listen(0, "127.0.0.1");
  await new Promise((up) => app.once("listening", up));
  quietApp = await startQuietApp();
  edge = await edgeUnderTest({
    sites: "  - { id: hut }\n",
    apps: `  - { id: busy, site: office, upstream: "http://127.0.0.1:${(app.address() as AddressInfo).port}" }
  - { id: chat, site: hut, upstream: "${quietApp.url}" }`,
    policies: "  - { id: all, effect: allow, apps: [busy, chat], when: { service: [probe] } }",
  });
  quiet = await openQuiet(QUIET_COUNT, edge.port, { host: edge.hostOf("chat"), authorization: `Bearer ${edge.token}` });
  await until(async () => (await quietLane()).awake.length === 0, "nothing keeps the quiet lane awake");
  expect(await quietLane()).toMatchObject({ streams: QUIET_COUNT, wakes: 0 });
  quietSince = performance.now();
});
afterAll(async () => {
  await edge?.stop();
  quietApp?.close();
  app?.closeAllConnections();
  app?.close();
});

/** Asks every lane, and so wakes them: not in between. */
async function quietLane(): Promise<{ streams: number; awake: string[]; wakes: number }> {
  const { json } = await edge.api("/edge-status");
  const lanes = json["lanes"] as { site: string; streams: number; awake: string[]; connectors: { wakes: number }[] }[];
  const hut = lanes.find((one) => one.site === "hut");
  return { streams: hut?.streams ?? -1, awake: hut?.awake ?? [], wakes: hut?.connectors[0]?.wakes ?? -1 };
}

async function replica(): Promise<LocalConnector> {
  const { stack } = edge;
  const operatorToken = readFileSync(stack.tokenFile, "utf8").trim();
  return startConnector({ processes: stack.processes, api: edgeApi(stack.launcher), operatorToken, site: "office", stateDirectory: join(stack.stateDirectory, `replica-${++started}`) });
}

interface Sent {
  readonly name: string;
  readonly method: string;
  readonly body: number;
  readonly answer: number;
  readonly status: number;
  readonly text: string;
  readonly startedAt: number;
  readonly endedAt: number;
}

const agent = new Agent({ keepAlive: true });
afterAll(() => agent.destroy());

const send = (name: string, method: string, body: number, bytes = 0): Promise<Sent> => {
  const startedAt = performance.now();
  return new Promise((done) => {
    const over = (status: number, text: string): void => done({ name, method, body, answer: bytes, status, text, startedAt, endedAt: performance.now() });
    const headers = { host: edge.hostOf("busy"), authorization: `Bearer ${edge.token}`, "x-name": name, "x-answer": String(bytes), "content-length": String(body) };
    const asked = request({ host: "127.0.0.1", port: edge.port, path: "/", method, agent, headers }, (answer) => {
      let text = "";
      answer.setEncoding("utf8").on("data", (part: string) => (text += part));
      answer.on("error", () => undefined);
      answer.on("close", () => over(answer.complete ? (answer.statusCode ?? 0) : 0, text === name.padEnd(bytes, "+") ? name : text.slice(0, 100)));
    });
    asked.on("error", (error) => over(0, error.message));
    asked.end(Buffer.alloc(body, 120));
  });
};

/** A loop for each shape, until told to stop; what came of every request. */
function steadyLoad(): { readonly sent: Sent[]; readonly stop: () => Promise<Sent[]> } {
  const sent: Sent[] = [];
  let isOver = false;
  const loops = SHAPES.map(async (shape, lane) => {
    for (let number = 0; !isOver; number++) sent.push(await send(`${started}-${lane}-${number}`, shape.method, shape.body, "answer" in shape ? shape.answer : 0));
  });
  return {
    sent,
    stop: async () => {
      isOver = true;
      await Promise.all(loops);
      return sent;
    },
  };
}

const failures = (sent: readonly Sent[]): Sent[] => sent.filter((one) => one.status !== 200 || one.text !== one.name);

/** Ends one of two connectors under load; resolves with all that was sent, and when it was told. */
async function endedUnderLoad(leaving: LocalConnector, signal: NodeJS.Signals): Promise<{ readonly sent: Sent[]; readonly at: number; readonly code: number | null }> {
  const load = steadyLoad();
  await until(() => load.sent.length > STEADY_COUNT, "requests flow");
  const at = performance.now();
  leaving.child.process.kill(signal);
  const { code } = await leaving.child.exited;
  const before = load.sent.length;
  await until(() => load.sent.length > before + STEADY_COUNT, "requests flow after it");
  return { sent: await load.stop(), at, code };
}

describe("one of two connectors under load", () => {
  let staying: LocalConnector;
  beforeAll(async () => {
    staying = edge.stack.connectors.find((one) => one.site === "office") as LocalConnector;
  });

  it("SIGTERM: no request fails, none is sent twice, and it exits 0", async () => {
    const { sent, code } = await endedUnderLoad(await replica(), "SIGTERM");
    expect(code).toBe(0);
    expect(failures(sent)).toEqual([]);
    expect(sent.filter((one) => seen.get(one.name) !== 1).map((one) => one.name)).toEqual([]);
  });

  it("SIGKILL: what may be repeated is answered all the same; of the rest only what was on it fails; nothing is sent a third time", async () => {
    const { sent, at } = await endedUnderLoad(await replica(), "SIGKILL");
    const failed = failures(sent);
    expect(failed.filter(isAnswered)).toEqual([]);
    // 0: a large body that had begun is broken off, and its connection with it.
    const isTold = (one: Sent): boolean => one.status === 502 || (one.status === 0 && Math.max(one.answer, one.body) === LARGE_BYTES);
    expect(failed.filter((one) => !isTold(one) || one.endedAt < at)).toEqual([]);
    // All that was on it ends when its socket does, and nothing fails after that: no loop, which sends one after another, loses two.
    const loops = failed.map((one) => one.name.replace(/-[0-9]+$/, ""));
    expect(loops).toEqual([...new Set(loops)]);
    expect(sent.filter((one) => (seen.get(one.name) ?? 0) > (isRepeatable(one) ? 2 : 1)).map((one) => one.name)).toEqual([]);
  });

  it("with an open event stream it stays for that and takes nothing new; idle, and told by SIGINT, it exits at once", async () => {
    const leaving = await replica();
    const first = new Promise<IncomingMessage>((open, fail) => {
      const asked = request({ host: "127.0.0.1", port: edge.port, path: "/events", agent: false, headers: { host: edge.hostOf("busy"), authorization: `Bearer ${edge.token}`, accept: "text/event-stream" } }, open);
      asked.on("error", fail);
      asked.end();
    });
    // The one with nothing to do gets it: whichever that is, both leave below.
    const stream = await first;
    stream.resume();
    const streamsOf = async (connector: LocalConnector): Promise<number> => Number(/streams_open\{lane="0"\} ([0-9]+)/.exec((await loopbackFetch(`${connector.metrics}/metrics`)).text)?.[1] ?? 0);
    const [busy, idle] = (await streamsOf(leaving)) > 0 ? [leaving, staying] : [staying, leaving];
    busy.child.process.kill("SIGTERM");
    for (let number = 0; number < 10; number++) expect((await send(`events-${number}`, "GET", 0)).status).toBe(200);
    expect(busy.child.ended()).toBe(false);
    // What went to it before it had the signal is answered; it forgets that when the edge has ended its half.
    await until(async () => (await streamsOf(busy)) === 1, "only the event stream is left");
    stream.destroy();
    expect((await busy.child.exited).code).toBe(0);
    const toldAt = performance.now();
    idle.child.process.kill("SIGINT");
    expect((await idle.child.exited).code).toBe(0);
    expect(performance.now() - toldAt).toBeLessThan(IDLE_EXIT_MS);
    expect((await send("nobody", "GET", 0)).status).toBe(503);
  });
});

describe(`a lane with ${QUIET_COUNT} quiet WebSockets`, () => {
  it("slept meanwhile; the byte that wakes it arrives, and so does the next on each of them, both ways", async () => {
    await new Promise((over) => setTimeout(over, Math.max(0, quietSince + EVICTED_AFTER_MS - performance.now())));
    quietApp.side(17)?.send("wake");
    await until(() => quiet[17]?.heard[0] === "wake", "the byte that wakes");
    expect(await quietLane()).toMatchObject({ streams: QUIET_COUNT, wakes: 1 });
    for (const [number, { socket }] of quiet.entries()) socket.send(`all ${number}`);
    await until(() => quiet.every(({ heard }, number) => heard.at(-1) === `echo all ${number}`), "an echo on each");
    expect(quiet.filter(({ socket }) => socket.readyState !== socket.OPEN)).toEqual([]);
  });
});
