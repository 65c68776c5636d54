/**
 * A connector's end of the wire inside a test: it says hello to a lane with a real key, answers
 * each stream as the test wants, and acknowledges cuts. Each way to be a wrong connector is a setting.
 */
import { fromBase64Url } from "../../core/bytes.ts";
import type { ConnectorId } from "../../core/ids.ts";
import { CONNECT_HEADER, type ConnectContext } from "../../durable-objects/tunnel/rpc.ts";
import { type ConnectorKey, generateAgreementKey, generateConnectorKey, signHello } from "../../identity/connector-proof.ts";
import { type Challenge, encodeControl, type Hello, readEdgeMessage } from "../../protocol/control.ts";
import { encodeAnswerHead, HeadReader, type OpenHead, parseOpenHead } from "../../protocol/head.ts";
import { transcript } from "../../protocol/hello.ts";
import { Mux } from "../../protocol/mux.ts";
import { encodeWebSocketMessage, WebSocketMessageReader } from "../../protocol/websocket-messages.ts";
import { BERLIN, laneStub, objects, randomText } from "./deployment.ts";

export interface Enrolled {
  readonly id: ConnectorId;
  readonly key: ConnectorKey;
}

/** Enrols a new connector with a one-time token. */
export async function enrolled(): Promise<Enrolled> {
  const control = objects.CONTROL.getByName("control");
  const hash = randomText(32);
  await control.createEnrollToken({ site: BERLIN, hash, expiresAt: Date.now() + 60_000, by: "internal" });
  const key = await generateConnectorKey(crypto.subtle);
  const done = await control.enroll({ tokenHash: hash, publicKey: key.publicJwk, thumbprint: key.thumbprint, name: "test" });
  if (!done.ok) throw new Error(done.code);
  return { id: done.connector.id, key };
}

export interface TcpEnd {
  readonly request: string;
  readonly app: string;
  bytes: number;
  /** The last characters that came. */
  text: string;
  how: string;
}

export interface Wrong {
  /** Signs with this key instead of the enrolled one. */
  readonly signWith?: ConnectorKey;
  /** Says to be this connector. */
  readonly claims?: ConnectorId;
  readonly skewMs?: number;
  /** Sends this hello, recorded earlier, instead of its own. */
  readonly replay?: string;
  /** Waits before it answers the challenge. */
  readonly before?: () => Promise<void>;
}

export class TestConnector {
  readonly #socket: WebSocket;
  readonly #mux = new Mux({ role: "connector", now: Date.now });
  readonly #heads = new Map<number, HeadReader>();
  readonly #readers = new Map<number, WebSocketMessageReader>();
  readonly #welcome = Promise.withResolvers<string>();
  readonly #closed = Promise.withResolvers<number>();
  /** What the app was sent over a relayed WebSocket. */
  readonly texts: string[] = [];
  /** Close messages of browsers. */
  closes = 0;
  /** What came on TCP streams, and how each ended. */
  readonly tcp = new Map<number, TcpEnd>();
  /** Takes bytes of TCP streams; credit goes back only then. */
  takes = true;
  /** Live streams by number. */
  readonly streams = new Map<number, OpenHead>();
  hello = "";
  acknowledges = true;
  /** What it was told to serve: the version of the newest configuration. */
  configured = 0;
  /** Leaves stream-opens without an answer. */
  mute = false;
  /** Stream-opens that came, in all. */
  opened = 0;
  readonly #goneAway = Promise.withResolvers<void>();
  /** Looks at no frame: whoever sends frames of the test's own making gets answers that its mux knows nothing of. */
  deaf = false;
  cuts = 0;
  /** Sessions that cuts named. */
  readonly cutSessions: string[] = [];
  readonly cutApps: string[] = [];

  private constructor(socket: WebSocket, who: Enrolled, wrong: Wrong) {
    this.#socket = socket;
    socket.binaryType = "arraybuffer";
    socket.addEventListener("message", ({ data }) => {
      if (typeof data === "string") void this.#control(data, who, wrong);
      else this.#frames(data as ArrayBuffer);
    });
    socket.addEventListener("close", ({ code }) => {
      this.#closed.resolve(code);
      this.#welcome.resolve(`closed ${code}`);
    });
    socket.accept();
  }

