import { evictDurableObject, runInDurableObject } from "cloudflare:test";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { CLOSE_CODES } from "../../protocol/close-codes.ts";
import { OPEN_HEADER, type OpenContext, REFUSAL_HEADER } from "../../durable-objects/tunnel/rpc.ts";
import { Tunnel } from "../../durable-objects/tunnel/tunnel.ts";
import { generateConnectorKey } from "../../identity/connector-proof.ts";
import { MAX_SOCKET_PATH_CHARS } from "../../worker/canonical.ts";
import { documentFor, laneOf, laneStub, objects, openRequest, sessionOf, setUp, signedIn, stubs, wipe } from "./deployment.ts";
import { eventually } from "./eventually.ts";
import { connected, type Enrolled, enrolled, TestConnector, type Wrong } from "./test-connector.ts";

beforeEach(() => setUp());
afterEach(wipe);

describe("a connector's hello (class L)", () => {
  let who: Enrolled;
  beforeEach(async () => {
    who = await enrolled();
  });

  const wrongs: readonly [string, () => Promise<Wrong>, string][] = [
    ["signed by another key", async () => ({ signWith: await generateConnectorKey(crypto.subtle) }), "bad_signature"],
    ["naming another connector", async () => ({ claims: (await enrolled()).id }), "wrong_connector"],
    ["with a clock ten minutes off (M9)", async () => ({ skewMs: 600_000 }), "clock_wrong"],
    ["that is no hello", async () => ({ replay: "{}" }), "bad_hello"],
  ];
  it.each(wrongs)("%s is refused", async (_title, make, code) => {
    const connector = await TestConnector.dial(who, await make());
    expect(await connector.welcome).toBe(code);
    expect(await connector.closed).toBe(CLOSE_CODES.handshake_refused.code);
    expect((await laneOf().status())?.connectors).toEqual([]);
  });

  it("recorded on another socket is refused: it answers another challenge", async () => {
    const first = await connected(who);
    const replayed = await TestConnector.dial(who, { replay: first.hello });
    expect(await replayed.welcome).toBe("bad_signature");
    expect((await laneOf().status())?.connectors).toHaveLength(1);
  });

  it("of a connector that is revoked while it says it is refused", async () => {
    const connector = await TestConnector.dial(who, {
      before: async () => {
        await objects.CONTROL.getByName("control").leasePolicy({ site: "berlin" as never, lane: 0 }, 0);
        await objects.CONTROL.getByName("control").revoke({ kind: "connector", id: who.id, by: "internal" });
      },
    });
    expect(await connector.welcome).not.toBe("welcome");
    expect((await laneOf().status())?.connectors).toEqual([]);
  });

  it("while a policy is applied ends with that policy's configuration, whichever of them is first", async () => {
    const control = objects.CONTROL.getByName("control");
    const others: TestConnector[] = [];
    for (let round = 0; round < 8; round++) {
      const gate = Promise.withResolvers<void>();
      const connector = await TestConnector.dial(await enrolled(), { before: () => gate.promise });
      others.push(connector);
      const version = (await control.policyText())?.version ?? 0;
      gate.resolve();
      for (let turn = 0; turn < round; turn++) await Promise.resolve();
      const applied = await control.apply({ ...documentFor(round % 2 === 0 ? ["wiki"] : ["wiki", "crm"]), by: "internal", namesOperator: true });
      expect(applied).toMatchObject({ ok: true });
      expect(await connector.welcome).toBe("welcome");
      await eventually(() => others.every((one) => one.configured === version + 1));
    }
  });

  it("the newest socket of a connector wins; another connector's stays", async () => {
    const another = await enrolled();
    const other = await connected(another);
    const older = await connected(who);
    const newer = await connected(who);
    expect(await older.closed).toBe(CLOSE_CODES.superseded.code);
    expect(new Set((await laneOf().status())?.connectors.map((one) => one.id))).toEqual(new Set([who.id, another.id]));
    newer.leave();
    other.leave();
  });
});

