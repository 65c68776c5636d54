/**
 * Tunnel: one lane of a site. It holds the connectors' sockets and every live stream, compares
 * what the edge decided with the newest it knows, decides again as long as a stream lives, and
 * cuts. Follow a request: fetch → #open → #admit → relay. The moving parts are beside this file.
 */
import { DurableObject } from "cloudflare:workers";
import { at } from "../../core/time.ts";
import type { AppId, ConnectorId, ReceiptId, SessionId, SiteId } from "../../core/ids.ts";
import type { CompiledPolicy } from "../../policy/compile.ts";
import { decide } from "../../policy/decide.ts";
import type { Decision } from "../../policy/decision.ts";
import { ANONYMOUS, type Ask, type Fact, type Facts } from "../../policy/facts.ts";
import { CLOSE_CODES } from "../../protocol/close-codes.ts";
import { encodeControl, KEEP_ALIVE_PING, KEEP_ALIVE_PONG } from "../../protocol/control.ts";
import { SUBPROTOCOL } from "../../protocol/hello.ts";
import { decisionEvent } from "../audit/decision-event.ts";
import { AuditWriter, recordNow } from "../audit/record.ts";
import { CONTROL_NAME, laneAuditName, laneName, type ObjectEnv, signerName } from "../bindings.ts";
import { type CutReport, NOTHING_CUT } from "../cut-report.ts";
import { LEASE_WAIT_MS } from "../lease-terms.ts";
import type { PolicySnapshot } from "../control/rpc.ts";
import type { LeaseAnswer } from "../session/rpc.ts";
import type { Admitted } from "../signer/rpc.ts";
import { readAttachment, type ClientAttachment } from "./attachments.ts";
import { ConnectorLink } from "./connector-link.ts";
import { DecisionLog } from "./decision-log.ts";
import { beginHandshake, type Handshake, HANDSHAKE_MS, refuseText, verifyHandshake } from "./handshake.ts";
import { HttpRelay, type Lane } from "./http-relay.ts";
import { type HeldLease, LeaseTable } from "./lease-table.ts";
import { type CutReason, type LiveStream, reportOf, StreamTable } from "./live-stream.ts";
import { answerHttp, answerWebSocket, refuse } from "./open-stream.ts";
import { PolicyHold } from "./policy-hold.ts";
import { CONNECT_HEADER, type ConnectContext, type LaneStatus, OPEN_HEADER, type OpenContext, type Refusal, type StreamReport, type TunnelRpc } from "./rpc.ts";
import { siteConfig } from "./site-config.ts";
import { WebSocketRelay } from "./websocket-relay.ts";

const LANE = "lane";
/** How often an open is tried again because what it was decided on changed meanwhile. */
const MAX_ADMIT_COUNT = 5;

interface LaneId {
  readonly site: SiteId;
  readonly lane: number;
}

export interface Admission {
  readonly policy: CompiledPolicy;
  readonly decision: Decision;
  readonly lease: HeldLease | undefined;
  readonly admitted: Admitted;
  readonly link: ConnectorLink;
}

export class Tunnel extends DurableObject<ObjectEnv> implements TunnelRpc, Lane {
  readonly #nonce = crypto.randomUUID();
  readonly #clock = (): number => Date.now();
  readonly #leases = new LeaseTable();
  readonly #streams = new StreamTable();
  readonly #links = new Map<WebSocket, ConnectorLink>();
  readonly #handshakes = new Map<WebSocket, Handshake>();
  readonly #relays = new Map<WebSocket, WebSocketRelay>();
  readonly #renewals = new Map<string, Promise<boolean>>();
  readonly #publicAdmissions = new Map<string, { admitted: Admitted; until: number }>();
  readonly #policy: PolicyHold;
  readonly #log: DecisionLog;
  #lane: LaneId | undefined;

