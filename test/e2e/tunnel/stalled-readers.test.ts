/** A hundred clients that stop reading beside a hundred requests of others, on one lane (F7): the others wait for nobody, and are not refused. */
import { createServer, type IncomingMessage, request, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { until } from "../../start/running-stack.ts";
import { type EdgeUnderTest, edgeUnderTest } from "../corpus/edge-under-test.ts";

const STALLED_COUNT = 100;
const LIVE_COUNT = 100;
const AT_ONCE_COUNT = 20;
/** The fastest of so many rounds: what a busy machine adds to one of them is nobody's doing. */
const ROUNDS_COUNT = 5;
const SMALL_BYTES = 10_000;
/** More than sockets, windows and buffers on the way hold. */
const ENDLESS_BYTES = 64 * 1024 * 1024;
/** Nothing more is written: everything on the way is full. */
const QUIET_MS = 500;
const FULL_WITHIN_MS = 20_000;

let app: Server;
let wroteAt = 0;
let edge: EdgeUnderTest;
beforeAll(async () => {
  app = createServer((asked, answer) => {
    if (asked.url !== "/endless") return void answer.end("x".repeat(SMALL_BYTES));
    let left = ENDLESS_BYTES;
    const more = (): void => {
      while (left > 0 && !answer.destroyed) {
        left -= 65_536;
        wroteAt = performance.now();
        if (!answer.write(Buffer.alloc(65_536, 120))) return void answer.once("drain", more);
      }
      answer.end();
    };
    more();
  });
  app.listen(0, "127.0.0.1");
  await new Promise((up) => app.once("listening", up));
  edge = await edgeUnderTest({
    apps: `  - { id: slow, site: office, upstream: "http://127.0.0.1:${(app.address() as AddressInfo).port}" }`,
    policies: "  - { id: all, effect: allow, apps: [slow], when: { service: [probe] } }",
  });
});
afterAll(async () => {
  await edge?.stop();
  app?.closeAllConnections();
  app?.close();
});

const call = (path: string): Promise<IncomingMessage> =>
  new Promise((done, fail) => {
    const asked = request({ host: "127.0.0.1", port: edge.port, path, agent: false, headers: { host: edge.hostOf("slow"), authorization: `Bearer ${edge.token}` } }, done);
    asked.on("error", fail);
    asked.end();
  });

async function small(): Promise<number> {
  const answer = await call("/small");
  let bytes = 0;
  for await (const chunk of answer as AsyncIterable<Buffer>) bytes += chunk.length;
  return answer.statusCode === 200 && bytes === SMALL_BYTES ? 200 : (answer.statusCode ?? 0);
}

/** All of the live ones, some times over: how long the fastest round took, and what else than 200 came. */
async function live(): Promise<{ readonly ms: number; readonly wrong: readonly number[] }> {
  const rounds: Awaited<ReturnType<typeof round>>[] = [];
  for (let number = 0; number < ROUNDS_COUNT; number++) rounds.push(await round());
  return { ms: Math.min(...rounds.map(({ ms }) => ms)), wrong: rounds.flatMap(({ wrong }) => wrong) };
}

async function round(): Promise<{ readonly ms: number; readonly wrong: readonly number[] }> {
  const startedAt = performance.now();
  const numbers = Array.from({ length: LIVE_COUNT }, (_, number) => number).values();
  const statuses: number[] = [];
  await Promise.all(Array.from({ length: AT_ONCE_COUNT }, async () => {
    for (const _number of numbers) statuses.push(await small());
  }));
  return { ms: performance.now() - startedAt, wrong: statuses.filter((status) => status !== 200) };
}

describe(`${STALLED_COUNT} clients that stop reading`, () => {
  it("hold nobody up: where there is no room for new streams, those that stall give way", async () => {
    const before = await live();
    const stalled = await Promise.all(Array.from({ length: STALLED_COUNT }, () => call("/endless")));
    for (const answer of stalled) answer.once("data", () => answer.pause()).on("error", () => undefined);
    await until(() => performance.now() - wroteAt > QUIET_MS, "everything is full", FULL_WITHIN_MS);
    const beside = await live();
    for (const answer of stalled) answer.destroy();
    const after = await live();
    expect(beside.wrong).toEqual([]);
    expect(beside.ms).toBeLessThan(2 * Math.max(before.ms, after.ms));
  });
});
