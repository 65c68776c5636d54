/**
 * A small edge for the connector's tests: real handshake, real mux in role "edge", keys made in
 * the test, and a handle for each way in which an edge can be wrong. Not a model of the worker.
 */
import { createHash, createHmac, randomBytes } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";
import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import { WebSocketServer } from "ws";
import type { WebSocket } from "ws";
import { toBase64Url } from "../../core/bytes.ts";
import { parseAppId, parseConnectorId, parseRequestId, parseSessionId, parseSiteId } from "../../core/ids.ts";
import type { Json } from "../../core/json.ts";
import { at } from "../../core/time.ts";
import { admissionDigest, signAdmission } from "../../identity/admission.ts";
import { deriveStreamMacKey, generateAgreementKey, generateConnectorKey, signLaneWelcome, verifyHello } from "../../identity/connector-proof.ts";
import type { ConnectorKey } from "../../identity/connector-proof.ts";
import { generateSigningKey } from "../../identity/keys.ts";
import type { SigningKey } from "../../identity/keys.ts";
import { signKeySet, signSiteConfig } from "../../identity/signed-document.ts";
import type { Challenge, ConnectorMessage } from "../../protocol/control.ts";
import { encodeControl, readConnectorMessage } from "../../protocol/control.ts";
import { HeadReader, frameOpenHead, openHeadJson, parseAnswerHead } from "../../protocol/head.ts";
import type { AnswerHead, HeaderField, OpenHead } from "../../protocol/head.ts";
import { transcript } from "../../protocol/hello.ts";
import { Mux } from "../../protocol/mux.ts";
import { signStreamOpen } from "../../protocol/stream-mac.ts";
import type { AllowRule } from "../../connector/allow-list.ts";
import { createLog } from "../../connector/log.ts";
import { startConnector } from "../../connector/run.ts";
import type { RunOptions, Running } from "../../connector/run.ts";
import { serializeState, writeStateFile } from "../../connector/state.ts";
import { temporaryFolder } from "../temporary-folder.ts";

export function must<T>(value: T | undefined | null): T {
  if (value === undefined || value === null) throw new Error("the test expected a value");
  return value;
}

export const SITE = must(parseSiteId("berlin"));
export const CONNECTOR = must(parseConnectorId(`c_${"A".repeat(22)}`));
export const SESSION = must(parseSessionId("a".repeat(64)));
export const WIKI = must(parseAppId("wiki"));
const hmac = (key: Uint8Array, bytes: Uint8Array): Uint8Array => createHmac("sha256", key).update(bytes).digest();

/** How an edge may be wrong, or different. */
export interface EdgeSettings {
  lanes?: number;
  /** Signs the welcome with another key than the pinned one. */
  foreignWelcome?: boolean;
  /** Closes the upgrade with this code right after accepting it. */
  closeAtOnce?: number;
  /** Answers the upgrade with this status; `asEdge` adds Postern-Request-Id. */
  upgradeStatus?: number;
  asEdge?: boolean;
  challengeSkewMs?: number;
  /** Does not answer `draining` with its go-away. */
  silentDrain?: boolean;
  /** Answers no ping, of either kind. */
  silent?: boolean;
}

export interface Ask {
  kind?: OpenHead["kind"];
  app?: string;
  method?: string;
  path?: string;
  headers?: readonly HeaderField[];
  body?: Uint8Array | "stream";
  length?: number;
  admission?: string;
  n?: number;
  spoilMac?: boolean;
}

/** One stream as the edge sees it. Bytes are consumed as they come unless `hold` is set. */
export class EdgeStream {
  readonly id: number;
  readonly #mux: Mux;
  readonly #flush: () => void;
  readonly #reader = new HeadReader("answer");
  #parts: Buffer[] = [];
  #headRead = false;
  held = 0;
  hold = false;
  received = 0;
  readonly #head = Promise.withResolvers<AnswerHead>();
  readonly #done = Promise.withResolvers<"end" | "reset">();
  #pending: Uint8Array[] = [];
  #endAfter = false;
  onBytes: (bytes: Uint8Array) => void = () => undefined;

  constructor(id: number, mux: Mux, flush: () => void) {
    this.id = id;
    this.#mux = mux;
    this.#flush = flush;
    this.#head.promise.catch(() => undefined);
  }

