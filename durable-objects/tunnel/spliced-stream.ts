/**
 * One TCP stream between an agent's socket and a connector's: frames go on under the other
 * side's id, judged by protocol/splice.ts, and wait here only while the lane decides again (M4),
 * at most the credit that the peers gave, and weigh something. Not who may open one (agent-link.ts).
 */
import { encodeFrame, type FrameHeader, FrameType, HEADER_BYTES, writeU32 } from "../../protocol/frames.ts";
import { HELD_FRAME_BYTES } from "../../protocol/limits.ts";
import { type FrameSink, isSpliceDone, type Splice, spliceFrame, spliceWeight } from "../../protocol/splice.ts";
import type { AgentLink } from "./agent-link.ts";
import type { KeptStream } from "./agent-streams.ts";
import type { ConnectorLink } from "./connector-link.ts";
import type { Lane } from "./http-relay.ts";
import type { CutReason, LiveStream, StreamEnd } from "./live-stream.ts";
import type { SplicedSink } from "./stream-sink.ts";

/** Ends that are nobody's decision. */
const RESUMABLE: ReadonlySet<StreamEnd> = new Set(["broken", "flow", "memory"]);

/** Frames of one message, all of one stream. */
interface Run {
  readonly from: "up" | "down";
  readonly frames: Uint8Array;
  /** Of payload. */
  readonly bytes: number;
}

/** What comes from one side while the stream waits. */
class HeldSide implements FrameSink {
  readonly #from: "up" | "down";
  readonly #runs: Run[];
  /** Payload of the run that is to be passed. */
  bytes = 0;
  /** Has no order among bytes: one sum, which counts only once it goes on, so that bytes that wait keep their weight. */
  credit = 0;

  readonly #weigh: (bytes: number) => void;

  constructor(from: "up" | "down", runs: Run[], weigh: (bytes: number) => void) {
    this.#from = from;
    this.#runs = runs;
    this.#weigh = weigh;
  }

  pass(frames: Uint8Array): void {
    this.#runs.push({ from: this.#from, frames: frames.slice(), bytes: this.bytes });
    this.bytes = 0;
    this.#weigh(weightOf(frames));
  }
}

const weightOf = (frames: Uint8Array): number => frames.length + HELD_FRAME_BYTES;

interface Held {
  readonly runs: Run[];
  readonly up: HeldSide;
  readonly down: HeldSide;
}

/** Where a frame goes of which nothing is left but what was noted: it said something all the same. */
const NOTED: FrameSink = { pass(): void {} };

