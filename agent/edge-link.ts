/**
 * One WebSocket of the agent to the edge, with its streams: frames to streams, texts to answers,
 * until the socket ends. Not the reconnecting, and not what runs inside the streams.
 */
import type { WebSocket } from "ws";
import { MessageMemory } from "../channel/message-memory.ts";
import { MuxOutlet } from "../channel/mux-outlet.ts";
import { TunnelStream } from "../channel/tunnel-stream.ts";
import type { StreamOwner } from "../channel/tunnel-stream.ts";
import type { AppId, ConnectorId, RequestId, SiteId } from "../core/ids.ts";
import { readAgentAnswer } from "../protocol/agent-answers.ts";
import type { AgentAnswer, AgentMessage } from "../protocol/agent-link.ts";
import { CLOSE_CODES, closeReason } from "../protocol/close-codes.ts";
import { KEEP_ALIVE_PING } from "../protocol/control.ts";
import { KEEP_ALIVE_DEAD_MS, KEEP_ALIVE_MS } from "../protocol/deadlines.ts";
import { encodeFrame, Flag, FrameType } from "../protocol/frames.ts";
import { MAX_AGENT_STREAMS_COUNT } from "../protocol/limits.ts";
import { Mux } from "../protocol/mux.ts";
import { AgentFailure } from "./agent-failure.ts";
import { refusedBecause } from "./refusals.ts";

/** An open to the edge's word. The keep-alive says nothing of that: it is answered without whoever decides. */
const OPEN_MS = 15_000;

/** A stream that the edge has opened; nothing was said on it. */
export interface OpenedStream {
  readonly stream: TunnelStream;
  readonly connector: ConnectorId;
  readonly site: SiteId;
  readonly request: RequestId;
  /** Why the edge ended it, if it did. */
  readonly closedBecause: () => string | undefined;
}

/** What a policy demands before bytes go on. */
export interface FreshSignIn {
  /** At most so old; 0: any. */
  readonly maxAgeSeconds: number;
  readonly mfa: boolean;
  /** Passkeys of the edge's own that would do, as its login page takes them; 0: none. */
  readonly passkey: number;
}

interface Held {
  readonly stream: TunnelStream;
  closed: string | undefined;
  /** The edge holds its bytes until somebody signs in again. */
  isFrozen: boolean;
}

interface Opening {
  readonly done: (opened: OpenedStream) => void;
  readonly fail: (failure: AgentFailure) => void;
  readonly deadline: NodeJS.Timeout;
}

export class EdgeLink implements StreamOwner {
  readonly #socket: WebSocket;
  readonly #memory = new MessageMemory();
  readonly #mux = new Mux({ role: "connector", accept: false, now: () => performance.now(), allocate: this.#memory.allocate });
  readonly #outlet: MuxOutlet;
  readonly #streams = new Map<number, Held>();
  readonly #opening = new Map<number, Opening>();
  readonly #keepAlive: NodeJS.Timeout;
  #heardAt = performance.now();
  #leaving = false;
  /** An open was never answered here: nothing new, and another one of them is the end. */
  #suspect = false;
  #over = false;
  /** The newest mark that is not repeated yet. One answer at a time is in the socket, so that no flood of marks fills it. */
  #mark: number | undefined;
  #isAnswering = false;
  /** Called once when the edge asks for a new socket. */
  onLeaving: () => void = () => undefined;
  /** Called when the edge holds streams until somebody signs in again, and once the last of them goes on. */
  onFrozen: (demand: FreshSignIn | undefined) => void = () => undefined;
  readonly ended: Promise<void>;

