/**
 * The agents' sockets of one lane: letting them in, waking them, their common cap, and ending
 * those of a session. Quiet sockets are written down once, then nothing of them keeps the lane
 * awake (M3, M14). Not the streams on one (agent-link.ts).
 */
import type { AppId, SessionId } from "../../core/ids.ts";
import { NO_LIMITS } from "../../policy/weigh.ts";
import { AGENT_SUBPROTOCOL } from "../../protocol/agent-link.ts";
import { CLOSE_CODES, type CloseName } from "../../protocol/close-codes.ts";
import { KEEP_ALIVE_DEAD_MS } from "../../protocol/deadlines.ts";
import { MAX_AGENT_BYTES, MAX_SESSION_STREAMS_COUNT, MAX_SPLICED_BYTES, REFUSE_SHARE } from "../../protocol/limits.ts";
import type { Fatal } from "../../protocol/mux-guard.ts";
import { randomText } from "../random-text.ts";
import type { Admission, Admissions, LaneParts } from "./admission.ts";
import { AGENT_ID_BYTES, type AgentLane, AgentLink, requestOf } from "./agent-link.ts";
import { unpackStreams } from "./agent-streams.ts";
import { type AgentAttachment, readAttachment } from "./attachments.ts";
import { closeSocket } from "./close-socket.ts";
import type { Lane } from "./http-relay.ts";
import type { LiveStream, StreamEnd, StreamTable } from "./live-stream.ts";
import { refuse, type Reply } from "./open-stream.ts";
import { type OpenContext, type Refusal, TCP_ASK } from "./rpc.ts";
import type { SplicedStream } from "./spliced-stream.ts";

/** Agents' sockets of one lane, and of one session on it, until the runtime has let go of them. Bounds memory; silent ones go first. */
const MAX_AGENTS_COUNT = 4_096;
const MAX_SESSION_AGENTS_COUNT = 256;
/** How long nothing must have moved on a socket before it is written down. */
const SETTLE_MS = 1_000;

type Register = AgentLane["register"];

export class AgentLinks implements AgentLane {
  readonly #ctx: DurableObjectState;
  readonly lane: Lane;
  readonly #parts: LaneParts;
  readonly #admissions: Admissions;
  readonly #table: StreamTable;
  readonly #links = new Map<WebSocket, AgentLink>();
  /** Closed from here. The runtime keeps what they were sent until the peer answers or its connection breaks. */
  readonly #going = new Map<WebSocket, AgentLink>();
  readonly #unsettled = new Set<AgentLink>();
  readonly register: Register;
  /** A timer runs until all have settled. */
  #waits = false;
  #weight = 0;
  /** What those that are going have not read: all of it, and of each person. */
  #kept = 0;
  readonly #keptOf = new Map<string, number>();
  /** Since the lane woke: agents' sockets by how they ended, and streams that broke a rule or weighed too much. */
  readonly counters: Record<string, number> = {};

  constructor(ctx: DurableObjectState, lane: Lane, parts: LaneParts, admissions: Admissions, table: StreamTable, register: Register) {
    this.#ctx = ctx;
    this.lane = lane;
    this.#parts = parts;
    this.#admissions = admissions;
    this.#table = table;
    this.register = register;
  }

  /** Sockets on which something moved a moment ago. */
  get moving(): number {
    return this.#unsettled.size;
  }
  /** What is going has room of its own, so that who does not read takes none from the others. */
  get full(): boolean {
    return this.#weight > MAX_SPLICED_BYTES * REFUSE_SHARE || this.#weight + this.#kept > 2 * MAX_SPLICED_BYTES * REFUSE_SHARE;
  }

