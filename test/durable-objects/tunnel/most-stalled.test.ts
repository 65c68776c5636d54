import { describe, expect, it } from "vitest";
import { mostStalled } from "../../../durable-objects/tunnel/most-stalled.ts";
import { deliver, opened, pair } from "../../protocol/wire.ts";

describe("when there is no room for a new stream", () => {
  it("FC8: the one with most that waits is found, either way, and room is there once it is reset", () => {
    const { edge, connector } = pair({ maxBufferedBytes: 300_000 });
    const [slow, slower, sending] = [opened(edge), opened(edge), opened(edge)];
    for (const id of [slow, slower]) edge.write(id, new Uint8Array(1));
    deliver(edge, connector);
    expect(mostStalled(edge)).toBeUndefined();
    connector.write(slow, new Uint8Array(120_000));
    connector.write(slower, new Uint8Array(160_000));
    deliver(connector, edge);
    expect(edge.open()).toEqual({ ok: false, error: "memory" });
    expect(mostStalled(edge)).toBe(slower);
    edge.reset(slower);
    expect(edge.open().ok).toBe(true);
    expect(mostStalled(edge)).toBeUndefined();
    edge.write(sending, new Uint8Array(200_000));
    expect(mostStalled(edge)).toBe(sending);
  });
});