  constructor(socket: WebSocket) {
    this.#socket = socket;
    this.#outlet = new MuxOutlet(socket, this.#mux, this.#memory);
    this.#keepAlive = setInterval(() => this.#checkLife(), KEEP_ALIVE_MS);
    socket.on("message", (data: Buffer, isBinary) => (isBinary ? this.#frames(data) : this.#text(data.toString("utf8"))));
    socket.on("pong", () => this.#heard());
    this.ended = new Promise((done) => {
      socket.once("close", () => {
        this.#onClose();
        done();
      });
    });
    if (socket.readyState === socket.CLOSED) socket.emit("close", 1006, Buffer.alloc(0));
    socket.resume();
  }

  /** Whether a stream can be opened here. */
  get isOpen(): boolean {
    return !this.#over && !this.#leaving && !this.#suspect && this.streamCount < MAX_AGENT_STREAMS_COUNT;
  }
  get isOver(): boolean {
    return this.#over;
  }

  /**
   * Asks for a stream, at that connector if one is named. `take` gets it in the turn in which the
   * edge's word came: what follows may be in the same read, and finds its handler. Rejects with AgentFailure.
   */
  openStream<Taken>(app: AppId, connector: ConnectorId | undefined, take: (opened: OpenedStream) => Taken): Promise<Taken> {
    const id = this.#mux.open();
    if (this.#over || !id.ok) return Promise.reject(linkLost());
    const asked: AgentMessage = { t: "open", stream: id.value, app, ...(connector !== undefined && { connector }) };
    return new Promise((done, fail) => {
      const deadline = setTimeout(() => this.#unanswered(id.value), OPEN_MS);
      this.#opening.set(id.value, { done: (opened) => done(take(opened)), fail, deadline });
      this.#socket.send(JSON.stringify(asked));
    });
  }

  /** Streams that are open or being opened. */
  get streamCount(): number {
    return this.#streams.size + this.#opening.size;
  }

  /** Ends in order: what was written leaves first. */
  close(): Promise<void> {
    this.#outlet.flush();
    this.#socket.close(CLOSE_CODES.normal.code, closeReason("done"));
    return this.ended;
  }

  touched(): void {
    this.#outlet.touched();
  }

  isCongested(stream: TunnelStream): boolean {
    return this.#outlet.isCongested(stream);
  }

  forget(stream: TunnelStream): void {
    this.#streams.delete(stream.id);
    this.#outlet.forget(stream);
    this.#closeIfLeft();
  }

  #frames(bytes: Uint8Array): void {
    this.#heard();
    this.#outlet.came(bytes.length);
    for (const event of this.#mux.receive(bytes)) {
      if (event.type === "fatal") return this.#socket.close(event.code, closeReason(event.reason));
      if (event.type === "goaway") {
        this.#leave();
        continue;
      }
      const stream = this.#streams.get(event.id)?.stream;
      if (event.type === "data") stream?.handler?.data(event.bytes);
      else if (event.type === "end") stream?.onEnd();
      else if (event.type === "writable") stream?.onWritable();
      else if (event.type === "reset" && stream !== undefined) {
        stream.onGone();
        this.forget(stream);
      }
    }
    this.touched();
  }

  #text(text: string): void {
    this.#heard();
    const read = readAgentAnswer(text);
    if (read.type === "message") this.#answer(read.message);
    else if (read.type === "malformed" || read.type === "too_large") this.#socket.close(CLOSE_CODES.protocol_error.code, closeReason("answer"));
  }

  #answer(answer: AgentAnswer): void {
    switch (answer.t) {
      case "opened": {
        const opening = this.#taken(answer.stream);
        if (opening === undefined) return this.#turnDown(answer.stream);
        const held: Held = { stream: new TunnelStream(answer.stream, this.#mux, this), closed: undefined, isFrozen: false };
        this.#streams.set(answer.stream, held);
        const { connector, site, request } = answer;
        return opening.done({ stream: held.stream, connector, site, request, closedBecause: () => held.closed });
      }
      case "refused": {
        const opening = this.#taken(answer.stream);
        this.#mux.reset(answer.stream);
        opening?.fail(refusedBecause(answer.code, answer.request, answer.detail));
        return this.#closeIfLeft();
      }
      case "closed": {
        const held = this.#streams.get(answer.stream);
        if (held !== undefined) held.closed = answer.code;
        return;
      }
      case "frozen":
      case "thawed": {
        const held = this.#streams.get(answer.stream);
        if (held === undefined) return;
        held.isFrozen = answer.t === "frozen";
        if (answer.t === "frozen") return this.onFrozen({ maxAgeSeconds: answer.age, mfa: answer.mfa === 1, passkey: answer.passkey });
        return [...this.#streams.values()].some(({ isFrozen }) => isFrozen) ? undefined : this.onFrozen(undefined);
      }
      case "mark":
        this.#mark = answer.n;
        return this.#answerMark();
      case "drain":
        return this.#leave();
      default:
        answer satisfies never;
    }
  }

  /** All that came before the mark was read; the newest says so of the older ones too (AG8). */
  #answerMark(): void {
    if (this.#isAnswering || this.#mark === undefined) return;
    const answer: AgentMessage = { t: "mark", n: this.#mark };
    this.#mark = undefined;
    this.#isAnswering = true;
    this.#socket.send(JSON.stringify(answer), () => {
      this.#isAnswering = false;
      this.#answerMark();
    });
  }

  #taken(stream: number): Opening | undefined {
    const opening = this.#opening.get(stream);
    this.#opening.delete(stream);
    clearTimeout(opening?.deadline);
    return opening;
  }

  #unanswered(stream: number): void {
    const opening = this.#taken(stream);
    this.#mux.reset(stream);
    const wasSuspect = this.#suspect;
    this.#suspect = true;
    opening?.fail(new AgentFailure("edge_unanswered", "the edge did not answer", "it hears this agent, and did not say whether the app may be opened", ["try again"], { isPassing: true }));
    if (wasSuspect) this.#socket.terminate();
    else this.#closeIfLeft();
  }

  /** It came too late: nobody waits for it, and the mux has forgotten it without a word. */
  #turnDown(stream: number): void {
    if (!this.#streams.has(stream)) this.#socket.send(encodeFrame(FrameType.windowUpdate, Flag.rst, stream, 0), { binary: true });
  }

  #leave(): void {
    if (this.#leaving) return;
    this.#leaving = true;
    this.onLeaving();
    this.#closeIfLeft();
  }

  #closeIfLeft(): void {
    if ((this.#leaving || this.#suspect) && this.streamCount === 0 && !this.#over) void this.close();
  }

  #heard(): void {
    this.#heardAt = performance.now();
  }

  #checkLife(): void {
    if (performance.now() - this.#heardAt > KEEP_ALIVE_DEAD_MS) return this.#socket.terminate();
    if (this.#socket.readyState === this.#socket.OPEN) this.#socket.send(KEEP_ALIVE_PING);
  }

  #onClose(): void {
    if (this.#over) return;
    this.#over = true;
    clearInterval(this.#keepAlive);
    const streams = [...this.#streams.values()];
    const opening = [...this.#opening.values()];
    this.#streams.clear();
    this.#opening.clear();
    this.#outlet.clear();
    for (const { fail, deadline } of opening) {
      clearTimeout(deadline);
      fail(linkLost());
    }
    for (const { stream } of streams) stream.onGone();
  }
}

function linkLost(): AgentFailure {
  return new AgentFailure("edge_lost", "the connection to the edge was lost", "the network changed, or the edge was restarted", ["try again"], { isPassing: true });
}
