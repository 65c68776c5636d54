import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, describe, expect, it, vi } from "vitest";
import { TunnelStream } from "../../channel/tunnel-stream.ts";
import { AnswerBody } from "../../connector/answer-body.ts";
import type { Log } from "../../connector/log.ts";
import { createMetrics } from "../../connector/metrics.ts";
import { BulkWay, SegmentRequests } from "../../connector/segment-requests.ts";
import { UploadedBody } from "../../connector/uploaded-body.ts";
import { BULK_HEADER, readSegment, type Ticket } from "../../protocol/bulk.ts";
import type { Mux } from "../../protocol/mux.ts";

const AT = "a".repeat(64);
const KEY = new Uint8Array(32).fill(3);
const LENGTH = 3_000_000;
const WHOLE = Buffer.from(Uint8Array.from({ length: LENGTH }, (_, at) => (at * 31) % 251));
const cleanUps: (() => void)[] = [];
afterEach(() => {
  for (const clean of cleanUps.splice(0)) clean();
});

type Staged = Awaited<ReturnType<typeof stage>>;
type Serve = (asked: IncomingMessage, answer: ServerResponse) => void;

/** A stream of a tunnel whose edge answers the connector's own requests by `serve`. */
async function stage(serve: Serve) {
  const server: Server = createServer(serve);
  server.listen(0, "127.0.0.1");
  await new Promise((up) => server.once("listening", up));
  const edge = new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  const logged: string[] = [];
  const log = { info: () => undefined, warn: (event: string) => void logged.push(event), error: () => undefined } as unknown as Log;
  const way = new BulkWay({ edge, proxy: undefined, authorities: [] }, 0, log, createMetrics());
  const heard: boolean[] = [];
  way.follow((on) => heard.push(on));
  const onMux: Buffer[] = [];
  const seen = { ended: false, consumed: 0 };
  const mux = { write: (_id: number, bytes: Uint8Array) => (onMux.push(Buffer.from(bytes)), bytes.length), end: () => void (seen.ended = true), reset: () => undefined, consumed: (_id: number, bytes: number) => void (seen.consumed += bytes) } as unknown as Mux;
  const stream = new TunnelStream(2, mux, { touched: () => undefined, isCongested: () => false, forget: () => undefined });
  const segments = new SegmentRequests(way, KEY);
  cleanUps.push(() => {
    way.destroy();
    server.closeAllConnections();
    server.close();
  });
  return { stream, segments, way, heard, onMux, seen, logged };
}

let tickets = 0;
const ticket = (direction: "down" | "up"): Ticket => ({ direction, ticket: String(++tickets).padStart(22, "T"), at: AT });
const segmentOf = (asked: IncomingMessage) => readSegment(String(asked.headers[BULK_HEADER]), asked.method === "POST" ? "down" : "up")?.segment;

/** An answer of WHOLE's length that the test writes and ends. */
function answering({ stream, segments }: Staged, idleMs?: number, length = LENGTH) {
  const state = { done: false, broken: false, resumed: 0 };
  const body = new AnswerBody(stream, segments, idleMs, { divert: () => undefined, hold: () => undefined, resume: () => void state.resumed++, broken: () => void (state.broken = true) });
  cleanUps.push(() => body.destroy());
  body.announced(length);
  return { body, state, end: () => body.end(() => void (state.done = true)) };
}

