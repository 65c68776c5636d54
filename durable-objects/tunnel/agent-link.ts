/**
 * One agent's socket on this lane: the streams that it asks for, each admitted like any other,
 * and their frames both ways (SPEC "AG"). An agent that breaks a rule loses its stream or its
 * socket, never a connector's. Not the sockets of a lane together (agent-links.ts).
 */
import { concat, fromBase64Url, toBase64Url } from "../../core/bytes.ts";
import type { AppId, RequestId } from "../../core/ids.ts";
import { type AgentAnswer, type AgentOpen, readAgentMessage } from "../../protocol/agent-link.ts";
import { encodeFrame, Flag, type FrameHeader, FrameType, writeU32 } from "../../protocol/frames.ts";
import * as limits from "../../protocol/limits.ts";
import { newCounters } from "../../protocol/mux-events.ts";
import { type Fatal, flood, MuxGuard, tooLarge, violation } from "../../protocol/mux-guard.ts";
import { type FrameRouter, FrameRuns, type FrameSink, newSplice } from "../../protocol/splice.ts";
import { TokenBucket } from "../../protocol/token-bucket.ts";
import type { Admission } from "./admission.ts";
import { KEPT_STREAM_BYTES, type KeptStream, packStreams } from "./agent-streams.ts";
import type { AgentAttachment } from "./attachments.ts";
import { type ConnectorLink, textFault } from "./connector-link.ts";
import type { Lane } from "./http-relay.ts";
import type { CutReason, LiveStream, StreamEnd, Wanted } from "./live-stream.ts";
import { sendOpen } from "./open-stream.ts";
import type { OpenContext, Refusal, RefusalCode } from "./rpc.ts";
import { SplicedStream } from "./spliced-stream.ts";
import { Unread } from "./unread.ts";

/** What an agent's socket needs of its lane. */
export interface AgentLane {
  readonly lane: Lane;
  admitTcp(agent: AgentAttachment, app: AppId, more: Pick<OpenContext, "request" | "connector">): Promise<{ readonly open: OpenContext; readonly outcome: Admission | Refusal }>;
  register(open: OpenContext, admission: Admission, number: number, cut: (why: CutReason) => number, tell: LiveStream["tell"]): LiveStream;
  /** All agents of the object hold as much as they may; what weighs most is to go, or nothing more to come. */
  weigh(bytes: number): void;
  readonly full: boolean;
  /** What closed sockets of that person have not read. */
  keptOf(who: string): number;
  /** The agent does not read: its socket is to go. */
  overflow(agent: AgentLink): void;
  /** Something of this socket changed that a wake must know. */
  changed(agent: AgentLink): void;
  began(stream: SplicedStream): void;
  over(stream: SplicedStream, how: StreamEnd, socket: WebSocket): void;
}

export class AgentLink implements FrameRouter, FrameSink {
  readonly socket: WebSocket;
  readonly runs = new FrameRuns();
  readonly #lane: AgentLane;
  attachment: AgentAttachment;
  readonly #streams = new Map<number, SplicedStream>();
  readonly #opening = new Set<number>();
  readonly #guard = new MuxGuard(newCounters());
  readonly #opens = new TokenBucket(limits.MAX_OPENS_BURST_COUNT, limits.MAX_OPENS_PER_SECOND_COUNT);
  /** When the agent last sent anything but a keep-alive, which the runtime answers without waking us. */
  heardAt = Date.now();
  #unknown = 0;
  weight: number;
  /** Frames passed since it was last looked at. */
  #moved = false;
  #over = false;
  #fatal: Fatal | undefined;
  readonly #unread: Unread;
  /** It was closed because the agent does not read: until it is gone its session gets no new socket. */
  isUnread = false;

  constructor(lane: AgentLane, socket: WebSocket, attachment: AgentAttachment) {
    this.#lane = lane;
    this.socket = socket;
    this.attachment = attachment;
    this.#unread = new Unread(attachment);
    this.weight = this.#unread.bytes;
  }

  /** A binary message. Answers the reason when the socket must go. */
  receive(message: ArrayBuffer): Fatal | undefined {
    const bytes = new Uint8Array(message);
    if (bytes.length > limits.MAX_MESSAGE_BYTES) return tooLarge();
    this.heardAt = Date.now();
    this.#fatal = bytes.length === 0 ? this.#guard.ignore(this.heardAt) : undefined;
    const fault = this.runs.pass(bytes, this);
    this.moved();
    return fault === undefined ? this.#fatal : violation(`malformed frame: ${fault.fault}`);
  }

