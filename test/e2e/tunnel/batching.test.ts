/**
 * Requests of one isolate that travel together (M16), with real processes: who leaves takes nobody
 * with them, a slow app holds up only its own, and everybody gets their own answer.
 */
import { createServer, request, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { until } from "../../start/running-stack.ts";
import { type EdgeUnderTest, edgeUnderTest } from "../corpus/edge-under-test.ts";

const TEST_MS = 30_000;
let app: Server;
let edge: EdgeUnderTest;
/** Answers that the app holds back, by path. */
const held = new Map<string, () => void>();
const LARGE_BYTES = 200_000;

beforeAll(async () => {
  app = createServer((asked, answer) => {
    const path = asked.url ?? "";
    const say = (): void => {
      if (path.startsWith("/large")) answer.setHeader("content-length", LARGE_BYTES).end("x".repeat(LARGE_BYTES));
      else if (path.startsWith("/chunked")) {
        answer.write(path);
        answer.end();
      } else answer.setHeader("content-length", path.length).end(asked.method === "HEAD" ? undefined : path);
    };
    if (path.startsWith("/held")) held.set(path, say);
    else say();
  });
  app.listen(0, "127.0.0.1");
  await new Promise((up) => app.once("listening", up));
  edge = await edgeUnderTest({
    apps: `  - { id: busy, site: office, upstream: "http://127.0.0.1:${(app.address() as AddressInfo).port}" }`,
    policies: "  - { id: all, effect: allow, apps: [busy], when: { service: [probe] } }",
  });
}, TEST_MS);
afterAll(async () => {
  await edge?.stop();
  app?.closeAllConnections();
  app?.close();
}, TEST_MS);

interface Sent {
  readonly answer: Promise<{ readonly status: number; readonly text: string; readonly chunked: boolean }>;
  readonly leave: () => void;
}

function send(path: string, method = "GET"): Sent {
  const asked = request({ host: "127.0.0.1", port: edge.port, path, method, agent: false, headers: { host: edge.hostOf("busy"), authorization: `Bearer ${edge.token}` } });
  const answer = new Promise<Awaited<Sent["answer"]>>((resolve, reject) => {
    asked.on("error", reject);
    asked.on("response", (got) => {
      let text = "";
      got.setEncoding("latin1").on("data", (part: string) => (text += part));
      got.on("end", () => resolve({ status: got.statusCode ?? 0, text, chunked: got.headers["transfer-encoding"] === "chunked" }));
    });
  });
  answer.catch(() => undefined);
  asked.end();
  return { answer, leave: () => asked.destroy() };
}
const crowd = (paths: readonly string[]): Sent[] => paths.map((path) => send(path));
const numbered = (prefix: string, count: number): string[] => Array.from({ length: count }, (_, n) => `/${prefix}-${n}`);
const allHeld = (count: number): Promise<void> => until(() => held.size === count, `the app holds ${count}`);
const releaseAll = (): void => {
  for (const say of held.values()) say();
  held.clear();
};

describe("requests that travel together (M16)", () => {
  it("each gets its own answer: whole, chunked, large, without a body", async () => {
    // A large one and a chunked one here and there among the small ones.
    const paths = numbered("small", 40).flatMap((path, n) => [path, ...(n % 4 === 1 ? [`/chunked-${n}`] : []), ...(n % 7 === 3 ? [`/large-${n}`] : [])]);
    const heads = numbered("head", 5).map((path) => send(path, "HEAD"));
    const got = await Promise.all(crowd(paths).map((one) => one.answer));
    for (const [n, { status, text, chunked }] of got.entries()) {
      const path = paths[n] ?? "";
      expect([status, path.startsWith("/large") ? text.length : text, chunked]).toEqual([200, path.startsWith("/large") ? LARGE_BYTES : path, path.startsWith("/chunked")]);
    }
    for (const head of heads) expect(await head.answer).toEqual({ status: 200, text: "", chunked: false });
  }, TEST_MS);

  it("whoever leaves, the first of a call too, takes no other's answer along", async () => {
    for (let round = 0; round < 5; round++) {
      const all = crowd(numbered(`held-${round}`, 30));
      await allHeld(30);
      // One in three goes, whichever of them carries the call.
      const stay = all.filter((one, n) => n % 3 !== round % 3 || (one.leave(), false));
      releaseAll();
      const got = await Promise.all(stay.map((one) => one.answer));
      expect(got.every(({ status, text }) => status === 200 && text.startsWith(`/held-${round}-`))).toBe(true);
      expect(new Set(got.map(({ text }) => text)).size).toBe(20);
    }
  }, TEST_MS);

  it("those that the app keeps waiting hold up nobody else", async () => {
    const slow = crowd(numbered("held-slow", 8));
    await allHeld(8);
    for (let round = 0; round < 10; round++) {
      const got = await Promise.all(crowd(numbered("small", 20)).map((one) => one.answer));
      expect(got.every(({ status }) => status === 200)).toBe(true);
    }
    expect(held.size).toBe(8);
    releaseAll();
    expect((await Promise.all(slow.map((one) => one.answer))).map(({ text }) => text)).toEqual(numbered("held-slow", 8));
  }, TEST_MS);

  it("those that wait longer than a claim is made still get their answer", async () => {
    const slow = crowd(numbered("held-long", 6));
    await allHeld(6);
    // Longer than CLAIM_AFTER_MS and its tick; nothing can be observed meanwhile, that is the point.
    await new Promise((later) => setTimeout(later, 6_000));
    releaseAll();
    expect((await Promise.all(slow.map((one) => one.answer))).map(({ text }) => text)).toEqual(numbered("held-long", 6));
  }, TEST_MS);

  it("is on record request by request", async () => {
    const all = await Promise.all(
      numbered("recorded", 12).map(
        (path) =>
          new Promise<readonly [string, string]>((resolve, reject) => {
            const asked = request({ host: "127.0.0.1", port: edge.port, path, agent: false, headers: { host: edge.hostOf("busy"), authorization: `Bearer ${edge.token}` } }, (got) => {
              got.resume().on("end", () => resolve([path, String(got.headers["postern-request-id"])]));
            });
            asked.on("error", reject).end();
          }),
      ),
    );
    for (const [path, id] of all) expect(await edge.recorded(id)).toMatchObject({ path, effect: "allow" });
  }, TEST_MS);
});