  /** Dials a lane; the answer has not been welcomed yet. */
  static async dial(who: Enrolled, wrong: Wrong = {}, lane = 0): Promise<TestConnector> {
    const context: ConnectContext = { v: 1, site: BERLIN, lane, connector: who.id, publicKey: who.key.publicJwk, thumbprint: who.key.thumbprint, keySet: "a.b.c" };
    const answer = await laneStub(lane).fetch("https://lane.internal/", { headers: { upgrade: "websocket", [CONNECT_HEADER]: JSON.stringify(context) } });
    if (answer.webSocket === null) throw new Error(`no socket: ${answer.status}`);
    return new TestConnector(answer.webSocket, who, wrong);
  }

  /** "welcome", the code of a refusal, or "closed CODE". */
  get welcome(): Promise<string> {
    return this.#welcome.promise;
  }
  get closed(): Promise<number> {
    return this.#closed.promise;
  }
  /** The edge opens no more streams. */
  get goneAway(): Promise<void> {
    return this.#goneAway.promise;
  }

  /** Sends frames of the test's own making. */
  raw(bytes: Uint8Array): void {
    this.#socket.send(bytes);
  }

  control(text: string): void {
    this.#socket.send(text);
  }

  /** Answers the stream-opens that were left without an answer. */
  answerAll(): void {
    for (const id of this.streams.keys()) this.#answer(id, false);
    this.#flush();
  }

  /** Answers the WebSockets that were left without an answer, and ends its direction with it. */
  switchAndEnd(): void {
    for (const id of this.streams.keys()) {
      this.#answer(id, true);
      this.#mux.end(id);
    }
    this.#flush();
  }

  /** Answers every stream that was left without an answer, with a whole body of its own: its path and `filler`. */
  answerWhole(filler = "", which: (head: OpenHead) => boolean = () => true): void {
    for (const [id, head] of this.streams) {
      if (!which(head)) continue;
      const body = new TextEncoder().encode(head.path + filler);
      const answer = encodeAnswerHead({ v: 1, status: 200, headers: [["x-path", head.path]], body: "stream", length: body.length });
      if (answer.ok) this.#mux.write(id, answer.value);
      this.#mux.write(id, body);
      this.#mux.end(id);
      this.streams.delete(id);
    }
    this.#flush();
  }

  /** Answers streams that were left without an answer with a head alone. */
  answerEmpty(status: number, which: (head: OpenHead) => boolean): void {
    for (const [id, head] of this.streams) {
      if (!which(head)) continue;
      const answer = encodeAnswerHead({ v: 1, status, headers: [["location", "/elsewhere"]], body: "none" });
      if (answer.ok) this.#mux.write(id, answer.value);
      this.#mux.end(id);
      this.streams.delete(id);
    }
    this.#flush();
  }

  /** Sends body bytes on every live stream. */
  write(text: string): void {
    for (const id of this.streams.keys()) this.#mux.write(id, new TextEncoder().encode(text));
    this.#flush();
  }

  /** Ends the body of every live stream. */
  endAll(): void {
    for (const id of this.streams.keys()) this.#mux.end(id);
    this.streams.clear();
    this.#flush();
  }

  /** Sends a message on every relayed WebSocket. */
  say(text: string): void {
    for (const id of this.#readers.keys()) this.#mux.write(id, encodeWebSocketMessage({ type: "text", text }));
    this.#flush();
  }

  /** Resets every live stream, as when it has no room for it. */
  refuse(): void {
    for (const id of this.streams.keys()) this.#mux.reset(id);
    this.streams.clear();
    this.#flush();
  }

  leave(code = 1000): void {
    this.#socket.close(code, "bye");
  }

  async #control(raw: string, who: Enrolled, wrong: Wrong): Promise<void> {
    const read = readEdgeMessage(raw);
    if (read.type !== "message") return;
    const { message } = read;
    if (message.t === "challenge") {
      await wrong.before?.();
      this.hello = wrong.replay ?? encodeControl(await this.#signed(message, who, wrong));
      this.#socket.send(this.hello);
    } else if (message.t === "welcome") {
      this.configured = versionOf(message.config);
      this.#welcome.resolve("welcome");
    } else if (message.t === "config") this.configured = versionOf(message.jws);
    else if (message.t === "refuse") this.#welcome.resolve(message.code);
    else if (message.t === "cut") {
      this.cuts++;
      this.cutSessions.push(...message.sessions);
      this.cutApps.push(...(message.apps ?? []));
      for (const id of message.streams) {
        this.#tcpEnded(id, "cut");
        this.#mux.reset(id);
        this.#forget(id);
      }
      this.#flush();
      if (this.acknowledges) this.#socket.send(encodeControl({ t: "cut_ack", id: message.id }));
    }
  }

  async #signed(challenge: Challenge, who: Enrolled, wrong: Wrong): Promise<Hello> {
    const agreement = await generateAgreementKey(crypto.subtle);
    const unsigned: Hello = { t: "hello", v: 1, connector: wrong.claims ?? who.id, instance: randomText(16), dh: agreement.publicKey, time: Date.now() + (wrong.skewMs ?? 0), versions: [1], software: "test", signature: "unsigned" };
    return { ...unsigned, signature: await signHello(transcript("connector", challenge, unsigned), wrong.signWith ?? who.key) };
  }

