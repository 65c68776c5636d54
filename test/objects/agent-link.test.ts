/** The agent's link at a lane: streams opened and spliced, bad agents, caps, sleep, revocation. */
import { evictDurableObject } from "cloudflare:test";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { SessionId } from "../../core/ids.ts";
import { CLOSE_CODES } from "../../protocol/close-codes.ts";
import { encodeFrame, Flag, FrameType, INITIAL_WINDOW_BYTES } from "../../protocol/frames.ts";
import { MAX_AGENT_STREAMS_COUNT, MAX_CREDIT_BYTES, MAX_MESSAGE_BYTES } from "../../protocol/limits.ts";
import { Signer } from "../../durable-objects/signer/signer.ts";
import { REFUSAL_HEADER } from "../../durable-objects/tunnel/rpc.ts";
import { BERLIN, documentFor, ISSUER, laneOf, laneStub, objects, openRequest, sessionOf, setUp, signedIn, wipe } from "./deployment.ts";
import { type AgentStream, TestAgent } from "./test-agent.ts";
import { connected, type TcpEnd, type TestConnector } from "./test-connector.ts";

let connector: TestConnector;
let sid: SessionId;
let agent: TestAgent;

beforeEach(async () => {
  await setUp();
  connector = await connected();
  sid = await signedIn();
  agent = await TestAgent.dial(sid);
});
afterEach(async () => {
  vi.restoreAllMocks();
  await wipe();
});

const eventually = async (holds: () => boolean | Promise<boolean>): Promise<void> => {
  await vi.waitFor(async () => expect(await holds()).toBe(true), { timeout: 15_000, interval: 5 });
};

/** The connector's end of the newest stream. */
const far = (): TcpEnd => {
  const last = [...connector.tcp.values()].at(-1);
  if (last === undefined) throw new Error("the connector has no stream");
  return last;
};

/** A stream that has carried bytes both ways. */
async function live(by = agent): Promise<AgentStream> {
  const stream = await by.open();
  by.write(stream, "hello");
  await eventually(() => [...connector.tcp.values()].some((one) => one.text.endsWith("hello")) && stream.bytes > 0);
  return stream;
}

/** From now on a lane's questions to sessions wait, until the test lets them be answered. */
async function heldAnswers(): Promise<{ asked: () => Promise<void>; answer: () => void }> {
  const gate = Promise.withResolvers<void>();
  const admitted = await objects.SIGNER.getByName("signer/0").admit({ sid, app: "my" as never, site: BERLIN, epoch: 1, policyVersion: 1, connector: "c", issuer: ISSUER, assert: false, user: { sub: "" } });
  const questions = vi.spyOn(Signer.prototype, "admit").mockImplementation(() => gate.promise.then(() => admitted));
  return { asked: () => eventually(() => questions.mock.calls.length > 0), answer: gate.resolve };
}

const stateOf = async (): Promise<string | undefined> => (await laneOf().streams(sid)).streams[0]?.state;
const settled = (): Promise<void> => eventually(async () => (await laneOf().status())?.awake.length === 0);
const sleep = async (): Promise<void> => {
  await settled();
  await evictDurableObject(laneStub(), { webSockets: "hibernate" });
};

