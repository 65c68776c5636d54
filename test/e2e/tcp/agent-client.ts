/**
 * The agent's end of its link, bare: a WebSocket, a mux and the control texts, so that tests can
 * be a good agent or a bad one. No TLS inside and no resumption: those are the agent's own.
 */
import { type RawData, WebSocket } from "ws";
import { readAgentAnswer } from "../../../protocol/agent-answers.ts";
import { AGENT_SUBPROTOCOL, type AgentAnswer } from "../../../protocol/agent-link.ts";
import { HeadReader, parseAnswerHead } from "../../../protocol/head.ts";
import { Mux } from "../../../protocol/mux.ts";
import { AGENT_PATH } from "../../../protocol/paths.ts";

export type Opened = Extract<AgentAnswer, { readonly t: "opened" }>;
export type Refused = Extract<AgentAnswer, { readonly t: "refused" }>;

/** An upgrade that was refused: the status and the error of the answer. */
export class UpgradeRefused extends Error {
  readonly status: number;
  readonly text: string;

  constructor(status: number, text: string) {
    super(`${status} ${text}`);
    this.status = status;
    this.text = text;
  }

  get code(): string {
    return (JSON.parse(this.text) as { error: { code: string } }).error.code;
  }
}

export class TestStream {
  readonly id: number;
  readonly #agent: TestAgent;
  readonly #head = new HeadReader("answer");
  readonly #parts: Buffer[] = [];
  #bytes = 0;
  #answered: number | string | undefined;
  /** Takes nothing: the credit does not go back. */
  stalled = false;
  #held = 0;
  /** How the other direction ended; "closed CODE" when the edge said why. */
  end: "open" | "fin" | "reset" | `closed ${string}` = "open";

  constructor(agent: TestAgent, id: number) {
    this.#agent = agent;
    this.id = id;
  }

  /** Status or error of the connector's answer. */
  get answered(): number | string | undefined {
    return this.#answered;
  }
  get received(): number {
    return this.#bytes;
  }
  /** All that came, when it is kept. */
  get bytes(): Buffer {
    return Buffer.concat(this.#parts);
  }

  data(bytes: Uint8Array): void {
    let rest = bytes;
    if (this.#answered === undefined) {
      const read = this.#head.feed(bytes);
      if (read.type === "more") return this.#agent.mux.consumed(this.id, bytes.length);
      const head = read.type === "head" ? parseAnswerHead(read.json) : undefined;
      if (read.type !== "head" || head?.ok !== true) throw new Error("no answer head");
      this.#answered = "error" in head.value ? head.value.error : head.value.status;
      this.#agent.mux.consumed(this.id, bytes.length - read.rest.length);
      rest = read.rest;
    }
    this.#bytes += rest.length;
    if (this.keep) this.#parts.push(Buffer.from(rest));
    if (rest.length > 0) this.onBytes(rest);
    if (this.stalled) this.#held += rest.length;
    else this.#agent.mux.consumed(this.id, rest.length);
  }

  keep = true;
  /** Told of what comes, and of the end. */
  onBytes: (bytes: Uint8Array) => void = () => undefined;
  onEnd: () => void = () => undefined;

  /** Takes what it held back. */
  resume(): void {
    this.stalled = false;
    this.#agent.mux.consumed(this.id, this.#held);
    this.#held = 0;
    this.#agent.flush();
  }

  /** Sends all of it, as credit comes. */
  async write(bytes: Uint8Array): Promise<void> {
    for (let rest = bytes; rest.length > 0; ) {
      const taken = this.#agent.mux.write(this.id, rest);
      this.#agent.flush();
      rest = rest.subarray(taken);
      if (rest.length === 0) return;
      if (this.end !== "open") throw new Error(`stream ${this.id} is over: ${this.end}`);
      await this.#agent.moved();
    }
  }

  finish(): void {
    this.#agent.mux.end(this.id);
    this.#agent.flush();
  }

  reset(): void {
    this.#agent.mux.reset(this.id);
    this.#agent.flush();
  }
}

export interface AgentOptions {
  readonly port: number;
  /** The launcher's host, with its port. */
  readonly host: string;
  readonly app: string;
  readonly token?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly subprotocol?: string;
}

export class TestAgent {
  readonly socket: WebSocket;
  readonly mux = new Mux({ role: "connector", now: () => performance.now() });
  readonly streams = new Map<number, TestStream>();
  readonly texts: AgentAnswer[] = [];
  /** Close code of the socket, once it is closed. */
  closed: number | undefined;
  #waiting: (() => void)[] = [];