  #frames(data: ArrayBuffer): void {
    if (this.deaf) return;
    for (const event of this.#mux.receive(new Uint8Array(data))) {
      if (event.type === "open") this.#heads.set(event.id, new HeadReader("open"));
      else if (event.type === "data") this.#data(event.id, event.bytes);
      else if (event.type === "end") this.#tcpEnded(event.id, "fin");
      else if (event.type === "reset") {
        this.#tcpEnded(event.id, event.cause === "peer" ? "reset" : event.cause);
        this.#forget(event.id);
      } else if (event.type === "goaway") this.#goneAway.resolve();
      else if (event.type === "fatal") this.#closed.reject(new Error(`the edge broke the protocol: ${event.reason}`));
    }
    this.#flush();
  }

  #tcpEnded(id: number, how: string): void {
    const end = this.tcp.get(id);
    if (end?.how === "open" || end?.how === "fin") end.how = how;
  }

  /** Ends its half of every TCP stream. */
  endTcp(): void {
    for (const id of this.tcp.keys()) this.#mux.end(id);
    this.#flush();
  }

  #data(id: number, bytes: Uint8Array): void {
    const tcp = this.tcp.get(id);
    if (tcp !== undefined) {
      tcp.bytes += bytes.length;
      tcp.text = (tcp.text + new TextDecoder().decode(bytes)).slice(-64);
      if (this.takes) this.#mux.consumed(id, bytes.length);
      return;
    }
    this.#mux.consumed(id, bytes.length, "now");
    const messages = this.#readers.get(id);
    if (messages !== undefined) {
      for (const read of messages.feed(bytes)) {
        if (read.type === "text") this.texts.push(read.text);
        else if (read.type === "close") this.closes++;
      }
      return;
    }
    const read = this.#heads.get(id)?.feed(bytes);
    const head = read?.type === "head" ? parseOpenHead(read.json) : undefined;
    if (head?.ok !== true) return;
    this.#heads.delete(id);
    this.streams.set(id, head.value);
    this.opened++;
    if (this.mute) return;
    const { kind, req, app } = head.value;
    if (kind === "websocket") this.#readers.set(id, new WebSocketMessageReader());
    if (kind === "tcp") this.tcp.set(id, { request: req, app, bytes: 0, text: "", how: "open" });
    this.#answer(id, kind !== "http");
  }

  #answer(id: number, switches: boolean): void {
    const answer = encodeAnswerHead({ v: 1, status: switches ? 101 : 200, headers: [], body: "stream" });
    if (answer.ok) this.#mux.write(id, answer.value);
  }

  #forget(id: number): void {
    this.streams.delete(id);
    this.#readers.delete(id);
    this.#heads.delete(id);
  }

  #flush(): void {
    for (const bytes of this.#mux.takeOutput()) this.#socket.send(bytes.slice());
  }
}

/** The policy version in a signed site configuration; unverified. */
function versionOf(jws: string): number {
  const payload = fromBase64Url(jws.split(".")[1] ?? "") ?? new Uint8Array();
  return (JSON.parse(new TextDecoder().decode(payload)) as { version: number }).version;
}

/** A lane with a welcomed connector. */
export async function connected(who?: Enrolled, lane = 0): Promise<TestConnector> {
  const connector = await TestConnector.dial(who ?? (await enrolled()), {}, lane);
  const welcome = await connector.welcome;
  if (welcome !== "welcome") throw new Error(welcome);
  return connector;
}
