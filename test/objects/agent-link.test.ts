/** The agent's link at a lane: streams opened and spliced, bad agents, caps. */
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { CLOSE_CODES } from "../../protocol/close-codes.ts";
import { encodeFrame, Flag, FrameType, INITIAL_WINDOW_BYTES } from "../../protocol/frames.ts";
import { MAX_AGENT_STREAMS_COUNT, MAX_CREDIT_BYTES, MAX_MESSAGE_BYTES, MAX_SESSION_STREAMS_COUNT } from "../../protocol/limits.ts";
import { REFUSAL_HEADER } from "../../durable-objects/tunnel/rpc.ts";
import { AgentStage } from "./agent-stage.ts";
import { laneOf, laneStub, openRequest, signedIn, wipe } from "./deployment.ts";
import { eventually } from "./eventually.ts";
import { type AgentStream, TestAgent } from "./test-agent.ts";

let stage: AgentStage;
beforeEach(async () => {
  stage = await AgentStage.begin();
});
afterEach(async () => {
  vi.restoreAllMocks();
  await wipe();
});

describe("a stream on the agent's link", () => {
  it("AG1: is opened with a request id of its own, carries bytes both ways, half-closes, and is in the lists", async () => {
    const stream = await stage.live();
    const opened = await stage.agent.answer(stream.id, ["opened"]);
    expect(opened).toMatchObject({ site: "berlin", connector: expect.stringMatching(/^c_/) });
    expect(stage.far).toMatchObject({ app: "pg", request: (opened as { request: string }).request });
    expect((await laneOf().streams(stage.sid)).streams).toMatchObject([{ app: "pg", protocol: "tcp", bytesIn: 5, state: "open" }]);
    stage.agent.mux.end(stream.id);
    stage.agent.flush();
    await eventually(() => stage.far.how === "fin");
    stage.connector.write(" and on");
    stage.connector.endTcp();
    await eventually(() => stream.end === "fin" && stream.text.endsWith(" and on"));
    await eventually(async () => (await laneOf().status())?.streams === 0);
    expect((await laneOf().status())?.connectors).toMatchObject([{ streams: 0 }]);
  });

  it("AG1: the socket is refused like any request when nothing allows the app", async () => {
    for (const [app, code] of [["wiki", "denied"], ["nothing", "denied"]] as const) {
      const answer = await laneStub().fetch(openRequest(stage.sid, app, "tcp"));
      expect(JSON.parse(answer.headers.get(REFUSAL_HEADER) ?? "{}")).toMatchObject({ code });
    }
  });

  it("AG2: each is decided by itself: another protocol, an unknown app, a connector that is not here", async () => {
    expect(await stage.agent.ask(1, "wiki")).toMatchObject({ t: "refused", code: "denied", request: expect.stringMatching(/^r_/) });
    expect(await stage.agent.ask(3, "nothing")).toMatchObject({ t: "refused", code: "denied" });
    expect(await stage.agent.ask(5, "pg", { connector: `c_${"A".repeat(22)}` })).toMatchObject({ t: "refused", code: "no_connector" });
    const here = (await laneOf().status())?.connectors[0]?.id;
    expect(await stage.agent.ask(7, "pg", { connector: here })).toMatchObject({ t: "opened", connector: here });
    await stage.leave();
    expect(await stage.agent.ask(9)).toMatchObject({ t: "refused", code: "no_connector" });
  });

  it.each([
    ["an even id", [2]],
    ["an id that was used", [7, 7]],
    ["an id below one that was used", [7, 5]],
  ])("AG2: %s ends the agent's socket and no other", async (_title, ids) => {
    const other = await TestAgent.dial(stage.sid);
    const stream = await stage.live(other);
    for (const id of ids) stage.agent.say({ t: "open", stream: id, app: "pg" });
    expect(await stage.agent.closed).toBe(CLOSE_CODES.protocol_error.code);
    other.write(stream, " still");
    await stage.hears(" still");
  });

  it("AG3: one on which something came before it was opened is refused", async () => {
    const { asked, answer } = await stage.heldAnswers();
    stage.agent.say({ t: "open", stream: 1, app: "my" });
    stage.agent.data(1, 10, Flag.syn);
    await asked();
    await laneOf().status();
    answer();
    expect(await stage.agent.answer(1, ["refused", "opened"])).toMatchObject({ t: "refused", code: "flow" });
    expect((await laneOf().status())?.streams).toBe(0);
  });
});

