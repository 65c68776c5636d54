import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { readFileSync, statSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import type { AddressInfo, Socket } from "node:net";
import { join } from "node:path";
import { deflateRawSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { AgentFailure } from "../../agent/agent-failure.ts";
import { at } from "../../core/time.ts";
import { generateConnectorKey } from "../../identity/connector-proof.ts";
import { signEndorsement } from "../../identity/endorsement.ts";
import { RESUME_WINDOW_BYTES } from "../../protocol/limits.ts";
import { afterThisTest, connected, edge } from "../connector/connected-edge.ts";
import { SESSION, SITE } from "../connector/test-edge.ts";
import { soon } from "../soon.ts";
import { AgentBridge, pgAt, startAgent } from "./agent-bridge.ts";
import type { TestAgent } from "./agent-bridge.ts";

async function setUp(onSocket: (socket: Socket) => void) {
  const sockets: Socket[] = [];
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.push(socket);
    socket.on("error", () => undefined);
    onSocket(socket);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  afterThisTest(() => server.close());
  const made = await edge();
  pgAt(made, (server.address() as AddressInfo).port);
  const parts = await connected(made);
  const bridge = await AgentBridge.start(parts.link);
  afterThisTest(() => bridge.close());
  const agent = await newAgent(bridge);
  return { made, server, agent, bridge, sockets, ...parts };
}

async function newAgent(...given: Parameters<typeof startAgent>): Promise<TestAgent> {
  const agent = await startAgent(...given);
  afterThisTest(() => void agent.close());
  return agent;
}

const echo = (socket: Socket): void => void socket.pipe(socket);

async function all(socket: Socket): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const part of socket as AsyncIterable<Buffer>) parts.push(part);
  return Buffer.concat(parts);
}

const sum = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

/** The failure that a promise rejects with. */
async function failureOf(work: Promise<unknown>): Promise<AgentFailure> {
  const error: unknown = await work.then(() => undefined, (thrown: unknown) => thrown);
  if (!(error instanceof AgentFailure)) throw new Error("expected a failure of the agent");
  return error;
}

/** The socket's end; how is its own matter. */
function closed(socket: Socket): Promise<void> {
  return new Promise((done) => (socket.closed ? done() : socket.once("close", () => done())));
}

/** A round trip, so that both ends are attached. */
async function hello(socket: Socket): Promise<void> {
  socket.write("hello");
  await once(socket, "data");
}

