/** What connectors say of an app: decisions look at it, live connections follow it, and nobody's word outlives its socket (P1, P2, CT6). */
import { evictDurableObject, runDurableObjectAlarm } from "cloudflare:test";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { AppId, SessionId } from "../../core/ids.ts";
import { Targets } from "../../durable-objects/tunnel/targets.ts";
import { laneOf, laneStub, objects, openRequest, documentFor, sessionStub, setUp, signedIn, wipe } from "./deployment.ts";
import { eventually } from "./eventually.ts";
import { TestAgent } from "./test-agent.ts";
import { connected, enrolled, type TestConnector } from "./test-connector.ts";

const GOOD = "{ provider: [corp], target: { healthy: true, max_critical: 0, max_age: 24h } }";

let connector: TestConnector;
let sid: SessionId;

beforeEach(async () => {
  await setUp(["wiki", "pg"], GOOD);
  connector = await connected();
  sid = await signedIn();
});
afterEach(wipe);

interface Said {
  readonly up?: boolean;
  readonly critical?: number;
  readonly version?: string;
  readonly at?: number;
}

/** What a connector's two texts about an app say; a field that is not given is not said. */
function says(who: TestConnector, { up, at = Date.now(), ...file }: Said, app = "wiki"): void {
  if (up !== undefined) who.control(JSON.stringify({ t: "health", app, up }));
  who.control(JSON.stringify({ t: "target", app, ...file, at }));
}

const factsAt = async (app = "wiki"): Promise<Record<string, unknown>> => Object.fromEntries(Object.entries(await laneOf().targetFacts(app as AppId)).map(([name, { value }]) => [name.replace("target.", ""), value]));
const knows = (facts: Record<string, unknown>, app?: string): Promise<void> => eventually(async () => JSON.stringify(await factsAt(app)) === JSON.stringify(facts));
const live = async (): Promise<number> => (await laneOf().streams(sid)).streams.length;
const statusOf = async (): Promise<string> => {
  const answer = await laneStub().fetch(openRequest(sid));
  const refusal = answer.headers.get("postern-refusal");
  await answer.body?.cancel();
  return refusal === null ? String(answer.status) : (JSON.parse(refusal) as { code: string }).code;
};

const answers = (status: string): Promise<void> => eventually(async () => (await statusOf()) === status);

async function browser(): Promise<{ socket: WebSocket; closed: Promise<number> }> {
  const { webSocket: socket } = await laneStub().fetch(openRequest(sid, "wiki", "websocket"));
  if (socket === null) throw new Error("no socket");
  socket.accept();
  return { socket, closed: new Promise((resolve) => socket.addEventListener("close", ({ code }) => resolve(code))) };
}

describe("what is said of an app", () => {
  it("CT6: is a fact of it, with the connector as source and no moment that is still to come", async () => {
    says(connector, { up: true, critical: 0, version: "1.2", at: Date.now() + 3_600_000 });
    await knows({ healthy: true, version: "1.2", critical: 0 });
    for (const fact of Object.values(await laneOf().targetFacts("wiki" as AppId))) {
      expect(fact.source).toMatch(/^connector:c_/);
      expect(fact.observedAt).toBeLessThanOrEqual(Date.now());
    }
  });

  it("CT6: replaces what was said before, and what it does not name is not known any more", async () => {
    says(connector, { up: true, critical: 0, version: "1.2" });
    says(connector, { critical: 3 });
    await knows({ healthy: true, critical: 3 });
    says(connector, {});
    await knows({ healthy: true });
  });

  it("CT6: of an app that the policy does not have is nothing", async () => {
    says(connector, { up: true, critical: 0 }, "elsewhere");
    says(connector, { up: true }, "wiki");
    await knows({ healthy: true });
    expect(await factsAt("elsewhere")).toEqual({});
  });

  it("does not count as health once nobody checks it", async () => {
    says(connector, { up: true, critical: 0 }, "crm");
    await knows({ critical: 0 }, "crm");
  });

  it("decides who gets in (P1, P2): not before it is said, not while it is bad", async () => {
    expect(await statusOf()).toBe("denied");
    says(connector, { up: true, critical: 0 });
    await answers("200");
    says(connector, { up: true, critical: 1 });
    await answers("denied");
    says(connector, { up: true, critical: 0 });
    await answers("200");
    says(connector, { up: true, critical: 0, at: Date.now() - 25 * 3_600_000 });
    await answers("denied");
  });

  it("is waited for with a connector that was just welcomed", async () => {
    connector.leave();
    await eventually(async () => (await laneOf().status())?.connectors.length === 0);
    connector = await connected();
    const waits = vi.spyOn(Targets.prototype, "settled");
    const answered = statusOf();
    await eventually(() => waits.mock.calls.length > 0);
    says(connector, { up: true, critical: 0 });
    expect(await answered).toBe("200");
  });

  it("counts only as far as all connectors agree, with the older of two observations", async () => {
    const old = Date.now() - 60_000;
    const other = await connected(await enrolled());
    says(connector, { up: true, critical: 0, version: "1" });
    says(other, { up: true, critical: 0, version: "2", at: old });
    await knows({ healthy: true, critical: 0 });
    expect((await laneOf().targetFacts("wiki" as AppId))["target.critical"]?.observedAt).toBe(old);
    says(other, { up: false, critical: 0, version: "1" });
    await knows({ version: "1", critical: 0 });
    expect(await statusOf()).toBe("denied");
    other.leave();
    await knows({ healthy: true, version: "1", critical: 0 });
    expect(await statusOf()).toBe("200");
  });

  it("is gone with the socket on which it was said, whoever comes back", async () => {
    const who = await enrolled();
    connector.leave();
    connector = await connected(who);
    says(connector, { up: true, critical: 0 });
    await eventually(async () => (await factsAt())["critical"] === 0);
    connector.leave();
    await knows({});
    connector = await connected(who);
    expect(await factsAt()).toEqual({});
  });

  it("is remembered by a lane that slept", async () => {
    says(connector, { up: true, critical: 0 });
    await knows({ healthy: true, critical: 0 });
    await evictDurableObject(laneStub(), { webSockets: "hibernate" });
    expect(await factsAt()).toEqual({ healthy: true, critical: 0 });
  });

  it("stands in the record of each decision that looked at it, so that it can be made again", async () => {
    says(connector, { up: true, critical: 0 });
    await answers("200");
    says(connector, { up: true, critical: 2 });
    await knows({ healthy: true, critical: 2 });
    const request = openRequest(sid);
    const id = (JSON.parse(request.headers.get("postern-open") ?? "{}") as { request: string }).request;
    await (await laneStub().fetch(request)).body?.cancel();
    const found = (await Promise.all([0, 1, 2, 3].map((n) => objects.AUDIT.getByName(`edge/${n}`).find(id)))).flat();
    expect(found).toMatchObject([{ data: { effect: "deny", facts: { "target.healthy": { value: true }, "target.critical": { value: 2 } } } }]);
  });
});

