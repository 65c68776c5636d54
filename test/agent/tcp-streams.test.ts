import { duplexPair } from "node:stream";
import type { Duplex } from "node:stream";
import { randomBytes } from "node:crypto";
import type { Socket } from "node:net";
import { connect as connectTls, createSecureContext } from "node:tls";
import type { ConnectionOptions } from "node:tls";
import { afterEach, describe, expect, it, vi } from "vitest";
import { HeldBytes } from "../../channel/held-bytes.ts";
import { firstFrame } from "../../channel/first-frame.ts";
import { ownCertificate } from "../../channel/own-certificate.ts";
import { secureClient, secureContext, secureServer } from "../../channel/secure-stream.ts";
import { createMetrics } from "../../connector/metrics.ts";
import { TcpStreams } from "../../connector/tcp-streams.ts";
import type { StreamOwnership } from "../../connector/tcp-streams.ts";
import { generateConnectorKey } from "../../identity/connector-proof.ts";
import { EDGE_CONTACT_MS, RESUME_MS, SECURE_MS } from "../../protocol/deadlines.ts";
import { MAX_DETACHED_COUNT } from "../../protocol/limits.ts";
import { dataHeader, encodeResumeFrame, ResumeReader } from "../../protocol/resume-frames.ts";
import type { ResumeFrame } from "../../protocol/resume-frames.ts";
import { selfSigned } from "../connector/test-certificate.ts";
import { soon } from "../soon.ts";

const ALICE: StreamOwnership = { session: "a".repeat(64) as never, app: "pg" as never, agentKey: "alice" };

