import { createHmac } from "node:crypto";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { AppId, RequestId } from "../../../core/ids.ts";
import { BulkTickets } from "../../../durable-objects/tunnel/bulk.ts";
import type { ConnectorLink } from "../../../durable-objects/tunnel/connector-link.ts";
import { Deadlines } from "../../../durable-objects/tunnel/deadlines.ts";
import { LateEnds } from "../../../durable-objects/tunnel/late-ends.ts";
import { HttpRelay, type Lane } from "../../../durable-objects/tunnel/http-relay.ts";
import type { LiveStream } from "../../../durable-objects/tunnel/live-stream.ts";
import { readSegment, type Segment, spellSegment } from "../../../protocol/bulk.ts";
import type { EdgeMessage } from "../../../protocol/control.ts";
import { encodeAnswerHead } from "../../../protocol/head.ts";
import type { Hmac } from "../../../protocol/stream-mac.ts";
import { WaitingUp } from "../../../durable-objects/tunnel/waiting-up.ts";

const hmac: Hmac = (key, bytes) => createHmac("sha256", key).update(bytes).digest();
const KEY = new Uint8Array(32).fill(1);
const NUMBER = 2;
const LENGTH = 1_000_000;

/** As the runtime's: breaks a stream that is shorter or longer than announced. */
class FixedLength extends TransformStream<Uint8Array, Uint8Array> {
  constructor(length: number) {
    let seen = 0;
    super({
      transform: (chunk, controller) => {
        seen += chunk.length;
        if (seen > length) throw new TypeError("too long");
        controller.enqueue(chunk);
      },
      flush: () => {
        if (seen !== length) throw new TypeError("too short");
      },
    });
  }
}

beforeEach(() => void vi.stubGlobal("FixedLengthStream", FixedLength));
afterEach(() => void vi.unstubAllGlobals());

type Ticket = Extract<EdgeMessage, { readonly t: "bulk" }>;

/** One exchange whose answer has a length; the test is its connector, and its client. */
function exchange({ takesBulk = true, maxBytes }: { readonly takesBulk?: boolean; readonly maxBytes?: number } = {}) {
  const said: Ticket[] = [];
  const seen = { finished: undefined as string | undefined, resets: 0 };
  const tickets = new BulkTickets("a".repeat(64));
  const lane: Lane = { waitingUp: new WaitingUp(), deadlines: new Deadlines(), ends: new LateEnds(), passes: () => true, renew: () => Promise.resolve(true), guard: () => () => undefined, tickets, noteUserByte: () => undefined, finished: (_stream, how) => void (seen.finished = how) };
  const mux = { consumed: () => undefined, end: () => undefined, reset: () => undefined };
  const link = {
    mux, takesBulk, tell: (message: EdgeMessage) => void (message.t === "bulk" && said.push(message)),
    proves: (isOf: ((hash: Hmac, key: Uint8Array) => boolean) | undefined) => isOf?.(hmac, KEY) === true,
    flush: () => undefined, release: () => undefined, resetStream: () => void seen.resets++,
    write: (_id: number, bytes: Uint8Array) => bytes.length,
  } as unknown as ConnectorLink;
  const stream = { id: "r_x" as RequestId, number: NUMBER, ask: { app: "app" as AppId }, limits: { ...(maxBytes !== undefined && { maxBytes }) }, bytesIn: 0, bytesOut: 0 } as unknown as LiveStream;
  const relay = new HttpRelay(lane, link);
  relay.bind(stream, NUMBER, undefined);
  const head = encodeAnswerHead({ v: 1, status: 200, headers: [], body: "stream", length: LENGTH });
  if (head.ok) relay.data(head.value);
  const body = relay.bulk(LENGTH);
  const read = body === undefined ? Promise.resolve(undefined) : new Response(body).arrayBuffer().then((bytes) => new Uint8Array(bytes));
  read.catch(() => undefined);
  /** The connector's own request. */
  const send = (segment: Partial<Segment>, bytes: Uint8Array | ReadableStream<Uint8Array>, key = KEY): Promise<Response> => {
    const named: Segment = { ticket: said.at(-1)?.ticket ?? "", stream: NUMBER, direction: "down", offset: 0, length: LENGTH, ...segment };
    return tickets.serve(spellSegment(hmac, key, named), new Request("https://lane.internal/", { method: "POST", body: bytes, duplex: "half" } as RequestInit));
  };
  return { relay, said, seen, read, send, stream, tickets };
}

/** Bytes that differ from their neighbours. */
const bytesOf = (from: number, length: number): Uint8Array => Uint8Array.from({ length }, (_, at) => ((from + at) * 31) % 251);
const WHOLE = bytesOf(0, LENGTH);
const isWhole = (bytes: Uint8Array | undefined): boolean => bytes !== undefined && Buffer.compare(bytes, WHOLE) === 0;

