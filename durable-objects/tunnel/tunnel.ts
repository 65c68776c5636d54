/**
 * Tunnel: one lane of a site. It holds the connectors' sockets and every live stream, compares
 * what the edge decided with the newest it knows, decides again as long as a stream lives, and
 * cuts. Follow a request: fetch → #open → admission.ts → open-stream.ts → a relay.
 */
import { DurableObject } from "cloudflare:workers";
import type { AppId, ConnectorId, RequestId, SessionId } from "../../core/ids.ts";
import { BULK_HEADER } from "../../protocol/bulk.ts";
import { CLOSE_CODES } from "../../protocol/close-codes.ts";
import { KEEP_ALIVE_PING, KEEP_ALIVE_PONG } from "../../protocol/control.ts";
import { AuditWriter } from "../audit/record.ts";
import { CONTROL_NAME, laneAuditName, laneName, type ObjectEnv } from "../bindings.ts";
import type { PolicySnapshot } from "../control/rpc.ts";
import { type CutReport, NOTHING_CUT } from "../cut-report.ts";
import { LEASE_WAIT_MS } from "../lease-terms.ts";
import type { FrozenSince, SessionSnapshot } from "../session/rpc.ts";
import { type Admission, Admissions, type LaneParts } from "./admission.ts";
import { AgentLinks } from "./agent-links.ts";
import { readAttachment } from "./attachments.ts";
import { BodyFence } from "./body-fence.ts";
import { BulkTickets } from "./bulk.ts";
import { CarriedRequests } from "./carried.ts";
import type { ConnectorLink } from "./connector-link.ts";
import { closeSocket } from "./close-socket.ts";
import { ConnectorLinks } from "./connector-links.ts";
import { type Cut, cutStreams } from "./cut-streams.ts";
import { Deadlines } from "./deadlines.ts";
import { DecisionLog } from "./decision-log.ts";
import { Freshness } from "./freshness.ts";
import { HttpRelay, type Lane } from "./http-relay.ts";
import { laneStatus } from "./lane-status.ts";
import { LateEnds } from "./late-ends.ts";
import { Losses } from "./losses.ts";
import { LeaseTable } from "./lease-table.ts";
import { type CutReason, type LiveStream, reportOf, type StreamEnd, StreamTable } from "./live-stream.ts";
import { answerHttp, answerWebSocket, type Opening, refuse, REPEATABLE, type Reply, responseOf } from "./open-stream.ts";
import { PolicyHold } from "./policy-hold.ts";
import { QuietWatch } from "./quiet-watch.ts";
import { type Claim, CLAIM_HEADER, CONNECT_HEADER, type ConnectContext, type LaneStatus, OPEN_HEADER, type OpenContext, type StreamReport, type TunnelRpc } from "./rpc.ts";
import { lanesOf } from "./site-config.ts";
import { Targets } from "./targets.ts";
import { Usage } from "./usage.ts";
import { WaitingUp } from "./waiting-up.ts";
import { WebSocketRelay } from "./websocket-relay.ts";

const LANE = "lane";
/** A stream that lived this long gets an end in the record; shorter ones are told by their decision. */
const LONG_LIVED_MS = 5_000;

/** Reports of ended sessions that are remembered, should they be asked for again. */
const MAX_ENDINGS_COUNT = 1_000;

type LaneId = Pick<ConnectContext, "site" | "lane">;

export class Tunnel extends DurableObject<ObjectEnv> implements TunnelRpc, Lane {
  readonly deadlines = new Deadlines();
  readonly waitingUp = new WaitingUp();
  readonly ends = new LateEnds();
  readonly #carried = new CarriedRequests((open) => this.#open(open, null), this.deadlines);
  readonly #streams = new StreamTable();
  readonly #relays = new Map<WebSocket, WebSocketRelay>();
  readonly #fence: BodyFence;
  readonly #parts: LaneParts;
  readonly #admissions: Admissions;
  readonly #freshness: Freshness;
  readonly #quiet: QuietWatch;
  readonly #agents: AgentLinks;
  readonly tickets: BulkTickets;
  readonly #endings = new Map<string, Promise<CutReport>>();
  #lane: LaneId | undefined;