/** One end of a connection, which says frames and hears them. */
class Peer {
  readonly heard: ResumeFrame[] = [];
  readonly #wire: Duplex;
  readonly #reader = new ResumeReader();
  constructor(wire: Duplex) {
    this.#wire = wire;
    wire.on("data", (bytes: Uint8Array) => this.heard.push(...(this.#reader.feed(bytes) ?? [])));
    wire.on("error", () => undefined);
  }
  say(frame: Exclude<ResumeFrame, { type: "data" | "waiting" }>): void {
    this.#wire.write(encodeResumeFrame(frame));
  }
  /** As a peer that has handed everything over. */
  ack(offset: number): void {
    this.say({ type: "ack", offset });
  }
  data(text: string): void {
    this.#wire.write(Buffer.concat([dataHeader(text.length), Buffer.from(text)]));
  }
  drop(): void {
    this.#wire.destroy();
  }
  /** What was heard last, once anything was. */
  async last(): Promise<ResumeFrame | undefined> {
    await soon(() => expect(this.heard.length).toBeGreaterThan(0));
    return this.heard.at(-1);
  }
  get text(): string {
    return this.heard.map((frame) => (frame.type === "data" ? Buffer.from(frame.bytes).toString() : "")).join("");
  }
}

interface App {
  readonly socket: Duplex;
  got: string;
}

/** A connector's streams at a clock of our own, with apps that a test holds. */
function bench(heldCap?: number) {
  const clock = { now: 1_000 };
  const held = new HeldBytes(heldCap);
  const streams = new TcpStreams(createMetrics(), () => clock.now, held);
  const apps: App[] = [];
  const contact = { at: clock.now };
  const tunnel = {};
  let number = 0;
  const dial = (): Promise<Socket> => {
    const [ours, theirs] = duplexPair();
    const app: App = { socket: theirs, got: "" };
    theirs.on("data", (bytes: Buffer) => (app.got += bytes.toString()));
    theirs.on("error", () => undefined);
    apps.push(app);
    return Promise.resolve(Object.assign(ours, { resetAndDestroy: () => void ours.destroy() }) as unknown as Socket);
  };
  /** A new connection whose first frame this is. */
  const arrive = async (open: { app?: StreamOwnership["app"]; attach: boolean; generation: number; secret: Uint8Array; received?: number }, owner = ALICE): Promise<Peer & { readonly stream: number }> => {
    const [wire, secure] = duplexPair();
    secure.on("error", () => undefined);
    const peer = Object.assign(new Peer(wire), { stream: ++number });
    peer.say({ type: "open", open: { app: owner.app, received: 0, ...open } });
    const first = await firstFrame(secure);
    if (first?.frame.type !== "open") throw new Error("no open");
    streams.accept(owner, { secure, carrier: { tunnel, stream: peer.stream, contact }, first, open: first.frame.open, finished: () => undefined }, dial, () => "upstream_refused");
    return peer;
  };
  return { streams, apps, arrive, clock, contact, tunnel, held };
}

const secret = (): Uint8Array => randomBytes(32);
const isClosed = (app: App | undefined): Promise<unknown> => soon(() => expect(app?.socket.destroyed || app?.socket.readableEnded).toBe(true));

/** A stream that carried "hi" to its app, whose connection is then lost. */
async function detached(made: ReturnType<typeof bench>, owner = ALICE) {
  const key = secret();
  const peer = await made.arrive({ attach: false, generation: 1, secret: key }, owner);
  expect(await peer.last()).toEqual({ type: "opened", received: 0 });
  const app = made.apps.at(-1);
  peer.data("hi");
  await soon(() => expect(app?.got).toBe("hi"));
  const before = made.streams.detachedCount;
  peer.drop();
  await soon(() => expect(made.streams.detachedCount).toBe(before + 1));
  return { key, app, peer };
}

describe("an attach", () => {
  it("RS9: with a higher generation takes the stream over, also from a connection that still stands; an equal or lower one is turned away", async () => {
    const made = bench();
    const key = secret();
    const first = await made.arrive({ attach: false, generation: 3, secret: key });
    await first.last();
    for (const generation of [3, 2]) expect(await (await made.arrive({ attach: true, generation, secret: key })).last()).toEqual({ type: "abort", code: "old_generation" });
    const next = await made.arrive({ attach: true, generation: 4, secret: key });
    expect(await next.last()).toEqual({ type: "opened", received: 0 });
    made.apps[0]?.socket.write("to the newest");
    await soon(() => expect(next.text).toBe("to the newest"));
    expect([first.text, made.apps.length]).toEqual(["", 1]);
  });

  it.each<[string, Partial<StreamOwnership>]>([
    ["session", { session: "b".repeat(64) as never }],
    ["app", { app: "wiki" as never }],
    ["agent's key", { agentKey: "mallory" }],
  ])("RS10: of another %s finds no such stream, and the stream stays its owner's", async (_what, other) => {
    const made = bench();
    const { key } = await detached(made);
    expect(await (await made.arrive({ attach: true, generation: 9, secret: key }, { ...ALICE, ...other })).last()).toEqual({ type: "abort", code: "unknown_stream" });
    expect(await (await made.arrive({ attach: true, generation: 2, secret: key })).last()).toEqual({ type: "opened", received: 2 });
  });

  it("RS10: with a secret that nobody has finds none", async () => {
    expect(await (await bench().arrive({ attach: true, generation: 1, secret: secret() })).last()).toEqual({ type: "abort", code: "unknown_stream" });
  });

  it("RS10: that says new again, because it never heard that it was opened, gets the stream that was", async () => {
    const made = bench();
    const { key } = await detached(made);
    expect(await (await made.arrive({ attach: false, generation: 2, secret: key })).last()).toEqual({ type: "opened", received: 2 });
    expect(made.apps.length).toBe(1);
  });

  it("RS13: to a stream that is whole hears again that it is, for 60 s", async () => {
    const made = bench();
    const key = secret();
    const peer = await made.arrive({ attach: false, generation: 1, secret: key });
    await peer.last();
    peer.say({ type: "fin", total: 0 });
    await soon(() => expect(peer.heard.at(-1)).toEqual({ type: "ack", offset: 1 }));
    made.apps[0]?.socket.end();
    await soon(() => expect(peer.heard.at(-1)).toEqual({ type: "fin", total: 0 }));
    peer.say({ type: "ack", offset: 1 });
    await soon(() => expect(made.streams.detachedCount).toBe(0));
    const again = await made.arrive({ attach: true, generation: 2, secret: key, received: 1 });
    await soon(() => expect(again.heard).toEqual([{ type: "opened", received: 1 }, { type: "ack", offset: 1 }]));
    made.clock.now += RESUME_MS;
    made.streams.sweep();
    expect(await (await made.arrive({ attach: true, generation: 3, secret: key, received: 1 })).last()).toEqual({ type: "abort", code: "unknown_stream" });
  });
});

it("RS2: an open for another app than the admission's is aborted, and nothing is dialled", async () => {
  const made = bench();
  const key = secret();
  for (const attach of [false, true]) expect(await (await made.arrive({ app: "prod-db" as never, attach, generation: 1, secret: key })).last()).toEqual({ type: "abort", code: "wrong_app" });
  expect(made.apps).toEqual([]);
});

describe("a stream without a connection", () => {
  it("RS11: is neither read nor written at its app", async () => {
    const made = bench();
    const { key, app } = await detached(made);
    app?.socket.write("while away");
    const next = await made.arrive({ attach: true, generation: 2, secret: key });
    await soon(() => expect(next.text).toBe("while away"));
    expect(app?.got).toBe("hi");
  });

  it("RS12: ends after 60 s", async () => {
    const made = bench();
    const { key, app } = await detached(made);
    made.clock.now += RESUME_MS - 1;
    made.contact.at = made.clock.now;
    made.streams.sweep();
    expect(made.streams.detachedCount).toBe(1);
    made.clock.now += 1;
    made.streams.sweep();
    await isClosed(app);
    expect(await (await made.arrive({ attach: true, generation: 2, secret: key })).last()).toEqual({ type: "abort", code: "unknown_stream" });
  });

  it("RS12: ends after 30 s without a word of the edge", async () => {
    const made = bench();
    const { app } = await detached(made);
    made.clock.now = made.contact.at + EDGE_CONTACT_MS - 1;
    made.streams.sweep();
    expect(made.streams.detachedCount).toBe(1);
    made.clock.now += 1;
    made.streams.sweep();
    await isClosed(app);
  });

  it.each<[string, (made: ReturnType<typeof bench>, stream: number) => void]>([
    ["its session", ({ streams, tunnel, contact }) => streams.cut({ tunnel, contact }, [], [ALICE.session])],
    ["its app", ({ streams, tunnel, contact }) => streams.cut({ tunnel, contact }, [], [], [ALICE.app])],
    ["the stream that carried it last", ({ streams, tunnel, contact }, stream) => streams.cut({ tunnel, contact }, [stream], [])],
  ])("RS12: ends when a cut names %s", async (_what, cut) => {
    const made = bench();
    const { app, peer } = await detached(made);
    const other = await detached(made, { ...ALICE, session: "c".repeat(64) as never, app: "another" as never });
    cut(made, peer.stream);
    expect(made.streams.detachedCount).toBe(1);
    await isClosed(app);
    expect(other.app?.socket.destroyed).toBe(false);
  });

  it("RS12: also one that a connection carries ends when a cut names its session", async () => {
    const made = bench();
    await made.arrive({ attach: false, generation: 1, secret: randomBytes(32) });
    await soon(() => expect(made.apps).toHaveLength(1));
    made.streams.cut({ tunnel: {}, contact: { at: 0 } }, [], [ALICE.session]);
    await isClosed(made.apps[0]);
  });

  it("RS12: one that another lane carries is that lane's to cut when an app is named; its own lane's cut ends it", async () => {
    const made = bench();
    await made.arrive({ attach: false, generation: 1, secret: randomBytes(32) });
    await vi.waitFor(() => expect(made.apps).toHaveLength(1));
    made.streams.cut({ tunnel: {}, contact: { at: 0 } }, [], [], [ALICE.app]);
    expect(made.apps[0]?.socket.destroyed).toBe(false);
    made.streams.cut({ tunnel: {}, contact: made.contact }, [], [], [ALICE.app]);
    await isClosed(made.apps[0]);
  });

  it("RS12: a cut that names another tunnel's stream of the same number does not end it", async () => {
    const made = bench();
    const { peer } = await detached(made);
    made.streams.cut({ tunnel: {}, contact: made.contact }, [peer.stream], []);
    expect(made.streams.detachedCount).toBe(1);
  });

  it("RS14: beyond 1,024 of them, one more ends", async () => {
    const made = bench();
    for (let i = 0; i <= MAX_DETACHED_COUNT; i += 1) (await made.arrive({ attach: false, generation: 1, secret: secret() })).drop();
    await soon(() => expect(made.streams.detachedCount).toBe(MAX_DETACHED_COUNT));
    expect(made.apps.filter((app) => app.socket.destroyed || app.socket.readableEnded).length).toBeLessThanOrEqual(1);
  });
});

describe("what all streams hold together", () => {
  const CAP = 1024 * 1024;
  const PIECE = "x".repeat(60 * 1024);
  const MALLORY: StreamOwnership = { session: "e".repeat(64) as never, app: "pg" as never, agentKey: "mallory" };
  const opened = async (made: ReturnType<typeof bench>, owner: StreamOwnership) => {
    const peer = await made.arrive({ attach: false, generation: 1, secret: secret() }, owner);
    await peer.last();
    const app = made.apps.at(-1);
    if (app === undefined) throw new Error("no app");
    return { peer, app };
  };
  const codes = (peers: readonly { readonly peer: Peer }[]) => peers.flatMap(({ peer }) => peer.heard.filter((frame) => frame.type === "abort").map(({ code }) => code));

  it("RS14: is bounded, whenever they were opened: above the cap the largest of the session that holds most ends", async () => {
    const made = bench(CAP);
    const alice = await opened(made, ALICE);
    const many: Awaited<ReturnType<typeof opened>>[] = [];
    for (let i = 0; i < 12; i += 1) many.push(await opened(made, MALLORY));
    for (const { app } of [alice, ...many]) app.socket.pause();
    for (let i = 0; i < 4; i += 1) alice.peer.data(PIECE);
    for (let i = 0; i < 3; i += 1) for (const { peer } of many) peer.data(PIECE);
    await soon(() => expect(codes(many).length).toBeGreaterThanOrEqual(5));
    expect(new Set(codes([alice, ...many]))).toEqual(new Set(["overloaded"]));
    expect(codes([alice])).toEqual([]);
    expect(made.held.sum).toBeLessThanOrEqual(CAP);
    alice.app.socket.resume();
    await soon(() => expect(alice.app.got.length).toBe(4 * PIECE.length));
  });

  it("RS14: does not grow with what nobody acknowledges, and who acknowledges goes on", async () => {
    const made = bench(CAP);
    const many: Awaited<ReturnType<typeof opened>>[] = [];
    for (let i = 0; i < 8; i += 1) many.push(await opened(made, MALLORY));
    const alice = await opened(made, ALICE);
    const source = Buffer.alloc(16 * 1024, 1);
    // Whatever the connector takes, and no more: these apps always have something to say.
    const write = (socket: Duplex): void => {
      while (!socket.destroyed && socket.write(source)) continue;
      socket.once("drain", () => write(socket));
    };
    for (const { app } of many) write(app.socket);
    await soon(() => expect(made.held.isTight).toBe(true));
    await soon(() => expect(many.every(({ peer }) => peer.heard.at(-1)?.type === "waiting")).toBe(true));
    alice.app.socket.write("one");
    await soon(() => expect(alice.peer.text).toBe("one"));
    await soon(() => expect(alice.peer.heard.at(-1)).toEqual({ type: "waiting" }));
    alice.app.socket.write("two");
    alice.peer.ack(3);
    await soon(() => expect(alice.peer.text).toBe("onetwo"));
    expect(made.held.sum).toBeLessThanOrEqual(CAP);
    // When they acknowledge, all are read again.
    for (const { peer } of many) peer.ack(peer.text.length);
    await soon(() => expect(made.held.sum).toBeLessThan((CAP * 3) / 4 + 1));
    made.streams.destroyAll();
    expect(made.held.sum).toBe(0);
  });
});

describe("TLS inside", () => {
  afterEach(() => void vi.useRealTimers());
  const key = async () => (await generateConnectorKey(crypto.subtle)).privateJwk;

  it("TL1: proves both keys to both ends", async () => {
    const [a, b] = duplexPair();
    const [agent, connector] = await Promise.all([key(), key()]);
    const [client, server] = await Promise.all([secureClient(a, secureContext(agent)), secureServer(b, secureContext(connector))]);
    expect([client.peerKey, server.peerKey]).toEqual([connector.x, agent.x]);
    expect(client.socket.getProtocol()).toBe("TLSv1.3");
  });

  it.each<[string, () => Promise<ConnectionOptions>]>([
    ["no certificate", () => Promise.resolve({ ALPNProtocols: ["postern-tcp/1"] })],
    ["another kind of key", () => Promise.resolve({ ALPNProtocols: ["postern-tcp/1"], secureContext: createSecureContext(selfSigned("x", new Date(0), new Date(4e12))) })],
    ["another ALPN", async () => ({ ALPNProtocols: ["h2"], secureContext: createSecureContext(ownCertificate(await key())) })],
    ["no ALPN", async () => ({ secureContext: createSecureContext(ownCertificate(await key())) })],
    ["another version", async () => ({ ALPNProtocols: ["postern-tcp/1"], maxVersion: "TLSv1.2", secureContext: createSecureContext({ ...ownCertificate(await key()), maxVersion: "TLSv1.2" }) })],
  ])("TL1: an agent with %s is turned away", async (_what, options) => {
    const [a, b] = duplexPair();
    const server = secureServer(b, secureContext(await key()));
    const client = connectTls({ socket: a, rejectUnauthorized: false, ...(await options()) });
    client.on("error", () => undefined);
    await expect(server).rejects.toThrow("no secure stream");
    expect(b.destroyed).toBe(true);
  });

  it("TL2: a silent peer is given up after 10 s, before TLS and after it", async () => {
    const connector = secureContext(await key());
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    const [, b] = duplexPair();
    const server = secureServer(b, connector);
    server.catch(() => undefined);
    const first = firstFrame(duplexPair()[0]);
    vi.advanceTimersByTime(SECURE_MS);
    await expect(server).rejects.toThrow("no secure stream");
    expect(await first).toBeUndefined();
  });
});
