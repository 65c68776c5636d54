/** An edge that keeps its socket open and says nothing more (F4, row 81): found within the published bound, and left. */
import { setImmediate } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { KEEP_ALIVE_DEAD_MS, KEEP_ALIVE_MS } from "../../protocol/deadlines.ts";
import { connected, echo, edge, origin } from "./connected-edge.ts";

/** Sockets and everything else go on in real time; only timers and the clock that they are judged by are turned. */
beforeEach(() => void vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "setInterval", "clearInterval", "performance"] }));
afterEach(() => void vi.useRealTimers());

describe("the connector, when the edge says nothing", () => {
  it("KA2: destroys what it carried when the bound is reached, whenever it pings, and connects anew", async () => {
    const gone = Promise.withResolvers<void>();
    const url = await origin((request, response) => {
      request.socket.on("close", () => gone.resolve());
      response.write("first");
    });
    const made = await edge({ silent: true });
    made.configure({ id: "wiki", upstreams: [url] });
    const { link, lines } = await connected(made);
    await (await link.ask()).head;
    // What was heard last came after its first ping was due.
    vi.advanceTimersByTime(KEEP_ALIVE_MS / 2);
    link.socket.send("pong");
    for (let turn = 0; turn < 5; turn++) await setImmediate();
    vi.advanceTimersByTime(KEEP_ALIVE_DEAD_MS - 1);
    expect(lines.some((line) => line.includes("edge_silent"))).toBe(false);
    vi.advanceTimersByTime(1);
    expect(lines.some((line) => line.includes("edge_silent"))).toBe(true);
    await gone.promise;
    let isBack = false;
    void made.link().then(() => (isBack = true));
    for (; !isBack; await setImmediate()) vi.advanceTimersByTime(1);
  });

  it("KA2: stays as long as it is answered", async () => {
    const { link, lines } = await echo();
    // Welcomed at both ends: its pings are set.
    await (await link.ask()).head;
    for (let round = 0; round < 10; round++) {
      const answered = new Promise((pinged) => link.socket.once("ping", pinged));
      vi.advanceTimersByTime(KEEP_ALIVE_MS);
      await answered;
      // The pong was written before; both ends are in this process, whose next turns read it.
      for (let turn = 0; turn < 5; turn++) await setImmediate();
    }
    expect(lines.some((line) => line.includes("edge_silent"))).toBe(false);
    expect(link.socket.readyState).toBe(link.socket.OPEN);
  });
});
