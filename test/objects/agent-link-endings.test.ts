/** The agent's link when something ends: the lane's sleep, lost sockets, revocations. */
import { evictDurableObject } from "cloudflare:test";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { CutReport } from "../../durable-objects/cut-report.ts";
import { CLOSE_CODES } from "../../protocol/close-codes.ts";
import { encodeFrame, FrameType } from "../../protocol/frames.ts";
import { MAX_MESSAGE_BYTES } from "../../protocol/limits.ts";
import { AgentStage } from "./agent-stage.ts";
import { documentFor, laneOf, laneStub, objects, sessionOf, signedIn, wipe } from "./deployment.ts";
import { eventually } from "./eventually.ts";
import { type AgentStream, TestAgent } from "./test-agent.ts";
import { connected, enrolled } from "./test-connector.ts";

let stage: AgentStage;
beforeEach(async () => {
  stage = await AgentStage.begin();
});
afterEach(wipe);

describe("a lane that sleeps (M3)", () => {
  it("AG11: wakes with every stream, its ids and its credit, again and again", async () => {
    const other = await TestAgent.dial(stage.sid);
    const streams = [await stage.live(), await stage.live(), await stage.live(other)];
    // Half-closed, and with credit out both ways.
    stage.agent.mux.end(streams[1]?.id ?? 0);
    stage.agent.takes = false;
    stage.connector.write("w".repeat(50_000));
    stage.agent.flush();
    for (const round of ["one", "two", "three"]) {
      await stage.sleep();
      const [first, , third] = streams as [AgentStream, AgentStream, AgentStream];
      stage.agent.write(first, ` ${round}`);
      other.write(third, ` ${round}`);
      await eventually(() => [...stage.connector.tcp.values()].filter((one) => one.text.endsWith(` ${round}`)).length === 2);
      stage.connector.write(` back ${round}`);
      await eventually(() => streams.every((one) => one.text.endsWith(` back ${round}`)));
    }
    expect((await laneOf().streams(stage.sid)).streams.map((one) => one.bytesIn)).toEqual([5 + 4 + 4 + 6, 5, 5 + 4 + 4 + 6]);
    // A new stream takes no id of before.
    expect((await stage.live()).id).toBeGreaterThan(streams[1]?.id ?? 0);
    const before = new Set(stage.connector.tcp.keys());
    expect(before.size).toBe(4);
  });

  it("AG11 AG6: polices after a wake what it policed before", async () => {
    stage.connector.takes = false;
    const stream = await stage.live();
    stage.agent.write(stream, new Uint8Array(200_000));
    await eventually(() => stage.far.bytes === 200_005);
    await stage.sleep();
    stage.agent.data(stream.id, 60_000);
    await eventually(() => stage.far.bytes === 260_005);
    stage.agent.data(stream.id, 10_000);
    await eventually(() => stream.end === "reset");
    expect(await stage.agent.answer(stream.id, ["closed"])).toMatchObject({ code: "flow" });
    expect(stage.far.bytes).toBe(260_005);
  });

  it("AG11 AG9: ends a stream whose connector went meanwhile, and keeps the agent's socket", async () => {
    const stream = await stage.live();
    await stage.sleep();
    stage.connector.leave();
    await eventually(() => stream.end === "reset");
    expect(await stage.agent.answer(stream.id, ["closed"])).toMatchObject({ code: "link" });
    stage.connector = await connected();
    expect(await stage.agent.ask(99)).toMatchObject({ t: "opened" });
  });

  it("AG9: ends a stream whose connector is revoked with that word, so that its agent does not try to take it up again", async () => {
    const stream = await stage.live();
    const [link] = (await laneOf().status())?.connectors ?? [];
    const done = await objects.CONTROL.getByName("control").revoke({ kind: "connector", id: link?.id ?? "", by: "internal" });
    expect(done).toMatchObject({ ok: true, receipt: { report: { found: 1, closed: 1, unconfirmed: [] } } });
    expect(await stage.agent.answer(stream.id, ["closed"])).toMatchObject({ code: "revoked" });
  });

  it("AG11: ends the streams of an agent that went meanwhile", async () => {
    await stage.live();
    await stage.sleep();
    stage.agent.socket.close(1000);
    await eventually(() => stage.far.how === "reset");
    expect((await laneOf().status())?.streams).toBe(0);
  });

  it("AG10: what comes after it waits, in order and both ways, until it is decided anew", async () => {
    const stream = await stage.live();
    await stage.sleep();
    const { asked, answer } = await stage.heldAnswers();
    for (const word of [" one", " two"]) stage.agent.write(stream, word);
    stage.agent.mux.end(stream.id);
    stage.agent.flush();
    stage.connector.write(" back");
    await asked();
    expect(await stage.state()).toBe("held");
    expect([stage.far.text.endsWith("hello"), stage.far.how, stream.text.endsWith(" back")]).toEqual([true, "open", false]);
    expect((await laneOf().streams(stage.sid)).streams).toMatchObject([{ state: "held", bytesIn: 5 }]);
    answer();
    await eventually(() => stage.far.how === "fin" && stream.text.endsWith(" back"));
    expect(stage.far.text.endsWith("hello one two")).toBe(true);
  });

  it("AG10: what comes after it is dropped when nothing allows it any more", async () => {
    const stream = await stage.live();
    await stage.sleep();
    const { asked, answer } = await stage.heldAnswers();
    stage.agent.write(stream, " secret");
    stage.connector.write(" secret");
    await asked();
    expect(await sessionOf(stage.sid).end("revoked", "self")).toMatchObject({ found: 1, closed: 1, unconfirmed: [] });
    answer();
    expect(await stage.agent.answer(stream.id, ["closed"])).toMatchObject({ code: "revoked" });
    await eventually(() => stage.far.how === "cut");
    expect([stage.far.text, stream.text].some((one) => one.includes("secret"))).toBe(false);
  });

  it("AG7 AG10: does not put up with tiny credit while it waits either", async () => {
    const stream = await stage.live();
    await stage.sleep();
    const { asked, answer } = await stage.heldAnswers();
    stage.agent.write(stream, "x");
    await asked();
    const one = encodeFrame(FrameType.windowUpdate, 0, stream.id, 1);
    const message = new Uint8Array(Math.floor(MAX_MESSAGE_BYTES / one.length) * one.length).map((_byte, i) => one[i % one.length] ?? 0);
    for (let i = 0; i < 2; i++) stage.agent.socket.send(message);
    expect(await stage.agent.closed).toBe(CLOSE_CODES.flood.code);
    answer();
    expect((await laneOf().status())?.connectors).toHaveLength(1);
  });

  it("AG11: is told of a policy that takes its streams away", async () => {
    const stream = await stage.live();
    await stage.sleep();
    await objects.CONTROL.getByName("control").apply({ ...documentFor(["wiki"]), by: "internal", namesOperator: true });
    expect(await stage.agent.answer(stream.id, ["closed"])).toMatchObject({ code: "policy" });
    await eventually(() => stage.far.how === "cut");
  });
});