describe("a tcp app through the agent", () => {
  it("carries bytes both ways with half-close", async () => {
    const { agent } = await setUp(echo);
    const { socket, carried } = await agent.dial();
    const bytes = randomBytes(3_000_000);
    socket.end(bytes);
    expect(sum(await all(socket))).toBe(sum(bytes));
    await carried;
  });

  it("loses nothing of a stream whose first bytes come with the word that it is open", async () => {
    const { agent, bridge } = await setUp(echo);
    bridge.atOnce = true;
    const dialled = await Promise.all(Array.from({ length: 8 }, () => agent.dial()));
    for (const [i, { socket }] of dialled.entries()) socket.end(Buffer.alloc(100_000, i));
    const echoed = await Promise.all(dialled.map(({ socket }) => all(socket)));
    expect(echoed.map((bytes) => [bytes.length, bytes[0]])).toEqual(dialled.map((_one, i) => [100_000, i]));
  });

  it("goes on towards an app that has ended its own half", async () => {
    const received = Promise.withResolvers<string>();
    const { agent } = await setUp((socket) => {
      socket.end("bye");
      void all(socket).then((bytes) => received.resolve(bytes.toString()));
    });
    const { socket, carried } = await agent.dial();
    expect((await all(socket)).toString()).toBe("bye");
    socket.end("still here");
    expect(await received.promise).toBe("still here");
    await carried;
  });

  it("RS2 RS15: dials the app behind TLS and the first frame; what the dial says comes back by code", async () => {
    const { agent, server, sockets } = await setUp(echo);
    await agent.agent.probe();
    expect(sockets).toEqual([]);
    server.close();
    const { socket, carried } = await agent.dial();
    expect((await failureOf(carried)).code).toBe("upstream_refused");
    await closed(socket);
  });

  it("RS8: a reset at the app is a reset at the client, and one at the client a reset at the app", async () => {
    const { agent, sockets } = await setUp(echo);
    const first = await agent.dial();
    await hello(first.socket);
    sockets[0]?.resetAndDestroy();
    expect((await failureOf(first.carried)).code).toBe("upstream_reset");
    await closed(first.socket);
    const second = await agent.dial();
    await hello(second.socket);
    const broken = once(sockets[1] as Socket, "error");
    second.socket.resetAndDestroy();
    expect((await broken)[0]).toMatchObject({ code: "ECONNRESET" });
    await second.carried;
  });

  it("holds no more than its windows for a client that does not read, and goes on when it does", async () => {
    let sent = 0;
    const { agent } = await setUp((socket) => {
      const chunk = Buffer.alloc(65_536, 7);
      const more = (): void => {
        while (sent < 16_000_000) {
          sent += chunk.length;
          if (!socket.write(chunk)) return void socket.once("drain", more);
        }
        socket.end();
      };
      more();
    });
    const { socket, carried } = await agent.dial();
    await soon(() => expect(agent.agent.held.sum).toBeGreaterThanOrEqual(RESUME_WINDOW_BYTES / 2));
    expect(sent).toBeLessThan(16_000_000);
    expect(agent.agent.held.sum).toBeLessThanOrEqual(2 * RESUME_WINDOW_BYTES);
    let got = 0;
    for await (const part of socket as AsyncIterable<Buffer>) got += part.length;
    expect(got).toBe(sent);
    socket.end();
    await carried;
  });
});