describe("a relayed WebSocket", () => {
  async function relayed(): Promise<{ connector: TestConnector; socket: WebSocket; heard: string[]; closed: Promise<number> }> {
    const connector = await connected();
    const answer = await laneStub().fetch(openRequest(await signedIn(), "wiki", "websocket"));
    expect(answer.status).toBe(101);
    const socket = answer.webSocket;
    if (socket === null) throw new Error("no socket");
    const heard: string[] = [];
    const closed = new Promise<number>((resolve) => socket.addEventListener("close", ({ code }) => resolve(code)));
    socket.addEventListener("message", ({ data }) => void heard.push(String(data)));
    socket.accept();
    return { connector, socket, heard, closed };
  }

  it("survives its lane's sleep, more than once, and the next message passes both ways (M3, F9)", async () => {
    const { connector, socket, heard } = await relayed();
    for (const round of ["one", "two", "three"]) {
      socket.send(`to the app ${round}`);
      await eventually(() => connector.texts.at(-1) === `to the app ${round}`);
      connector.say(`from the app ${round}`);
      await eventually(() => heard.at(-1) === `from the app ${round}`);
      await evictDurableObject(laneStub(), { webSockets: "hibernate" });
    }
    expect(connector.texts).toHaveLength(3);
    expect(heard).toHaveLength(3);
    expect(await laneOf().status()).toMatchObject({ streams: 1, connectors: [{ streams: 1 }] });
  });

  it("that its browser closes while the lane sleeps ends at the connector too (M3)", async () => {
    const { connector, socket } = await relayed();
    connector.say("hello");
    await eventually(() => connector.streams.size === 1);
    await evictDurableObject(laneStub(), { webSockets: "hibernate" });
    socket.close(1000);
    await eventually(() => connector.closes === 1);
    await eventually(async () => (await laneOf().status())?.streams === 0);
  });

  it("asks the session again after a sleep, and passes nothing when it ended meanwhile (M1, M4)", async () => {
    const { connector, socket, heard, closed } = await relayed();
    await evictDurableObject(laneStub(), { webSockets: "hibernate" });
    const sid = (await objects.USER.getByName(`u_${"A".repeat(42)}0`).sessions())[0];
    if (sid === undefined) throw new Error("nobody is signed in");
    const report = await sessionOf(sid).end("revoked", "self");
    expect(report).toMatchObject({ found: 1, closed: 1, unconfirmed: [] });
    expect(await closed).toBe(CLOSE_CODES.signed_out.code);
    connector.say("too late");
    expect(heard).toEqual([]);
    expect((await laneOf().status())?.streams).toBe(0);
    socket.close();
  });

  it("ends with a code when its lane loses everything, as in a deploy (F9)", async () => {
    const { closed } = await relayed();
    await evictDurableObject(laneStub(), { webSockets: "close" });
    expect(await closed).toBe(1006);
    expect(await laneOf().status()).toMatchObject({ streams: 0, connectors: [] });
  });

  it("that the app ends with its 101 ends", async () => {
    const connector = await connected();
    connector.mute = true;
    const asked = laneStub().fetch(openRequest(await signedIn(), "wiki", "websocket"));
    await eventually(() => connector.streams.size === 1);
    connector.switchAndEnd();
    const { webSocket } = await asked;
    if (webSocket === null) throw new Error("no socket");
    const closed = new Promise<number>((resolve) => webSocket.addEventListener("close", ({ code }) => resolve(code)));
    webSocket.accept();
    expect(await closed).toBe(CLOSE_CODES.upstream_lost.code);
    expect((await laneOf().status())?.streams).toBe(0);
  });

  it("of the longest path survives its lane's sleep (M3)", async () => {
    await connected();
    const { headers } = openRequest(await signedIn(), "wiki", "websocket");
    const open = JSON.parse(headers.get(OPEN_HEADER) ?? "") as OpenContext;
    const path = `/${"a".repeat(MAX_SOCKET_PATH_CHARS - 1)}`;
    const long = { ...open, ask: { ...open.ask, path } };
    const answer = await laneStub().fetch("https://lane.internal/", { headers: { upgrade: "websocket", [OPEN_HEADER]: JSON.stringify(long) } });
    expect(answer.status).toBe(101);
    answer.webSocket?.accept();
    await evictDurableObject(laneStub(), { webSockets: "hibernate" });
    expect((await laneOf().status())?.streams).toBe(1);
  });

  it("goes with its connector", async () => {
    const { connector, closed } = await relayed();
    connector.leave();
    expect(await closed).toBe(CLOSE_CODES.upstream_lost.code);
    expect((await laneOf().status())?.streams).toBe(0);
  });
});