describe("tickets", () => {
  it("BK1: none is issued to a connector that takes none, and none on a stream whose bytes are counted against a limit", () => {
    expect(exchange({ takesBulk: false }).said).toEqual([]);
    expect(exchange({ maxBytes: 10_000_000 }).said).toEqual([]);
    expect(exchange().said).toHaveLength(1);
  });

  it("BK2: each is 128 random bits for one stream and direction, and the next one says that the last was taken", async () => {
    const { said, send, read, relay } = exchange();
    expect(said[0]).toMatchObject({ stream: NUMBER, direction: "down", ticket: expect.stringMatching(/^[\w-]{22}$/), at: "a".repeat(64) });
    const answer = send({ length: 600_000 }, WHOLE.subarray(0, 600_000));
    await expect.poll(() => said.length).toBe(2);
    expect(said[1]?.ticket).not.toBe(said[0]?.ticket);
    expect((await answer).status).toBe(204);
    expect((await send({ offset: 600_000, length: 400_000 }, WHOLE.subarray(600_000))).status).toBe(204);
    relay.end();
    expect(isWhole(await read)).toBe(true);
  });

  it("BK3: an unknown, a used and another direction's ticket are 404; a wrong MAC spends none", async () => {
    const { send, said, tickets } = exchange();
    const first = said[0]?.ticket ?? "";
    expect((await send({ ticket: "X".repeat(22) }, new Uint8Array(1))).status).toBe(404);
    expect((await send({ stream: NUMBER + 2 }, new Uint8Array(1))).status).toBe(404);
    expect((await send({}, new Uint8Array(1), new Uint8Array(32))).status).toBe(404);
    const up = spellSegment(hmac, KEY, { ticket: first, stream: NUMBER, direction: "up", offset: 0, length: LENGTH });
    expect((await tickets.serve(up, new Request("https://lane.internal/"))).status).toBe(404);
    expect((await tickets.serve("nonsense", new Request("https://lane.internal/"))).status).toBe(404);
    expect(readSegment(up, "up")).toBeDefined();
    expect((await send({ length: 500_000 }, WHOLE.subarray(0, 500_000))).status).toBe(204);
    expect((await send({ ticket: first, offset: 500_000, length: 1 }, new Uint8Array(1))).status).toBe(404);
  });
});

describe("an answer in segments", () => {
  it("BK4: begins on the mux, goes on in a segment and ends on the mux, to the byte", async () => {
    const { relay, send, read, seen, stream } = exchange();
    relay.data(WHOLE.slice(0, 100_000));
    const answer = send({ offset: 150_000, length: 600_000 }, WHOLE.subarray(150_000, 750_000));
    // These were under way on the mux when the segment was named.
    relay.data(WHOLE.slice(100_000, 150_000));
    expect((await answer).status).toBe(204);
    relay.data(WHOLE.slice(750_000));
    relay.end();
    expect(isWhole(await read)).toBe(true);
    expect(seen.finished).toBe("done");
    expect(stream.bytesOut).toBe(LENGTH);
  });

  it.each([
    ["below what has arrived", { offset: 99_999, length: 10 }],
    ["that reaches beyond the end", { offset: 100_000, length: 900_001 }],
    ["of nothing", { offset: 100_000, length: 0 }],
  ])("BK4: a segment %s is refused and takes nothing", async (_title, segment) => {
    const { relay, send, read } = exchange();
    relay.data(WHOLE.slice(0, 100_000));
    expect((await send(segment, new Uint8Array(0))).status).toBe(409);
    for (let at = 100_000; at < LENGTH; at += 100_000) relay.data(WHOLE.slice(at, at + 100_000));
    relay.end();
    expect(isWhole(await read)).toBe(true);
  });

  it("BK4: bytes on the mux that belong to a segment break the stream", async () => {
    const { relay, send, read, seen } = exchange();
    const answer = send({ offset: 100_000, length: 600_000 }, new ReadableStream());
    relay.data(WHOLE.slice(0, 100_001));
    expect((await answer).status).toBe(409);
    await expect(read).rejects.toThrow();
    expect(seen).toMatchObject({ finished: "broken", resets: 1 });
  });

  it.each([
    ["breaks off", (): ReadableStream<Uint8Array> => new ReadableStream({ start: (controller) => controller.error(new Error("gone")) })],
    ["is short", (): Uint8Array => WHOLE.slice(0, 599_999)],
  ])("BK6: a segment that %s breaks the stream, never a short success", async (_title, body) => {
    const { relay, send, read, seen } = exchange();
    const answer = send({ length: 600_000 }, body());
    // The connector goes on once the edge took the segment, and hears of the end of a broken one.
    void answer.then(({ status }) => status === 204 && (relay.data(WHOLE.slice(600_000)), relay.end()));
    await expect(read).rejects.toThrow();
    await expect.poll(() => seen.finished).toBeDefined();
    expect(seen.resets).toBe(1);
  });

  it("BK8: a cut ends the segment under way, its client and its ticket at once", async () => {
    const { relay, said, send, read, seen } = exchange();
    let cancelled = false;
    const answer = send({ length: 600_000 }, new ReadableStream({ pull: (controller) => controller.enqueue(new Uint8Array(1_000)), cancel: () => void (cancelled = true) }));
    await expect.poll(() => said.length).toBe(2);
    expect(relay.cut("revoked")).toBeGreaterThanOrEqual(0);
    expect((await answer).status).toBe(409);
    await expect(read).rejects.toThrow();
    await expect.poll(() => cancelled).toBe(true);
    expect((await send({ offset: 0, length: 1 }, new Uint8Array(1))).status).toBe(404);
    expect(seen.finished).toBe("revoked");
  });
});