describe("a stream outlives", () => {
  it("RS3 RS4 RS9: the agent's connection, lost again and again, to the byte", async () => {
    const { agent, bridge } = await setUp(echo);
    const { socket, carried } = await agent.dial();
    const bytes = randomBytes(12_000_000);
    let cuts = 0;
    let got = 0;
    socket.on("data", (part: Buffer) => {
      got += part.length;
      if (got > (cuts + 1) * 2_000_000 && cuts < 5) {
        cuts += 1;
        bridge.cutAgents();
      }
    });
    const received = all(socket);
    socket.end(bytes);
    expect(sum(await received)).toBe(sum(bytes));
    await carried;
    expect(cuts).toBe(5);
    expect(bridge.upgrades).toBeGreaterThan(5);
  });

  it("the connector's tunnel, which reconnects", async () => {
    const { agent, bridge, made, link, sockets } = await setUp(echo);
    const { socket, carried } = await agent.dial();
    await hello(socket);
    link.socket.terminate();
    bridge.link = await made.link();
    const bytes = randomBytes(2_000_000);
    socket.end(bytes);
    expect(sum(await all(socket))).toBe(sum(bytes));
    await carried;
    expect(sockets.length).toBe(1);
  });

  it("an edge that asks for a new connection, without a pause", async () => {
    const { agent, bridge, sockets } = await setUp(echo);
    const { socket, carried } = await agent.dial();
    await hello(socket);
    bridge.drain();
    const bytes = randomBytes(2_000_000);
    socket.end(bytes);
    expect(sum(await all(socket))).toBe(sum(bytes));
    await carried;
    expect([sockets.length, bridge.upgrades]).toEqual([1, 2]);
  });

  it("RS12: not too long a time without the edge: then the client is reset", async () => {
    const { bridge } = await setUp(echo);
    const agent = await newAgent(bridge, undefined, undefined, [], 700);
    const { socket, carried } = await agent.dial();
    await hello(socket);
    const broken = once(socket, "error");
    bridge.close();
    expect((await failureOf(carried)).code).toBe("detached_too_long");
    expect((await broken)[0]).toMatchObject({ code: "ECONNRESET" });
  });

  it("no client that went before it was opened: its app is not dialled", async () => {
    const { agent, sockets } = await setUp(echo);
    const { socket, carried } = await agent.dial();
    socket.resetAndDestroy();
    await carried;
    const after = await agent.dial();
    await hello(after.socket);
    expect(sockets).toHaveLength(1);
    after.socket.destroy();
  });

  it("no agent that leaves: the app hears at once that its client is gone, and nobody is told of a failure", async () => {
    const { agent, sockets } = await setUp(echo);
    const { socket, carried } = await agent.dial();
    await hello(socket);
    const gone = once(sockets[0] as Socket, "error");
    await agent.close();
    expect((await gone)[0]).toMatchObject({ code: "ECONNRESET" });
    await closed(socket);
    await carried;
  });

  it("RS12: not a revocation: a cut of its session ends it at the app before it is acknowledged", async () => {
    const { agent, bridge, link, sockets } = await setUp(echo);
    const { socket, carried } = await agent.dial();
    await hello(socket);
    bridge.refusal = { status: 401, error: { code: "signed_out", message: "The session has ended.", fix: [], request_id: "r_x" } };
    bridge.cutAgents();
    const broken = once(sockets[0] as Socket, "error");
    // The connector has heard of the loss before it hears of the cut: the same socket, in order.
    link.control({ t: "cut", id: "x1", streams: [], sessions: [SESSION as never] });
    await link.next("cut_ack");
    expect((await broken)[0]).toMatchObject({ code: "ECONNRESET" });
    const failure = await failureOf(carried);
    expect(failure).toMatchObject({ code: "signed_out", requestId: "r_x" });
    expect(failure.fix).toContain("postern login");
    await closed(socket);
  });

  it("RS12: not a cut that names the stream which its agent has just left", async () => {
    const { agent, bridge, link, sockets } = await setUp(echo);
    const { socket } = await agent.dial();
    await hello(socket);
    bridge.refusal = { status: 403, error: { code: "denied", message: "No.", fix: [], request_id: "r_x" } };
    bridge.cutAgents();
    const broken = once(sockets[0] as Socket, "error");
    link.control({ t: "cut", id: "x2", streams: [2, 4, 6], sessions: [] });
    await link.next("cut_ack");
    expect((await broken)[0]).toMatchObject({ code: "ECONNRESET" });
  });
});