describe("a cut (M2)", () => {
  it("is in the receipt only once the connector said that it is done; a silent one is named and loses its socket", async () => {
    const connector = await connected();
    connector.acknowledges = false;
    const sid = await signedIn();
    const answer = await laneStub().fetch(openRequest(sid));
    expect(answer.status).toBe(200);
    const report = await sessionOf(sid).end("revoked", "self");
    expect(report).toMatchObject({ found: 1, closed: 1, unconfirmed: [{ site: "berlin", lane: 0 }] });
    expect(report.slowestMs).toBeGreaterThanOrEqual(2_900);
    await connector.closed;
    await expect(answer.text()).rejects.toThrow();
  });

  it("is not confirmed by a connector whose socket went away meanwhile", async () => {
    const connector = await connected();
    connector.acknowledges = false;
    const sid = await signedIn();
    const answer = await laneStub().fetch(openRequest(sid));
    expect(answer.status).toBe(200);
    const ending = sessionOf(sid).end("revoked", "self");
    await eventually(() => connector.cuts === 1);
    connector.leave();
    expect((await ending).unconfirmed).toHaveLength(1);
    await answer.body?.cancel().catch(() => undefined);
  });
});

describe("a revoked connector that its lane was not told of (M8)", () => {
  it("is in the receipt as unconfirmed, and gone with the lane's next lease", async () => {
    const who = await enrolled();
    const connector = await connected(who);
    const untold = vi.spyOn(Tunnel.prototype, "endConnector").mockRejectedValue(new Error("out of reach"));
    await runInDurableObject(stubs.CONTROL.getByName("control"), (_control, state) => void state.storage.sql.exec("UPDATE lanes SET lease_until = 0"));
    const revoked = await objects.CONTROL.getByName("control").revoke({ kind: "connector", id: who.id, by: "internal" });
    expect(revoked).toMatchObject({ ok: true, receipt: { complete: false, report: { unconfirmed: [{ site: "berlin", lane: 0 }] } } });
    untold.mockRestore();
    await evictDurableObject(laneStub());
    const answer = await laneStub().fetch(openRequest(await signedIn()));
    expect(JSON.parse(answer.headers.get(REFUSAL_HEADER) ?? "{}")).toMatchObject({ code: "no_connector" });
    expect(await connector.closed).toBe(CLOSE_CODES.connector_revoked.code);
  });
});

describe("status", () => {
  it("says what keeps a lane awake, and nothing when nothing does (M14)", async () => {
    const connector = await connected();
    const answer = await laneStub().fetch(openRequest(await signedIn()));
    expect((await laneOf().status())?.awake).toContain("1 HTTP responses are open");
    connector.write("bytes");
    await answer.body?.cancel();
    await eventually(async () => (await laneOf().status())?.awake.length === 0);
    expect(await laneOf().status()).toMatchObject({ site: "berlin", lane: 0, policyVersion: 1, streams: 0 });
  });

  it("counts connectors that are saying hello", async () => {
    const gate = Promise.withResolvers<void>();
    const connector = await TestConnector.dial(await enrolled(), { before: () => gate.promise });
    expect((await laneOf().status())?.awake).toEqual(["1 connectors are saying hello"]);
    gate.resolve();
    expect(await connector.welcome).toBe("welcome");
    expect((await laneOf().status())?.awake).toEqual([]);
  });

  it("of a lane that nobody named is nothing", async () => {
    expect(await objects.TUNNEL.getByName("nowhere/0").status()).toBeUndefined();
  });
});

describe("a lane refuses", () => {
  it.each([
    ["when no connector is there", false, true, "no_connector"],
    ["a session that nobody signed in", true, false, "revoked"],
  ])("%s", async (_title, withConnector, withSession, code) => {
    if (withConnector) await connected();
    const sid = withSession ? await signedIn() : (objects.SESSION.newUniqueId().toString() as Awaited<ReturnType<typeof signedIn>>);
    const answer = await laneStub().fetch(openRequest(sid));
    expect(JSON.parse(answer.headers.get(REFUSAL_HEADER) ?? "{}")).toMatchObject({ code });
  });
});
