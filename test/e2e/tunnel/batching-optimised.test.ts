/**
 * Requests that travel together (M16), where the engine has optimised the code that they wait in: a
 * promise of `new Promise` then no longer knows whose it is, and whoever waits for it wakes in the
 * request that settles it (docs/decisions/0015). Elsewhere that takes some ten thousand requests.
 */
import { Agent, createServer, request, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type EdgeUnderTest, edgeUnderTest } from "../corpus/edge-under-test.ts";

const TEST_MS = 30_000;
/** Straight to the compiler that optimises most, and early. */
const OPTIMISE = ["--no-maglev", "--no-use-osr", "--invocation-count-for-turbofan=1"];
const CONNECTIONS_COUNT = 32;
const REQUESTS_COUNT = 1_200;
let app: Server;
let edge: EdgeUnderTest;

beforeAll(async () => {
  app = createServer((asked, answer) => void answer.setHeader("content-length", asked.url?.length ?? 0).end(asked.url));
  app.listen(0, "127.0.0.1");
  await new Promise((up) => app.once("listening", up));
  edge = await edgeUnderTest({
    apps: `  - { id: busy, site: office, upstream: "http://127.0.0.1:${(app.address() as AddressInfo).port}" }`,
    policies: "  - { id: all, effect: allow, apps: [busy], when: { service: [probe] } }",
    v8Flags: OPTIMISE,
  });
}, TEST_MS);
afterAll(async () => {
  await edge?.stop();
  app?.closeAllConnections();
  app?.close();
}, TEST_MS);

it("each of a crowd wakes in its own request and gets its own answer, also in optimised code", async () => {
  const agent = new Agent({ keepAlive: true });
  const ask = (path: string): Promise<string> =>
    new Promise((resolve, reject) => {
      const asked = request({ agent, host: "127.0.0.1", port: edge.port, path, headers: { host: edge.hostOf("busy"), authorization: `Bearer ${edge.token}` } }, (got) => {
        let text = "";
        got.setEncoding("latin1").on("data", (part: string) => (text += part));
        got.on("end", () => resolve(`${got.statusCode} ${text}`));
      });
      asked.on("error", reject).end();
    });
  const wrong: string[] = [];
  let next = 0;
  const client = async (): Promise<void> => {
    while (next < REQUESTS_COUNT && wrong.length === 0) {
      const path = `/${next++}`;
      const got = await ask(path);
      if (got !== `200 ${path}`) wrong.push(`${path}: ${got.slice(0, 200)}`);
    }
  };
  await Promise.all(Array.from({ length: CONNECTIONS_COUNT }, client));
  agent.destroy();
  expect(wrong).toEqual([]);
}, TEST_MS);
