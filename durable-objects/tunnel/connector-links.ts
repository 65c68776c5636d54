/**
 * The connectors of one lane: their sockets from the hello to the end. The newest socket of a
 * connector wins; another key never does (class L). Not the streams on them.
 */
import type { ConnectorId } from "../../core/ids.ts";
import type { CompiledPolicy } from "../../policy/compile.ts";
import { CLOSE_CODES } from "../../protocol/close-codes.ts";
import { encodeControl } from "../../protocol/control.ts";
import { HANDSHAKE_MS, KEEP_ALIVE_DEAD_MS } from "../../protocol/deadlines.ts";
import { SUBPROTOCOL } from "../../protocol/hello.ts";
import { CONTROL_NAME, laneName, type ObjectEnv, signerName } from "../bindings.ts";
import { type ConnectorAttachment, readAttachment } from "./attachments.ts";
import { closeSocket } from "./close-socket.ts";
import { ConnectorLink } from "./connector-link.ts";
import { beginHandshake, type Handshake, refuseText, verifyHandshake } from "./handshake.ts";
import type { ConnectContext } from "./rpc.ts";
import { siteConfig } from "./site-config.ts";
import { type Named, StreamHolders } from "./stream-holders.ts";
import type { Targets } from "./targets.ts";

/** Links are looked at no more often than this, however many messages pass. */
const SWEEP_MS = 1_000;

export class ConnectorLinks {
  readonly #env: ObjectEnv;
  readonly #policy: () => Promise<CompiledPolicy | undefined>;
  readonly #pingedAt: (socket: WebSocket) => number;
  readonly #targets: () => Pick<Targets, "hear" | "forget">;
  readonly holders: StreamHolders;
  readonly #links = new Map<WebSocket, ConnectorLink>();
  readonly #handshakes = new Map<WebSocket, Handshake>();
  readonly #deadlines = new Map<WebSocket, ReturnType<typeof setTimeout>>();
  /** Revoked while this instance lives: a hello that was under way is not welcomed any more. */
  readonly #barred = new Set<ConnectorId>();
  /** What was counted on sockets that are gone. */
  readonly #past: Record<string, number> = {};
  #sweptAt = 0;

  /** `pingedAt`: when the runtime last answered a socket's keep-alive for us; 0 when never. `targets`: who hears what connectors say of their apps. */
  constructor(env: ObjectEnv, policy: () => Promise<CompiledPolicy | undefined>, pingedAt: (socket: WebSocket) => number, targets: () => Pick<Targets, "hear" | "forget">, kv: SyncKvStorage) {
    this.#env = env;
    this.#policy = policy;
    this.#pingedAt = pingedAt;
    this.#targets = targets;
    this.holders = new StreamHolders(kv, Date.now());
  }