describe("an answer's body", () => {
  it("BK4: goes in segments that begin where the last bytes ended, each with a ticket of its own, and is whole", async () => {
    const got: Buffer[] = [];
    const segments: ReturnType<typeof segmentOf>[] = [];
    const staged = await stage((asked, answer) => {
      segments.push(segmentOf(asked));
      asked.on("data", (bytes: Buffer) => got.push(bytes));
      asked.on("end", () => answer.writeHead(204).end());
      answering_.body.ticket(ticket("down"));
    });
    const { onMux, seen } = staged;
    const answering_ = answering(staged);
    answering_.body.write(WHOLE.subarray(0, 100_000));
    answering_.body.ticket(ticket("down"));
    for (let at = 100_000; at < LENGTH; at += 290_000) answering_.body.write(WHOLE.subarray(at, at + 290_000));
    answering_.end();
    await expect.poll(() => answering_.state.done).toBe(true);
    expect(seen.ended).toBe(true);
    expect(Buffer.concat([...onMux, ...got]).equals(WHOLE)).toBe(true);
    expect(segments.length).toBeGreaterThan(1);
    let next = 100_000;
    for (const segment of segments) {
      expect(segment).toMatchObject({ stream: 2, direction: "down", offset: next });
      next += segment?.length ?? 0;
    }
    expect(new Set(segments.map((segment) => segment?.ticket)).size).toBe(segments.length);
  });

  it.each<readonly [string, Serve]>([
    ["answered with a refusal", (asked, answer) => (asked.resume(), void answer.writeHead(403).end())],
    ["hung up on", (asked) => asked.socket.destroy()],
  ])("BK5: a segment that is %s before it was taken costs nothing: the mux carries all of it, the lane pauses and says so", async (_title, serve) => {
    const staged = await stage(serve);
    const { onMux, way, heard, logged, seen } = staged;
    const { body, state, end } = answering(staged);
    body.ticket(ticket("down"));
    for (let at = 0; at < LENGTH; at += 290_000) body.write(WHOLE.subarray(at, at + 290_000));
    end();
    await expect.poll(() => state.done).toBe(true);
    expect(Buffer.concat(onMux).equals(WHOLE)).toBe(true);
    expect(seen.ended).toBe(true);
    await expect.poll(() => way.isOpen).toBe(false);
    expect(heard).toEqual([true, false]);
    expect(logged).toEqual(["bulk_paused"]);
  });

  it("BK5: no byte of a segment leaves before it was taken; what holds it back for 5 s is done without", { timeout: 15_000 }, async () => {
    let early = 0;
    const staged = await stage((asked) => void asked.on("data", (bytes: Buffer) => (early += bytes.length)));
    const { onMux, way } = staged;
    const { body, state, end } = answering(staged);
    body.ticket(ticket("down"));
    for (let at = 0; at < LENGTH; at += 290_000) body.write(WHOLE.subarray(at, at + 290_000));
    end();
    await expect.poll(() => state.done).toBe(true);
    expect(early).toBe(0);
    expect(Buffer.concat(onMux).equals(WHOLE)).toBe(true);
    await expect.poll(() => way.isOpen).toBe(false);
  });

  it("BK5: a segment that is refused because its stream is gone says nothing about the lane", async () => {
    const refused = Promise.withResolvers<void>();
    const staged = await stage((asked, answer) => (asked.resume(), void answer.writeHead(404).end(() => refused.resolve())));
    const { body } = answering(staged);
    body.ticket(ticket("down"));
    body.write(WHOLE.subarray(0, 290_000));
    await refused.promise;
    body.destroy();
    await new Promise((later) => setTimeout(later, 700));
    expect(staged.way.isOpen).toBe(true);
    expect(staged.logged).toEqual([]);
  });

  it.each<readonly [string, Serve]>([
    ["is broken off", (asked) => void asked.once("data", () => asked.socket.destroy())],
    ["is refused", (asked, answer) => void asked.once("data", () => answer.writeHead(409).end())],
    ["is taken by nobody for its idle time", () => undefined],
  ])("BK6: a segment that was taken and then %s breaks the answer", async (_title, serve) => {
    const staged = await stage((asked, answer) => {
      serve(asked, answer);
      running.body.ticket(ticket("down"));
    });
    const { seen } = staged;
    // More than the system holds for a reader that stalls.
    const running = answering(staged, 300, 64_000_000);
    running.body.ticket(ticket("down"));
    for (let at = 0; at < 60_000_000; at += 250_000) running.body.write(Buffer.alloc(250_000, 1));
    await expect.poll(() => running.state.broken).toBe(true);
    expect(running.state.done).toBe(false);
    expect(seen.ended).toBe(false);
  });

  it("BK8: destroyed, it ends its request at once", async () => {
    let closed = false;
    const staged = await stage((asked) => {
      asked.socket.on("close", () => void (closed = true));
      asked.on("error", () => undefined);
      running.body.ticket(ticket("down"));
      running.body.destroy();
    });
    const { way } = staged;
    const running = answering(staged);
    running.body.ticket(ticket("down"));
    running.body.write(WHOLE.subarray(0, 290_000));
    await expect.poll(() => closed).toBe(true);
    expect(way.running).toBe(0);
  });
});