  constructor(socket: WebSocket) {
    this.socket = socket;
    socket.on("message", (data: RawData, binary: boolean) => {
      if (binary) this.#frames(data as Buffer);
      else this.#text((data as Buffer).toString());
      this.#wake();
    });
    socket.on("close", (code) => {
      this.closed = code;
      this.#wake();
    });
    socket.on("error", () => undefined);
  }

  static connect({ port, host, app, token, headers, subprotocol = AGENT_SUBPROTOCOL }: AgentOptions): Promise<TestAgent> {
    const authorization: Record<string, string> = token === undefined ? {} : { authorization: `Bearer ${token}` };
    const socket = new WebSocket(`ws://127.0.0.1:${port}${AGENT_PATH}?app=${encodeURIComponent(app)}`, [subprotocol], {
      headers: { host, ...authorization, ...headers },
      perMessageDeflate: false,
      skipUTF8Validation: true,
    });
    return new Promise((resolve, reject) => {
      const agent = new TestAgent(socket);
      socket.once("open", () => resolve(agent));
      socket.once("error", reject);
      socket.once("unexpected-response", (_request, response) => {
        let text = "";
        response.setEncoding("utf8");
        response.on("data", (part: string) => (text += part));
        response.on("end", () => reject(new UpgradeRefused(response.statusCode ?? 0, text)));
      });
    });
  }

  /** Asks for a stream; resolves with it, or with the refusal. */
  async open(app: string, connector?: string): Promise<{ readonly stream: TestStream; readonly opened: Opened } | { readonly stream: undefined; readonly refused: Refused }> {
    const id = this.mux.open();
    if (!id.ok) throw new Error(id.error);
    const stream = new TestStream(this, id.value);
    this.streams.set(stream.id, stream);
    this.socket.send(JSON.stringify({ t: "open", stream: stream.id, app, ...(connector === undefined ? {} : { connector }) }));
    const answer = await this.text((one) => (one.t === "opened" || one.t === "refused") && one.stream === stream.id);
    if (answer.t === "opened") return { stream, opened: answer };
    this.streams.delete(stream.id);
    this.mux.reset(stream.id);
    return { stream: undefined, refused: answer as Refused };
  }

  /** The same, when nothing but a stream will do. */
  async stream(app: string): Promise<TestStream> {
    const answer = await this.open(app);
    if (answer.stream === undefined) throw new Error(`refused: ${answer.refused.code}`);
    return answer.stream;
  }

  /** The first text that fits, come or coming. */
  async text(fits: (answer: AgentAnswer) => boolean): Promise<AgentAnswer> {
    for (;;) {
      const found = this.texts.find(fits);
      if (found !== undefined) return found;
      await this.moved();
    }
  }

  /** Resolves when anything came. Rejects once the socket is closed. */
  moved(): Promise<void> {
    if (this.closed !== undefined) return Promise.reject(new Error(`the agent's socket is closed: ${this.closed}`));
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  async until(holds: () => boolean): Promise<void> {
    while (!holds()) await this.moved();
  }

  async ended(): Promise<number> {
    while (this.closed === undefined) await this.moved();
    return this.closed;
  }

  flush(): void {
    for (const message of this.mux.takeOutput()) this.socket.send(message);
  }

  close(): void {
    this.socket.close();
  }

  #wake(): void {
    for (const go of this.#waiting.splice(0)) go();
  }

  #text(raw: string): void {
    const read = readAgentAnswer(raw);
    if (read.type !== "message") throw new Error(`not a text of the link: ${raw}`);
    if (read.message.t === "mark") return this.socket.send(raw);
    this.texts.push(read.message);
    if (read.message.t !== "closed") return;
    const stream = this.streams.get(read.message.stream);
    if (stream !== undefined) stream.end = `closed ${read.message.code}`;
  }

  #frames(bytes: Buffer): void {
    for (const event of this.mux.receive(new Uint8Array(bytes))) {
      if (event.type === "fatal") throw new Error(`the edge broke the protocol: ${event.reason}`);
      const stream = event.type === "goaway" ? undefined : this.streams.get(event.id);
      if (stream === undefined) continue;
      if (event.type === "data") stream.data(event.bytes);
      else if (event.type === "end" && stream.end === "open") stream.end = "fin";
      else if (event.type === "reset" && stream.end === "open") stream.end = "reset";
      if (event.type === "end" || event.type === "reset") stream.onEnd();
    }
    this.flush();
  }
}