describe("a revocation (M2, M18)", () => {
  it("AG12: ends streams and sockets of the session, with a receipt once the connector has cut them", async () => {
    const mine = [await stage.live(), await stage.live()];
    const another = await TestAgent.dial(await signedIn(`u_${"B".repeat(43)}`));
    const theirs = await stage.live(another);
    expect(await sessionOf(stage.sid).end("revoked", "self")).toMatchObject({ found: 2, closed: 2, unconfirmed: [] });
    expect(stage.connector.cutSessions).toEqual([stage.sid]);
    expect(await stage.agent.closed).toBe(CLOSE_CODES.signed_out.code);
    for (const stream of mine) expect(await stage.agent.answer(stream.id, ["closed"])).toMatchObject({ code: "revoked" });
    expect([...stage.connector.tcp.values()].map((one) => one.how)).toEqual(["cut", "cut", "open"]);
    another.write(theirs, " on");
    await eventually(() => stage.far.text.endsWith(" on"));
  });

  it("AG9: of an app, or by a policy, ends its streams and says why", async () => {
    const first = await stage.live();
    expect(await laneOf().endApp("pg" as never)).toMatchObject({ found: 1, closed: 1, unconfirmed: [] });
    expect(await stage.agent.answer(first.id, ["closed"])).toMatchObject({ code: "revoked" });
    const second = await stage.live();
    await objects.CONTROL.getByName("control").apply({ ...documentFor(["wiki"]), by: "internal", namesOperator: true });
    expect(await stage.agent.answer(second.id, ["closed"])).toMatchObject({ code: "policy" });
    expect([...stage.connector.tcp.values()].map((one) => one.how)).toEqual(["cut", "cut"]);
    expect(await stage.agent.ask(99)).toMatchObject({ t: "refused", code: "denied" });
  });

  it("AG12: while the agent is away names the session to the connector, and is confirmed by it", async () => {
    await stage.live();
    stage.agent.socket.close(1000);
    await eventually(() => stage.far.how === "reset");
    expect(await sessionOf(stage.sid).end("revoked", "self")).toMatchObject({ found: 0, unconfirmed: [] });
    expect(stage.connector.cutSessions).toEqual([stage.sid]);
  });

  it.each([
    ["the agent is away and so is the connector that may hold its stream", async () => {
      stage.agent.socket.close(1000);
      await eventually(() => stage.far.how === "reset");
      await stage.leave();
    }],
    ["the connector's socket was lost under the stream", async () => {
      await stage.leave();
    }],
    ["the lane was replaced with all its sockets", async () => {
      await evictDurableObject(laneStub(), { webSockets: "close" });
    }],
  ])("AG12: is unconfirmed while %s", async (_title, lose) => {
    await stage.live();
    await lose();
    expect(await sessionOf(stage.sid).end("revoked", "self")).toMatchObject({ found: 0, unconfirmed: [{ site: "berlin", lane: 0 }] });
  });

  it("AG12: is confirmed once that connector is back, even on a lane that was replaced", async () => {
    const who = await enrolled();
    await stage.leave();
    stage.connector = await connected(who);
    await stage.live();
    await evictDurableObject(laneStub(), { webSockets: "close" });
    stage.connector = await connected(who);
    expect(await sessionOf(stage.sid).end("revoked", "self")).toMatchObject({ unconfirmed: [] });
    expect(stage.connector.cutSessions).toEqual([stage.sid]);
  });

  it.each([
    ["session", (): Promise<CutReport> => sessionOf(stage.sid).end("revoked", "self"), "cutSessions", (): string => stage.sid],
    ["app", (): Promise<CutReport> => laneOf().endApp("pg" as never), "cutApps", (): string => "pg"],
  ] as const)("AG12: tells a connector that was away of the %s that ended meanwhile, each time that it comes, and no other", async (_what, end, told, name) => {
    const who = await enrolled();
    await stage.leave();
    stage.connector = await connected(who);
    await stage.live();
    // With the instance of the lane goes what it remembers.
    await evictDurableObject(laneStub(), { webSockets: "close" });
    expect(await end()).toMatchObject({ unconfirmed: [{ site: "berlin", lane: 0 }] });
    await evictDurableObject(laneStub(), { webSockets: "close" });
    for (const _again of [1, 2]) {
      const back = await connected(who);
      await eventually(() => back.cuts > 0);
      expect(back[told]).toEqual([name()]);
    }
    const newcomer = await connected();
    await laneOf().endApp("wiki" as never);
    expect([newcomer.cutSessions, newcomer.cutApps]).toEqual([[], ["wiki"]]);
  });

  it("AG12: hands over no byte after its receipt, whatever both ends still send", async () => {
    const streams = await Promise.all(Array.from({ length: 40 }, () => stage.agent.open()));
    await eventually(() => stage.connector.tcp.size === 40);
    const chatter = setInterval(() => {
      stage.connector.write("down");
      for (const stream of streams) stage.agent.mux.write(stream.id, new Uint8Array(3));
      if (!stage.agent.isClosed) stage.agent.flush();
    }, 1);
    const received = (): number[] => [...stage.connector.tcp.values()].map((one) => one.bytes);
    await eventually(() => received().every((bytes) => bytes > 20) && streams.every((one) => one.bytes > 200));
    expect(await sessionOf(stage.sid).end("revoked", "self")).toMatchObject({ found: 40, closed: 40, unconfirmed: [] });
    await stage.agent.closed;
    const [up, down] = [received(), streams.map((one) => one.bytes)];
    await eventually(async () => (await laneOf().status())?.streams === 0);
    expect([received(), streams.map((one) => one.bytes)]).toEqual([up, down]);
    clearInterval(chatter);
  });

  it("AG13: nothing but a word to connect anew comes of another number of lanes", async () => {
    const stream = await stage.live();
    const { document, text } = documentFor(["wiki", "crm", "pg", "my"]);
    const sites = document.sites.map((site) => ({ ...site, lanes: 3 }));
    await objects.CONTROL.getByName("control").apply({ document: { ...document, sites }, text, by: "internal", namesOperator: true });
    await eventually(() => stage.agent.texts.some((one) => one.t === "drain"));
    stage.agent.write(stream, " on");
    await eventually(() => stage.far.text.endsWith("hello on"));
  });
});