  get greeting(): number {
    return this.#handshakes.size;
  }
  all(): ConnectorLink[] {
    return [...this.#links.values()];
  }
  counters(): Record<string, number> {
    const sum = { ...this.#past };
    for (const { mux } of this.#links.values()) addUp(sum, { ...mux.counters });
    return sum;
  }
  of(socket: WebSocket): ConnectorLink | undefined {
    return this.#links.get(socket);
  }
  byId(id: string): ConnectorLink | undefined {
    return this.all().find((link) => link.id === id);
  }
  holds(link: ConnectorLink): boolean {
    return this.#links.get(link.socket) === link;
  }

  /** The connector with the least to do; one that drains, is dead or is not welcomed gets nothing new. `wanted`: that one, to attach to what it holds. */
  choose(besides?: ConnectorLink, wanted?: ConnectorId): ConnectorLink | undefined {
    this.sweep();
    let best: ConnectorLink | undefined;
    for (const link of this.#links.values()) {
      if (wanted !== undefined && link.connector !== wanted) continue;
      if (link !== besides && !link.draining && (best === undefined || link.streams < best.streams)) best = link;
    }
    return best;
  }

  /**
   * Who has been silent for too long is dead, whatever its socket says (M13, KA2). Nobody is woken
   * for finding that out: a request, a body under way, a browser's message or a wake does.
   */
  sweep(): void {
    const now = Date.now();
    if (now < this.#sweptAt + SWEEP_MS) return;
    this.#sweptAt = now;
    for (const link of this.#links.values()) {
      if (now - Math.max(link.heardAt, this.#pingedAt(link.socket)) > KEEP_ALIVE_DEAD_MS - SWEEP_MS) this.drop(link.socket, CLOSE_CODES.idle.code, CLOSE_CODES.idle.meaning);
    }
  }

  /** A connector's upgrade: its socket gets a challenge, and has HANDSHAKE_MS to answer it. */
  async greet(context: ConnectContext, accept: (socket: WebSocket) => void): Promise<Response> {
    const handshake = await beginHandshake(context, Date.now());
    const pair = new WebSocketPair();
    const socket = pair[1];
    accept(socket);
    this.#handshakes.set(socket, handshake);
    const deadline = setTimeout(() => {
      this.drop(socket, CLOSE_CODES.handshake_timeout.code, CLOSE_CODES.handshake_timeout.meaning);
    }, HANDSHAKE_MS);
    this.#deadlines.set(socket, deadline);
    socket.send(encodeControl(handshake.challenge));
    return new Response(null, { status: 101, webSocket: pair[0], headers: { "Sec-WebSocket-Protocol": SUBPROTOCOL } });
  }

  /** The first message of a socket that was greeted. */
  async welcome(socket: WebSocket, message: string | ArrayBuffer): Promise<void> {
    const handshake = this.#handshakes.get(socket);
    if (handshake === undefined || typeof message !== "string") return closeSocket(socket, CLOSE_CODES.going_away.code, "connect anew");
    const verified = await verifyHandshake(handshake, message, Date.now());
    if (!verified.ok) return this.#refuse(socket, verified.code, verified.message);
    const policy = await this.#policy();
    if (policy === undefined) return this.#refuse(socket, "no_policy", "no policy is live; try again");
    const { site, lane, connector } = handshake.context;
    const signer = this.#env.SIGNER.getByName(signerName(connector));
    const control = this.#env.CONTROL.getByName(CONTROL_NAME);
    // Asked after the lane's lease on the policy: a revocation from then on is told to this lane, one before shows here.
    const [known, signature, config] = await Promise.all([
      control.connector(connector),
      signer.signLane({ transcript: verified.transcript, site, lane }),
      signer.signSiteConfig({ site, version: policy.version, config: siteConfig(policy.document, site) }),
    ]);
    // The socket may have gone, run out of time, or lost its right meanwhile.
    if (this.#handshakes.get(socket) !== handshake) return;
    if (known === undefined || known.record.revokedAt !== undefined || this.#barred.has(connector)) return this.drop(socket, CLOSE_CODES.connector_revoked.code, CLOSE_CODES.connector_revoked.meaning);
    this.#greeted(socket);
    for (const other of this.all()) {
      // One that drains lets its streams finish and closes by itself.
      if (other.connector === connector && !other.draining) this.drop(other.socket, CLOSE_CODES.superseded.code, CLOSE_CODES.superseded.meaning);
    }
    socket.serializeAttachment(verified.attachment);
    const link = this.#linkOf(socket, verified.attachment);
    link.configuredVersion = policy.version;
    this.#links.set(socket, link);
    socket.send(encodeControl({ t: "keys", jws: handshake.context.keySet }));
    socket.send(encodeControl({ t: "welcome", v: verified.version, signature, config }));
    const { sessions, apps } = this.holders.owed(connector, Date.now());
    if (sessions.length + apps.length > 0) void link.cut([], sessions, apps);
    // What was applied while it said hello went to those that had been welcomed.
    const newest = await this.#policy();
    if (newest !== undefined && newest.version > policy.version) await this.configure(newest, handshake.context);
  }

  #linkOf(socket: WebSocket, attachment: ConnectorAttachment): ConnectorLink {
    return new ConnectorLink(socket, attachment, Date.now, (link, report) => this.#targets().hear(link, report));
  }

  /** No hello is awaited any more; a timer left running would keep the lane awake (M14). */
  #greeted(socket: WebSocket): void {
    // Browsers' sockets come by here as well.
    if (!this.#handshakes.delete(socket)) return;
    clearTimeout(this.#deadlines.get(socket));
    this.#deadlines.delete(socket);
  }

  #refuse(socket: WebSocket, code: string, message: string): void {
    try {
      socket.send(refuseText(code, message));
    } catch {
      // The peer is gone already.
    }
    this.drop(socket, CLOSE_CODES.handshake_refused.code, code);
  }

  /** Sends the site's configuration to every link that was last sent an older one. */
  async configure(policy: CompiledPolicy, lane: { readonly site: ConnectContext["site"]; readonly lane: number }): Promise<void> {
    const behind = (): ConnectorLink[] => this.all().filter((link) => link.configuredVersion < policy.version);
    if (behind().length === 0) return;
    const signer = this.#env.SIGNER.getByName(signerName(laneName(lane.site, lane.lane)));
    const config = await signer.signSiteConfig({ site: lane.site, version: policy.version, config: siteConfig(policy.document, lane.site) });
    for (const link of behind()) link.configure(config, policy.version);
  }

  /** Ends a socket and with it every stream on it. */
  drop(socket: WebSocket, code: number, reason: string): void {
    const link = this.#links.get(socket);
    // The runtime tells of a socket's end again after we closed it.
    if (link !== undefined || this.#handshakes.has(socket)) addUp(this.#past, { ...link?.mux.counters, [`closed_${code}`]: 1 });
    this.#greeted(socket);
    this.#links.delete(socket);
    link?.lost();
    if (link !== undefined) this.#targets().forget(link);
    closeSocket(socket, code, reason);
  }

  /** From now on nothing new goes to this connector, and no socket of it is welcomed. */
  bar(connector: ConnectorId): void {
    this.#barred.add(connector);
    for (const link of this.ofConnector(connector)) link.draining = true;
  }

  /** The same of many; those of them that are here. */
  barAll(connectors: readonly ConnectorId[]): readonly ConnectorId[] {
    for (const connector of connectors) this.bar(connector);
    return connectors.filter((connector) => this.ofConnector(connector).length > 0);
  }

  ofConnector(connector: ConnectorId): ConnectorLink[] {
    return this.all().filter((link) => link.connector === connector);
  }

  /** Of these, some that may hold what ended are away: they are told when they are back. */
  owe(ended: Named, connectors: readonly ConnectorId[]): boolean {
    const away = connectors.filter((connector) => this.ofConnector(connector).length === 0);
    if (away.length > 0) this.holders.owe(ended, away, Date.now());
    return away.length > 0;
  }

  /** After a wake: every welcomed socket from its attachment; any other connects anew (M3). */
  restore(sockets: readonly WebSocket[]): void {
    for (const socket of sockets) {
      const attachment = readAttachment(socket);
      if (attachment?.role === "connector") {
        const woken = { ...attachment, wakes: (attachment.wakes ?? 0) + 1 };
        socket.serializeAttachment(woken);
        this.#links.set(socket, this.#linkOf(socket, woken));
      } else closeSocket(socket, CLOSE_CODES.going_away.code, "connect anew");
    }
  }
}

function addUp(sum: Record<string, number>, more: Readonly<Record<string, number>>): void {
  for (const name in more) sum[name] = (sum[name] ?? 0) + (more[name] ?? 0);
}