/** A request's body whose length is known; `got` is what the app would be given. */
function uploading({ stream, segments }: Staged, idleMs?: number) {
  const got: Buffer[] = [];
  const state = { done: false, broken: false };
  const body = new UploadedBody(stream, segments, LENGTH, idleMs, {
    upload: (bytes, done) => {
      got.push(Buffer.from(bytes));
      setImmediate(done);
    },
    end: () => void (state.done = true),
    broken: () => void (state.broken = true),
  });
  cleanUps.push(() => body.destroy());
  return { body, got, state };
}

describe("a request's body", () => {
  it("BK7: begins on the mux, and the rest is one segment once the mux has ended", async () => {
    let segment: ReturnType<typeof segmentOf>;
    const staged = await stage((asked, answer) => {
      segment = segmentOf(asked);
      answer.writeHead(200, { "content-length": String(LENGTH - 200_000) });
      answer.end(WHOLE.subarray(200_000));
    });
    const { seen } = staged;
    const { body, got, state } = uploading(staged);
    body.ticket(ticket("up"));
    body.data(WHOLE.subarray(0, 100_000));
    await expect.poll(() => segment).toMatchObject({ stream: 2, direction: "up", length: LENGTH });
    body.data(WHOLE.subarray(100_000, 200_000));
    body.end();
    await expect.poll(() => state.done).toBe(true);
    expect(Buffer.concat(got).equals(WHOLE)).toBe(true);
    expect(seen.consumed).toBe(200_000);
  });

  it("BK7: all of it may come on the mux, whatever became of the request", async () => {
    const staged = await stage((_asked, answer) => void answer.writeHead(404).end());
    const { way } = staged;
    const { body, got, state } = uploading(staged);
    body.ticket(ticket("up"));
    await expect.poll(() => way.isOpen).toBe(false);
    body.data(WHOLE);
    body.end();
    expect(state.done).toBe(true);
    expect(Buffer.concat(got).equals(WHOLE)).toBe(true);
  });

  it("BK7: that is whole on the mux, and is answered 204 before its last bytes are here, is no failure", async () => {
    const staged = await stage((_asked, answer) => void answer.writeHead(204).end());
    const failed = vi.spyOn(staged.way, "failed");
    const { body, got, state } = uploading(staged);
    body.ticket(ticket("up"));
    await expect.poll(() => staged.way.running).toBe(0);
    expect(failed).not.toHaveBeenCalled();
    body.data(WHOLE);
    body.end();
    expect(state.done).toBe(true);
    expect(Buffer.concat(got).equals(WHOLE)).toBe(true);
  });

  it("BK7: of which a part is missing on the mux, although nothing was left, breaks", async () => {
    const staged = await stage((_asked, answer) => void answer.writeHead(204).end());
    const { body, state } = uploading(staged);
    body.ticket(ticket("up"));
    body.data(WHOLE.subarray(0, 200_000));
    body.end();
    await expect.poll(() => state.broken).toBe(true);
    expect(state.done).toBe(false);
  });

  it.each<readonly [string, Serve]>([
    ["breaks off", (_asked, answer) => void (answer.writeHead(200, { "content-length": String(LENGTH - 200_000) }), answer.write(WHOLE.subarray(0, 1_000_000), () => answer.destroy()))],
    ["is of another length", (_asked, answer) => void answer.writeHead(200, { "content-length": "7" }).end("too few")],
    ["stalls for its idle time", (_asked, answer) => void (answer.writeHead(200, { "content-length": String(LENGTH - 200_000) }), answer.write("x"))],
  ])("BK6: a rest that %s breaks the request, never a short one", async (_title, serve) => {
    const staged = await stage(serve);
    const { body, state, got } = uploading(staged, 300);
    body.ticket(ticket("up"));
    body.data(WHOLE.subarray(0, 200_000));
    body.end();
    if (_title.startsWith("stalls")) {
      await expect.poll(() => Buffer.concat(got).length).toBe(200_001);
      body.destroy();
      expect(state.done).toBe(false);
      return;
    }
    await expect.poll(() => state.broken).toBe(true);
    expect(state.done).toBe(false);
  });
});