describe("a stream on the agent's link", () => {
  it("AG1: is opened with a request id of its own, carries bytes both ways, half-closes, and is in the lists", async () => {
    const stream = await live();
    const opened = await agent.answer(stream.id, ["opened"]);
    expect(opened).toMatchObject({ site: "berlin", connector: expect.stringMatching(/^c_/) });
    expect(far()).toMatchObject({ app: "pg", request: (opened as { request: string }).request });
    expect((await laneOf().streams(sid)).streams).toMatchObject([{ app: "pg", protocol: "tcp", bytesIn: 5, state: "open" }]);
    agent.mux.end(stream.id);
    agent.flush();
    await eventually(() => far().how === "fin");
    connector.write(" and on");
    connector.endTcp();
    await eventually(() => stream.end === "fin" && stream.text.endsWith(" and on"));
    await eventually(async () => (await laneOf().status())?.streams === 0);
    expect((await laneOf().status())?.connectors).toMatchObject([{ streams: 0 }]);
  });

  it("AG1: the socket is refused like any request when nothing allows the app", async () => {
    for (const [app, code] of [["wiki", "denied"], ["nothing", "denied"]] as const) {
      const answer = await laneStub().fetch(openRequest(sid, app, "tcp"));
      expect(JSON.parse(answer.headers.get(REFUSAL_HEADER) ?? "{}")).toMatchObject({ code });
    }
  });

  it("AG2: each is decided by itself: another protocol, an unknown app, a connector that is not here", async () => {
    expect(await agent.ask(1, "wiki")).toMatchObject({ t: "refused", code: "denied", request: expect.stringMatching(/^r_/) });
    expect(await agent.ask(3, "nothing")).toMatchObject({ t: "refused", code: "denied" });
    expect(await agent.ask(5, "pg", { connector: `c_${"A".repeat(22)}` })).toMatchObject({ t: "refused", code: "no_connector" });
    const here = (await laneOf().status())?.connectors[0]?.id;
    expect(await agent.ask(7, "pg", { connector: here })).toMatchObject({ t: "opened", connector: here });
    connector.leave();
    await eventually(async () => (await laneOf().status())?.connectors.length === 0);
    expect(await agent.ask(9)).toMatchObject({ t: "refused", code: "no_connector" });
  });

  it.each([
    ["an even id", [2]],
    ["an id that was used", [7, 7]],
    ["an id below one that was used", [7, 5]],
  ])("AG2: %s ends the agent's socket and no other", async (_title, ids) => {
    const other = await TestAgent.dial(sid);
    const stream = await live(other);
    for (const id of ids) agent.say({ t: "open", stream: id, app: "pg" });
    expect(await agent.closed).toBe(CLOSE_CODES.protocol_error.code);
    other.write(stream, " still");
    await eventually(() => [...connector.tcp.values()].some((one) => one.text.endsWith(" still")));
  });

  it("AG3: one on which something came before it was opened is refused", async () => {
    const { asked, answer } = await heldAnswers();
    agent.say({ t: "open", stream: 1, app: "my" });
    agent.data(1, 10, Flag.syn);
    await asked();
    await laneOf().status();
    answer();
    expect(await agent.answer(1, ["refused", "opened"])).toMatchObject({ t: "refused", code: "flow" });
    expect((await laneOf().status())?.streams).toBe(0);
  });
});

describe("an agent that breaks the rules of a stream", () => {
  it.each([
    ["sends beyond its credit", (id: number) => { for (let i = 0; i < 5; i++) agent.data(id, 60_000); }],
    ["sends after its end", (id: number) => { agent.update(id, 0, Flag.fin); agent.data(id, 1); }],
    ["begins it twice", (id: number) => { agent.data(id, 1, Flag.syn); }],
    ["gives credit without measure", (id: number) => { agent.update(id, MAX_CREDIT_BYTES); }],
  ])("AG6 AG9: %s: loses it, with the word flow, and nobody else's", async (_title, misbehave) => {
    connector.takes = false;
    const kept = await live();
    const lost = await live();
    misbehave(lost.id);
    await eventually(() => lost.end === "reset");
    expect(await agent.answer(lost.id, ["closed"])).toMatchObject({ code: "flow" });
    await eventually(() => far().how === "reset");
    agent.write(kept, " on");
    await eventually(() => [...connector.tcp.values()].some((one) => one.text.endsWith("hello on")));
    expect(agent.isClosed).toBe(false);
    expect((await laneOf().status())?.connectors).toMatchObject([{ streams: 1 }]);
  });

  it("AG6: a connector that breaks them loses the stream too", async () => {
    const stream = await live();
    const number = [...connector.tcp.keys()].at(-1) ?? 0;
    for (let i = 0; i < 5; i++) connector.raw(encodeFrame(FrameType.data, 0, number, 0, new Uint8Array(60_000)));
    await eventually(() => stream.end === "reset");
    expect(await agent.answer(stream.id, ["closed"])).toMatchObject({ code: "flow" });
    expect((await laneOf().status())?.connectors).toHaveLength(1);
  });

  /** As many as one message takes. */
  const many = (frame: Uint8Array): Uint8Array<ArrayBuffer> => {
    const count = Math.floor(MAX_MESSAGE_BYTES / frame.length);
    const out = new Uint8Array(count * frame.length);
    for (let i = 0; i < count; i++) out.set(frame, i * frame.length);
    return out;
  };

  it.each([
    ["frames for streams that nobody knows", () => many(encodeFrame(FrameType.data, 0, 4_001, 0, new Uint8Array(1))), CLOSE_CODES.flood.code],
    ["frames that say nothing", (id: number) => many(encodeFrame(FrameType.windowUpdate, 0, id, 0)), CLOSE_CODES.flood.code],
    ["tiny credit", (id: number) => many(encodeFrame(FrameType.windowUpdate, 0, id, 1)), CLOSE_CODES.flood.code],
    ["pings", () => many(encodeFrame(FrameType.ping, Flag.syn, 0, 7)), CLOSE_CODES.flood.code],
    ["a frame that is none", () => new Uint8Array([9, 9, 9]), CLOSE_CODES.protocol_error.code],
    ["a message that is too large", () => new Uint8Array(MAX_MESSAGE_BYTES + 1), CLOSE_CODES.too_large.code],
  ])("AG7: %s: loses its socket, and another agent's stream goes on", async (_title, message, code) => {
    const other = await TestAgent.dial(sid);
    const kept = await live(other);
    const stream = await live();
    const one = message(stream.id);
    for (let i = 0; i < 10 && !agent.isClosed; i++) agent.socket.send(one);
    expect(await agent.closed).toBe(code);
    other.write(kept, " on");
    await eventually(() => [...connector.tcp.values()].some((end) => end.text.endsWith("hello on")));
    expect((await laneOf().status())?.connectors).toHaveLength(1);
  });

  it("AG7 AG1: a flood of opens that are refused, and texts that are none, end the socket", async () => {
    for (let i = 0; i < 400; i++) agent.say({ t: "open", stream: 2 * i + 1, app: "wiki" });
    expect(await agent.closed).toBe(CLOSE_CODES.flood.code);
    for (const [text, code] of [["{", CLOSE_CODES.protocol_error.code], ["x".repeat(3_000), CLOSE_CODES.too_large.code]] as const) {
      const another = await TestAgent.dial(sid);
      another.socket.send(text);
      expect(await another.closed).toBe(code);
    }
    expect((await laneOf().status())?.connectors).toHaveLength(1);
  });
});