describe("whose key answers", () => {
  it("TL3: the first use of a site is shown and pinned, for the owner only", async () => {
    const { agent, made } = await setUp(echo);
    await agent.agent.probe();
    expect(agent.notes).toEqual([expect.stringContaining(`first use of site berlin: its connector's key is SHA256:${made.connectorKey.thumbprint}`)]);
    await agent.agent.probe();
    expect(agent.notes.length).toBe(1);
    expect(readFileSync(agent.known.file, "utf8")).toContain(` berlin connector ${made.connectorKey.publicJwk.x} `);
    for (const file of ["known_connectors", "agent-key.json"]) expect(statSync(join(agent.folder, file)).mode & 0o777).toBe(0o600);
  });

  it("TL3: another key than the pinned one is refused, and nothing is sent inside", async () => {
    const { bridge, sockets } = await setUp(echo);
    const agent = await newAgent(bridge);
    const other = await generateConnectorKey(crypto.subtle);
    writeFileSync(agent.known.file, `${bridge.url.origin} berlin connector ${other.publicJwk.x} 2026-01-01T00:00:00Z first-use\n`);
    const { socket, carried } = await agent.dial();
    socket.write("secret");
    const failure = await failureOf(carried);
    expect(failure.code).toBe("connector_key_unknown");
    expect(failure.why).toContain(`SHA256:${other.thumbprint}`);
    await closed(socket);
    expect(sockets).toEqual([]);
  });

  it("TL4: a key is accepted that a pinned one endorses, at any remove, and only for this edge and site", async () => {
    const { bridge, made, state } = await setUp(echo);
    const [a, b] = await Promise.all([generateConnectorKey(crypto.subtle), generateConnectorKey(crypto.subtle)]);
    const own = made.connectorKey.publicJwk.x;
    const edgeName = bridge.url.origin;
    const now = at(Date.now());
    const tries: readonly (readonly [readonly string[], boolean])[] = [
      [[], false],
      [[await signEndorsement({ edge: "https://other.example", site: SITE, key: own }, a, now)], false],
      [[await signEndorsement({ edge: edgeName, site: "paris" as never, key: own }, a, now)], false],
      [[await signEndorsement({ edge: edgeName, site: SITE, key: own }, b, now)], false],
      [[await signEndorsement({ edge: edgeName, site: SITE, key: own }, made.connectorKey, now)], false],
      [[await signEndorsement({ edge: edgeName, site: SITE, key: own }, a, now)], true],
      [[await signEndorsement({ edge: edgeName, site: SITE, key: own }, b, now), await signEndorsement({ edge: edgeName, site: SITE, key: b.publicJwk.x }, a, now)], true],
    ];
    for (const [index, [lines, accepted]] of tries.entries()) {
      writeFileSync(join(state, "endorsements"), `${lines.join("\n")}\n`);
      const agent = await newAgent(bridge);
      writeFileSync(agent.known.file, `${edgeName} berlin connector ${a.publicJwk.x} 2026-01-01T00:00:00Z first-use\n`);
      const outcome = await agent.agent.probe().then(() => true, (error: unknown) => error instanceof AgentFailure && error.code !== "connector_key_unknown");
      expect([index, outcome]).toEqual([index, accepted]);
      if (accepted) expect(readFileSync(agent.known.file, "utf8")).toMatch(new RegExp(`connector ${own} \\S+ endorsed`));
    }
  });

  it("TL5: where an offline key was given there is no first use without its word", async () => {
    const { bridge, made, state } = await setUp(echo);
    const offline = await generateConnectorKey(crypto.subtle);
    const agent = await newAgent(bridge, undefined, undefined, [offline.publicJwk.x]);
    expect((await failureOf(agent.agent.probe())).code).toBe("connector_key_unknown");
    writeFileSync(join(state, "endorsements"), await signEndorsement({ edge: bridge.url.origin, site: SITE, key: made.connectorKey.publicJwk.x }, offline, at(Date.now())));
    await agent.agent.probe();
    // The offline key vouches; it does not answer.
    expect(readFileSync(agent.known.file, "utf8")).toContain(` berlin trust ${offline.publicJwk.x} `);
  });

  it("TL3: of many first uses at once, one is the first; a damaged file is no first use", async () => {
    const { bridge, agent } = await setUp(echo);
    const many = await Promise.all(Array.from({ length: 8 }, () => newAgent(bridge, agent.folder)));
    await Promise.all(many.map((one) => one.agent.probe()));
    expect(many.flatMap((one) => one.notes).length).toBe(1);
    expect(readFileSync(agent.known.file, "utf8").match(/ connector /g)?.length).toBe(1);
    writeFileSync(agent.known.file, "what is this\n");
    expect((await failureOf(agent.agent.probe())).code).toBe("known_connectors_damaged");
  });

  it("TL6: whoever carries the frames finds neither what is said nor its compressed form", async () => {
    const { agent, bridge } = await setUp(echo);
    const seen: Buffer[] = [];
    bridge.tap = (bytes) => void seen.push(Buffer.from(bytes));
    const canary = randomBytes(32);
    const { socket, carried } = await agent.dial();
    socket.end(Buffer.concat([Buffer.alloc(10_000), canary, Buffer.alloc(10_000)]));
    expect((await all(socket)).includes(canary)).toBe(true);
    await carried;
    const tapped = Buffer.concat(seen);
    expect(tapped.length).toBeGreaterThan(40_000);
    for (const needle of [canary, deflateRawSync(canary).subarray(1, -4), Buffer.from(canary.toString("hex")), Buffer.from(canary.toString("base64"))]) expect(tapped.includes(needle)).toBe(false);
  });
});
