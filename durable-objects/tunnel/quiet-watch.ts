/**
 * Tells sessions when what was decided on their quiet sockets must be decided again (POLICY P18):
 * a lane that sleeps finds nothing by itself, and sets no alarm (M5).
 */
import type { SessionId } from "../../core/ids.ts";
import { deadlinesOf } from "../../policy/deadlines.ts";
import type { Watched } from "../session/rpc.ts";
import { factsOf, type LaneParts } from "./admission.ts";
import { MAX_FROZEN_MS } from "./freezing.ts";
import type { LiveStream, StreamTable } from "./live-stream.ts";

/** Words of this lane kept so that they are not said twice. */
const MAX_TOLD_COUNT = 10_000;

export class QuietWatch {
  readonly #parts: LaneParts;
  readonly #later: (work: Promise<unknown>) => void;
  readonly #told = new Map<string, Pick<Watched, "deadlines" | "frozen">>();

  constructor(parts: LaneParts, later: (work: Promise<unknown>) => void) {
    this.#parts = parts;
    this.#later = later;
  }

  /** A stream was decided on. An HTTP exchange looks after itself: its lane is awake. Waits for nobody. */
  note({ sid, ask, connection, limits, frozenAt }: LiveStream): void {
    const { policy, leases, targets, env, lane } = this.#parts;
    const here = lane();
    const last = sid === undefined ? undefined : leases.last(sid);
    const plan = policy.compiled?.plan(ask.app);
    if ((ask.protocol === "http" && frozenAt === undefined) || sid === undefined || last === undefined || here === undefined || plan === undefined) return;
    const now = Date.now();
    const end = limits.sessionEndsAt ?? Number.POSITIVE_INFINITY;
    // The session ends itself, idle or old; here only what ends this app's streams before.
    const isFrozen = frozenAt !== undefined;
    const deadlines = isFrozen ? [{ at: frozenAt + MAX_FROZEN_MS }] : deadlinesOf(plan, factsOf(last, targets.beside(connection, ask.app)), end < last.snapshot.endsAt ? end : Number.POSITIVE_INFINITY, now);
    const key = `${sid}\n${ask.app}`;
    const before = this.#told.get(key);
    const told = (before?.deadlines ?? []).filter((one) => now < one.at);
    const frozen = isFrozen || before?.frozen === true;
    const news = deadlines.filter((one) => !told.some((known) => known.at <= one.at && known.by?.name === one.by?.name && known.by?.observedAt === one.by?.observedAt));
    if (news.length === 0 && frozen === (before?.frozen ?? false)) return;
    const all = [...told.filter((known) => !news.some((one) => one.by?.name === known.by?.name)), ...news];
    if (this.#told.size >= MAX_TOLD_COUNT) this.#told.clear();
    const watched = { deadlines: all, frozen };
    this.#told.set(key, watched);
    // Untold, it is told with the next decision; the next byte waits for one in any case.
    this.#later(env.SESSION.get(env.SESSION.idFromString(sid)).watch({ ...here, app: ask.app, ...watched }).catch(() => this.#told.delete(key)));
  }

  /** All that stays under a newer policy, once its receipt is answered. */
  noteAll(streams: StreamTable): void {
    this.#later(new Promise<void>((wake) => setTimeout(wake, 0)).then(() => {
      for (const stream of streams.where(() => true)) this.note(stream);
    }));
  }

  /** What was told may have come to pass: the session dropped it. */
  forget(sid: SessionId): void {
    for (const key of this.#told.keys()) if (key.startsWith(`${sid}\n`)) this.#told.delete(key);
  }
}