export class SplicedStream implements SplicedSink {
  /** On the agent's socket. */
  readonly id: number;
  readonly link: ConnectorLink;
  readonly splice: Splice;
  readonly live: LiveStream;
  readonly #lane: Lane;
  readonly #agent: AgentLink;
  /** What came while it waits to be decided again; undefined when it does not. */
  #held: Held | undefined;
  /** What of it goes to the agent; towards the connector the splice counts it. */
  #waiting = 0;
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
    return this.#held !== undefined;
  }

  get weight(): number {
    return spliceWeight(this.splice) + this.#waiting;
  }

  get isOver(): boolean {
    return this.#over;
  }

  get kept(): KeptStream {
    const { number, ask, link, openedAt, bytesIn, bytesOut, bytesTold } = this.live;
    return { id: this.id, number, app: ask.app, link, splice: this.splice, openedAt, bytesIn, bytesOut, bytesTold };
  }

  fromAgent(header: FrameHeader, message: Uint8Array, at: number): FrameSink | undefined {
    return this.#frame("up", header, message, at);
  }

  fromConnector(header: FrameHeader, message: Uint8Array, at: number): FrameSink | undefined {
    return this.#frame("down", header, message, at);
  }

  /** Where the frame, rewritten, goes; undefined: it says nothing, or is not to go on. */
  #frame(from: "up" | "down", header: FrameHeader, message: Uint8Array, at: number): FrameSink | undefined {
    const { type } = header;
    let { length } = header;
    const waits = this.#held?.[from];
    const credit = waits !== undefined && type === FrameType.windowUpdate ? length : 0;
    if (waits !== undefined && credit > 0) {
      waits.credit += credit;
      length = 0;
      writeU32(message, at + 8, 0);
    }
    const before = spliceWeight(this.splice);
    const verdict = spliceFrame(this.splice, from, credit > 0 ? { ...header, length } : header, message, at);
    if (verdict === "reset") this.#end("broken", from === "up" ? "agent" : "connector");
    else if (verdict !== "pass" && verdict !== "idle") this.#end("flow");
    this.#agent.weigh(spliceWeight(this.splice) - before);
    if (this.#over) return undefined;
    if (verdict !== "pass") return credit > 0 ? NOTED : undefined;
    writeU32(message, at + 4, from === "up" ? this.live.number : this.id);
    const bytes = type === FrameType.data ? length : 0;
    if (bytes > 0 && this.#held === undefined && !this.#lane.passes(this.live, Date.now())) this.#hold();
    const side = this.#held?.[from];
    if (side !== undefined) {
      side.bytes += bytes;
      return side;
    }
    this.#count(from, bytes);
    if (isSpliceDone(this.splice)) this.#end("done");
    return this.#sink(from);
  }

  #sink(from: "up" | "down"): FrameSink {
    return from === "up" ? this.link : this.#agent;
  }

  #count(from: "up" | "down", bytes: number): void {
    if (from === "down") this.live.bytesOut += bytes;
    else if (bytes > 0) {
      this.live.bytesIn += bytes;
      this.#lane.noteUserByte(this.live, Date.now());
    }
  }

  #hold(): void {
    const runs: Run[] = [];
    this.#held = { runs, up: new HeldSide("up", runs, () => undefined), down: new HeldSide("down", runs, (bytes) => this.#weigh(bytes)) };
    void this.#decideAgain(this.#held);
  }

  #weigh(bytes: number): void {
    this.#waiting += bytes;
    this.#agent.weigh(bytes);
  }

  /** What waits goes on in order, message by message, each only while the lane lets it; credit at last. */
  async #decideAgain({ runs, up, down }: Held): Promise<void> {
    let at = 0;
    do {
      this.live.held = true;
      await this.#lane.renew(this.live);
      this.live.held = false;
      for (let run = runs[at]; run !== undefined && (run.bytes === 0 || this.#lane.passes(this.live, Date.now())); run = runs[++at]) {
        this.#count(run.from, run.bytes);
        if (run.from === "down") this.#weigh(-weightOf(run.frames));
        this.#sink(run.from).pass(run.frames);
      }
    } while (at < runs.length);
    this.#held = undefined;
    if (!this.#over && isSpliceDone(this.splice)) this.#end("done");
    this.#credit("up", up.credit);
    this.#credit("down", down.credit);
  }

  #credit(from: "up" | "down", credit: number): void {
    if (credit === 0 || this.#over) return;
    const length = Math.min(credit, 2 ** 32 - 1);
    const frame = encodeFrame(FrameType.windowUpdate, 0, this.id, length);
    this.#frame(from, { type: FrameType.windowUpdate, flags: 0, streamId: this.id, length, end: HEADER_BYTES }, frame, 0)?.pass(frame);
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
    if (this.#held !== undefined) this.#held.runs.length = 0;
    const { up, down } = this.splice;
    if (how !== "done" && by !== "agent") this.#agent.tellEnd(this.id, by === undefined ? how : undefined);
    // A reset leaves what may be attached to again; a stream that nothing allows any more is cut.
    const silent = how === "done" || how === "link" || by === "connector";
    const tell = silent ? "nothing" : RESUMABLE.has(how) ? "reset" : "cut";
    this.link.unsplice(this.live.number, down.ended ? 0 : down.credit, up.sent, tell);
    this.#agent.ended(this, how);
  }
}
