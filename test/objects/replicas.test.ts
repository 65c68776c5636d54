/** Several connectors on one lane: who gets a request, and what happens to one whose connector is lost before it answers. */
import { evictDurableObject } from "cloudflare:test";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { laneAuditName } from "../../durable-objects/bindings.ts";
import { REFUSAL_HEADER } from "../../durable-objects/tunnel/rpc.ts";
import { CLOSE_CODES } from "../../protocol/close-codes.ts";
import { encodeControl } from "../../protocol/control.ts";
import { HEAD_MS, KEEP_ALIVE_DEAD_MS } from "../../protocol/deadlines.ts";
import { documentFor, laneOf, laneStub, objects, openRequest, setUp, signedIn, wipe } from "./deployment.ts";
import { eventually } from "./eventually.ts";
import { connected, type TestConnector } from "./test-connector.ts";

beforeEach(() => setUp());
afterEach(wipe);

const recordOfLane = async (): Promise<{ kind: string; data: { readonly [key: string]: unknown } }[]> =>
  (await objects.AUDIT.getByName(laneAuditName("berlin/0")).since(0, 100)).map(({ kind, data }) => ({ kind, data }));

/** Two connectors that answer nothing, and a request on one of them. */
async function underWay(method: string, body?: string): Promise<{ holder: TestConnector; other: TestConnector; answer: Promise<Response> }> {
  const both = [await connected(), await connected()] as const;
  for (const one of both) one.mute = true;
  const answer = Promise.resolve(laneStub().fetch(openRequest(await signedIn(), "wiki", "http", 0, { method, ...(body === undefined ? {} : { body }) })));
  await eventually(() => both.some((one) => one.streams.size === 1));
  const [holder, other] = both[0].streams.size === 1 ? both : [both[1], both[0]];
  return { holder, other, answer };
}

const LOSSES: readonly [string, (holder: TestConnector) => void][] = [
  ["when its socket goes", (holder) => holder.leave()],
  ["when it refuses the stream", (holder) => holder.refuse()],
];
const METHODS: readonly [string, string | undefined, boolean][] = [
  ["GET", undefined, true],
  ["HEAD", undefined, true],
  ["OPTIONS", undefined, true],
  ["PUT", undefined, true],
  ["DELETE", undefined, true],
  ["POST", undefined, false],
  ["PATCH", undefined, false],
  ["PROPFIND", undefined, false],
  ["get", undefined, false],
  ["GET", "a body", false],
  ["PUT", "a body", false],
];

/** Every method for the one, the two kinds for the other: both are the same to the lane. */
const ROWS = LOSSES.flatMap((loss, first) => METHODS.filter(([method, body]) => first === 0 || (body === undefined && /GET|POST/.test(method))).map(([method, body, isRepeated]) => ({ when: loss[0], lose: loss[1], method, body: body ?? "none", sent: body, isRepeated })));

describe("a request whose connector has not answered", () => {
  it.each(ROWS)("$when, $method with body $body: repeated on the other is $isRepeated", async ({ lose, method, sent, isRepeated }) => {
    const { holder, other, answer } = await underWay(method, sent);
    other.mute = false;
    lose(holder);
    const got = await answer;
    if (isRepeated) {
      expect(got.status).toBe(200);
      expect([...other.streams.values()]).toMatchObject([{ method }]);
      await got.body?.cancel();
    } else {
      expect(JSON.parse(got.headers.get(REFUSAL_HEADER) ?? "{}")).toMatchObject({ code: "upstream_reset" });
      expect(other.streams.size).toBe(0);
    }
  });
});

