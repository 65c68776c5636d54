import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { RequestId } from "../../../core/ids.ts";
import { unpackReply } from "../../../durable-objects/batch-reply.ts";
import { CarriedRequests, CLAIM_AFTER_MS } from "../../../durable-objects/tunnel/carried.ts";
import { Deadlines } from "../../../durable-objects/tunnel/deadlines.ts";
import { HttpRelay } from "../../../durable-objects/tunnel/http-relay.ts";
import type { Reply } from "../../../durable-objects/tunnel/open-stream.ts";
import type { OpenContext } from "../../../durable-objects/tunnel/rpc.ts";
import { type AnswerHead, encodeAnswerHead } from "../../../protocol/head.ts";

const openOf = (n: number): OpenContext => ({ request: `r_${n}` as RequestId, method: "GET", body: "none", ask: { protocol: "http" } }) as unknown as OpenContext;

/** An answer whose body stays at the relay until it is whole. */
function answer(giveUp: () => void): Reply {
  const relay = { isWhole: () => false, whole: () => undefined, gather: () => Promise.resolve(), brokenBy: undefined, giveUp };
  return { kind: "answered", head: { v: 1, status: 200, headers: [], body: "stream" }, headers: [], bodiless: false, relay, policyVersion: 1 } as unknown as Reply;
}

describe("requests that were carried (M16)", () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  it.each([["answered", 0], ["answered only later", 60_000]])("one that is %s and that nobody comes for is given up, and its place is free", async (_when, ms) => {
    let resets = 0;
    const carried = new CarriedRequests(() => new Promise((resolve) => setTimeout(() => resolve(answer(() => resets++)), ms)), new Deadlines());
    const reply = carried.carry([openOf(1)]);
    await vi.advanceTimersByTimeAsync(CLAIM_AFTER_MS + 500);
    expect(unpackReply(await reply).map(({ item }) => item.kind)).toEqual(["claim"]);
    expect([carried.size, resets]).toEqual([1, 0]);
    await vi.advanceTimersByTimeAsync(60_000);
    expect([carried.size, resets]).toEqual([0, 1]);
  });

  it("one that became a claim, and whose answer is whole then, is given up with its stream", async () => {
    let ended = "";
    let released = 0;
    const deadlines = new Deadlines();
    const lane = { deadlines, passes: () => true, finished: (_stream: unknown, how: string) => void (ended = how) };
    const relay = new HttpRelay(lane as never, { mux: { consumed: () => undefined }, resetStream: () => void released++ } as never);
    relay.bind({ bytesIn: 0, bytesOut: 0 } as never, 2, undefined);
    const head: AnswerHead = { v: 1, status: 200, headers: [], body: "stream", length: 2 };
    const answered = Promise.withResolvers<Reply>();
    const carried = new CarriedRequests(() => answered.promise, deadlines);
    const reply = carried.carry([openOf(1)]);
    await vi.advanceTimersByTimeAsync(CLAIM_AFTER_MS + 500);
    expect(unpackReply(await reply).map(({ item }) => item.kind)).toEqual(["claim"]);
    const bytes = encodeAnswerHead(head);
    if (!bytes.ok) throw new Error("a head that is none");
    relay.data(bytes.value);
    relay.data(new Uint8Array(2));
    relay.end();
    answered.resolve({ kind: "answered", head, headers: [], bodiless: false, relay, policyVersion: 1 } as unknown as Reply);
    await vi.advanceTimersByTimeAsync(60_000);
    expect([carried.size, ended, released]).toEqual([0, "broken", 1]);
  });

  it("an open that throws is one refusal among answers", async () => {
    const carried = new CarriedRequests((open) => (open.request === "r_1" ? Promise.reject(new Error("storage")) : Promise.resolve(answer(() => undefined))), new Deadlines());
    const codes = (reply: Uint8Array): string[] => unpackReply(reply).map(({ item }) => (item.kind === "refused" ? item.refusal.code : item.kind));
    expect(codes(await carried.carry([openOf(1), openOf(2)]))).toEqual(["unavailable"]);
    expect(codes(await carried.collect(["r_1" as RequestId, "r_2" as RequestId]))).toEqual(["claim"]);
  });

  it("holds no more than it has room for; what is above is refused at once", async () => {
    let opened = 0;
    const carried = new CarriedRequests(() => (opened++, new Promise(() => undefined)), new Deadlines());
    void carried.carry(Array.from({ length: 2_048 }, (_, n) => openOf(n)));
    const over = unpackReply(await carried.carry([openOf(9_999)])).map(({ item }) => (item.kind === "refused" ? item.refusal.code : item.kind));
    expect([over, opened]).toEqual([["overloaded"], 2_048]);
  });

  it("a reply holds a megabyte of bodies; the rest comes with the next", async () => {
    const body = new Uint8Array(64 * 1024);
    const relay = { isWhole: () => true, whole: () => body, brokenBy: undefined, giveUp: () => undefined };
    const reply = { kind: "answered", head: { v: 1, status: 200, headers: [], body: "stream", length: body.length }, headers: [], bodiless: false, relay, policyVersion: 1 } as unknown as Reply;
    const carried = new CarriedRequests(() => Promise.resolve(reply), new Deadlines());
    const opens = Array.from({ length: 40 }, (_, n) => openOf(n));
    const counts: number[] = [];
    let left = opens.map((open) => open.request);
    for (let came = unpackReply(await carried.carry(opens)); ; came = unpackReply(await carried.collect(left))) {
      counts.push(came.length);
      left = left.filter((id) => !came.some(({ item }) => item.id === id));
      if (left.length === 0) break;
    }
    expect(counts).toEqual([16, 16, 8]);
  });
});