  /** To the stream's connector, unless a rule is broken. */
  route(header: FrameHeader, message: Uint8Array, at: number): FrameSink | undefined {
    if (this.#fatal !== undefined) return undefined;
    const stream = this.#streams.get(header.streamId);
    if (stream === undefined) {
      this.#fatal = this.#stray(header, this.heardAt);
      return undefined;
    }
    const to = stream.fromAgent(header, message, at);
    const little = header.type === FrameType.windowUpdate && header.length < limits.MIN_CREDIT_BYTES;
    if (stream.isOver) this.#fatal = this.#guard.reset(this.heardAt);
    else if (little || to === undefined) this.#fatal = this.#guard.ignore(this.heardAt);
    return to;
  }

  /** Nobody knows this stream; the first frame of one that is being opened undoes that. */
  #stray(header: FrameHeader, now: number): Fatal | undefined {
    this.#opening.delete(header.streamId);
    return this.#guard.strayFrame(header, now);
  }

  /** A text message. Answers as `receive` does. */
  async receiveText(raw: string): Promise<Fatal | undefined> {
    this.heardAt = Date.now();
    const read = readAgentMessage(raw);
    if (read.type !== "message") return textFault(read, () => ++this.#unknown);
    return read.message.t === "mark" ? this.#itCame(read.message.n) : this.#open(read.message);
  }

  #itCame(value: number): Fatal | undefined {
    const came = this.#unread.answer(value);
    // Of one that was sent before a wake, or a guess.
    if (came === 0) return textFault({ type: "unknown" }, () => ++this.#unknown);
    this.weigh(-came);
    this.#lane.changed(this);
    return undefined;
  }

  /** What is read up to the mark repeats it. */
  #ask(): void {
    this.#unread.ask((n) => this.say({ t: "mark", n }));
  }

  async #open({ stream: id, app, connector }: AgentOpen): Promise<Fatal | undefined> {
    const { newest } = this.attachment;
    if (id % 2 === 0 || id <= newest) return violation("stream id");
    if (!this.#opens.take(Date.now())) return flood("streams");
    this.attachment = { ...this.attachment, newest: id };
    // A refused one is written down too: after a wake its id, and so its request id, must not come again.
    this.moved();
    const request = requestOf(this.attachment.id, id);
    const refuse = ({ code, detail }: { code: RefusalCode | "flow"; detail?: string | undefined }): void => this.say({ t: "refused", stream: id, code, request, detail });
    if (this.#isFull) {
      refuse({ code: "overloaded" });
      return undefined;
    }
    this.#opening.add(id);
    const admitted = await this.#lane.admitTcp(this.attachment, app, { request, connector }).catch(() => undefined);
    const waited = this.#opening.delete(id);
    if (this.#over) return undefined;
    if (admitted === undefined || "code" in admitted.outcome) {
      refuse(admitted === undefined || !("code" in admitted.outcome) ? { code: "unavailable" } : admitted.outcome);
      return this.#opens.take(Date.now(), limits.REFUSED_OPEN_COUNT - 1) ? undefined : flood("refused streams");
    }
    // One that something came for before it was told: what came is gone, so the stream is.
    const refused = waited ? this.#begin(id, admitted.open, admitted.outcome) : "flow";
    if (refused !== undefined) refuse({ code: refused });
    return undefined;
  }

  /** With what closed sockets of the same person keep: whoever ends one unread has that much less. */
  get #ofAll(): number {
    return this.weight + this.#lane.keptOf(this.attachment.who);
  }