describe("what one agent may hold", () => {
  it("AG8: so many streams and no more", async () => {
    const asked = Array.from({ length: MAX_AGENT_STREAMS_COUNT + 1 }, (_, i) => agent.ask(2 * i + 1));
    const answers = await Promise.all(asked);
    expect(answers.filter((one) => one.t === "opened")).toHaveLength(MAX_AGENT_STREAMS_COUNT);
    expect(answers.at(-1)).toMatchObject({ t: "refused", code: "overloaded" });
    // All of them are in one attachment.
    await sleep();
    expect(await laneOf().status()).toMatchObject({ streams: MAX_AGENT_STREAMS_COUNT, connectors: [{ streams: MAX_AGENT_STREAMS_COUNT }] });
  });

  it("AG8: bytes that nobody takes: new streams are refused first, then the heaviest goes", async () => {
    connector.takes = false;
    const streams: AgentStream[] = [];
    const full = new Uint8Array(INITIAL_WINDOW_BYTES);
    let refused: unknown;
    while (refused === undefined) {
      const stream = await agent.open().catch((cause: unknown) => void (refused = cause));
      if (stream === undefined) break;
      streams.push(stream as AgentStream);
      agent.write(stream as AgentStream, full);
    }
    expect(String(refused)).toContain("overloaded");
    expect(streams.length).toBeGreaterThanOrEqual(56);
    expect(streams.length).toBeLessThan(64);
    // What is open may use its credit: the other direction fills the rest.
    agent.takes = false;
    for (let i = 0; i < 5; i++) connector.write("x".repeat(60_000));
    await eventually(() => streams.some((one) => one.end === "reset"));
    expect(agent.texts.find((one) => one.t === "closed")).toMatchObject({ code: "memory" });
    expect(agent.isClosed).toBe(false);
  });
});

