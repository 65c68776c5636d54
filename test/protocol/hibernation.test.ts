/** Streams that outlive the mux that carried them. */
import { describe, expect, it } from "vitest";
import { INITIAL_WINDOW_BYTES } from "../../protocol/frames.ts";
import { Mux } from "../../protocol/mux.ts";
import { bytes, deliver, opened, pair, reads, show } from "./wire.ts";

const sent = (mux: Mux): string[] => reads(mux.takeOutput()).map(show);
const peer = (): Mux => new Mux({ now: () => 0, role: "connector" });

describe("hibernation", () => {
  it("ST11: a stream restored into a new mux carries on with the same credit both ways", () => {
    const { edge, connector } = pair();
    const id = opened(edge);
    edge.write(id, new Uint8Array(100_000));
    for (const event of deliver(edge, connector)) if (event.type === "data") connector.consumed(id, event.bytes.length);
    connector.write(id, new Uint8Array(50_000));
    deliver(connector, edge);
    edge.consumed(id, 20_000);
    const snapshot = edge.snapshot(id);
    if (snapshot === undefined) throw new Error("gone");
    expect(JSON.stringify(snapshot).length).toBeLessThan(64);

    const woken = new Mux({ role: "edge", now: () => 0 });
    woken.reserveIds(1026);
    woken.restore(id, JSON.parse(JSON.stringify(snapshot)));
    expect(woken.snapshot(id)).toEqual(snapshot);
    expect([woken.writable(id), woken.streamCount, opened(woken)]).toEqual([edge.writable(id), 1, 1026]);
    expect(woken.write(id, bytes("on"))).toBe(2);
    expect(deliver(woken, connector)).toEqual([{ type: "data", id, bytes: bytes("on") }]);
    woken.consumed(id, 30_000);
    woken.consumed(id, 0, "now");
    expect(deliver(woken, connector)).toMatchObject([{ type: "writable", id, credit: INITIAL_WINDOW_BYTES, granted: 50_000 }]);
    woken.end(id);
    connector.end(id);
    deliver(woken, connector);
    deliver(connector, woken);
    connector.consumed(id, 2);
    expect([woken.streamCount, woken.bufferedBytes, connector.streamCount]).toEqual([1, 0, 0]);
  });

  it("ST11: half-closed and unannounced streams keep their standing", () => {
    const { edge } = pair();
    const [fresh, ended] = [opened(edge), opened(edge)];
    edge.write(ended, bytes("x"));
    edge.end(ended);
    edge.takeOutput();
    const woken = new Mux({ role: "edge", now: () => 0, maxBacklog: 2 });
    for (const id of [fresh, ended]) {
      const snapshot = edge.snapshot(id);
      if (snapshot !== undefined) woken.restore(id, snapshot);
    }
    expect(woken.open()).toEqual({ ok: false, error: "backlog" });
    expect([woken.write(fresh, bytes("hello")), woken.write(ended, bytes("no"))]).toEqual([5, 0]);
    expect(sent(woken)).toEqual(["data SYN 2 hello"]);
    expect(edge.snapshot(999)).toBeUndefined();
  });

  it("ST11: restoring twice counts once", () => {
    const mux = peer();
    const snapshot = { credit: 1000, window: 200_000, held: 10, flags: 0 };
    mux.restore(2, snapshot);
    mux.restore(2, snapshot);
    mux.reset(2);
    expect([mux.streamCount, mux.bufferedBytes, mux.inFlightBytes]).toEqual([0, 0, 0]);
  });
});
