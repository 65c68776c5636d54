/**
 * One TCP stream between an agent's socket and a connector's: frames go on under the other
 * side's id, judged by protocol/splice.ts, and wait here only while the lane decides again (M4),
 * at most the credit that the peers gave. Not who may open one (agent-link.ts).
 */
import { type FrameHeader, FrameType, writeU32 } from "../../protocol/frames.ts";
import { type FrameSink, isSpliceDone, type Splice, spliceFrame, spliceWeight } from "../../protocol/splice.ts";
import type { AgentLink } from "./agent-link.ts";
import type { KeptStream } from "./agent-streams.ts";
import type { ConnectorLink, SplicedSink } from "./connector-link.ts";
import type { Lane } from "./http-relay.ts";
import type { CutReason, LiveStream, StreamEnd } from "./live-stream.ts";

/** Ends that are nobody's decision. */
const RESUMABLE: ReadonlySet<StreamEnd> = new Set(["broken", "flow", "memory"]);

interface Waiting {
  readonly from: "up" | "down";
  readonly frame: Uint8Array;
  /** Of payload. */
  readonly bytes: number;
}

export class SplicedStream implements SplicedSink {
  /** On the agent's socket. */
  readonly id: number;
  readonly link: ConnectorLink;
  readonly splice: Splice;
  readonly live: LiveStream;
  readonly #lane: Lane;
  readonly #agent: AgentLink;
  /** What came while it waits to be decided again; undefined when it does not. */
  #waiting: Waiting[] | undefined;
  #over = false;

  constructor(lane: Lane, agent: AgentLink, link: ConnectorLink, id: number, live: LiveStream, splice: Splice) {
    this.#lane = lane;
    this.#agent = agent;
    this.link = link;
    this.id = id;
    this.live = live;
    this.splice = splice;
  }

  get isWaiting(): boolean {
    return this.#waiting !== undefined;
  }

  get isOver(): boolean {
    return this.#over;
  }

  get kept(): KeptStream {
    const { number, ask, link, openedAt, bytesIn, bytesOut, bytesTold } = this.live;
    return { id: this.id, number, app: ask.app, link, splice: this.splice, openedAt, bytesIn, bytesOut, bytesTold };
  }

  fromAgent(header: FrameHeader, message: Uint8Array, at: number): FrameSink | undefined {
    return this.#frame("up", header, message, at) ? this.link : undefined;
  }

  fromConnector(header: FrameHeader, message: Uint8Array, at: number): FrameSink | undefined {
    return this.#frame("down", header, message, at) ? this.#agent : undefined;
  }

  /** True when the frame, rewritten, goes on now. */
  #frame(from: "up" | "down", header: FrameHeader, message: Uint8Array, at: number): boolean {
    const before = spliceWeight(this.splice);
    const verdict = spliceFrame(this.splice, from, header, message, at);
    if (verdict === "reset") this.#end("broken", from === "up" ? "agent" : "connector");
    else if (verdict !== "pass" && verdict !== "idle") this.#end("flow");
    this.#agent.weigh(spliceWeight(this.splice) - before);
    if (verdict !== "pass" || this.#over) return false;
    writeU32(message, at + 4, from === "up" ? this.live.number : this.id);
    const bytes = header.type === FrameType.data ? header.length : 0;
    if (this.#waiting !== undefined || (bytes > 0 && !this.#lane.passes(this.live, Date.now()))) {
      this.#wait({ from, frame: message.slice(at, header.end), bytes });
      return false;
    }
    this.#count(from, bytes);
    if (isSpliceDone(this.splice)) this.#end("done");
    return true;
  }

  #count(from: "up" | "down", bytes: number): void {
    if (from === "down") this.live.bytesOut += bytes;
    else if (bytes > 0) {
      this.live.bytesIn += bytes;
      this.#lane.noteUserByte(this.live, Date.now());
    }
  }

  #wait(next: Waiting): void {
    if (this.#waiting === undefined) {
      this.#waiting = [next];
      void this.#decideAgain(this.#waiting);
    } else this.#waiting.push(next);
  }

  /** What waits goes on in order, each frame only while the lane lets it. */
  async #decideAgain(waiting: Waiting[]): Promise<void> {
    for (let next = waiting[0]; next !== undefined && !this.#over; next = waiting[0]) {
      if (next.bytes > 0 && !this.#lane.passes(this.live, Date.now())) {
        this.live.held = true;
        await this.#lane.renew(this.live);
        this.live.held = false;
        continue;
      }
      waiting.shift();
      this.#count(next.from, next.bytes);
      (next.from === "up" ? this.link : this.#agent).pass(next.frame);
    }
    this.#waiting = undefined;
    if (!this.#over && isSpliceDone(this.splice)) this.#end("done");
  }

  cut(why: CutReason): number {
    // What the agent gave no credit back for may be on its way to it.
    const flying = this.splice.down.sent;
    this.#end(why);
    return flying;
  }

  /** Too much waits on this socket or object, and most of it here (M11). */
  shed(): void {
    this.#end("memory");
  }

  /** The connector's socket is gone. */
  reset(): void {
    this.#end("link");
  }

  /** The agent's socket is gone: the connector may hold the stream for whoever comes back for it (M18). */
  abandoned(): void {
    this.#end("broken", "agent");
  }

  // The mux tells the sinks of its own streams these; a spliced one is none.
  data(): void {}
  end(): void {}
  writable(): void {}

  /** `by`: who ended it and need not be told. */
  #end(how: StreamEnd, by?: "agent" | "connector"): void {
    if (this.#over) return;
    this.#over = true;
    // What came before the frame that ends it, of any stream, goes on before the end does: its peer knows the stream no longer then.
    this.#agent.runs.hand();
    this.link.runs.hand();
    const { up, down } = this.splice;
    if (how !== "done" && by !== "agent") this.#agent.tellEnd(this.id, by === undefined ? how : undefined);
    // A reset leaves what may be attached to again; a stream that nothing allows any more is cut.
    const silent = how === "done" || how === "link" || by === "connector";
    const tell = silent ? "nothing" : RESUMABLE.has(how) ? "reset" : "cut";
    this.link.unsplice(this.live.number, down.ended ? 0 : down.credit, up.sent, tell);
    this.#agent.ended(this, how);
  }
}