describe("a lane that sleeps (M3)", () => {
  it("AG11: wakes with every stream, its ids and its credit, again and again", async () => {
    const other = await TestAgent.dial(sid);
    const streams = [await live(), await live(), await live(other)];
    // Half-closed, and with credit out both ways.
    agent.mux.end(streams[1]?.id ?? 0);
    agent.takes = false;
    connector.write("w".repeat(50_000));
    agent.flush();
    for (const round of ["one", "two", "three"]) {
      await sleep();
      const [first, , third] = streams as [AgentStream, AgentStream, AgentStream];
      agent.write(first, ` ${round}`);
      other.write(third, ` ${round}`);
      await eventually(() => [...connector.tcp.values()].filter((one) => one.text.endsWith(` ${round}`)).length === 2);
      connector.write(` back ${round}`);
      await eventually(() => streams.every((one) => one.text.endsWith(` back ${round}`)));
    }
    expect((await laneOf().streams(sid)).streams.map((one) => one.bytesIn)).toEqual([5 + 4 + 4 + 6, 5, 5 + 4 + 4 + 6]);
    // A new stream takes no id of before.
    expect((await live()).id).toBeGreaterThan(streams[1]?.id ?? 0);
    const before = new Set(connector.tcp.keys());
    expect(before.size).toBe(4);
  });

  it("AG11 AG6: polices after a wake what it policed before", async () => {
    connector.takes = false;
    const stream = await live();
    agent.write(stream, new Uint8Array(200_000));
    await eventually(() => far().bytes === 200_005);
    await sleep();
    agent.data(stream.id, 60_000);
    await eventually(() => far().bytes === 260_005);
    agent.data(stream.id, 10_000);
    await eventually(() => stream.end === "reset");
    expect(await agent.answer(stream.id, ["closed"])).toMatchObject({ code: "flow" });
    expect(far().bytes).toBe(260_005);
  });

  it("AG11 AG9: ends a stream whose connector went meanwhile, and keeps the agent's socket", async () => {
    const stream = await live();
    await sleep();
    connector.leave();
    await eventually(() => stream.end === "reset");
    expect(await agent.answer(stream.id, ["closed"])).toMatchObject({ code: "link" });
    connector = await connected();
    expect(await agent.ask(99)).toMatchObject({ t: "opened" });
  });

  it("AG10: what comes after it waits, in order and both ways, until it is decided anew", async () => {
    const stream = await live();
    await sleep();
    const { asked, answer } = await heldAnswers();
    for (const word of [" one", " two"]) agent.write(stream, word);
    agent.mux.end(stream.id);
    agent.flush();
    connector.write(" back");
    await asked();
    expect(await stateOf()).toBe("held");
    expect([far().text.endsWith("hello"), far().how, stream.text.endsWith(" back")]).toEqual([true, "open", false]);
    expect((await laneOf().streams(sid)).streams).toMatchObject([{ state: "held", bytesIn: 5 }]);
    answer();
    await eventually(() => far().how === "fin" && stream.text.endsWith(" back"));
    expect(far().text.endsWith("hello one two")).toBe(true);
  });

  it("AG10: what comes after it is dropped when nothing allows it any more", async () => {
    const stream = await live();
    await sleep();
    const { asked, answer } = await heldAnswers();
    agent.write(stream, " secret");
    connector.write(" secret");
    await asked();
    expect(await sessionOf(sid).end("revoked", "self")).toMatchObject({ found: 1, closed: 1, unconfirmed: [] });
    answer();
    expect(await agent.answer(stream.id, ["closed"])).toMatchObject({ code: "revoked" });
    await eventually(() => far().how === "cut");
    expect([far().text, stream.text].some((one) => one.includes("secret"))).toBe(false);
  });

  it("AG11: is told of a policy that takes its streams away", async () => {
    const stream = await live();
    await sleep();
    await objects.CONTROL.getByName("control").apply({ ...documentFor(["wiki"]), by: "internal", namesOperator: true });
    expect(await agent.answer(stream.id, ["closed"])).toMatchObject({ code: "policy" });
    await eventually(() => far().how === "cut");
  });
});