  get #isFull(): boolean {
    const streams = this.#streams.size + this.#opening.size + 1;
    const bytes = JSON.stringify({ ...this.attachment, streams: [] }).length + streams * KEPT_STREAM_BYTES + this.#opening.size * MAX_NAMES_BYTES;
    return this.#lane.full || streams > limits.MAX_AGENT_STREAMS_COUNT || bytes > MAX_ATTACHMENT_BYTES || this.#ofAll > limits.MAX_AGENT_BYTES * limits.REFUSE_SHARE;
  }

  /** From here to the registered stream nothing is awaited: what was checked still holds (M1). */
  #begin(id: number, open: OpenContext, admission: Admission): RefusalCode | undefined {
    const { link } = admission;
    const number = link.full ? undefined : link.reserve(NOBODY);
    if (number === undefined) return "overloaded";
    const swallow = sendOpen({ open, admission, number }, "tcp");
    if (swallow === 0) {
      link.resetStream(number);
      return "unavailable";
    }
    let cut: (why: CutReason) => number = () => 0;
    const live = this.#lane.register(open, admission, number, (why) => cut(why), (wanted) => this.tellFrozen(id, wanted));
    const stream = this.restore({ id, splice: newSplice(swallow) }, link, live);
    cut = (why) => stream.cut(why);
    // Written before it acts (M3): the stream-open is in the mux's output still.
    this.save();
    this.#lane.began(stream);
    link.flush();
    this.say({ t: "opened", stream: id, request: open.request, connector: link.connector, site: open.site });
    return undefined;
  }

  /** Puts a stream in its place, a new one or one that a wake found. */
  restore({ id, splice }: Pick<KeptStream, "id" | "splice">, link: ConnectorLink, live: LiveStream): SplicedStream {
    const stream = new SplicedStream(this.#lane.lane, this, link, id, live, splice);
    link.splice(live.number, stream);
    this.#streams.set(id, stream);
    this.weigh(stream.weight);
    return stream;
  }

  pass(frames: Uint8Array): void {
    this.moved();
    this.#send(frames);
  }

  say(answer: AgentAnswer): void {
    this.#send(JSON.stringify(answer));
  }

  /** The stream is over: why, if that is not the other end's own doing, and its reset. */
  tellEnd(id: number, why: StreamEnd | undefined): void {
    if (why !== undefined) this.say({ t: "closed", stream: id, code: why });
    this.#send(encodeFrame(FrameType.windowUpdate, Flag.rst, id, 0));
  }

  /** Who sits at the agent is asked for the step-up, or told that the stream goes on. */
  tellFrozen(id: number, wanted: Wanted | undefined): void {
    if (wanted === undefined) return this.say({ t: "thawed", stream: id });
    const { maxAge, mfa, passkey } = wanted;
    this.say({ t: "frozen", stream: id, age: Number.isFinite(maxAge) ? Math.min(2 ** 32 - 1, Math.floor(maxAge / 1000)) : 0, mfa: mfa ? 1 : 0, passkey });
  }

  ended(stream: SplicedStream, how: StreamEnd): void {
    const { up, down } = stream.splice;
    this.#streams.delete(stream.id);
    this.#guard.gone(stream.id, up.ended ? 0 : up.credit, down.sent);
    this.weigh(-stream.weight);
    this.moved();
    this.#lane.over(stream, how, this.socket);
  }

  weigh(bytes: number): void {
    this.weight += bytes;
    this.#lane.weigh(bytes);
    if (bytes > 0 && this.#ofAll > limits.MAX_AGENT_BYTES) this.shed();
  }

  /** Ends the socket when most of its weight is what the agent does not read, which no reset takes back; else the stream that weighs most. */
  shed(): void {
    if (2 * this.#unread.bytes >= this.weight) return this.#lane.overflow(this);
    let most: SplicedStream | undefined;
    for (const one of this.#streams.values()) if (most === undefined || one.weight > most.weight) most = one;
    most?.shed();
  }

  moved(): void {
    if (!this.#moved) this.#lane.changed(this);
    this.#moved = true;
  }

  /** Writes what a wake needs, once nothing has moved since it was asked last; false to be asked again. */
  settled(): boolean {
    const busy = this.#moved || this.#opening.size > 0 || [...this.#streams.values()].some((one) => one.isWaiting);
    this.#moved = false;
    // However little it is: all that is unread counts, on an object with thousands of sockets.
    if (this.#unread.isDue(1)) this.#ask();
    if (!busy && !this.#over) this.save();
    return !busy;
  }

  save(): void {
    const kept = [...this.#streams.values()].map((one) => one.kept);
    this.attachment = { ...this.attachment, ...this.#unread.kept, ...packStreams(kept) };
    this.socket.serializeAttachment(this.attachment);
  }

  /** The socket is gone, or about to be. */
  lost(): void {
    this.#over = true;
    for (const stream of [...this.#streams.values()]) stream.abandoned();
  }

  #send(message: string | Uint8Array): void {
    if (this.#over) return;
    this.weigh(this.#unread.add(message));
    if (this.#over) return;
    try {
      this.socket.send(message);
    } catch {
      // The socket is closing; webSocketClose ends its streams.
    }
    if (this.#unread.isDue(limits.MARK_BYTES)) this.#ask();
  }
}

/** With a stream's number, the 16 bytes of a request id. */
export const AGENT_ID_BYTES = 12;
/** Below the runtime's 16 KiB, by so much as the last stream's names may take. */
const MAX_ATTACHMENT_BYTES = 16_000;
/** An app's and a link's name, quoted. */
const MAX_NAMES_BYTES = 84;

/** Until the splice takes over nothing can arrive. */
const NOBODY = { data(): void {}, end(): void {}, reset(): void {}, writable(): void {} };

/** The record's name of a stream: its socket's random part and the stream's number. */
export function requestOf(agent: string, stream: number): RequestId {
  const number = new Uint8Array(4);
  writeU32(number, 0, stream);
  return `r_${toBase64Url(concat([fromBase64Url(agent) ?? new Uint8Array(AGENT_ID_BYTES), number]))}` as RequestId;
}