describe("a request that was repeated", () => {
  it("is never repeated again, and the record says what happened", async () => {
    const { holder, other, answer } = await underWay("GET");
    const third = await connected();
    third.mute = true;
    holder.leave();
    await eventually(() => other.streams.size + third.streams.size === 1);
    (other.streams.size === 1 ? other : third).leave();
    expect(JSON.parse((await answer).headers.get(REFUSAL_HEADER) ?? "{}")).toMatchObject({ code: "upstream_reset" });
    await eventually(async () => (await recordOfLane()).filter(({ kind }) => kind === "stream_end").length === 2);
    const [lost, repeated] = (await recordOfLane()).filter(({ kind }) => kind !== "facts");
    expect((await recordOfLane()).map(({ kind }) => kind).filter((kind) => kind !== "facts")).toEqual(["stream_end", "repeated", "decision", "stream_end"]);
    expect(lost?.data).toMatchObject({ how: "broken" });
    expect(repeated?.data).toMatchObject({ app: "wiki", connector: expect.stringMatching(/^c_/) as string });
  });

  it("and refused at the second, says that it was sent: the edge does not send it a third time (M16)", async () => {
    const both = [await connected(), await connected()] as const;
    for (const one of both) one.mute = true;
    const sid = await signedIn();
    const answer = Promise.resolve(laneStub().fetch(openRequest(sid, "crm", "http", 0, { method: "DELETE" })));
    await eventually(() => both.some((one) => one.streams.size === 1));
    const holder = both[0].streams.size === 1 ? both[0] : both[1];
    // It stays allowed, but whoever asks again must have read the newest document.
    expect(await objects.CONTROL.getByName("control").apply({ ...documentFor(["wiki", "crm"]), by: "internal", namesOperator: true })).toMatchObject({ ok: true });
    holder.leave();
    const refusal = JSON.parse((await answer).headers.get(REFUSAL_HEADER) ?? "{}") as { code: string };
    expect(refusal).toMatchObject({ code: "stale", sent: true });
  });

  it("is not repeated when its answer had begun", async () => {
    const { holder, other, answer } = await underWay("GET");
    holder.answerAll();
    const got = await answer;
    expect(got.status).toBe(200);
    holder.write("some of it");
    holder.leave();
    await expect(got.text()).rejects.toThrow();
    expect(other.streams.size).toBe(0);
  });

  it("is not repeated without another connector", async () => {
    const only = await connected();
    only.mute = true;
    const answer = laneStub().fetch(openRequest(await signedIn()));
    await eventually(() => only.streams.size === 1);
    only.leave();
    expect(JSON.parse((await answer).headers.get(REFUSAL_HEADER) ?? "{}")).toMatchObject({ code: "upstream_reset" });
  });
});

describe("a connector that leaves (FR7)", () => {
  it("is told after the last stream that it was sent, gets nothing new, and none after its lane slept", async () => {
    const leaving = await connected();
    leaving.control(encodeControl({ t: "draining" }));
    await leaving.goneAway;
    const staying = await connected();
    const sid = await signedIn();
    for (let round = 0; round < 3; round++) {
      const answer = await laneStub().fetch(openRequest(sid));
      expect(answer.status).toBe(200);
      await answer.body?.cancel();
      if (round === 1) await evictDurableObject(laneStub(), { webSockets: "hibernate" });
    }
    expect(leaving.opened).toBe(0);
    expect(staying.opened).toBe(3);
    expect((await laneOf().status())?.connectors.map((one) => one.draining).toSorted()).toEqual([false, true]);
  });
});

describe("a connector that has been silent for KEEP_ALIVE_DEAD_MS (KA2)", () => {
  it("gets nothing new, and what was on it is answered by another or broken off, while a body is under way", async () => {
    const real = Date.now;
    let ahead = 0;
    vi.spyOn(Date, "now").mockImplementation(() => real() + ahead);
    const { holder, other, answer } = await underWay("GET");
    other.mute = false;
    const start = real();
    ahead = KEEP_ALIVE_DEAD_MS;
    // The other one is heard of.
    other.control(encodeControl({ t: "count", opened: 0 }));
    const got = await answer;
    expect(got.status).toBe(200);
    await got.body?.cancel();
    expect(await holder.closed).toBe(CLOSE_CODES.idle.code);
    // By the lane itself, before any deadline of the request's would do.
    expect(real() - start).toBeLessThan(HEAD_MS);
  });

  it("is given up by a lane that wakes, and its relayed WebSockets close with a code", async () => {
    const dead = await connected();
    const answer = await laneStub().fetch(openRequest(await signedIn(), "wiki", "websocket"));
    const socket = answer.webSocket;
    if (socket === null) throw new Error("no socket");
    const closed = new Promise<number>((resolve) => socket.addEventListener("close", ({ code }) => resolve(code)));
    socket.accept();
    await evictDurableObject(laneStub(), { webSockets: "hibernate" });
    const real = Date.now;
    vi.spyOn(Date, "now").mockImplementation(() => real() + KEEP_ALIVE_DEAD_MS + 1_000);
    socket.send("is anybody there");
    expect(await closed).toBe(CLOSE_CODES.upstream_lost.code);
    expect(await dead.closed).toBe(CLOSE_CODES.idle.code);
  });
});
