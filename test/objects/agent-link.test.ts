/** The agent's link at a lane: streams opened and spliced, bad agents, caps. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { concat } from "../../core/bytes.ts";
import { CLOSE_CODES } from "../../protocol/close-codes.ts";
import { encodeFrame, Flag, FrameType, INITIAL_WINDOW_BYTES } from "../../protocol/frames.ts";
import { MARK_BYTES, MAX_AGENT_BYTES, MAX_AGENT_STREAMS_COUNT, MAX_CREDIT_BYTES, MAX_MESSAGE_BYTES, MAX_SESSION_STREAMS_COUNT, MAX_SPLICED_BYTES, MAX_UNKNOWN_CONTROL_COUNT, MESSAGE_WEIGHT_BYTES } from "../../protocol/limits.ts";
import { REFUSAL_HEADER } from "../../durable-objects/tunnel/rpc.ts";
import { AgentStage } from "./agent-stage.ts";
import { laneOf, laneStub, openRequest, signedIn, wipe } from "./deployment.ts";
import { eventually } from "./eventually.ts";
import { type AgentStream, TestAgent } from "./test-agent.ts";

let stage: AgentStage;
beforeEach(async () => {
  stage = await AgentStage.begin();
});
afterEach(wipe);

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

  it("AG8: bytes that no app takes: new streams are refused first, then the heaviest goes", async () => {
    stage.connector.takes = false;
    const streams: AgentStream[] = [];
    const most = new Uint8Array(INITIAL_WINDOW_BYTES - 4_096);
    let refused: unknown;
    while (refused === undefined) {
      const stream = await stage.agent.open().catch((cause: unknown) => void (refused = cause));
      if (stream === undefined) break;
      streams.push(stream as AgentStream);
      stage.agent.write(stream as AgentStream, most);
    }
    expect(String(refused)).toContain("overloaded");
    expect(streams.length).toBeGreaterThanOrEqual(70);
    expect(streams.length).toBeLessThan(80);
    // What is open may use its credit: frames that weigh more than they carry fill the rest.
    for (const { id } of streams.slice(0, 8)) stage.agent.socket.send(concat(Array.from({ length: 4_000 }, () => encodeFrame(FrameType.data, 0, id, 0, new Uint8Array(1)))));
    await eventually(() => streams.some((one) => one.end === "reset"));
    expect(stage.agent.texts.find((one) => one.t === "closed")).toMatchObject({ code: "memory" });
    expect(streams.findIndex((one) => one.end === "reset")).toBeLessThan(8);
    expect(stage.agent.isClosed).toBe(false);
    expect((await laneOf().status())?.counters.agent_memory).toBeGreaterThan(0);
  });
});

/** Sends `bytes` towards the agent, on a stream whose credit it gives whether it reads or not. */
async function pour(stream: AgentStream, bytes: number): Promise<void> {
  const part = "x".repeat(60_000);
  for (let sent = 0; sent < bytes && !stage.agent.isClosed; sent += part.length) {
    stage.connector.write(part);
    // Blindly, if the mux that would give it reads nothing.
    if (stage.agent.deaf) stage.agent.update(stream.id, part.length);
    const before = stream.bytes;
    await (stage.agent.deaf ? laneOf().status() : eventually(() => stream.bytes > before || stream.bytes >= sent));
  }
}

