/**
 * An agent's end of its link inside workerd, good or bad as the test wants: frames through a mux,
 * or raw. The one for real processes is test/e2e/tcp/agent-client.ts.
 */
import type { SessionId } from "../../core/ids.ts";
import { readAgentAnswer } from "../../protocol/agent-answers.ts";
import type { AgentAnswer } from "../../protocol/agent-link.ts";
import { encodeFrame, Flag, FrameType } from "../../protocol/frames.ts";
import { Mux } from "../../protocol/mux.ts";
import { laneStub, openRequest } from "./deployment.ts";

export interface AgentStream {
  readonly id: number;
  bytes: number;
  /** The last characters that came, the answer's head among them. */
  text: string;
  end: "open" | "fin" | "reset";
}

export class TestAgent {
  readonly socket: WebSocket;
  readonly mux = new Mux({ role: "connector", now: Date.now });
  readonly streams = new Map<number, AgentStream>();
  readonly texts: AgentAnswer[] = [];
  /** What it was to repeat. */
  readonly marks: number[] = [];
  readonly #closed = Promise.withResolvers<number>();
  readonly #waiting = new Set<() => void>();
  /** Takes bytes; credit goes back only then. */
  takes = true;
  isClosed = false;
  /** Reads nothing, so that it repeats no mark. */
  deaf = false;

  private constructor(socket: WebSocket) {
    this.socket = socket;
    socket.binaryType = "arraybuffer";
    socket.addEventListener("close", ({ code }) => {
      this.isClosed = true;
      this.#closed.resolve(code);
      this.#look();
    });
    socket.addEventListener("message", ({ data }) => {
      if (typeof data !== "string") return this.#frames(data as ArrayBuffer);
      const read = readAgentAnswer(data);
      if (read.type === "message") this.#text(read.message);
    });
    socket.accept();
  }

  get closed(): Promise<number> {
    return this.#closed.promise;
  }

  static async dial(sid: SessionId, app = "pg"): Promise<TestAgent> {
    const answer = await laneStub().fetch(openRequest(sid, app, "tcp"));
    if (answer.webSocket === null) throw new Error(`no socket: ${answer.status} ${answer.headers.get("postern-refusal")}`);
    return new TestAgent(answer.webSocket);
  }

  /** Says that it wants a stream, and reads the answer. */
  async ask(stream: number, app = "pg", more: object = {}): Promise<AgentAnswer> {
    this.say({ t: "open", stream, app, ...more });
    return this.answer(stream, ["opened", "refused"]);
  }

  /** A stream that must be opened. */
  async open(app = "pg"): Promise<AgentStream> {
    const id = this.mux.open();
    if (!id.ok) throw new Error(id.error);
    const stream: AgentStream = { id: id.value, bytes: 0, text: "", end: "open" };
    // Before the answer: the connector's first bytes may be right behind it.
    this.streams.set(stream.id, stream);
    const answer = await this.ask(id.value, app);
    if (answer.t !== "opened") throw new Error(JSON.stringify(answer));
    return stream;
  }

  /** The last such text, come or coming. Rejects when the socket closes before one came. */
  answer(stream: number, kinds: readonly AgentAnswer["t"][]): Promise<AgentAnswer> {
    return new Promise((resolve, reject) => {
      const look = (): void => {
        const found = this.texts.findLast((one) => "stream" in one && one.stream === stream && kinds.includes(one.t));
        if (found !== undefined) resolve(found);
        else if (this.isClosed) reject(new Error(`the socket closed with no answer for ${stream}`));
        else return void this.#waiting.add(look);
        this.#waiting.delete(look);
      };
      look();
    });
  }

  #look(): void {
    for (const look of this.#waiting) look();
  }

  say(message: object): void {
    this.socket.send(JSON.stringify(message));
  }

  /** Sends what the mux takes; answers how much that was. */
  write(stream: AgentStream, text: string | Uint8Array): number {
    const taken = this.mux.write(stream.id, typeof text === "string" ? new TextEncoder().encode(text) : text);
    this.flush();
    return taken;
  }

  /** A data frame, whatever the mux thinks of it. */
  data(id: number, size: number, flags = 0): void {
    this.socket.send(encodeFrame(FrameType.data, flags, id, 0, new Uint8Array(size)));
  }

  update(id: number, size: number, flags = 0): void {
    this.socket.send(encodeFrame(FrameType.windowUpdate, flags, id, size));
  }

  reset(stream: AgentStream): void {
    this.update(stream.id, 0, Flag.rst);
  }

  flush(): void {
    for (const bytes of this.mux.takeOutput()) this.socket.send(bytes.slice());
  }

  #text(answer: AgentAnswer): void {
    if (answer.t === "mark") {
      this.marks.push(answer.n);
      if (!this.deaf) this.say(answer);
    } else {
      this.texts.push(answer);
      this.#look();
    }
  }

  #frames(data: ArrayBuffer): void {
    if (this.deaf) return;
    for (const event of this.mux.receive(new Uint8Array(data))) {
      if (event.type === "fatal") return this.#closed.reject(new Error(`the edge broke the protocol: ${event.reason}`));
      const stream = event.type === "goaway" ? undefined : this.streams.get(event.id);
      if (stream === undefined) continue;
      if (event.type === "data") {
        stream.bytes += event.bytes.length;
        stream.text = (stream.text + new TextDecoder().decode(event.bytes)).slice(-64);
        if (this.takes) this.mux.consumed(stream.id, event.bytes.length);
      } else if (event.type === "end") stream.end = "fin";
      else if (event.type === "reset") stream.end = "reset";
    }
    this.flush();
  }
}