  constructor(ctx: DurableObjectState, env: ObjectEnv) {
    super(ctx, env);
    const { kv } = ctx.storage;
    this.#lane = kv.get(LANE) as LaneId | undefined;
    const nonce = crypto.randomUUID();
    const lookAtAll = (): void => ctx.waitUntil(this.#lookAgain(this.#streams.where(() => true)));
    const ask = async (known: number): Promise<PolicySnapshot | undefined> => {
      if (this.#lane === undefined) return undefined;
      const { newer, barred, away } = await env.CONTROL.getByName(CONTROL_NAME).leasePolicy(this.#lane, known);
      // A revocation that this lane was not reached with (M8).
      for (const connector of links.barAll(barred)) ctx.waitUntil(this.endConnector(connector));
      if (losses.providers(away ?? {})) lookAtAll();
      return newer;
    };
    // The connectors hear of a newer policy too, however the lane learned of it.
    const policy = new PolicyHold(kv, ask, () => {
      ctx.waitUntil(this.#configure());
      this.#freshness.lookAgain();
    }, (since) => losses.note("control", since));
    const writer = new AuditWriter(() => env.AUDIT.getByName(laneAuditName(this.#name)), nonce, (work) => ctx.waitUntil(work), (since) => losses.note("audit", since));
    const log = new DecisionLog(writer);
    const losses = new Losses(kv, log, lookAtAll);
    const links = new ConnectorLinks(env, () => policy.fresh(Date.now), (socket) => ctx.getWebSocketAutoResponseTimestamp(socket)?.getTime() ?? 0, () => targets, kv);
    const targets = new Targets(kv, links, policy, (app) => ctx.waitUntil(this.#lookAgain(this.#streams.where((one) => one.ask.app === app))));
    this.#parts = { env, nonce, policy, leases: new LeaseTable(kv), usage: new Usage(this.#streams), links, targets, losses, log, lane: () => this.#lane };
    this.#admissions = new Admissions(this.#parts);
    this.#freshness = new Freshness(this.#parts, this.#admissions, this.#streams);
    this.#quiet = new QuietWatch(this.#parts, this.#streams, (work) => ctx.waitUntil(work));
    this.#fence = new BodyFence(kv, nonce, () => links.sweep());
    this.#agents = new AgentLinks(ctx, this, this.#parts, this.#admissions, this.#streams, (...args) => this.#register(...args));
    this.tickets = new BulkTickets(ctx.id.toString());
    ctx.setWebSocketAutoResponse(new WebSocketRequestResponsePair(KEEP_ALIVE_PING, KEEP_ALIVE_PONG));
    this.#wake();
  }

  override async fetch(request: Request): Promise<Response> {
    const connect = request.headers.get(CONNECT_HEADER);
    if (connect !== null) {
      const context = JSON.parse(connect) as ConnectContext;
      this.#remember(context);
      return this.#parts.links.greet(context, (socket) => this.ctx.acceptWebSocket(socket, ["connector"]));
    }
    const claim = request.headers.get(CLAIM_HEADER);
    if (claim !== null) return responseOf(await this.#carried.claim(JSON.parse(claim) as Claim));
    const bulk = request.headers.get(BULK_HEADER);
    if (bulk !== null) return this.tickets.serve(bulk, request);
    const open = request.headers.get(OPEN_HEADER);
    return open === null ? new Response(null, { status: 404 }) : responseOf(await this.#open(JSON.parse(open) as OpenContext, request.body));
  }

  async carry(batch: string): Promise<Uint8Array> {
    return this.#carried.carry(JSON.parse(batch) as OpenContext[]);
  }

  async collect(requests: readonly RequestId[]): Promise<Uint8Array> {
    return this.#carried.collect(requests);
  }

  /** `lost`: the connector that lost this request before its first answer byte. */
  async #open(open: OpenContext, body: Opening["body"], lost?: ConnectorLink): Promise<Reply> {
    this.#remember(open);
    if (open.ask.protocol === "tcp") return this.#agents.greet(open);
    const websocket = open.ask.protocol === "websocket";
    const admission = await this.#admissions.admit(open, websocket ? "sockets" : "body", lost);
    if ("code" in admission) return refuse(admission);
    // From here to the registered stream nothing is awaited: what was checked still holds (M1).
    const relay = new HttpRelay(this, admission.link);
    const number = admission.link.reserve(relay);
    if (number === undefined) return refuse({ code: "overloaded", policyVersion: admission.policy.version });
    let cutNow: (why: CutReason) => number = (why) => relay.cut(why);
    const stream = this.#register(open, admission, number, (why) => cutNow(why));
    this.#fence.opened();
    const app = admission.policy.app(open.ask.app);
    relay.bind(stream, number, app?.timeouts.idle);
    const opening = { open, admission, relay, number, stream, app, body: open.body === "stream" ? body : null, again: this.#again(open, admission.link, lost) };
    if (!websocket) return answerHttp(opening);
    // A 101 turns the stream over from the relay that read the head to one that relays messages.
    return answerWebSocket(opening, (early) => {
      const pair = new WebSocketPair();
      this.ctx.acceptWebSocket(pair[1], ["client"]);
      const messages = this.#relay(pair[1], admission.link, stream);
      this.#fence.closed();
      admission.link.hand(number, messages);
      cutNow = (why) => messages.cut(why);
      messages.save();
      for (const bytes of early) messages.data(bytes);
      if (relay.hasEnded) messages.end();
      return pair[0];
    });
  }

  /** Once more on another connector, if there is one and the request may be repeated; never a third time. */
  #again(open: OpenContext, link: ConnectorLink, lost: ConnectorLink | undefined): Opening["again"] {
    if (lost !== undefined || open.body !== "none" || !REPEATABLE.test(open.method)) return undefined;
    return () => {
      if (this.#parts.links.choose(link) === undefined) return undefined;
      this.#parts.log.repeated(open.request, open.ask.app, link.connector, Date.now());
      return this.#open(open, null, link);
    };
  }

  #register(open: OpenContext, admission: Admission, number: number, cut: (why: CutReason) => number, tell?: LiveStream["tell"]): LiveStream {
    const { decision } = admission;
    const stream: LiveStream = {
      id: open.request,
      sid: open.sid,
      ask: open.ask,
      connection: open.connection,
      issuer: open.issuer,
      openedAt: Date.now(),
      link: admission.link.id,
      number,
      redecideAt: decision.redecideAt ?? Number.POSITIVE_INFINITY,
      limits: decision.limits,
      policyVersion: decision.policyVersion,
      bytesIn: 0,
      bytesOut: 0,
      bytesTold: 0,
      held: false,
      ...(tell === undefined ? {} : { tell }),
      cut,
    };
    this.#streams.add(stream);
    this.noteUserByte(stream, stream.openedAt);
    this.#quiet.note(stream);
    return stream;
  }

  #relay(socket: WebSocket, link: ConnectorLink, stream: LiveStream): WebSocketRelay {
    const relay = new WebSocketRelay(this, link, stream.number, stream, socket);
    this.#relays.set(socket, relay);
    return relay;
  }

  // For the relays (Lane)

  passes(stream: LiveStream, now: number): boolean {
    return this.#freshness.passes(stream, now);
  }

  async renew(stream: LiveStream): Promise<boolean> {
    const allowed = await this.#freshness.renew(stream);
    if (allowed) this.#quiet.note(stream);
    return allowed;
  }

  guard(stream: LiveStream, up: boolean): () => void {
    return this.#freshness.guard(stream, up);
  }

  noteUserByte(stream: LiveStream, now: number): void {
    if (stream.sid !== undefined) this.#parts.leases.noteActivity(stream.sid, now);
  }

  finished(stream: LiveStream, how: StreamEnd, socket?: WebSocket): void {
    this.#streams.remove(stream.id);
    this.#freshness.freezing.wake(stream.id);
    this.#parts.usage.ended(stream);
    if (socket === undefined) this.#fence.closed();
    else if (this.#relays.delete(socket)) socket.serializeAttachment(null); // The next wake must not find it.
    const now = Date.now();
    if (how !== "done" || socket !== undefined || now - stream.openedAt > LONG_LIVED_MS) this.#parts.log.streamEnded(stream, how, now);
    this.#parts.leases.sweepAtTimes(now, () => this.#streams.sessions());
  }

  // Changes of trust

  async applyPolicy(lane: LaneId, snapshot: PolicySnapshot): Promise<CutReport> {
    this.#remember(lane);
    const before = this.#parts.policy.compiled;
    const policy = this.#parts.policy.take(snapshot);
    if (policy === undefined) return NOTHING_CUT;
    if (before !== undefined && lanesOf(before.document, lane.site) !== lanesOf(policy.document, lane.site)) this.#agents.drain();
    const report = await this.#cut({ streams: this.#streams.where(() => true), why: "policy", sessions: [], verdict: (stream) => this.#freshness.redecide(stream, policy, before) });
    this.#quiet.noteAll();
    await this.#parts.links.configure(policy, lane);
    return report;
  }

  async #configure(): Promise<void> {
    const { policy, links } = this.#parts;
    if (policy.compiled !== undefined && this.#lane !== undefined) await links.configure(policy.compiled, this.#lane);
  }

  endSession(sid: SessionId, epoch: number, reason: string): Promise<CutReport> {
    // Told again because the answer was lost: the same report, not a second count.
    const key = `${sid}:${epoch}`;
    const told = this.#endings.get(key) ?? this.#endSession(sid, epoch, reason);
    this.#endings.set(key, told);
    told.catch(() => this.#endings.delete(key));
    const oldest = this.#endings.keys().next().value;
    if (this.#endings.size > MAX_ENDINGS_COUNT && oldest !== undefined) this.#endings.delete(oldest);
    return told;
  }

  async #endSession(sid: SessionId, epoch: number, reason: string): Promise<CutReport> {
    // Synchronous up to the cut: no reply of before counts from here on (M1).
    this.#parts.leases.push(sid, epoch);
    const why = reason === "expired" || reason === "idle" ? "expired" : "revoked";
    const { holders } = this.#parts.links;
    const ending = this.#unlessAway(holders.of(sid, Date.now()), { streams: this.#streams.ofSession(sid), why, sessions: [sid], verdict: () => "ends" });
    this.#agents.endSession(sid);
    const report = await ending;
    holders.forget(sid);
    return report;
  }

  /** Told with the name, connectors let go what they held for an agent that was away; one that is away itself does when it is back, and the receipt says so (M18). */
  async #unlessAway(connectors: readonly ConnectorId[], cut: Cut): Promise<CutReport> {
    const isAway = this.#parts.links.owe(cut, connectors);
    const report = await this.#cut(cut);
    if (!isAway || this.#lane === undefined || report.unconfirmed.length > 0) return report;
    return { ...report, unconfirmed: [{ ...this.#lane, leaseEndsAt: Date.now() + LEASE_WAIT_MS }] };
  }

  /** Cuts, and answers only once no older instance of this lane can pipe a body any more (M6). */
  async #cut(cut: Cut): Promise<CutReport> {
    const [report] = await Promise.all([cutStreams(this.#parts, cut), this.#fence.othersGone(Date.now())]);
    return report;
  }

  async observe(snapshot: SessionSnapshot, frozen: FrozenSince = {}): Promise<CutReport> {
    if (!this.#parts.leases.learn(snapshot)) return NOTHING_CUT;
    this.#quiet.forget(snapshot.sid);
    return this.#lookAgain(this.#freshness.freezing.recall(this.#streams.ofSession(snapshot.sid), frozen));
  }

  async providersAway(away: Readonly<Record<string, number>>): Promise<CutReport> {
    return this.#parts.losses.providers(away) ? this.#lookAgain(this.#streams.where(() => true)) : NOTHING_CUT;
  }

  /** What stays and may be quiet: its session hears when that must be looked at again. */
  async #lookAgain(streams: readonly LiveStream[]): Promise<CutReport> {
    const report = await this.#cut({ streams, why: "policy", sessions: [], verdict: (stream) => this.#freshness.observed(stream) });
    for (const stream of streams) if (this.#streams.get(stream.id) !== undefined) this.#quiet.note(stream);
    return report;
  }

  async targetFacts(app: AppId): ReturnType<Targets["told"]> {
    return this.#parts.targets.told(app);
  }

  async endApp(app: AppId): Promise<CutReport> {
    const streams = this.#streams.where((one) => one.ask.app === app);
    return this.#unlessAway(this.#parts.links.holders.all(Date.now()), { streams, why: "revoked", sessions: [], apps: [app], verdict: () => "ends" });
  }

  async endConnector(connector: ConnectorId): Promise<CutReport> {
    const { links } = this.#parts;
    links.bar(connector);
    const ended = links.ofConnector(connector);
    const streams = this.#streams.where((one) => ended.some((link) => link.id === one.link));
    // It destroys what it holds towards the apps and says so, as for any cut (M2); then its sockets go.
    const report = await this.#cut({ streams, why: "link", sessions: [], verdict: () => "ends" });
    for (const link of ended) links.drop(link.socket, CLOSE_CODES.connector_revoked.code, CLOSE_CODES.connector_revoked.meaning);
    return report;
  }

  async streams(sid: SessionId): Promise<{ readonly streams: readonly StreamReport[]; readonly lastActiveAt: number }> {
    return { streams: this.#streams.ofSession(sid).map(reportOf), lastActiveAt: this.#parts.leases.last(sid)?.lastActiveAt ?? 0 };
  }

  async status(): Promise<LaneStatus | undefined> {
    return laneStatus(this.#parts, this.#streams, this.#agents);
  }

  // Sockets

  override async webSocketMessage(socket: WebSocket, message: string | ArrayBuffer): Promise<void> {
    const link = this.#parts.links.of(socket);
    if (link !== undefined) {
      const fault = typeof message === "string" ? link.receiveText(message) : link.receive(message);
      if (fault !== undefined) this.#parts.links.drop(socket, fault.code, fault.reason);
      return this.#parts.links.sweep();
    }
    this.#parts.links.sweep();
    const agent = this.#agents.of(socket);
    if (agent !== undefined) return this.#agents.receive(agent, message);
    const relay = this.#relays.get(socket);
    if (relay !== undefined) relay.fromClient(message);
    else await this.#parts.links.welcome(socket, message);
  }

  override async webSocketClose(socket: WebSocket, code: number, reason: string): Promise<void> {
    const relay = this.#relayOf(socket);
    if (relay !== undefined) relay.clientClosed(code, reason);
    else if (!this.#agents.gone(socket, { code, reason })) this.#parts.links.drop(socket, code, reason);
  }

  override async webSocketError(socket: WebSocket): Promise<void> {
    const relay = this.#relayOf(socket);
    if (relay !== undefined) relay.clientFailed();
    else if (!this.#agents.gone(socket, { code: CLOSE_CODES.internal.code, reason: "socket error" })) this.#parts.links.drop(socket, CLOSE_CODES.internal.code, "socket error");
  }

  /** After a wake: links and relayed sockets from their attachments; whatever does not fit is closed (M3). */
  #wake(): void {
    this.#parts.links.restore(this.ctx.getWebSockets("connector"));
    for (const socket of this.ctx.getWebSockets("client")) if (this.#relayOf(socket) === undefined) closeSocket(socket, CLOSE_CODES.upstream_lost.code, CLOSE_CODES.upstream_lost.meaning);
    this.#agents.restore(this.ctx.getWebSockets("agent"));
  }

  /** From its attachment, if need be: a socket whose end woke the lane is not among those that it found. */
  #relayOf(socket: WebSocket): WebSocketRelay | undefined {
    const known = this.#relays.get(socket);
    const stored = known === undefined ? readAttachment(socket) : undefined;
    const link = stored?.role === "client" ? this.#parts.links.byId(stored.link) : undefined;
    if (stored?.role !== "client" || link === undefined) return known;
    let cutNow: (why: CutReason) => number = () => 0;
    const stream: LiveStream = { ...stored, sid: stored.sid, held: false, cut: (why) => cutNow(why) };
    const relay = this.#relay(socket, link, stream);
    relay.unheard = stored.unheard ?? 0;
    cutNow = (why) => relay.cut(why);
    link.restore(stored.number, stored.window, relay);
    this.#streams.add(stream);
    return relay;
  }

  #remember(lane: LaneId): void {
    if (this.#lane !== undefined) return;
    this.#lane = { site: lane.site, lane: lane.lane };
    this.ctx.storage.kv.put(LANE, this.#lane);
  }

  get #name(): string {
    return this.#lane === undefined ? "unnamed" : laneName(this.#lane.site, this.#lane.lane);
  }
}
