/**
 * Carries local connections to one TCP app: each on a resumable stream that outlives the loss of
 * everything between the two ends for RESUME_MS (M18). Holds the link to the edge, and connects
 * anew when one is needed.
 */
import type { Duplex } from "node:stream";
import type { SecureContext } from "node:tls";
import { randomBytes } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { firstFrame } from "../channel/first-frame.ts";
import { HeldBytes } from "../channel/held-bytes.ts";
import { ResumableSocket, shareOf } from "../channel/resumable-socket.ts";
import type { ResumableEnd } from "../channel/resumable-socket.ts";
import type { AppId, ConnectorId } from "../core/ids.ts";
import { reconnectDelay } from "../protocol/backoff.ts";
import { RESUME_MS, SECURE_MS } from "../protocol/deadlines.ts";
import { encodeResumeFrame, RESUME_SECRET_BYTES } from "../protocol/resume-frames.ts";
import { AgentFailure } from "./agent-failure.ts";
import { openAppStream } from "./app-stream.ts";
import type { AppStream } from "./app-stream.ts";
import { EdgeLink, type FreshSignIn } from "./edge-link.ts";
import { openAgentSocket } from "./edge-socket.ts";
import type { EdgeAddress } from "./edge-socket.ts";
import type { KnownConnectors } from "./known-connectors.ts";
import { refusedBecause } from "./refusals.ts";

/** A connection that never stood is given up after this long; the local client waits meanwhile. */
const FIRST_MS = 15_000;
/** For the last words on open streams: without them a connector keeps a stream for an agent that does not come back. */
const FAREWELL_MS = 1_000;
const FAREWELL_POLL_MS = 10;
/** Longest wait between two tries: there are only RESUME_MS for all of them. */
const MAX_WAIT_MS = 3_000;

export interface AgentReports {
  /** Facts for a person, such as a first use; one line each. */
  note(text: string): void;
}

export interface TcpAgentParts {
  readonly edge: EdgeAddress;
  /** Asked before each connection to the edge: a new sign-in is found. */
  readonly token: () => Promise<string>;
  readonly app: AppId;
  readonly context: SecureContext;
  readonly known: KnownConnectors;
  readonly reports: AgentReports;
  /** In [0, 1). */
  readonly random: () => number;
  /** How long a lost connection is tried for; for tests that do not wait RESUME_MS. */
  readonly resumeMs?: number;
}

export class TcpAgent {
  readonly #parts: TcpAgentParts;
  readonly #links = new Set<EdgeLink>();
  readonly #carried = new Set<Carried>();
  /** What all connections hold together. */
  readonly held = new HeldBytes();
  #connecting: Promise<EdgeLink> | undefined;
  #closed = false;

  constructor(parts: TcpAgentParts) {
    this.#parts = parts;
  }

  /** Goes all the way to the connector once, without the app: a refusal is heard before anybody waits. Rejects with AgentFailure. */
  async probe(): Promise<void> {
    const { app, context, known, reports } = this.#parts;
    const { secure, trusted, site } = await openAppStream(await this.link(), { app, connector: undefined, context, known });
    secure.destroy();
    note(reports, trusted, site);
  }