  get head(): Promise<AnswerHead> {
    return this.#head.promise;
  }
  /** How the connector's direction ended. */
  get done(): Promise<"end" | "reset"> {
    return this.#done.promise;
  }
  get unsent(): number {
    return this.#pending.reduce((sum, part) => sum + part.length, 0);
  }
  async body(): Promise<Buffer> {
    if ((await this.done) === "reset") throw new Error("the stream was reset");
    return Buffer.concat(this.#parts);
  }

  send(bytes: Uint8Array): void {
    this.#pending.push(bytes);
    this.writable();
  }
  end(): void {
    this.#endAfter = true;
    this.writable();
  }
  reset(): void {
    this.#mux.reset(this.id);
    this.#flush();
  }
  release(): void {
    this.hold = false;
    this.#mux.consumed(this.id, this.held);
    this.held = 0;
    this.#flush();
  }

  writable(): void {
    for (let first = this.#pending[0]; first !== undefined; first = this.#pending[0]) {
      const taken = this.#mux.write(this.id, first);
      if (taken < first.length) {
        this.#pending[0] = first.subarray(taken);
        break;
      }
      this.#pending.shift();
    }
    if (this.#endAfter && this.#pending.length === 0) this.#mux.end(this.id);
    this.#flush();
  }
  data(bytes: Uint8Array): void {
    this.received += bytes.length;
    if (this.hold) this.held += bytes.length;
    else this.#mux.consumed(this.id, bytes.length);
    let body = bytes;
    if (!this.#headRead) {
      const read = this.#reader.feed(bytes);
      if (read.type === "more") return;
      if (read.type === "error") return this.#head.reject(new Error(read.error));
      this.#headRead = true;
      const head = parseAnswerHead(read.json);
      if (head.ok) this.#head.resolve(head.value);
      else this.#head.reject(new Error(head.error));
      body = read.rest;
    }
    if (body.length === 0) return;
    this.#parts.push(Buffer.from(body));
    this.onBytes(body);
  }
  over(how: "end" | "reset"): void {
    this.#done.resolve(how);
    this.#head.reject(new Error("no head"));
  }
}

/** One welcomed connection. */
export class EdgeLink {
  readonly socket: WebSocket;
  readonly lane: number;
  readonly mux = new Mux({ role: "edge", now: () => performance.now(), accept: false });
  readonly closed: Promise<number>;
  readonly controls: ConnectorMessage[] = [];
  goneAway = false;
  readonly #edge: TestEdge;
  readonly #macKey: Uint8Array;
  readonly #streams = new Map<number, EdgeStream>();
  #waiting: { t: string; done: (message: ConnectorMessage) => void }[] = [];

  constructor(edge: TestEdge, socket: WebSocket, lane: number, macKey: Uint8Array) {
    this.#edge = edge;
    this.socket = socket;
    this.lane = lane;
    this.#macKey = macKey;
    this.closed = new Promise((done) => socket.once("close", (code) => {
      for (const stream of this.#streams.values()) stream.over("reset");
      done(code);
    }));
    socket.on("message", (data: Buffer, isBinary) => (isBinary ? this.#frames(data) : this.#text(data.toString())));
  }

  /** Signs and sends an admission; returns its digest. */
  async admit(app = "wiki", overrides: { connector?: string; site?: string; key?: SigningKey; at?: number; sid?: string } = {}): Promise<string> {
    const jws = await signAdmission(
      { sid: must(parseSessionId(overrides.sid ?? SESSION)), app: must(parseAppId(app)), site: must(parseSiteId(overrides.site ?? SITE)), epoch: 1, policyVersion: 1, connector: overrides.connector ?? this.#edge.connectorKey.thumbprint },
      overrides.key ?? this.#edge.key,
      at(overrides.at ?? Date.now()),
    );
    this.socket.send(encodeControl({ t: "admission", jws }));
    return admissionDigest(jws);
  }

  /** Opens a stream with a fresh admission for its app, unless one is given. */
  async ask(ask: Ask = {}): Promise<EdgeStream> {
    const admission = ask.admission ?? (await this.admit(ask.app ?? "wiki"));
    const opened = this.mux.open();
    if (!opened.ok) throw new Error(opened.error);
    const id = opened.value;
    const kind = ask.kind ?? "http";
    const streams = kind !== "http" || ask.body !== undefined;
    const length = ask.length ?? (ask.body instanceof Uint8Array ? ask.body.length : undefined);
    const head: OpenHead = {
      v: 1, kind, app: must(parseAppId(ask.app ?? "wiki")), admission, n: ask.n ?? id, req: must(parseRequestId(`r_${"B".repeat(22)}`)),
      method: ask.method ?? (kind === "tcp" ? "CONNECT" : "GET"), path: ask.path ?? "/", headers: ask.headers ?? (kind === "tcp" ? [] : [["Host", "wiki.example"]]),
      body: streams ? "stream" : "none", ...(streams && length !== undefined && { length }),
    };
    const json = openHeadJson(head);
    if (!json.ok) throw new Error(json.error);
    const mac = signStreamOpen(hmac, this.#macKey, head.n, json.value);
    if (ask.spoilMac === true) mac[0] = (mac[0] ?? 0) ^ 1;
    const stream = new EdgeStream(id, this.mux, () => this.flush());
    this.#streams.set(id, stream);
    stream.send(frameOpenHead(json.value, mac));
    if (ask.body instanceof Uint8Array) stream.send(ask.body);
    if (ask.body !== "stream" && kind === "http") stream.end();
    return stream;
  }

  control(message: Parameters<typeof encodeControl>[0]): void {
    this.flush();
    this.socket.send(encodeControl(message));
  }
  /** The next control of that kind, also one that came already. */
  next<T extends ConnectorMessage["t"]>(t: T): Promise<Extract<ConnectorMessage, { t: T }>> {
    const index = this.controls.findIndex((message) => message.t === t);
    if (index >= 0) return Promise.resolve(this.controls.splice(index, 1)[0] as Extract<ConnectorMessage, { t: T }>);
    return new Promise((done) => this.#waiting.push({ t, done: done as (message: ConnectorMessage) => void }));
  }
  flush(): void {
    for (const message of this.mux.takeOutput()) this.socket.send(message);
  }

  #frames(data: Buffer): void {
    for (const event of this.mux.receive(data)) {
      if (event.type === "goaway") this.goneAway = true;
      if (event.type === "fatal") throw new Error(`the connector broke the protocol: ${event.reason}`);
      if (event.type === "goaway" || event.type === "open") continue;
      const stream = this.#streams.get(event.id);
      if (event.type === "data") stream?.data(event.bytes);
      else if (event.type === "writable") stream?.writable();
      else stream?.over(event.type);
    }
    this.flush();
  }
  #text(text: string): void {
    if (text === "ping") return this.#edge.settings.silent === true ? undefined : this.socket.send("pong");
    const read = readConnectorMessage(text);
    if (read.type !== "message") throw new Error(`the connector sent a control that is ${read.type}`);
    if (read.message.t === "draining" && this.#edge.settings.silentDrain !== true) {
      this.mux.goAway(0);
      this.flush();
    }
    const index = this.#waiting.findIndex(({ t }) => t === read.message.t);
    if (index >= 0) this.#waiting.splice(index, 1)[0]?.done(read.message);
    else this.controls.push(read.message);
  }
}

export class TestEdge {
  readonly key: SigningKey;
  readonly otherKey: SigningKey;
  readonly connectorKey: ConnectorKey;
  readonly keySet: string;
  readonly settings: EdgeSettings;
  readonly server: Server;
  readonly problems: unknown[] = [];
  url = new URL("http://127.0.0.1:1");
  hellos = 0;
  upgrades = 0;
  readonly #links: EdgeLink[] = [];
  #waiting: ((link: EdgeLink) => void)[] = [];
  #config: Json = { apps: [] };
  #configVersion = 1;

  private constructor(key: SigningKey, otherKey: SigningKey, connectorKey: ConnectorKey, keySet: string, settings: EdgeSettings) {
    this.key = key;
    this.otherKey = otherKey;
    this.connectorKey = connectorKey;
    this.keySet = keySet;
    this.settings = settings;
    const sockets = new WebSocketServer({ noServer: true, perMessageDeflate: false, autoPong: settings.silent !== true });
    this.server = createServer((_request, response) => void response.writeHead(404).end());
    this.server.on("upgrade", (request, raw, head) => {
      this.upgrades += 1;
      if (settings.upgradeStatus !== undefined) {
        raw.end(`HTTP/1.1 ${settings.upgradeStatus} No\r\nContent-Length: 0\r\n${settings.asEdge === true ? "Postern-Request-Id: r_x\r\n" : ""}Connection: close\r\n\r\n`);
        return;
      }
      sockets.handleUpgrade(request, raw, head, (socket) => {
        const lane = Number(new URL(request.url ?? "/", "http://x").searchParams.get("lane"));
        this.#welcome(socket, lane).catch((error: unknown) => this.problems.push(error));
      });
    });
  }

  static async start(settings: EdgeSettings = {}): Promise<TestEdge> {
    const now = at(Date.now());
    const key = await generateSigningKey("admission", now, crypto.subtle);
    const otherKey = await generateSigningKey("admission", now, crypto.subtle);
    const keySet = await signKeySet({ version: 1, keys: [key.publicJwk] }, key, now);
    const edge = new TestEdge(key, otherKey, await generateConnectorKey(crypto.subtle), keySet, settings);
    edge.server.listen(0, "127.0.0.1");
    await once(edge.server, "listening");
    edge.url = new URL(`http://127.0.0.1:${(edge.server.address() as AddressInfo).port}`);
    return edge;
  }


  configure(...apps: Json[]): void {
    this.#config = { apps };
  }
  signedConfig(version = this.#configVersion, key = this.key): Promise<string> {
    return signSiteConfig({ site: SITE, version, config: this.#config }, key, at(Date.now()));
  }

  /** A state directory enrolled at this edge. */
  stateDirectory(allow: AllowRule = { kind: "site_config" }): string {
    const directory = temporaryFolder("connector");
    writeStateFile(directory, "key", { ...this.connectorKey.privateJwk });
    writeStateFile(directory, "connector", serializeState({ edge: this.url, connector: CONNECTOR, site: SITE, lanes: this.settings.lanes ?? 1, allow, keySet: this.keySet, createdAt: "2026-01-01T00:00:00.000Z" }));
    return directory;
  }

  /** Starts a connector against this edge; its log lines are collected. */
  async connector(allow?: AllowRule, options: Partial<RunOptions> = {}): Promise<{ running: Running; lines: string[]; state: string }> {
    const lines: string[] = [];
    const state = options.state ?? this.stateDirectory(allow);
    const running = await startConnector({ state, metricsPort: 0, ca: undefined, environment: {}, log: createLog((line) => lines.push(line), Date.now), now: Date.now, random: () => 0, ...options });
    running.ended.catch(() => undefined);
    return { running, lines, state };
  }

  /** The next welcomed connection, or one that waits. */
  link(): Promise<EdgeLink> {
    const link = this.#links.shift();
    return link === undefined ? new Promise((done) => this.#waiting.push(done)) : Promise.resolve(link);
  }

  close(): void {
    this.server.close();
    this.server.closeAllConnections();
  }

  async #welcome(socket: WebSocket, lane: number): Promise<void> {
    const { settings } = this;
    if (settings.closeAtOnce !== undefined) return socket.close(settings.closeAtOnce);
    const agreement = await generateAgreementKey(crypto.subtle);
    const challenge: Challenge = { t: "challenge", versions: [1], nonce: randomBytes(32).toString("base64url"), dh: agreement.publicKey, site: SITE, lane, time: Date.now() + (settings.challengeSkewMs ?? 0) };
    socket.send(encodeControl(challenge));
    const [raw] = (await once(socket, "message")) as [Buffer];
    const read = readConnectorMessage(raw.toString());
    if (read.type !== "message" || read.message.t !== "hello") throw new Error("no hello");
    const hello = read.message;
    this.hellos += 1;
    if (!(await verifyHello(transcript("connector", challenge, hello), hello.signature, this.connectorKey.publicJwk))) throw new Error("the hello's signature is wrong");
    const words = transcript("edge", challenge, hello);
    const macKey = must(await deriveStreamMacKey(agreement.privateKey, hello.dh, words));
    const signature = await signLaneWelcome(
      { transcript: toBase64Url(createHash("sha256").update(words).digest()), site: SITE, lane },
      settings.foreignWelcome === true ? this.otherKey : this.key,
      at(Date.now() + (settings.challengeSkewMs ?? 0)),
    );
    const config = await this.signedConfig();
    const link = new EdgeLink(this, socket, lane, macKey);
    socket.send(encodeControl({ t: "welcome", v: 1, signature, config }));
    const waiting = this.#waiting.shift();
    if (waiting === undefined) this.#links.push(link);
    else waiting(link);
  }
}
