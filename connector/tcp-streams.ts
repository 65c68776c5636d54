/**
 * The resumable TCP streams of this connector (M18): each an origin's socket that outlives the
 * tunnel streams that carry it. Says who may attach to which, and when one that nobody is
 * attached to ends: its session is cut, the edge is silent, or the time is over.
 */
import { createHash } from "node:crypto";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { HeldBytes } from "../channel/held-bytes.ts";
import { closeSoon, ResumableSocket, shareOf } from "../channel/resumable-socket.ts";
import type { FirstFrame } from "../channel/first-frame.ts";
import type { AppId, SessionId } from "../core/ids.ts";
import { RESUME_MS, EDGE_CONTACT_MS } from "../protocol/deadlines.ts";
import { MAX_DETACHED_COUNT } from "../protocol/limits.ts";
import { encodeResumeFrame } from "../protocol/resume-frames.ts";
import type { ResumeOpen } from "../protocol/resume-frames.ts";
import { breakOff } from "./dial.ts";
import type { Metrics } from "./metrics.ts";

/** How often streams without a connection are looked at, while there are any. */
const SWEEP_MS = 250;

/** Whose a stream is: all of it must be the same to attach (RS10). */
export interface StreamOwnership {
  readonly session: SessionId;
  readonly app: AppId;
  /** The agent's public key, as TLS proved it. */
  readonly agentKey: string;
}

/** When the edge was last heard on a lane, on the clock of TcpStreams. */
export interface EdgeContact {
  at: number;
}

/** What carries a stream: one tunnel's stream, named so that a cut of it finds what it carried. */
export interface Carrier {
  readonly tunnel: object;
  readonly stream: number;
  readonly contact: EdgeContact;
}

export interface Attachment {
  readonly secure: Duplex;
  readonly carrier: Carrier;
  readonly first: FirstFrame;
  readonly open: ResumeOpen;
  /** Once: how it went, for logs and counters; undefined if it was whole or goes on elsewhere. */
  readonly finished: (failure: string | undefined) => void;
}

interface Entry {
  readonly id: string;
  readonly owner: StreamOwnership;
  generation: number;
  /** The newest; what it carried before is not its any more. */
  attachment: Attachment;
  isCarried: boolean;
  detachedAt: number;
  origin: Socket | undefined;
  resumable: ResumableSocket | undefined;
  /** Both directions are whole: kept so that an agent that did not hear it can ask (RS13). */
  isDone: boolean;
}

export class TcpStreams {
  readonly #entries = new Map<string, Entry>();
  /** Those that are whole, oldest first. */
  readonly #whole = new Set<Entry>();
  readonly #metrics: Metrics;
  readonly #now: () => number;
  /** What all of them hold together, by session (RS14). */
  readonly #held: HeldBytes;
  #sweeper: NodeJS.Timeout | undefined;
  #carriedCount = 0;

  constructor(metrics: Metrics, now: () => number = () => performance.now(), held: HeldBytes = new HeldBytes()) {
    this.#held = held;
    this.#metrics = metrics;
    this.#now = now;
  }