describe("what an agent was sent and does not read", () => {
  it("AG8: costs it its socket at 20,971,520 bytes, though it gives credit, and nobody else notices", async () => {
    const other = await TestAgent.dial(await signedIn(`u_${"B".repeat(43)}`));
    const stream = await stage.live();
    stage.agent.deaf = true;
    await pour(stream, 0.9 * MAX_AGENT_BYTES);
    expect(stage.agent.isClosed).toBe(false);
    await pour(stream, 0.2 * MAX_AGENT_BYTES);
    expect(await stage.agent.closed).toBe(CLOSE_CODES.overloaded.code);
    expect(await laneOf().status()).toMatchObject({ streams: 0, counters: { agent_closed_1013: 1 } });
    await stage.live(other);
    // It has answered the close: what it was sent is gone, and it may come again.
    await stage.live(await TestAgent.dial(stage.sid));
  });

  it("AG8: costs nothing once it answers that it has read it: many times as much goes through", async () => {
    const stream = await stage.live();
    await pour(stream, 2 * MAX_AGENT_BYTES);
    await eventually(() => stream.bytes > 2 * MAX_AGENT_BYTES);
    expect(stage.agent.isClosed).toBe(false);
    expect(stage.agent.marks.length).toBeGreaterThanOrEqual(2 * MAX_AGENT_BYTES / MARK_BYTES - 1);
  });

  it("AG8: counts in many streams, none of them heavy", async () => {
    stage.agent.deaf = true;
    await Promise.all(Array.from({ length: 200 }, () => stage.agent.open()));
    await eventually(() => stage.connector.tcp.size === 200);
    for (let i = 0; i < 3; i++) stage.connector.write("x".repeat(60_000));
    expect(await stage.agent.closed).toBe(CLOSE_CODES.overloaded.code);
  });

  it("AG8: counts tiny messages for what they cost, and all agents of an object together: at 29,360,128 who has most unread goes", async () => {
    const agents = [stage.agent, await TestAgent.dial(await signedIn(`u_${"B".repeat(43)}`))];
    for (const agent of agents) agent.deaf = true;
    await Promise.all(agents.map((agent) => agent.open()));
    await eventually(() => stage.connector.tcp.size === agents.length);
    // Frames by turns for one and the other leave one by one.
    const ids = [...stage.connector.tcp.keys()];
    const message = concat(Array.from({ length: 4_900 }, (_, i) => encodeFrame(FrameType.data, 0, ids[i % ids.length] ?? 0, 0, new Uint8Array(1))));
    const weight = message.length + 4_900 * MESSAGE_WEIGHT_BYTES;
    for (let sent = 0; sent < MAX_SPLICED_BYTES; sent += weight) stage.connector.raw(message);
    await eventually(async () => (await laneOf().status())?.counters["agent_closed_1013"] === 1);
    expect((await laneOf().status())?.streams).toBe(1);
  });

  it.each([
    ["until it answers that they came", "reads"],
    ["for ever when it never answers", "deaf"],
    ["for ever when it answers what it has not read", "blind"],
  ])("AG8: counts when the streams are gone, %s", async (_title, way) => {
    stage.agent.takes = false;
    stage.agent.deaf = way !== "reads";
    for (let round = 0; round < 90; round++) {
      const stream = await stage.agent.open().catch(() => undefined);
      if (stream === undefined) break;
      for (let i = 0; i < 4; i++) stage.connector.write("x".repeat(60_000));
      await eventually(async () => ((await laneOf().streams(stage.sid)).streams[0]?.bytesOut ?? 0) > 240_000);
      stage.agent.reset(stream);
      if (way === "blind") for (const n of [0, 1, round]) stage.agent.say({ t: "mark", n });
      await eventually(async () => (await laneOf().status())?.streams === 0);
    }
    const answer = stage.agent.isClosed ? "closed" : (await stage.agent.ask(9_999)).t;
    expect(answer).toBe(way === "reads" ? "opened" : "refused");
  });

  it.each([
    ["goes on counting", false],
    ["is proven by the answer to the last mark", true],
  ])("AG8 AG11: %s after a wake", async (_title, answers) => {
    const stream = await stage.live();
    stage.agent.deaf = true;
    await pour(stream, 0.6 * MAX_AGENT_BYTES);
    await stage.sleep();
    const [first, last] = [stage.agent.marks[0] ?? -1, stage.agent.marks.at(-1) ?? -1];
    expect(stage.agent.marks.length).toBeGreaterThan(5);
    // One that was asked before is of no use any more, and harms nobody.
    stage.agent.say({ t: "mark", n: first });
    if (answers) stage.agent.say({ t: "mark", n: last });
    await pour(stream, 0.6 * MAX_AGENT_BYTES);
    await laneOf().status();
    expect(stage.agent.isClosed).toBe(!answers);
  });

  it("AG8 AG11: is asked for once it is quiet, however little it is, and the lane sleeps", async () => {
    const stream = await stage.live();
    await eventually(() => stage.agent.marks.length > 0);
    await stage.sleep();
    const asked = stage.agent.marks.length;
    stage.connector.write(" more");
    await eventually(() => stream.text.endsWith(" more") && stage.agent.marks.length > asked);
    await stage.sleep();
  });

  it("AG8: a flood of answers that nobody asked for ends the socket", async () => {
    for (let i = 0; i <= MAX_UNKNOWN_CONTROL_COUNT; i++) stage.agent.say({ t: "mark", n: i });
    expect(await stage.agent.closed).toBe(CLOSE_CODES.flood.code);
  });
});
