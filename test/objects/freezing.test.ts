/** A live stream that a fresh sign-in would allow is held where it stands, goes on when that came, and ends when it does not (P3, M3). */
import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { SessionId, UserId } from "../../core/ids.ts";
import { at } from "../../core/time.ts";
import type { CutReport } from "../../durable-objects/cut-report.ts";
import type { Watched } from "../../durable-objects/session/rpc.ts";
import type { News } from "../../durable-objects/signal-facts.ts";
import { MAX_FROZEN_MS } from "../../durable-objects/tunnel/freezing.ts";
import { cookieOf, documentFor, HASH, laneOf, laneStub, objects, openRequest, randomText, sessionOf, sessionStub, setUp, signedIn, userId, wipe } from "./deployment.ts";
import { eventually } from "./eventually.ts";
import { TestAgent } from "./test-agent.ts";
import { connected, type TestConnector } from "./test-connector.ts";

let connector: TestConnector;
let sid: SessionId;

const STEP_UP = "{ provider: [corp], risk: [low, medium, high], any: [{ risk: { max: medium } }, { mfa: { max_age: 5m } }] }";

beforeEach(async () => {
  await setUp(["wiki", "crm", "pg"], STEP_UP);
  connector = await connected();
  await risk("low");
  sid = await signedIn();
});
afterEach(wipe);

async function say(news: News): Promise<CutReport> {
  const target = { kind: "user", id: userId() as UserId } as const;
  const done = await objects.CONTROL.getByName("control").signal({ source: "test", id: randomText(8), name: "test", target, effect: { kind: "facts", facts: news } });
  if (!done.ok) throw new Error(done.code);
  return done.receipt.report;
}
const risk = (value: string): Promise<CutReport> => say({ risk: { value, source: "risk", observedAt: at(Date.now()) } });
const stepUp = (): Promise<CutReport> => sessionOf(sid).observe({ mfa: { value: { methods: ["hwk"] }, source: "postern", observedAt: at(Date.now()) } }, Date.now());
/** Of which the session keeps since when streams there are frozen. */
const frozenApps = (): Promise<readonly string[]> =>
  runInDurableObject(sessionStub(sid), async (_session, state) => ((state.storage.kv.get("session") as { watched?: readonly Watched[] } | undefined)?.watched ?? []).filter(({ frozenAt }) => frozenAt !== undefined).map(({ app }) => app));
const states = async (): Promise<readonly string[]> => (await laneOf().streams(sid)).streams.map(({ state }) => state);

async function browser(): Promise<{ socket: WebSocket; texts: string[]; closed: Promise<number> }> {
  const { webSocket: socket } = await laneStub().fetch(openRequest(sid, "wiki", "websocket"));
  if (socket === null) throw new Error("no socket");
  socket.accept();
  const texts: string[] = [];
  socket.addEventListener("message", ({ data }) => void texts.push(String(data)));
  return { socket, texts, closed: new Promise((resolve) => socket.addEventListener("close", ({ code }) => resolve(code))) };
}

/** The session's alarm comes when what is frozen has been so for as long as may be. */
async function tenMinutesLater(): Promise<void> {
  vi.useFakeTimers({ toFake: ["Date"], now: Date.now() + MAX_FROZEN_MS + 1 });
  try {
    await runDurableObjectAlarm(sessionStub(sid));
  } finally {
    vi.useRealTimers();
  }
}

describe("a WebSocket", () => {
  it("is held both ways by a signal, in order, and goes on after the step-up", async () => {
    const { socket, texts } = await browser();
    socket.send("before");
    await eventually(() => connector.texts.length === 1);
    expect(await risk("high")).toMatchObject({ found: 1, closed: 0, frozen: 1, kept: 0, unconfirmed: [] });
    expect(await states()).toEqual(["frozen"]);
    for (const text of ["one", "two"]) socket.send(text);
    connector.say("from the app");
    await eventually(async () => (await states())[0] === "frozen");
    expect([connector.texts, texts]).toEqual([["before"], []]);
    await stepUp();
    await eventually(() => connector.texts.length === 3 && texts.length === 1);
    expect([connector.texts, texts]).toEqual([["before", "one", "two"], ["from the app"]]);
    expect(await states()).toEqual(["open"]);
    socket.close();
  });

  it("that is quiet, in a lane that sleeps, is held by it, and let go by a step-up that says the same anew", async () => {
    await stepUp();
    const { socket } = await browser();
    await evictDurableObject(laneStub(), { webSockets: "hibernate" });
    await say({ mfa: null });
    expect(await states()).toEqual(["open"]);
    expect(await risk("high")).toMatchObject({ frozen: 1 });
    await stepUp();
    await eventually(async () => (await states())[0] === "open");
    socket.send("goes on");
    await eventually(() => connector.texts.includes("goes on"));
    socket.close();
  });

  it("ends when nobody stepped up for ten minutes", async () => {
    const { closed } = await browser();
    await risk("high");
    await tenMinutesLater();
    expect(await closed).toBe(4403);
  });

  it.each([
    ["sleeps", async () => undefined],
    ["sleeps, and is woken by a newer policy that wants the same", async () => {
      const done = await objects.CONTROL.getByName("control").apply({ ...documentFor(["wiki", "crm"], STEP_UP), namesOperator: true, by: "internal" });
      expect(done).toMatchObject({ ok: true, receipt: { report: { found: 1, closed: 0 } } });
    }],
  ])("ends when nobody stepped up for ten minutes, though its lane %s meanwhile", async (_title, meanwhile) => {
    const { closed } = await browser();
    await risk("high");
    await eventually(async () => (await frozenApps()).length === 1);
    await evictDurableObject(laneStub(), { webSockets: "hibernate" });
    await meanwhile();
    await tenMinutesLater();
    expect(await closed).toBe(4403);
  });

  it("that goes on after its lane slept has ten minutes of its own when it is held again", async () => {
    const { socket } = await browser();
    await risk("high");
    await eventually(async () => (await frozenApps()).length === 1);
    await evictDurableObject(laneStub(), { webSockets: "hibernate" });
    await risk("low");
    expect(await states()).toEqual(["open"]);
    expect(await frozenApps()).toEqual([]);
    vi.useFakeTimers({ toFake: ["Date"], now: Date.now() + MAX_FROZEN_MS - 1 });
    try {
      expect(await risk("high")).toMatchObject({ found: 1, closed: 0, frozen: 1 });
      vi.setSystemTime(Date.now() + MAX_FROZEN_MS - 1);
      await risk("medium");
    } finally {
      vi.useRealTimers();
    }
    expect(await states()).toEqual(["open"]);
    socket.close();
  });

  it("that a newer policy lets go is frozen at the session no longer", async () => {
    const { socket } = await browser();
    await risk("high");
    await eventually(async () => (await frozenApps()).length === 1);
    await objects.CONTROL.getByName("control").apply({ ...documentFor(["wiki"]), namesOperator: true, by: "internal" });
    await eventually(async () => (await frozenApps()).length === 0);
    socket.close();
  });

  it("ends at once when a step-up would not help any more", async () => {
    const { closed } = await browser();
    await risk("high");
    expect(await say({ risk: null })).toMatchObject({ found: 1, closed: 1 });
    expect(await closed).toBe(4403);
  });

  it("is held when a policy wants more than it had, and goes on after the step-up", async () => {
    const { socket } = await browser();
    const done = await objects.CONTROL.getByName("control").apply({ ...documentFor(["wiki"], "{ provider: [corp], mfa: { max_age: 5m } }"), namesOperator: true, by: "internal" });
    expect(done).toMatchObject({ ok: true, receipt: { report: { found: 1, closed: 0, frozen: 1 } } });
    socket.send("after it");
    await stepUp();
    await eventually(() => connector.texts.includes("after it"));
    socket.close();
  });
});