  /** An agent's upgrade, admitted as a stream of its first app would be. */
  async greet(open: OpenContext): Promise<Reply> {
    const admission = await this.#admissions.admit(open, "sockets");
    if ("code" in admission) return refuse(admission);
    const { sid, connection, issuer } = open;
    const who = sid && this.#parts.leases.last(sid)?.snapshot.subject.id;
    this.#sweep();
    const all = [...this.#links.values(), ...this.#going.values()];
    const mine = all.filter((one) => one.attachment.sid === sid);
    const refused = sid === undefined || who === undefined || mine.some((one) => one.isUnread) || mine.length >= MAX_SESSION_AGENTS_COUNT || all.length >= MAX_AGENTS_COUNT || this.keptOf(who) >= MAX_AGENT_BYTES;
    if (refused) return refuse({ code: "overloaded", policyVersion: admission.policy.version });
    const pair = new WebSocketPair();
    const socket = pair[1];
    this.#ctx.acceptWebSocket(socket, ["agent"]);
    const id = randomText(AGENT_ID_BYTES);
    const link = new AgentLink(this, socket, { v: 1, role: "agent", id, sid, who, connection, issuer, newest: 0, left: 0, apps: [], links: [], streams: new Uint32Array() });
    link.save();
    this.#links.set(socket, link);
    const headers = { "Sec-WebSocket-Protocol": AGENT_SUBPROTOCOL, "Postern-Request-Id": open.request };
    return { kind: "switched", response: new Response(null, { status: 101, webSocket: pair[0], headers }) };
  }

  receive(link: AgentLink, message: string | ArrayBuffer): void {
    const end = (fault: Fatal | undefined): void => {
      if (fault !== undefined) this.drop(link.socket, fault);
    };
    if (typeof message !== "string") end(link.receive(message));
    // The runtime hands over a socket's next message once this one is dealt with: opening must not hold up what is open.
    else this.#ctx.waitUntil(link.receiveText(message).then(end));
  }

  of(socket: WebSocket): AgentLink | undefined {
    return this.#links.get(socket);
  }

  /** Ends a socket; a connector keeps its streams for whoever can prove that they are theirs (M18). */
  drop(socket: WebSocket, { code, reason }: Fatal): void {
    const link = this.#links.get(socket);
    if (link === undefined) return;
    this.#links.delete(socket);
    this.#going.set(socket, link);
    link.lost();
    this.#weight -= link.weight;
    this.#keep(link, link.weight);
    // Without the streams that ended with it, should the lane sleep before it is gone.
    link.save();
    this.#count(`agent_closed_${code}`);
    this.#unsettled.delete(link);
    closeSocket(socket, code, reason);
  }

  /** The runtime has let go of a socket; false: it was none of an agent's. */
  gone(socket: WebSocket, why: Fatal): boolean {
    // One whose end woke the lane is not among those that it found.
    if (!this.#links.has(socket) && !this.#going.has(socket) && readAttachment(socket)?.role === "agent") this.restore([socket]);
    this.drop(socket, why);
    const link = this.#going.get(socket);
    if (link !== undefined) this.#keep(link, -link.weight);
    return this.#going.delete(socket);
  }

  /** Every socket of a session that ended. */
  endSession(sid: SessionId, why: CloseName = "signed_out"): void {
    for (const [socket, link] of this.#links) if (link.attachment.sid === sid) this.drop(socket, ending(why));
  }

  /** Connect anew: the site's lanes are others now. */
  drain(): void {
    for (const link of this.#links.values()) link.say({ t: "drain" });
  }

  async admitTcp({ sid, connection, issuer }: AgentAttachment, app: AppId, more: Pick<OpenContext, "request" | "connector">): Promise<{ open: OpenContext; outcome: Admission | Refusal }> {
    const lane = this.#parts.lane();
    if (lane === undefined) throw new Error("no lane");
    // An app of another site is here what an unknown one is.
    const here = this.#parts.policy.compiled?.app(app)?.site === lane.site ? app : ("" as AppId);
    const open: OpenContext = {
      v: 1,
      ...lane,
      ...more,
      sid,
      ask: { app: here, ...TCP_ASK },
      connection,
      issuer,
      ...TCP_ASK,
      target: TCP_ASK.path,
      headers: [],
      publicOrigin: "",
      body: "stream",
    };
    const outcome = await this.#admissions.admit(open, "sockets");
    const fits = "code" in outcome || (this.#streamsOf(sid) < MAX_SESSION_STREAMS_COUNT && outcome.link.begins());
    return { open, outcome: fits ? outcome : { code: "overloaded", policyVersion: outcome.policy.version } };
  }

  #streamsOf(sid: SessionId): number {
    return this.#table.ofSession(sid).filter((one) => one.ask.protocol === "tcp").length;
  }

  weigh(bytes: number): void {
    this.#weight += bytes;
    if (bytes <= 0 || this.#weight <= MAX_SPLICED_BYTES) return;
    // Of whoever's weigh most, on however many sockets.
    const sums = new Map<string, number>();
    let most: AgentLink | undefined;
    let top = 0;
    for (const one of this.#links.values()) {
      const { who } = one.attachment;
      const sum = (sums.get(who) ?? 0) + one.weight;
      sums.set(who, sum);
      if (sum <= top) continue;
      top = sum;
      most = one;
    }
    most?.shed();
  }

  keptOf(who: string): number {
    return this.#keptOf.get(who) ?? 0;
  }

  #keep({ attachment: { who } }: AgentLink, bytes: number): void {
    this.#kept += bytes;
    const kept = this.keptOf(who) + bytes;
    if (kept > 0) this.#keptOf.set(who, kept);
    else this.#keptOf.delete(who);
  }

  /** No more for that session meanwhile, on any socket. */
  overflow(agent: AgentLink): void {
    agent.isUnread = true;
    this.endSession(agent.attachment.sid, "overloaded");
  }

  changed(agent: AgentLink): void {
    this.#unsettled.add(agent);
    if (this.#waits) return;
    this.#waits = true;
    setTimeout(() => this.#settle(), SETTLE_MS);
  }

  /** A socket that rests is written down; while another moves, the timer keeps the lane awake. */
  #settle(): void {
    for (const link of this.#unsettled) if (link.settled()) this.#unsettled.delete(link);
    this.#waits = this.#unsettled.size > 0;
    if (this.#waits) setTimeout(() => this.#settle(), SETTLE_MS);
  }

  began({ live, link }: SplicedStream): void {
    if (live.sid !== undefined) this.#parts.links.holders.note(live.sid, link.connector, Date.now(), false);
  }

  over({ live, link }: SplicedStream, how: StreamEnd, socket: WebSocket): void {
    if (live.sid !== undefined && LEAVES_STREAM.has(how)) this.#parts.links.holders.note(live.sid, link.connector, Date.now(), true);
    if (how === "flow" || how === "memory") this.#count(`agent_${how}`);
    this.lane.finished(live, how, socket);
  }

  #count(name: string): void {
    this.counters[name] = (this.counters[name] ?? 0) + 1;
  }

  /** After a wake: sockets and their streams from what was written down; a stream whose connector is gone ends. */
  restore(sockets: readonly WebSocket[]): void {
    for (const socket of sockets) {
      const stored = readAttachment(socket);
      if (stored?.role !== "agent") {
        closeSocket(socket, CLOSE_CODES.going_away.code, "connect anew");
        continue;
      }
      const agent = new AgentLink(this, socket, stored);
      // With streams it was not closed from here: they end when it is dropped.
      const isOpen = socket.readyState === WebSocket.READY_STATE_OPEN || stored.streams.length > 0;
      (isOpen ? this.#links : this.#going).set(socket, agent);
      if (isOpen) this.#weight += agent.weight;
      else this.#keep(agent, agent.weight);
      let isLess = false;
      for (const kept of unpackStreams(stored)) {
        let cut: LiveStream["cut"] = () => 0;
        const live: LiveStream = {
          ...kept,
          id: requestOf(stored.id, kept.id),
          sid: stored.sid,
          ask: { app: kept.app, ...TCP_ASK },
          connection: stored.connection,
          issuer: stored.issuer,
          // Nothing was decided by this instance: the next byte waits for that (M4).
          redecideAt: 0,
          limits: NO_LIMITS,
          policyVersion: 0,
          held: false,
          tell: (wanted) => agent.tellFrozen(kept.id, wanted),
          cut: (why) => cut(why),
        };
        const link = this.#parts.links.byId(kept.link);
        if (link === undefined) {
          agent.tellEnd(kept.id, "link");
          this.lane.finished(live, "link", socket);
          isLess = true;
          continue;
        }
        const stream = agent.restore(kept, link, live);
        cut = (why) => stream.cut(why);
        this.#table.add(live);
      }
      // Without those that ended: the next wake must not end them again.
      if (!isLess) continue;
      agent.save();
      this.changed(agent);
    }
  }

  /** Sockets of agents that have gone without a word. */
  #sweep(): void {
    for (const [socket, link] of this.#links) {
      const pinged = this.#ctx.getWebSocketAutoResponseTimestamp(socket)?.getTime() ?? 0;
      if (Date.now() - Math.max(link.heardAt, pinged) > KEEP_ALIVE_DEAD_MS) this.drop(socket, ending("idle"));
    }
  }
}

/** Ends after which a connector may hold the stream for its agent (M18). */
const LEAVES_STREAM: ReadonlySet<StreamEnd> = new Set(["broken", "link", "flow", "memory"]);

function ending(name: CloseName): Fatal {
  const { code, meaning } = CLOSE_CODES[name];
  return { code, reason: meaning };
}