  /** Streams that nobody is attached to. */
  get detachedCount(): number {
    let count = 0;
    for (const entry of this.#entries.values()) if (!entry.isCarried && !entry.isDone) count += 1;
    return count;
  }

  /** Carries an agent's first frame out: makes the stream, with a socket that `dial` gives, or goes on with it. */
  accept(owner: StreamOwnership, attachment: Attachment, dial: () => Promise<Socket>, codeOf: (error: unknown) => string): void {
    const { open } = attachment;
    // The edge leads the stream here; which app it is for is the agent's to say.
    if (open.app !== owner.app) return turnAway(attachment, "wrong_app");
    const id = createHash("sha256").update(open.secret).digest("base64url");
    const entry = this.#entries.get(id);
    if (entry === undefined) {
      if (open.attach) return turnAway(attachment, "unknown_stream");
      return this.#make(id, owner, attachment, dial, codeOf);
    }
    // One answer for every stream that is not this agent's: a guessed secret learns nothing.
    if (entry.owner.session !== owner.session || entry.owner.app !== owner.app || entry.owner.agentKey !== owner.agentKey) return turnAway(attachment, "unknown_stream");
    if (open.generation <= entry.generation) return turnAway(attachment, "old_generation");
    entry.generation = open.generation;
    this.#metrics.count("postern_connector_reattached_total", { app: owner.app });
    const before = entry.attachment;
    if (entry.isCarried) before.finished(undefined);
    if (entry.isCarried && entry.resumable === undefined) before.secure.destroy();
    this.#carry(entry, attachment);
  }

  /** The secure stream of an attachment that has not been attached yet is gone. */
  lost(attachment: Attachment): void {
    for (const entry of this.#entries.values()) {
      if (entry.attachment !== attachment) continue;
      entry.resumable?.detach();
      this.#detached(entry);
    }
  }

  /**
   * Ends what these streams of a tunnel carried, all that is of these sessions, whoever carries it, and
   * all to these apps but what other lanes carry: each counts its own. Origin sockets are destroyed on return (M2).
   */
  cut({ tunnel, contact }: Omit<Carrier, "stream">, streams: readonly number[], sessions: readonly SessionId[], apps: readonly AppId[] = []): void {
    const named = new Set(streams);
    const ofSessions = new Set(sessions);
    const toApps = new Set(apps);
    for (const entry of this.#entries.values()) {
      const { owner, isCarried } = entry;
      const { carrier } = entry.attachment;
      const isNamed = carrier.tunnel === tunnel && named.has(carrier.stream);
      const isToApp = toApps.has(owner.app) && (!isCarried || carrier.contact === contact);
      if (isNamed || ofSessions.has(owner.session) || isToApp) this.#end(entry, "cut");
    }
  }

  destroyAll(): void {
    for (const entry of this.#entries.values()) this.#end(entry, "stopped");
    clearInterval(this.#sweeper);
  }

  #make(id: string, owner: StreamOwnership, attachment: Attachment, dial: () => Promise<Socket>, codeOf: (error: unknown) => string): void {
    const entry: Entry = { id, owner, generation: attachment.open.generation, attachment, isCarried: false, detachedAt: 0, origin: undefined, resumable: undefined, isDone: false };
    this.#entries.set(id, entry);
    this.#mark(entry, true);
    dial().then(
      (origin) => {
        if (this.#entries.get(id) !== entry) return breakOff(origin);
        entry.origin = origin;
        entry.resumable = new ResumableSocket(origin, {
          held: this.#held,
          owner: owner.session,
          share: () => shareOf(this.#carriedCount),
          detached: () => this.#detached(entry),
          over: (end) => (end.whole ? this.#done(entry) : this.#end(entry, end.code)),
        }, "upstream_reset");
        if (entry.isCarried) this.#carry(entry, entry.attachment);
      },
      (error: unknown) => this.#end(entry, codeOf(error)),
    );
  }

  /** Puts the stream on this attachment; if its origin is still being dialled, that will. */
  #carry(entry: Entry, attachment: Attachment): void {
    entry.attachment = attachment;
    this.#mark(entry, !entry.isDone);
    if (entry.resumable === undefined) return;
    const { secure, first, open } = attachment;
    secure.write(encodeResumeFrame({ type: "opened", received: entry.resumable.received }));
    entry.resumable.attach(secure, first.reader, open.received, first.early);
    if (entry.isDone) attachment.finished(undefined);
  }

  #mark(entry: Entry, isCarried: boolean): void {
    if (entry.isCarried !== isCarried) this.#carriedCount += isCarried ? 1 : -1;
    entry.isCarried = isCarried;
  }

  #detached(entry: Entry): void {
    if (!entry.isCarried) return;
    this.#mark(entry, false);
    entry.detachedAt = this.#now();
    entry.attachment.finished(undefined);
    if (this.detachedCount > MAX_DETACHED_COUNT) return this.#end(entry, "overloaded");
    // Its tunnel was given up for its silence: what was left of it goes with it.
    if (this.#isSilent(entry)) return this.#end(entry, "edge_silent");
    this.#metrics.gauge("postern_connector_streams_detached", this.detachedCount);
    this.#sweepSoon();
  }

  #done(entry: Entry): void {
    entry.isDone = true;
    this.#whole.add(entry);
    const [oldest] = this.#whole;
    if (this.#whole.size > MAX_DETACHED_COUNT && oldest !== undefined) this.#end(oldest, "done");
    if (entry.isCarried) entry.attachment.finished(undefined);
    this.#mark(entry, false);
    entry.detachedAt = this.#now();
    this.#sweepSoon();
  }

  /** Ends it at both ends. A second call, from the socket that this breaks, finds nothing left to do. */
  #end(entry: Entry, code: string): void {
    if (!this.#entries.delete(entry.id)) return;
    this.#whole.delete(entry);
    const { attachment, origin, resumable } = entry;
    if (entry.isCarried) attachment.finished(code);
    else if (!entry.isDone) this.#metrics.count("postern_connector_detached_ended_total", { code });
    if (resumable !== undefined) resumable.abort(code);
    else if (entry.isCarried) refuse(attachment, code);
    this.#mark(entry, false);
    if (resumable?.isFinished !== true) breakOff(origin);
    // Who is cut is told by the edge.
    if (code === "cut") attachment.secure.destroy();
    this.#metrics.gauge("postern_connector_streams_detached", this.detachedCount);
  }

  #sweepSoon(): void {
    if (this.#sweeper !== undefined) return;
    this.#sweeper = setInterval(() => this.sweep(), SWEEP_MS);
    this.#sweeper.unref();
  }

  #isSilent({ attachment }: Entry): boolean {
    return this.#now() - attachment.carrier.contact.at >= EDGE_CONTACT_MS;
  }

  /** Ends what has been without a connection for too long, or may have missed a revocation. */
  sweep(): void {
    const now = this.#now();
    let left = false;
    for (const entry of this.#entries.values()) {
      if (entry.isCarried) continue;
      if (now - entry.detachedAt >= RESUME_MS) this.#end(entry, "detached_too_long");
      else if (!entry.isDone && this.#isSilent(entry)) this.#end(entry, "edge_silent");
      else left = true;
    }
    if (left) return;
    clearInterval(this.#sweeper);
    this.#sweeper = undefined;
  }
}

function refuse({ secure }: Attachment, code: string): void {
  secure.write(encodeResumeFrame({ type: "abort", code }));
  closeSoon(secure);
}

function turnAway(attachment: Attachment, code: string): void {
  refuse(attachment, code);
  attachment.finished(code);
}