  constructor(ctx: DurableObjectState, env: ObjectEnv) {
    super(ctx, env);
    this.#lane = ctx.storage.kv.get(LANE) as LaneId | undefined;
    this.#policy = new PolicyHold(ctx.storage.kv, async (known) => {
      if (this.#lane === undefined) return undefined;
      return this.env.CONTROL.getByName(CONTROL_NAME).leasePolicy(this.#lane, known);
    });
    const writer = new AuditWriter(() => env.AUDIT.getByName(laneAuditName(this.#laneName)), this.#nonce, (work) => ctx.waitUntil(work));
    this.#log = new DecisionLog(writer);
    ctx.setWebSocketAutoResponse(new WebSocketRequestResponsePair(KEEP_ALIVE_PING, KEEP_ALIVE_PONG));
    this.#wake();
  }

  override async fetch(request: Request): Promise<Response> {
    const connect = request.headers.get(CONNECT_HEADER);
    if (connect !== null) return this.#connect(JSON.parse(connect) as ConnectContext);
    const open = request.headers.get(OPEN_HEADER);
    if (open === null) return new Response(null, { status: 404 });
    return this.#open(JSON.parse(open) as OpenContext, request);
  }

  // ── a request ────────────────────────────────────────────────────────────────────────────

  async #open(open: OpenContext, request: Request): Promise<Response> {
    this.#remember(open);
    const websocket = open.ask.protocol === "websocket";
    const admission = await this.#admit(open, websocket ? "sockets" : "body");
    if ("code" in admission) return refuse(admission);
    // From here to the registered stream nothing is awaited: what was checked still holds (M1).
    return websocket ? this.#openWebSocket(open, admission) : this.#openHttp(open, admission, request);
  }

  #openHttp(open: OpenContext, admission: Admission, request: Request): Promise<Response> | Response {
    const relay = new HttpRelay(this, admission.link);
    const number = admission.link.reserve(relay);
    if (number === undefined) return refuse({ code: "overloaded", policyVersion: admission.policy.version });
    const stream = this.#register(open, admission, number, (why) => relay.cut(why));
    const app = admission.policy.app(open.ask.app);
    relay.bind(stream, number, app?.timeouts.idle);
    return answerHttp({ open, admission, relay, number, stream, app, body: open.body === "stream" ? request.body : null });
  }

  async #openWebSocket(open: OpenContext, admission: Admission): Promise<Response> {
    // The answer's head is read like an HTTP answer's; a 101 turns the stream over to a socket relay.
    const relay = new HttpRelay(this, admission.link);
    const number = admission.link.reserve(relay);
    if (number === undefined) return refuse({ code: "overloaded", policyVersion: admission.policy.version });
    let cutNow: (why: CutReason) => number = (why) => relay.cut(why);
    const stream = this.#register(open, admission, number, (why) => cutNow(why));
    const app = admission.policy.app(open.ask.app);
    relay.bind(stream, number, app?.timeouts.idle);
    return answerWebSocket({ open, admission, relay, number, stream, app, body: null }, (early) => {
      const pair = new WebSocketPair();
      const socket = pair[1];
      this.ctx.acceptWebSocket(socket, ["client"]);
      const relayed = new WebSocketRelay(this, admission.link, number, stream, socket);
      admission.link.hand(number, relayed);
      this.#relays.set(socket, relayed);
      cutNow = (why) => relayed.cut(why);
      relayed.save();
      for (const bytes of early) relayed.data(bytes);
      return pair[0];
    });
  }