  /** Carries one local connection until it is over; rejects with AgentFailure when it broke. The socket is then broken too. */
  async carry(local: Duplex): Promise<void> {
    const carried = new Carried(this, this.#parts, local);
    this.#carried.add(carried);
    try {
      await carried.run();
    } finally {
      this.#carried.delete(carried);
    }
  }

  get carriedCount(): number {
    return this.#carried.size;
  }

  /** A link with room for a stream. Rejects with AgentFailure. */
  link(): Promise<EdgeLink> {
    for (const link of this.#links) if (link.isOpen) return Promise.resolve(link);
    this.#connecting ??= this.#connect().finally(() => (this.#connecting = undefined));
    return this.#connecting;
  }

  /** Gives up what is still carried, lets the connectors hear of every end, and hangs up. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const one of this.#carried) one.abort();
    await Promise.all(
      [...this.#links].map(async (link) => {
        const deadline = performance.now() + FAREWELL_MS;
        while (link.streamCount > 0 && !link.isOver && performance.now() < deadline) await sleep(FAREWELL_POLL_MS);
        await link.close();
      }),
    );
  }

  async #connect(): Promise<EdgeLink> {
    const socket = await openAgentSocket(this.#parts.edge, this.#parts.app, await this.#parts.token());
    const link = new EdgeLink(socket);
    if (this.#closed) {
      await link.close();
      throw new AgentFailure("stopped", "the agent stops", "it was told to", []);
    }
    this.#links.add(link);
    // Everything moves to a new link while the old one still stands: nothing is even paused.
    link.onLeaving = () => {
      for (const one of this.#carried) one.moveFrom(link);
    };
    link.onFrozen = (demand) => this.#parts.reports.note(demand === undefined ? "signed in again: the connection goes on" : onHold(this.#parts.edge.origin, demand));
    void link.ended.then(() => this.#links.delete(link));
    return link;
  }
}

/** Ends that the local client or this program itself wanted: nothing to tell anybody. */
const OURS: ReadonlySet<string> = new Set(["client_reset", "agent_stopped"]);

class Carried {
  readonly #agent: TcpAgent;
  readonly #parts: TcpAgentParts;
  readonly #local: Duplex;
  readonly #socket: ResumableSocket;
  readonly #secret = randomBytes(RESUME_SECRET_BYTES);
  readonly #over = Promise.withResolvers<ResumableEnd>();
  #generation = 0;
  #isOpened = false;
  #connector: ConnectorId | undefined;
  #peerKey: string | undefined;
  #link: EdgeLink | undefined;
  #stream: AppStream | undefined;
  #wake: () => void = () => undefined;

  constructor(agent: TcpAgent, parts: TcpAgentParts, local: Duplex) {
    this.#agent = agent;
    this.#parts = parts;
    this.#local = local;
    this.#socket = new ResumableSocket(local, { held: agent.held, owner: "", share: () => shareOf(agent.carriedCount), detached: () => this.#wake(), over: (end) => this.#over.resolve(end) }, "client_reset");
  }

  abort(): void {
    this.#socket.abort("agent_stopped");
  }

  moveFrom(link: EdgeLink): void {
    if (this.#link !== link || !this.#socket.isAttached) return;
    this.#socket.detach();
    this.#wake();
  }

  async run(): Promise<void> {
    try {
      await Promise.race([this.#keepAttached(), this.#over.promise]);
      const end = await this.#over.promise;
      if (!end.whole && !OURS.has(end.code)) throw refusedBecause(end.code, this.#stream?.request);
    } catch (error) {
      this.#socket.abort(error instanceof AgentFailure ? error.code : "agent_failed");
      throw error;
    } finally {
      if (!this.#socket.isFinished) breakLocal(this.#local);
    }
  }

  /** Attaches again and again until the stream is over; rejects when that cannot be. */
  async #keepAttached(): Promise<void> {
    while (!this.#socket.isOver) {
      const detached = new Promise<void>((wake) => (this.#wake = wake));
      await this.#attachInTime();
      await detached;
      const why = this.#stream?.closedBecause();
      if (why === undefined) continue;
      const failure = refusedBecause(why, this.#stream?.request);
      if (!failure.isPassing) throw failure;
    }
  }

  async #attachInTime(): Promise<void> {
    const deadline = performance.now() + (this.#isOpened ? (this.#parts.resumeMs ?? RESUME_MS) : FIRST_MS);
    for (let failures = 0; !this.#socket.isOver; failures += 1) {
      try {
        return await this.#attach();
      } catch (error) {
        if (!(error instanceof AgentFailure) || !error.isPassing) throw error;
        const wait = Math.min(MAX_WAIT_MS, reconnectDelay(failures, this.#parts.random()));
        if (performance.now() + wait > deadline) throw this.#isOpened ? refusedBecause("detached_too_long", error.requestId) : error;
        await sleep(wait);
      }
    }
  }

  async #attach(): Promise<void> {
    const { app, context, known, reports } = this.#parts;
    const link = await this.#agent.link();
    const stream = await openAppStream(link, { app, connector: this.#connector, context, known });
    const { secure, trusted, peerKey, site } = stream;
    if (this.#peerKey !== undefined && this.#peerKey !== peerKey) {
      secure.destroy();
      throw new AgentFailure("connector_changed", "another connector answers for this connection", "only the one that holds it can go on with it", ["connect anew"], { requestId: stream.request });
    }
    note(reports, trusted, site);
    // The local client went meanwhile: its app is not even dialled.
    if (this.#socket.isOver && !this.#isOpened) return void secure.destroy();
    this.#generation += 1;
    this.#connector = stream.connector;
    this.#peerKey = peerKey;
    secure.write(encodeResumeFrame({ type: "open", open: { app, attach: this.#isOpened, generation: this.#generation, received: this.#socket.received, secret: this.#secret } }));
    // The app is dialled behind the first one: as long as the connector may take.
    const first = await firstFrame(secure, this.#isOpened ? SECURE_MS : RESUME_MS);
    if (first?.frame.type === "abort") {
      secure.destroy();
      throw refusedBecause(first.frame.code, stream.request);
    }
    if (first?.frame.type !== "opened") {
      secure.destroy();
      const why = stream.closedBecause();
      throw why === undefined ? refusedBecause("link", stream.request) : refusedBecause(why, stream.request);
    }
    this.#isOpened = true;
    this.#link = link;
    this.#stream = stream;
    this.#socket.attach(secure, first.reader, first.frame.received, first.early);
  }
}

/** The address is of the edge that this agent was told of, whatever the edge says. */
function onHold(edge: URL, { maxAgeSeconds, mfa, passkey }: FreshSignIn): string {
  const address = new URL("/.postern/login", edge);
  address.searchParams.set("to", new URL("/", edge).href);
  if (maxAgeSeconds > 0) address.searchParams.set("max_age", String(maxAgeSeconds));
  if (mfa) address.searchParams.set("mfa", "1");
  if (passkey > 0) address.searchParams.set("passkey", String(passkey));
  return `on hold: this app wants a fresh sign-in${mfa ? " with a second factor" : ""}. Open ${address.href} in the browser where you ran \`postern login\`; the connection then goes on by itself`;
}

function note(reports: AgentReports, { how, fingerprint, besides }: AppStream["trusted"], site: string): void {
  if (how === "first_use" && besides.length > 0) reports.note(`WARNING: the edge names a site that this machine has not seen: ${site}; it knows ${besides.join(", ")}. If you did not expect another site, stop here`);
  if (how === "first_use") reports.note(`first use of site ${site}: its connector's key is ${fingerprint}, trusted from now on; compare it with \`postern-connector status\` there`);
  if (how === "endorsed") reports.note(`site ${site}: a connector with the key ${fingerprint} is endorsed by a key that is trusted, and trusted itself from now on`);
}

/** So that the local program sees an error, never a short success. */
function breakLocal(local: Duplex): void {
  if ("resetAndDestroy" in local && typeof local.resetAndDestroy === "function") local.resetAndDestroy();
  else local.destroy();
}