describe("a TCP stream", () => {
  it("AG14: is held both ways, its agent asked for what is wanted, and goes on to the byte", async () => {
    const agent = await TestAgent.dial(sid);
    const stream = await agent.open();
    agent.write(stream, "hello");
    const far = (): { bytes: number; text: string } => [...connector.tcp.values()][0] ?? { bytes: 0, text: "" };
    await eventually(() => far().text.endsWith("hello"));
    expect(await risk("high")).toMatchObject({ found: 1, closed: 0, frozen: 1 });
    expect(await agent.answer(stream.id, ["frozen"])).toEqual({ t: "frozen", stream: stream.id, age: 300, mfa: 1, passkey: 3 });
    const before = { near: stream.bytes, far: far().bytes };
    agent.write(stream, "typed while frozen");
    connector.write("printed while frozen");
    await eventually(async () => (await states())[0] === "frozen");
    expect({ near: stream.bytes, far: far().bytes }).toEqual(before);
    await stepUp();
    expect(await agent.answer(stream.id, ["thawed"])).toEqual({ t: "thawed", stream: stream.id });
    await eventually(() => far().text.endsWith("typed while frozen") && stream.text.endsWith("printed while frozen"));
  });

  it("AG9 AG14: ends with step_up when nobody did in time", async () => {
    const agent = await TestAgent.dial(sid);
    const stream = await agent.open();
    await risk("high");
    await agent.answer(stream.id, ["frozen"]);
    vi.useFakeTimers({ toFake: ["Date"], now: Date.now() + MAX_FROZEN_MS + 1 });
    try {
      await laneOf().observe({ ...(await snapshot()) });
    } finally {
      vi.useRealTimers();
    }
    expect(await agent.answer(stream.id, ["closed"])).toMatchObject({ code: "step_up" });
  });
});

describe("an event stream", () => {
  it("is held, outlives its idle time, and goes on", async () => {
    const answer = await laneStub().fetch(openRequest(sid));
    const reader = answer.body?.pipeThrough(new TextDecoderStream()).getReader();
    connector.write("one");
    expect((await reader?.read())?.value).toBe("one");
    expect(await risk("high")).toMatchObject({ frozen: 1 });
    connector.write("two");
    const next = reader?.read();
    await eventually(async () => (await states())[0] === "frozen");
    await stepUp();
    expect((await next)?.value).toBe("two");
    await reader?.cancel();
  });
});

/** What the session would say now. */
async function snapshot(): Promise<Parameters<ReturnType<typeof laneOf>["observe"]>[0]> {
  const known = await sessionOf(sid).verify("host:wiki.access.example.com", "h".repeat(43));
  if (known === undefined) throw new Error("no session");
  return known;
}

describe("a lane that was told of the session a moment before the step-up", () => {
  it("asks anew instead of refusing, for the lease's life, what the step-up opened (P3)", async () => {
    const opens = async (): Promise<boolean> => {
      const { webSocket } = await laneStub().fetch(openRequest(sid, "wiki", "websocket"));
      webSocket?.accept();
      webSocket?.close();
      return webSocket !== null;
    };
    expect(await opens()).toBe(true);
    await risk("high");
    expect(await opens()).toBe(false);
    const facts = { ...(await sessionOf(sid).describe())?.facts, mfa: { value: { methods: ["hwk"] }, source: "corp", observedAt: at(Date.now()) } };
    await sessionOf(sid).refresh({ facts, display: { sub: "ann", provider: "corp" }, endsAt: Date.now() + 3_600_000 }, cookieOf("wiki", HASH));
    expect(await opens()).toBe(true);
  });
});