describe("a revocation (M2, M18)", () => {
  it("AG12: ends streams and sockets of the session, with a receipt once the connector has cut them", async () => {
    const mine = [await live(), await live()];
    const another = await TestAgent.dial(await signedIn(`u_${"B".repeat(43)}`));
    const theirs = await live(another);
    expect(await sessionOf(sid).end("revoked", "self")).toMatchObject({ found: 2, closed: 2, unconfirmed: [] });
    expect(connector.cutSessions).toEqual([sid]);
    expect(await agent.closed).toBe(CLOSE_CODES.signed_out.code);
    for (const stream of mine) expect(await agent.answer(stream.id, ["closed"])).toMatchObject({ code: "revoked" });
    expect([...connector.tcp.values()].map((one) => one.how)).toEqual(["cut", "cut", "open"]);
    another.write(theirs, " on");
    await eventually(() => far().text.endsWith(" on"));
  });

  it("AG9: of an app, or by a policy, ends its streams and says why", async () => {
    const first = await live();
    expect(await laneOf().endApp("pg" as never)).toMatchObject({ found: 1, closed: 1, unconfirmed: [] });
    expect(await agent.answer(first.id, ["closed"])).toMatchObject({ code: "revoked" });
    const second = await live();
    await objects.CONTROL.getByName("control").apply({ ...documentFor(["wiki"]), by: "internal", namesOperator: true });
    expect(await agent.answer(second.id, ["closed"])).toMatchObject({ code: "policy" });
    expect([...connector.tcp.values()].map((one) => one.how)).toEqual(["cut", "cut"]);
    expect(await agent.ask(99)).toMatchObject({ t: "refused", code: "denied" });
  });

  it("AG12: while the agent is away names the session to the connector, and is confirmed by it", async () => {
    await live();
    agent.socket.close(1000);
    await eventually(() => far().how === "reset");
    expect(await sessionOf(sid).end("revoked", "self")).toMatchObject({ found: 0, unconfirmed: [] });
    expect(connector.cutSessions).toEqual([sid]);
  });

  it.each([
    ["the agent is away and so is the connector that may hold its stream", async () => {
      agent.socket.close(1000);
      await eventually(() => far().how === "reset");
      connector.leave();
      await eventually(async () => (await laneOf().status())?.connectors.length === 0);
    }],
    ["the connector's socket was lost under the stream", async () => {
      connector.leave();
      await eventually(async () => (await laneOf().status())?.connectors.length === 0);
    }],
    ["the lane was replaced with all its sockets", async () => {
      await evictDurableObject(laneStub(), { webSockets: "close" });
    }],
  ])("AG12: is unconfirmed while %s", async (_title, lose) => {
    await live();
    await lose();
    expect(await sessionOf(sid).end("revoked", "self")).toMatchObject({ found: 0, unconfirmed: [{ site: "berlin", lane: 0 }] });
  });

  it("AG12: is confirmed once that connector is back, even on a lane that was replaced", async () => {
    const who = await import("./test-connector.ts").then((all) => all.enrolled());
    connector.leave();
    await eventually(async () => (await laneOf().status())?.connectors.length === 0);
    connector = await connected(who);
    await live();
    await evictDurableObject(laneStub(), { webSockets: "close" });
    connector = await connected(who);
    expect(await sessionOf(sid).end("revoked", "self")).toMatchObject({ unconfirmed: [] });
    expect(connector.cutSessions).toEqual([sid]);
  });

  it("AG12: hands over no byte after its receipt, whatever both ends still send", async () => {
    const streams = await Promise.all(Array.from({ length: 40 }, () => agent.open()));
    await eventually(() => connector.tcp.size === 40);
    const chatter = setInterval(() => {
      connector.write("down");
      for (const stream of streams) agent.mux.write(stream.id, new Uint8Array(3));
      if (!agent.isClosed) agent.flush();
    }, 1);
    const received = (): number[] => [...connector.tcp.values()].map((one) => one.bytes);
    await eventually(() => received().every((bytes) => bytes > 20) && streams.every((one) => one.bytes > 200));
    expect(await sessionOf(sid).end("revoked", "self")).toMatchObject({ found: 40, closed: 40, unconfirmed: [] });
    await agent.closed;
    const [up, down] = [received(), streams.map((one) => one.bytes)];
    await eventually(async () => (await laneOf().status())?.streams === 0);
    expect([received(), streams.map((one) => one.bytes)]).toEqual([up, down]);
    clearInterval(chatter);
  });

  it("AG13: nothing but a word to connect anew comes of another number of lanes", async () => {
    const stream = await live();
    const { document, text } = documentFor(["wiki", "crm", "pg", "my"]);
    const sites = document.sites.map((site) => ({ ...site, lanes: 3 }));
    await objects.CONTROL.getByName("control").apply({ document: { ...document, sites }, text, by: "internal", namesOperator: true });
    await eventually(() => agent.texts.some((one) => one.t === "drain"));
    agent.write(stream, " on");
    await eventually(() => far().text.endsWith("hello on"));
  });
});