  #register(open: OpenContext, admission: Admission, number: number, cut: (why: CutReason) => number): LiveStream {
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
      held: false,
      cut,
    };
    this.#streams.add(stream);
    if (open.sid !== undefined) this.#leases.noteActivity(open.sid, stream.openedAt);
    return stream;
  }

  /**
   * Everything a stream needs before it may open: a policy and a session under live leases, a
   * decision on both, a connector, and the first grant on record. Looks again after every wait.
   */
  async #admit(open: OpenContext, holds: "sockets" | "body"): Promise<Admission | Refusal> {
    for (let attempt = 0; attempt < MAX_ADMIT_COUNT; attempt++) {
      if (this.#log.overloaded) return { code: "overloaded", policyVersion: this.#policy.version };
      const policy = this.#policy.isFresh(Date.now()) ? this.#policy.compiled : await this.#policy.fresh(this.#clock);
      if (policy === undefined) return { code: "unavailable", policyVersion: this.#policy.version, detail: "no policy" };
      const link = this.#choose();
      if (link === undefined) return { code: "no_connector", policyVersion: policy.version };
      const known = await this.#known(open, policy, link, holds);
      if ("code" in known) return known;
      const now = Date.now();
      const lease = open.sid === undefined ? undefined : this.#leases.lease(open.sid, now);
      const stale = (open.sid !== undefined && lease === undefined) || !this.#policy.isFresh(now) || this.#policy.version !== policy.version;
      if (stale || link.draining || !this.#links.has(link.socket)) continue;
      const facts = factsOf(lease, open.connection);
      const decision = decide(policy, open.ask, facts, at(now));
      if (decision.effect !== "allow") {
        if (open.sid !== undefined) await recordNow(this.env, open.sid, decisionEvent(open.request, open.ask, facts, decision, now));
        return { code: decision.effect === "step_up" ? "step_up" : "denied", policyVersion: policy.version };
      }
      if (known.firstGrant) {
        await recordNow(this.env, open.sid ?? "", decisionEvent(open.request, open.ask, facts, decision, now));
        // The wait may have let a revocation in: the next round takes the lease from the table.
        if (!this.#stillHolds(open, policy, link)) continue;
      } else this.#log.add(open.request, open.ask, facts, lease, open.connection, decision, now);
      return { policy, decision, lease, admitted: known.admitted, link };
    }
    return { code: "unavailable", policyVersion: this.#policy.version, detail: "changed too often" };
  }

  #stillHolds(open: OpenContext, policy: CompiledPolicy, link: ConnectorLink): boolean {
    const now = Date.now();
    const leased = open.sid === undefined || this.#leases.lease(open.sid, now) !== undefined;
    return leased && this.#policy.isFresh(now) && this.#policy.version === policy.version && this.#links.has(link.socket);
  }

  async #known(
    open: OpenContext,
    policy: CompiledPolicy,
    link: ConnectorLink,
    holds: "sockets" | "body",
  ): Promise<{ admitted: Admitted; firstGrant: boolean } | Refusal> {
    const { sid, ask, issuer } = open;
    if (sid === undefined) return { admitted: await this.#publicAdmission(ask.app, policy.version, link, issuer), firstGrant: false };
    const key = { sid, app: ask.app, connector: link.thumbprint, policyVersion: policy.version };
    const outcome = await this.#leases.ensure(
      key,
      () => this.#askSession(sid, open, link.thumbprint, policy.version, holds),
      this.#clock,
    );
    if (outcome.ok) return { admitted: outcome.admission, firstGrant: outcome.firstGrant };
    return { code: outcome.code === "unavailable" ? "unavailable" : "revoked", policyVersion: policy.version, detail: outcome.code };
  }

  #askSession(
    sid: SessionId,
    asker: { readonly ask: Ask; readonly issuer: string; readonly connection: { readonly [name: string]: Fact } },
    connector: string,
    policyVersion: number,
    holds: "sockets" | "body",
  ): Promise<LeaseAnswer> {
    const lane = this.#lane;
    if (lane === undefined) throw new Error("a lane without a name");
    return this.env.SESSION.get(this.env.SESSION.idFromString(sid)).lease({
      v: 1,
      ...lane,
      nonce: this.#nonce,
      holds,
      app: asker.ask.app,
      connector,
      policyVersion,
      issuer: asker.issuer,
      connection: asker.connection,
      lastActiveAt: this.#leases.last(sid)?.lastActiveAt ?? 0,
    });
  }

  async #publicAdmission(app: AppId, policyVersion: number, link: ConnectorLink, issuer: string): Promise<Admitted> {
    const key = `${app}\n${policyVersion}\n${link.thumbprint}`;
    const now = Date.now();
    const held = this.#publicAdmissions.get(key);
    if (held !== undefined && now < held.until) return held.admitted;
    const admitted = await this.env.SIGNER.getByName(signerName(this.#laneName)).admit({
      sid: PUBLIC_SID,
      app,
      site: this.#lane?.site as SiteId,
      epoch: 0,
      policyVersion,
      connector: link.thumbprint,
      issuer,
      assert: false,
      user: { sub: "" },
    });
    if (this.#publicAdmissions.size > 1_000) this.#publicAdmissions.clear();
    this.#publicAdmissions.set(key, { admitted, until: now + admitted.usableMs });
    return admitted;
  }

  /** The connector with the least to do; one that drains or is not welcomed gets nothing new. */
  #choose(): ConnectorLink | undefined {
    let best: ConnectorLink | undefined;
    for (const link of this.#links.values()) {
      if (!link.draining && (best === undefined || link.streams < best.streams)) best = link;
    }
    return best;
  }

  // ── while a stream lives (Lane, for the relays) ──────────────────────────────────────────

  passes(stream: LiveStream, now: number): boolean {
    if (now >= stream.redecideAt || !this.#policy.isFresh(now)) return false;
    const { maxBytes } = stream.limits;
    if (maxBytes !== undefined && stream.bytesIn + stream.bytesOut >= maxBytes) return false;
    return stream.sid === undefined || this.#leases.lease(stream.sid, now) !== undefined;
  }

  renew(stream: LiveStream): Promise<boolean> {
    const running = this.#renewals.get(stream.id);
    if (running !== undefined) return running;
    const work = this.#renew(stream).catch(() => {
      this.#cut(stream, "policy");
      return false;
    }).finally(() => this.#renewals.delete(stream.id));
    this.#renewals.set(stream.id, work);
    return work;
  }

  async #renew(stream: LiveStream): Promise<boolean> {
    const { maxBytes } = stream.limits;
    if (maxBytes !== undefined && stream.bytesIn + stream.bytesOut >= maxBytes) return this.#cut(stream, "limit");
    const policy = await this.#policy.fresh(this.#clock);
    if (policy === undefined) return this.#cut(stream, "policy");
    if (stream.sid !== undefined && this.#leases.lease(stream.sid, Date.now()) === undefined) {
      const { sid, ask } = stream;
      const link = this.#linkOf(stream);
      if (link === undefined) return this.#cut(stream, "link");
      const holds = ask.protocol === "http" ? "body" : "sockets";
      const key = { sid, app: ask.app, connector: link.thumbprint, policyVersion: policy.version };
      const outcome = await this.#leases.ensure(key, () => this.#askSession(sid, stream, link.thumbprint, policy.version, holds), this.#clock);
      if (!outcome.ok) return this.#cut(stream, outcome.code === "unavailable" ? "policy" : "revoked");
    }
    return this.#redecide(stream, policy, Date.now());
  }

  /** Decides again with the newest facts; cuts when nothing allows it any more. Synchronous. */
  #redecide(stream: LiveStream, policy: CompiledPolicy, now: number): boolean {
    if (this.#streams.get(stream.id) === undefined) return false;
    const lease = stream.sid === undefined ? undefined : this.#leases.lease(stream.sid, now);
    if (stream.sid !== undefined && lease === undefined) {
      stream.redecideAt = 0;
      return true;
    }
    const facts = factsOf(lease, stream.connection);
    const decision = decide(policy, stream.ask, facts, at(now));
    if (decision.effect !== "allow") {
      this.#log.add(stream.id, stream.ask, facts, lease, stream.connection, decision, now);
      return this.#cut(stream, "policy");
    }
    stream.redecideAt = decision.redecideAt ?? Number.POSITIVE_INFINITY;
    stream.limits = decision.limits;
    stream.policyVersion = policy.version;
    return true;
  }

  #cut(stream: LiveStream, why: CutReason): false {
    stream.cut(why);
    return false;
  }

  noteUserByte(stream: LiveStream, now: number): void {
    if (stream.sid !== undefined) this.#leases.noteActivity(stream.sid, now);
  }

  finished(stream: LiveStream, how: "done" | "broken" | CutReason): void {
    this.#streams.remove(stream.id);
    for (const [socket, relay] of this.#relays) if (relay.serves(stream)) this.#relays.delete(socket);
    const now = Date.now();
    if (how !== "done" || stream.ask.protocol === "websocket" || now - stream.openedAt > 5_000) this.#log.streamEnded(stream, how, now);
    this.#leases.sweep(now, (sid) => this.#streams.holdsSession(sid));
  }

  #linkOf(stream: LiveStream): ConnectorLink | undefined {
    for (const link of this.#links.values()) if (link.id === stream.link) return link;
    return undefined;
  }

  // ── a change of trust ────────────────────────────────────────────────────────────────────

  async applyPolicy(lane: LaneId, snapshot: PolicySnapshot): Promise<CutReport> {
    this.#remember(lane);
    const before = this.#policy.version;
    const policy = this.#policy.take(snapshot, Date.now());
    if (policy === undefined) return NOTHING_CUT;
    const all = this.#streams.where(() => true);
    const report = await this.#cutWhere(all, "policy", [], (stream) => !this.#redecideKeepsOpen(stream, policy));
    if (before !== policy.version) await this.#configureLinks(policy);
    return report;
  }

  #redecideKeepsOpen(stream: LiveStream, policy: CompiledPolicy): boolean {
    const now = Date.now();
    const lease = stream.sid === undefined ? undefined : this.#leases.lease(stream.sid, now);
    if (stream.sid !== undefined && lease === undefined) {
      // A push handler asks nobody (M10): this stream's next byte waits for a renewal under the new policy.
      stream.redecideAt = 0;
      return true;
    }
    const decision = decide(policy, stream.ask, factsOf(lease, stream.connection), at(now));
    if (decision.effect !== "allow") return false;
    stream.redecideAt = decision.redecideAt ?? Number.POSITIVE_INFINITY;
    stream.limits = decision.limits;
    stream.policyVersion = policy.version;
    return true;
  }

  async endSession(sid: SessionId, epoch: number, reason: string): Promise<CutReport & { readonly nonce: string }> {
    // Synchronous up to the cut: no reply of before counts from here on (M1).
    this.#leases.push(sid, epoch);
    const streams = this.#streams.ofSession(sid);
    const report = await this.#cutWhere(streams, reason === "expired" || reason === "idle" ? "expired" : "revoked", [sid], () => true);
    return { ...report, nonce: this.#nonce };
  }

  async endApp(app: AppId): Promise<CutReport> {
    return this.#cutWhere(this.#streams.where((one) => one.ask.app === app), "revoked", [], () => true);
  }

  async endConnector(connector: ConnectorId, _revocation: ReceiptId): Promise<CutReport> {
    let report = NOTHING_CUT;
    for (const link of [...this.#links.values()].filter((one) => one.connector === connector)) {
      const streams = this.#streams.where((one) => one.link === link.id);
      for (const stream of streams) stream.cut("link");
      report = { ...report, found: report.found + streams.length, closed: report.closed + streams.length };
      this.#drop(link.socket, CLOSE_CODES.connector_revoked.code, CLOSE_CODES.connector_revoked.meaning);
    }
    return report;
  }

  async streams(sid: SessionId): Promise<{ readonly streams: readonly StreamReport[]; readonly lastActiveAt: number }> {
    return { streams: this.#streams.ofSession(sid).map(reportOf), lastActiveAt: this.#leases.last(sid)?.lastActiveAt ?? 0 };
  }

  async status(): Promise<LaneStatus | undefined> {
    if (this.#lane === undefined) return undefined;
    const bodies = this.#streams.where((one) => one.ask.protocol === "http").length;
    return {
      ...this.#lane,
      policyVersion: this.#policy.version,
      connectors: [...this.#links.values()].map((one) => ({ id: one.connector, streams: one.streams, draining: one.draining })),
      streams: this.#streams.size,
      leases: this.#leases.size,
      awake: [
        ...(bodies > 0 ? [`${bodies} HTTP responses are open`] : []),
        ...(this.#log.pending > 0 ? [`${this.#log.pending} records wait to be stored`] : []),
        ...(this.#handshakes.size > 0 ? [`${this.#handshakes.size} connectors are saying hello`] : []),
      ],
    };
  }

  /** Cuts what `forbids` says, tells the connectors, and waits until they destroyed their side (M2). */
  async #cutWhere(
    streams: readonly LiveStream[],
    why: CutReason,
    sessions: readonly SessionId[],
    forbids: (stream: LiveStream) => boolean,
  ): Promise<CutReport> {
    const startedAt = Date.now();
    const byLink = new Map<string, number[]>();
    let closed = 0;
    let bytesInFlightAtCut = 0;
    for (const stream of streams) {
      if (!forbids(stream)) continue;
      bytesInFlightAtCut += stream.cut(why);
      closed++;
      byLink.set(stream.link, [...(byLink.get(stream.link) ?? []), stream.number]);
    }
    const links = [...this.#links.values()].filter((link) => sessions.length > 0 || byLink.has(link.id));
    const acknowledged = await Promise.all(
      links.map(async (link) => {
        const done = await link.cut(byLink.get(link.id) ?? [], sessions);
        if (!done) this.#drop(link.socket, CLOSE_CODES.internal.code, "a cut was not acknowledged");
        return done;
      }),
    );
    const lane = this.#lane;
    const silent = acknowledged.filter((done) => !done).length;
    const unconfirmed = silent > 0 && lane !== undefined ? [{ ...lane, leaseEndsAt: Date.now() + LEASE_WAIT_MS }] : [];
    return {
      found: streams.length,
      closed,
      frozen: 0,
      kept: streams.length - closed,
      slowestMs: Date.now() - startedAt,
      bytesInFlightAtCut,
      unconfirmed,
    };
  }

  // ── connectors ───────────────────────────────────────────────────────────────────────────

  async #connect(context: ConnectContext): Promise<Response> {
    this.#remember(context);
    const handshake = await beginHandshake(context, Date.now());
    const pair = new WebSocketPair();
    const socket = pair[1];
    this.ctx.acceptWebSocket(socket, ["connector"]);
    this.#handshakes.set(socket, handshake);
    setTimeout(() => {
      if (this.#handshakes.delete(socket)) close(socket, CLOSE_CODES.handshake_timeout.code, CLOSE_CODES.handshake_timeout.meaning);
    }, HANDSHAKE_MS);
    socket.send(encodeControl(handshake.challenge));
    return new Response(null, { status: 101, webSocket: pair[0], headers: { "Sec-WebSocket-Protocol": SUBPROTOCOL } });
  }

  async #welcome(socket: WebSocket, handshake: Handshake, raw: string): Promise<void> {
    const verified = await verifyHandshake(handshake, raw, Date.now());
    if (!verified.ok) return this.#refuseHello(socket, verified.code, verified.message);
    const { context } = handshake;
    const policy = await this.#policy.fresh(this.#clock);
    if (policy === undefined) return this.#refuseHello(socket, "no_policy", "no policy is live; try again");
    const signer = this.env.SIGNER.getByName(signerName(context.connector));
    const [signature, config] = await Promise.all([
      signer.signLane({ transcript: verified.transcript, site: context.site, lane: context.lane }),
      signer.signSiteConfig({ site: context.site, version: policy.version, config: siteConfig(policy.document, context.site) }),
    ]);
    // The socket may have gone, or timed out, meanwhile.
    if (this.#handshakes.get(socket) !== handshake) return;
    this.#handshakes.delete(socket);
    for (const other of [...this.#links.values()]) {
      if (other.connector === context.connector) this.#drop(other.socket, CLOSE_CODES.superseded.code, CLOSE_CODES.superseded.meaning);
    }
    socket.serializeAttachment(verified.attachment);
    const link = new ConnectorLink(socket, verified.attachment, this.#clock);
    this.#links.set(socket, link);
    socket.send(encodeControl({ t: "welcome", v: verified.version, signature, config }));
  }

  #refuseHello(socket: WebSocket, code: string, message: string): void {
    this.#handshakes.delete(socket);
    try {
      socket.send(refuseText(code, message));
    } catch {
      // The peer is gone already.
    }
    close(socket, CLOSE_CODES.handshake_refused.code, code);
  }

  async #configureLinks(policy: CompiledPolicy): Promise<void> {
    const lane = this.#lane;
    if (lane === undefined || this.#links.size === 0) return;
    const signer = this.env.SIGNER.getByName(signerName(this.#laneName));
    const config = await signer.signSiteConfig({ site: lane.site, version: policy.version, config: siteConfig(policy.document, lane.site) });
    for (const link of this.#links.values()) link.configure(config);
  }

  #drop(socket: WebSocket, code: number, reason: string): void {
    const link = this.#links.get(socket);
    this.#links.delete(socket);
    link?.lost();
    close(socket, code, reason);
  }

  // ── sockets ──────────────────────────────────────────────────────────────────────────────

  override async webSocketMessage(socket: WebSocket, message: string | ArrayBuffer): Promise<void> {
    const link = this.#links.get(socket);
    if (link !== undefined) {
      const fault = typeof message === "string" ? link.receiveText(message) : link.receive(message);
      if (fault !== undefined) this.#drop(socket, fault.code, fault.reason);
      return;
    }
    const relay = this.#relays.get(socket);
    if (relay !== undefined) return relay.fromClient(message);
    const handshake = this.#handshakes.get(socket);
    if (handshake === undefined || typeof message !== "string") return close(socket, CLOSE_CODES.going_away.code, "connect anew");
    await this.#welcome(socket, handshake, message);
  }

  override async webSocketClose(socket: WebSocket, code: number, reason: string): Promise<void> {
    this.#handshakes.delete(socket);
    const relay = this.#relays.get(socket);
    if (relay !== undefined) return relay.clientClosed(code, reason);
    this.#drop(socket, code, reason);
  }

  override async webSocketError(socket: WebSocket): Promise<void> {
    this.#handshakes.delete(socket);
    this.#relays.get(socket)?.clientFailed();
    this.#drop(socket, CLOSE_CODES.internal.code, "socket error");
  }

  /** After a wake: links and relayed sockets from their attachments; whatever does not fit is closed (M3). */
  #wake(): void {
    const links = new Map<string, ConnectorLink>();
    for (const socket of this.ctx.getWebSockets("connector")) {
      const attachment = readAttachment(socket);
      if (attachment?.role !== "connector") {
        close(socket, CLOSE_CODES.going_away.code, "connect anew");
        continue;
      }
      const link = new ConnectorLink(socket, attachment, this.#clock);
      links.set(attachment.link, link);
      this.#links.set(socket, link);
    }
    for (const socket of this.ctx.getWebSockets("client")) {
      const attachment = readAttachment(socket);
      const link = attachment?.role === "client" ? links.get(attachment.link) : undefined;
      if (attachment?.role !== "client" || link === undefined) {
        close(socket, CLOSE_CODES.upstream_lost.code, CLOSE_CODES.upstream_lost.meaning);
        continue;
      }
      this.#restore(socket, link, attachment);
    }
  }

  #restore(socket: WebSocket, link: ConnectorLink, stored: ClientAttachment): void {
    let cutNow: (why: CutReason) => number = () => 0;
    const stream: LiveStream = { ...stored, sid: stored.sid, held: false, cut: (why) => cutNow(why) };
    const relay = new WebSocketRelay(this, link, stored.number, stream, socket);
    cutNow = (why) => relay.cut(why);
    link.restore(stored.number, stored.window, relay);
    this.#streams.add(stream);
    this.#relays.set(socket, relay);
  }

  #remember(lane: LaneId): void {
    if (this.#lane !== undefined) return;
    this.#lane = { site: lane.site, lane: lane.lane };
    this.ctx.storage.kv.put(LANE, this.#lane);
  }

  get #laneName(): string {
    return this.#lane === undefined ? "unnamed" : laneName(this.#lane.site, this.#lane.lane);
  }

}

/** Stands for "nobody" in an admission of a public path. */
const PUBLIC_SID = "0".repeat(64) as SessionId;

function factsOf(lease: HeldLease | undefined, connection: { readonly [name: string]: Fact }): Facts {
  if (lease === undefined) return { subject: ANONYMOUS, known: connection };
  const { snapshot } = lease;
  return {
    subject: snapshot.subject,
    known: { ...snapshot.facts, ...connection },
    session: { startedAt: at(snapshot.startedAt), lastActiveAt: at(lease.lastActiveAt) },
  };
}

function close(socket: WebSocket, code: number, reason: string): void {
  try {
    socket.close(code === 1005 || code === 1006 || code === 1015 ? 1000 : code, reason.slice(0, 120));
  } catch {
    // Already closed.
  }
}