describe("an agent that breaks the rules of a stream", () => {
  it.each([
    ["sends beyond its credit", (id: number) => { for (let i = 0; i < 5; i++) stage.agent.data(id, 60_000); }],
    ["sends after its end", (id: number) => { stage.agent.update(id, 0, Flag.fin); stage.agent.data(id, 1); }],
    ["begins it twice", (id: number) => { stage.agent.data(id, 1, Flag.syn); }],
    ["gives credit without measure", (id: number) => { stage.agent.update(id, MAX_CREDIT_BYTES); }],
  ])("AG6 AG9: %s: loses it, with the word flow, and nobody else's", async (_title, misbehave) => {
    stage.connector.takes = false;
    const kept = await stage.live();
    const lost = await stage.live();
    misbehave(lost.id);
    await eventually(() => lost.end === "reset");
    expect(await stage.agent.answer(lost.id, ["closed"])).toMatchObject({ code: "flow" });
    await eventually(() => stage.far.how === "reset");
    stage.agent.write(kept, " on");
    await stage.hears("hello on");
    expect(stage.agent.isClosed).toBe(false);
    expect(await laneOf().status()).toMatchObject({ connectors: [{ streams: 1 }], counters: { agent_flow: 1 } });
  });

  it("AG6: a connector that breaks them loses the stream too", async () => {
    const stream = await stage.live();
    const number = [...stage.connector.tcp.keys()].at(-1) ?? 0;
    for (let i = 0; i < 5; i++) stage.connector.raw(encodeFrame(FrameType.data, 0, number, 0, new Uint8Array(60_000)));
    await eventually(() => stream.end === "reset");
    expect(await stage.agent.answer(stream.id, ["closed"])).toMatchObject({ code: "flow" });
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
    const other = await TestAgent.dial(stage.sid);
    const kept = await stage.live(other);
    const stream = await stage.live();
    const one = message(stream.id);
    for (let i = 0; i < 10 && !stage.agent.isClosed; i++) stage.agent.socket.send(one);
    expect(await stage.agent.closed).toBe(code);
    other.write(kept, " on");
    await stage.hears("hello on");
    expect(await laneOf().status()).toMatchObject({ connectors: [{ streams: 1 }], counters: { [`agent_closed_${code}`]: 1 } });
  });

  it("AG7 AG1: a flood of opens that are refused, and texts that are none, end the socket", async () => {
    for (let i = 0; i < 400; i++) stage.agent.say({ t: "open", stream: 2 * i + 1, app: "wiki" });
    expect(await stage.agent.closed).toBe(CLOSE_CODES.flood.code);
    for (const [text, code] of [["{", CLOSE_CODES.protocol_error.code], ["x".repeat(3_000), CLOSE_CODES.too_large.code]] as const) {
      const another = await TestAgent.dial(stage.sid);
      another.socket.send(text);
      expect(await another.closed).toBe(code);
    }
    expect((await laneOf().status())?.connectors).toHaveLength(1);
  });
});

