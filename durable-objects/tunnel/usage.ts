/**
 * Bytes that a session used at an app (P7 `max_bytes`): what the session counted up to the last
 * lease, and what this lane carried since. Another lane's share arrives with the next lease. Beside
 * them requests, for the person's risk.
 */
import type { AppId, SessionId } from "../../core/ids.ts";
import type { LiveStream, StreamTable } from "./live-stream.ts";

interface Used {
  /** The session's own count at the last lease. */
  base: number;
  /** Of streams that ended since, and not told to the session. */
  ended: number;
  /** Opened since the session was told. */
  requests: number;
}

/** Bounds pairs of session and app that are remembered; the oldest goes, and its session's count stands. */
const MAX_PAIRS_COUNT = 20_000;

const keyOf = (sid: SessionId, app: AppId): string => `${sid}\n${app}`;
const untold = (stream: LiveStream): number => stream.bytesIn + stream.bytesOut - stream.bytesTold;

export class Usage {
  readonly #streams: StreamTable;
  readonly #used = new Map<string, Used>();

  constructor(streams: StreamTable) {
    this.#streams = streams;
  }

  total(sid: SessionId, app: AppId): number {
    const used = this.#used.get(keyOf(sid, app));
    return (used?.base ?? 0) + (used?.ended ?? 0) + this.#live(sid, app).reduce((sum, one) => sum + untold(one), 0);
  }

  ended(stream: LiveStream): void {
    if (stream.sid === undefined) return;
    const bytes = untold(stream);
    stream.bytesTold += bytes;
    this.#of(stream.sid, stream.ask.app).ended += bytes;
  }

  opened(sid: SessionId, app: AppId): void {
    this.#of(sid, app).requests++;
  }

  /** Approximate: what is told with a question that fails is lost. */
  tellRequests(sid: SessionId, app: AppId): number {
    const used = this.#of(sid, app);
    const { requests } = used;
    used.requests = 0;
    return requests;
  }

  /** What the session is to be told; counted as told. `untell` gives it back when the question failed. */
  tell(sid: SessionId, app: AppId): number {
    const used = this.#of(sid, app);
    let bytes = used.ended;
    used.ended = 0;
    for (const stream of this.#live(sid, app)) {
      const own = untold(stream);
      stream.bytesTold += own;
      bytes += own;
    }
    used.base += bytes;
    return bytes;
  }

  untell(sid: SessionId, app: AppId, bytes: number): void {
    const used = this.#of(sid, app);
    used.base -= bytes;
    used.ended += bytes;
  }

  /** The session's own count, with every lane's share in it. */
  learn(sid: SessionId, app: AppId, total: number): void {
    const used = this.#of(sid, app);
    used.base = Math.max(used.base, total);
  }

  #live(sid: SessionId, app: AppId): LiveStream[] {
    return this.#streams.where((one) => one.sid === sid && one.ask.app === app);
  }

  #of(sid: SessionId, app: AppId): Used {
    const key = keyOf(sid, app);
    let used = this.#used.get(key);
    if (used === undefined) {
      if (this.#used.size >= MAX_PAIRS_COUNT) {
        const oldest = this.#used.keys().next().value;
        if (oldest !== undefined) this.#used.delete(oldest);
      }
      this.#used.set(key, (used = { base: 0, ended: 0, requests: 0 }));
    }
    return used;
  }
}