describe("a live connection", () => {
  it.each([
    ["a critical finding", { critical: 1 }],
    ["that it is down", { up: false, critical: 0 }],
    ["nothing any more", {}],
  ])("a WebSocket ends when its connector reports %s, and the app can be had again after it", async (_, bad) => {
    says(connector, { up: true, critical: 0 });
    const { closed } = await browser();
    expect(await live()).toBe(1);
    says(connector, bad);
    expect(await closed).toBe(4403);
    await eventually(() => connector.cuts > 0);
    expect(await statusOf()).toBe("denied");
    says(connector, { up: true, critical: 0 });
    await answers("200");
  });

  it("a response under way breaks off", async () => {
    says(connector, { up: true, critical: 0 });
    const answer = await laneStub().fetch(openRequest(sid));
    const reader = answer.body?.getReader();
    connector.write("half");
    await reader?.read();
    says(connector, { critical: 1 });
    await expect(reader?.read()).rejects.toThrow();
  });

  it("a TCP stream ends in a lane that slept, and another app's goes on", async () => {
    says(connector, { up: true, critical: 0 }, "pg");
    const agent = await TestAgent.dial(sid);
    const stream = await agent.open();
    agent.write(stream, "hello");
    await eventually(() => [...connector.tcp.values()].some(({ text }) => text.endsWith("hello")));
    says(connector, { up: true, critical: 0 });
    const { socket } = await browser();
    await eventually(async () => (await live()) === 2 && (await laneOf().status())?.awake.length === 0);
    await evictDurableObject(laneStub(), { webSockets: "hibernate" });
    says(connector, { critical: 7 }, "pg");
    await eventually(() => stream.end === "reset");
    expect(await live()).toBe(1);
    socket.send("goes on");
    await eventually(() => connector.texts.includes("goes on"));
    socket.close();
  });

  it("that two connectors begin to disagree about ends, and one more that says the same costs nothing", async () => {
    says(connector, { up: true, critical: 0 });
    const { closed } = await browser();
    const other = await connected(await enrolled());
    says(other, { up: true, critical: 0 });
    await knows({ healthy: true, critical: 0 });
    expect(await live()).toBe(1);
    says(other, { up: true, critical: 4 });
    expect(await closed).toBe(4403);
  });

  it("on a connector that leaves goes on while the one that takes its place begins to speak", async () => {
    says(connector, { up: true, critical: 0 });
    const { socket, closed } = await browser();
    connector.control(JSON.stringify({ t: "draining" }));
    await connector.goneAway;
    const next = await connected(await enrolled());
    next.control(JSON.stringify({ t: "health", app: "wiki", up: true }));
    await eventually(async () => (await laneOf().status())?.connectors.length === 2);
    socket.send("goes on");
    await eventually(() => connector.texts.includes("goes on"));
    says(next, { up: true, critical: 1 });
    expect(await closed).toBe(4403);
  });

  it("with a connector that says nothing of the app beside the one that does, nothing new opens after a second, and what lives ends with its next decision", async () => {
    says(connector, { up: true, critical: 0 });
    const { closed } = await browser();
    const silent = await connected(await enrolled());
    expect(await statusOf()).toBe("denied");
    expect(await live()).toBe(1);
    says(connector, { up: true, critical: 0, version: "2" });
    expect(await closed).toBe(4403);
    expect(silent.opened).toBe(0);
  });

  it("is not touched by news that no policy asks for", async () => {
    says(connector, { up: true, critical: 0 });
    const answer = await laneStub().fetch(openRequest(sid));
    await objects.CONTROL.getByName("control").apply({ ...documentFor(["wiki"]), namesOperator: true, by: "internal" });
    says(connector, { up: false, critical: 9 });
    await knows({ healthy: false, critical: 9 });
    expect(await live()).toBe(1);
    await answer.body?.cancel();
  });

  it("ends when what was said of its app is too old (P18), though nothing moves and the lane sleeps", async () => {
    const halfAnHour = 1_800_000;
    says(connector, { up: true, critical: 0, at: Date.now() - 24 * 3_600_000 + halfAnHour });
    const { closed } = await browser();
    await evictDurableObject(laneStub(), { webSockets: "hibernate" });
    vi.useFakeTimers({ toFake: ["Date"], now: Date.now() + halfAnHour + 1 });
    try {
      await runDurableObjectAlarm(sessionStub(sid));
    } finally {
      vi.useRealTimers();
    }
    expect(await closed).toBe(4403);
  });
});