describe("what one agent may hold", () => {
  it("AG8: so many streams and no more", async () => {
    const asked = Array.from({ length: MAX_AGENT_STREAMS_COUNT + 1 }, (_, i) => stage.agent.ask(2 * i + 1));
    const answers = await Promise.all(asked);
    expect(answers.filter((one) => one.t === "opened")).toHaveLength(MAX_AGENT_STREAMS_COUNT);
    expect(answers.at(-1)).toMatchObject({ t: "refused", code: "overloaded" });
    // All of them are in one attachment.
    await stage.sleep();
    expect(await laneOf().status()).toMatchObject({ streams: MAX_AGENT_STREAMS_COUNT, connectors: [{ streams: MAX_AGENT_STREAMS_COUNT }] });
  });

  it("AG8: one session has a share of the streams, over all its sockets; another has its own", async () => {
    const agents = [stage.agent, ...(await Promise.all([1, 2, 3].map(() => TestAgent.dial(stage.sid))))];
    for (const one of agents.slice(0, 3)) {
      const answers = await Promise.all(Array.from({ length: MAX_SESSION_STREAMS_COUNT / 3 }, (_, i) => one.ask(2 * i + 1)));
      expect(answers.every((answer) => answer.t === "opened")).toBe(true);
    }
    expect(await agents[3]?.ask(1)).toMatchObject({ t: "refused", code: "overloaded" });
    const other = await TestAgent.dial(await signedIn(`u_${"B".repeat(43)}`));
    expect(await other.ask(1)).toMatchObject({ t: "opened" });
  });

  it("AG8: bytes that nobody takes: new streams are refused first, then the heaviest goes", async () => {
    stage.connector.takes = false;
    const streams: AgentStream[] = [];
    const full = new Uint8Array(INITIAL_WINDOW_BYTES);
    let refused: unknown;
    while (refused === undefined) {
      const stream = await stage.agent.open().catch((cause: unknown) => void (refused = cause));
      if (stream === undefined) break;
      streams.push(stream as AgentStream);
      stage.agent.write(stream as AgentStream, full);
    }
    expect(String(refused)).toContain("overloaded");
    expect(streams.length).toBeGreaterThanOrEqual(70);
    expect(streams.length).toBeLessThan(80);
    // What is open may use its credit: frames that weigh more than they carry fill the rest.
    for (const stream of streams) for (let i = 0; i < 3; i++) stage.agent.update(stream.id, 2_000);
    for (let i = 0; i < 20_000 && !streams.some((one) => one.end === "reset"); i++) {
      stage.connector.write("x");
      if (i % 50 === 49) await laneOf().status();
    }
    await eventually(() => streams.some((one) => one.end === "reset"));
    expect(stage.agent.texts.find((one) => one.t === "closed")).toMatchObject({ code: "memory" });
    expect(stage.agent.isClosed).toBe(false);
  });

  it("AG8: bytes that it never takes: its socket closes, it gets no other for a while, and nobody else notices", async () => {
    const other = await TestAgent.dial(await signedIn(`u_${"B".repeat(43)}`));
    const kept = await stage.live(other);
    stage.agent.takes = false;
    const streams: AgentStream[] = [];
    for (let i = 0; i < 200; i++) streams.push(await stage.agent.open());
    stage.agent.deaf = true;
    for (let i = 0; i < 5; i++) stage.connector.write("x".repeat(60_000));
    expect(await stage.agent.closed).toBe(CLOSE_CODES.overloaded.code);
    const refused = await laneStub().fetch(openRequest(stage.sid, "pg", "tcp"));
    expect(JSON.parse(refused.headers.get(REFUSAL_HEADER) ?? "{}")).toMatchObject({ code: "overloaded" });
    other.write(kept, " on");
    await stage.hears("hello on");
    expect((await laneOf().status())?.streams).toBe(1);
  });

  it.each([
    ["counts until it answers that they came", "reads"],
    ["counts for ever when it never answers", "deaf"],
    ["counts for ever when it answers what it has not read", "blind"],
  ])("AG8: what ended streams left on their way to it %s", async (_title, way) => {
    stage.agent.takes = false;
    stage.agent.deaf = way !== "reads";
    for (let round = 0; round < 90; round++) {
      const stream = await stage.agent.open().catch(() => undefined);
      if (stream === undefined) break;
      for (let i = 0; i < 4; i++) stage.connector.write("x".repeat(60_000));
      await eventually(async () => ((await laneOf().streams(stage.sid)).streams[0]?.bytesOut ?? 0) > 240_000);
      stage.agent.reset(stream);
      if (way === "blind") for (const value of [0, 1, round]) stage.agent.socket.send(encodeFrame(FrameType.ping, Flag.ack, 0, value));
      await eventually(async () => (await laneOf().status())?.streams === 0);
    }
    const answer = stage.agent.isClosed ? "closed" : (await stage.agent.ask(9_999)).t;
    expect(answer).toBe(way === "reads" ? "opened" : "refused");
  });
});
