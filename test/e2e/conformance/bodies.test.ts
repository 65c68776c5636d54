/**
 * Large bodies both ways, to the byte and in bounded memory (promise 6), and an event stream
 * whose events arrive one by one. POSTERN_TEST_BODY_MIB sets the size; 256 by default.
 */
import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, request, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import type { Writable } from "node:stream";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type EdgeUnderTest, edgeUnderTest } from "../corpus/edge-under-test.ts";
import { peakResidentMB, residentMB } from "../process-use.ts";

const MIB = 1024 * 1024;
const BODY_BYTES = Number(process.env["POSTERN_TEST_BODY_MIB"] ?? "256") * MIB;
/** What a process may grow by while one body passes, whatever its size. */
const MAX_GROWTH_MB = 150;
const EVENTS_COUNT = 300;
const EVENT_EVERY_MS = 20;
const TIMEOUT_MS = 170_000;

/** A block that differs from its neighbours, so that a lost, doubled or swapped one shows. */
function block(number: number): Buffer {
  const bytes = Buffer.alloc(MIB / 4, createHash("sha256").update(String(number)).digest());
  bytes.writeUInt32BE(number, 0);
  return bytes;
}
const BLOCKS_COUNT = BODY_BYTES / (MIB / 4);

/** Writes the body under the writer's own backpressure; resolves with its SHA-256. */
async function writeBody(out: Writable): Promise<string> {
  const hash = createHash("sha256");
  for (let number = 0; number < BLOCKS_COUNT && !out.destroyed; number++) {
    const bytes = block(number);
    hash.update(bytes);
    if (!out.write(bytes)) {
      await new Promise<void>((done) => {
        const goOn = (): void => {
          out.off("drain", goOn);
          out.off("close", goOn);
          done();
        };
        out.on("drain", goOn);
        out.on("close", goOn);
      });
    }
  }
  out.end();
  return hash.digest("hex");
}

async function readBody(from: IncomingMessage): Promise<{ readonly bytes: number; readonly digest: string }> {
  const hash = createHash("sha256");
  let bytes = 0;
  for await (const chunk of from as AsyncIterable<Buffer>) {
    hash.update(chunk);
    bytes += chunk.length;
  }
  return { bytes, digest: hash.digest("hex") };
}

let origin: Server;
let edge: EdgeUnderTest;
let sent: Promise<string> | undefined;

beforeAll(async () => {
  origin = createServer((asked, answer) => {
    switch (asked.url) {
      case "/down":
        answer.writeHead(200, { "content-length": String(BODY_BYTES) });
        sent = writeBody(answer);
        break;
      case "/down-chunked":
        sent = writeBody(answer);
        break;
      case "/up":
        readBody(asked).then((read) => answer.end(JSON.stringify(read)), () => answer.destroy());
        break;
      case "/events": {
        answer.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-store" });
        let number = 0;
        const timer = setInterval(() => {
          answer.write(`id: ${number}\ndata: ${performance.now()}\n\n`);
          if (++number === EVENTS_COUNT) {
            clearInterval(timer);
            answer.end();
          }
        }, EVENT_EVERY_MS);
        break;
      }
      default:
        answer.writeHead(404).end();
    }
  });
  origin.listen(0, "127.0.0.1");
  await new Promise((up) => origin.once("listening", up));
  const { port } = origin.address() as AddressInfo;
  edge = await edgeUnderTest({
    apps: `  - { id: bulk, site: office, upstream: "http://127.0.0.1:${port}" }`,
    policies: "  - { id: all, effect: allow, apps: [bulk], when: { service: [probe] } }",
  });
});
afterAll(async () => {
  await edge?.stop();
  origin?.closeAllConnections();
  origin?.close();
});

/** What the edge and the connector grew by, at most, while `work` ran. */
async function growth(work: () => Promise<void>): Promise<{ readonly edge: number; readonly connector: number }> {
  const pids = { edge: edge.stack.edge().pid, connector: edge.stack.connectors[0]?.child.pid ?? 0 };
  const before = { edge: residentMB(pids.edge), connector: residentMB(pids.connector) };
  const started = performance.now();
  await work();
  const seconds = (performance.now() - started) / 1000;
  const grown = { edge: peakResidentMB(pids.edge) - before.edge, connector: peakResidentMB(pids.connector) - before.connector };
  console.log(`${Math.round(BODY_BYTES / MIB / seconds)} MiB/s; edge +${Math.round(grown.edge)} MiB, connector +${Math.round(grown.connector)} MiB`);
  return grown;
}

const call = (path: string, method = "GET", headers: Record<string, string> = {}): ReturnType<typeof request> =>
  request({ host: "127.0.0.1", port: edge.port, path, method, agent: false, headers: { host: edge.hostOf("bulk"), authorization: `Bearer ${edge.token}`, ...headers } });

const answerTo = (sending: ReturnType<typeof request>): Promise<IncomingMessage> =>
  new Promise((resolve, reject) => {
    sending.once("response", resolve);
    sending.once("error", reject);
  });

describe(`a body of ${BODY_BYTES / MIB} MiB`, () => {
  it.each([["down with a length", "/down"], ["down in chunks", "/down-chunked"]])("%s arrives whole, in bounded memory", { timeout: TIMEOUT_MS }, async (_title, path) => {
    const grown = await growth(async () => {
      const sending = call(path);
      sending.end();
      const answer = await answerTo(sending);
      expect(answer.headers["content-length"]).toBe(path === "/down" ? String(BODY_BYTES) : undefined);
      const read = await readBody(answer);
      expect(read).toEqual({ bytes: BODY_BYTES, digest: await sent });
    });
    expect(Math.max(grown.edge, grown.connector)).toBeLessThan(MAX_GROWTH_MB);
  });

  it.each([["up with a length", { "content-length": String(BODY_BYTES) }], ["up in chunks", { "transfer-encoding": "chunked" }]])("%s arrives whole, in bounded memory", { timeout: TIMEOUT_MS }, async (_title, headers) => {
    const grown = await growth(async () => {
      const sending = call("/up", "POST", headers);
      const answered = answerTo(sending);
      const digest = await writeBody(sending);
      const answer = await answered;
      const parts: Buffer[] = [];
      for await (const part of answer as AsyncIterable<Buffer>) parts.push(part);
      expect(JSON.parse(Buffer.concat(parts).toString())).toEqual({ bytes: BODY_BYTES, digest });
    });
    expect(Math.max(grown.edge, grown.connector)).toBeLessThan(MAX_GROWTH_MB);
  });
});

describe("an event stream", () => {
  it(`brings ${EVENTS_COUNT} events one by one: p99 within 100 ms, worst within 500 ms`, async () => {
    const sending = call("/events");
    sending.end();
    const answer = await answerTo(sending);
    const late: number[] = [];
    let text = "";
    let next = 0;
    for await (const chunk of answer as AsyncIterable<Buffer>) {
      const now = performance.now();
      text += chunk.toString();
      const events = text.split("\n\n");
      text = events.pop() ?? "";
      for (const event of events) {
        const match = /^id: (\d+)\ndata: ([\d.]+)$/.exec(event);
        expect(Number(match?.[1])).toBe(next++);
        late.push(now - Number(match?.[2]));
      }
    }
    expect(late).toHaveLength(EVENTS_COUNT);
    const sorted = late.toSorted((a, b) => a - b);
    expect(sorted[Math.floor(EVENTS_COUNT * 0.99)]).toBeLessThanOrEqual(100);
    expect(sorted.at(-1)).toBeLessThanOrEqual(500);
  });
});
