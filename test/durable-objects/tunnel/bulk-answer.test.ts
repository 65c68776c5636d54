/** How an answer's body that left the mux ended, as it is put on record (M15). */
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { Redeem } from "../../../durable-objects/tunnel/bulk.ts";
import { BulkAnswer } from "../../../durable-objects/tunnel/bulk-answer.ts";
import type { ConnectorLink } from "../../../durable-objects/tunnel/connector-link.ts";
import { Deadlines } from "../../../durable-objects/tunnel/deadlines.ts";
import { LateEnds } from "../../../durable-objects/tunnel/late-ends.ts";
import type { Lane } from "../../../durable-objects/tunnel/http-relay.ts";
import type { LiveStream } from "../../../durable-objects/tunnel/live-stream.ts";

const LENGTH = 1_000_000;

beforeEach(() => {
  // The runtime's own: a pair that is as long as it says.
  vi.stubGlobal("FixedLengthStream", function pair() {
    return new TransformStream();
  });
});
afterEach(() => void vi.unstubAllGlobals());

function answering() {
  const ends: string[] = [];
  const redeems: Redeem[] = [];
  const tickets = { issue: (_link: unknown, _number: number, _direction: string, redeem: Redeem) => (redeems.push(redeem), () => undefined) };
  const lane = { deadlines: new Deadlines(), ends: new LateEnds(), guard: () => () => undefined, tickets } as unknown as Lane;
  const link = { mux: { consumed: () => undefined }, flush: () => undefined } as unknown as ConnectorLink;
  const bulk = new BulkAnswer(lane, link, { number: 2, bytesOut: 0 } as LiveStream, LENGTH, {
    mayPass: () => Promise.resolve(true),
    moved: () => undefined,
    finish: () => void ends.push("done"),
    broken: (byClient) => void ends.push(byClient ? "the client left" : "broken"),
  });
  const body = bulk.start([new Uint8Array(10)], false).getReader();
  return { bulk, body, ends, redeem: (segment: ReadableStream<Uint8Array>) => redeems[0]?.({ offset: 10, length: LENGTH - 10 } as Parameters<Redeem>[0], segment) };
}

describe("an answer's body that left the mux", () => {
  it("is broken when its segment breaks, whatever was given to the client", async () => {
    const { body, ends, redeem } = answering();
    let pulls = 0;
    void redeem(new ReadableStream({ pull: (controller) => (pulls++ === 0 ? controller.enqueue(new Uint8Array(500)) : controller.error(new Error("the connector went"))) }));
    expect((await body.read()).value).toHaveLength(10);
    expect((await body.read()).value).toHaveLength(500);
    await expect(body.read()).rejects.toThrow();
    await vi.waitFor(() => expect(ends[0]).toBe("broken"));
  });

  it("is what the client did not want any more when it leaves before there is one", async () => {
    const { bulk, body, ends } = answering();
    await body.cancel();
    bulk.data(new Uint8Array(10));
    await vi.waitFor(() => expect(ends[0]).toBe("the client left"));
  });
});
