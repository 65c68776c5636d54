/**
 * Tells sessions when what was decided on their quiet sockets must be decided again (POLICY P18):
 * a lane that sleeps finds nothing by itself, and sets no alarm (M5).
 */
import type { AppId, SessionId } from "../../core/ids.ts";
import { type Deadline, deadlinesOf } from "../../policy/deadlines.ts";
import { sessionOf } from "../bindings.ts";
import { PUSH_RETRY_MS } from "../lease-terms.ts";
import { factsOf, type LaneParts } from "./admission.ts";
import { MAX_FROZEN_MS } from "./freezing.ts";
import type { LiveStream, StreamTable } from "./live-stream.ts";

/** Words of this lane kept so that they are not said twice. */
const MAX_TOLD_COUNT = 10_000;

const keyOf = (sid: SessionId, app: AppId, isFrozen: boolean): string => `${sid}\n${app}\n${isFrozen}`;

export class QuietWatch {
  readonly #parts: LaneParts;
  readonly #streams: StreamTable;
  readonly #later: (work: Promise<unknown>) => void;
  /** By session and app, those that are frozen apart. */
  readonly #told = new Map<string, readonly Deadline[]>();

  constructor(parts: LaneParts, streams: StreamTable, later: (work: Promise<unknown>) => void) {
    this.#parts = parts;
    this.#streams = streams;
    this.#later = later;
  }

  /** A stream was decided on. An HTTP exchange that passes looks after itself: its lane is awake. Waits for nobody. */
  note({ sid, ask, connection, limits, frozenAt }: LiveStream): void {
    const { policy, leases, targets, losses } = this.#parts;
    const last = sid === undefined ? undefined : leases.last(sid);
    const plan = policy.compiled?.plan(ask.app);
    if (sid === undefined || last === undefined || plan === undefined) return;
    if (frozenAt !== undefined) return this.#tell(sid, ask.app, [{ at: frozenAt + MAX_FROZEN_MS }], frozenAt);
    this.#noteThawed(sid, ask.app);
    if (ask.protocol === "http") return;
    const end = limits.sessionEndsAt ?? Number.POSITIVE_INFINITY;
    // The session ends itself, idle or old; here only what ends this app's streams before.
    this.#tell(sid, ask.app, deadlinesOf(plan, factsOf(last, losses.beside(targets.beside(connection, ask.app))), end < last.snapshot.endsAt ? end : Number.POSITIVE_INFINITY, Date.now()));
  }

  /** A stream that was frozen passes again, and no other there is frozen. */
  #noteThawed(sid: SessionId, app: AppId): void {
    const key = keyOf(sid, app, true);
    if (!this.#told.has(key) || this.#streams.ofSession(sid).some((one) => one.ask.app === app && one.frozenAt !== undefined)) return;
    this.#told.delete(key);
    this.#say(key, sid, app, [], 0);
  }

  #tell(sid: SessionId, app: AppId, deadlines: readonly Deadline[], frozenAt?: number): void {
    const now = Date.now();
    const key = keyOf(sid, app, frozenAt !== undefined);
    const told = (this.#told.get(key) ?? []).filter((one) => now < one.at);
    const news = deadlines.filter((one) => !told.some((known) => known.at <= one.at && known.by?.name === one.by?.name && known.by?.observedAt === one.by?.observedAt));
    if (news.length === 0) return;
    const all = [...told.filter((known) => !news.some((one) => one.by?.name === known.by?.name)), ...news];
    if (this.#told.size >= MAX_TOLD_COUNT) this.#told.clear();
    this.#told.set(key, all);
    this.#say(key, sid, app, all, frozenAt);
  }

  /** A session that could not be told hears it once more: what is quiet has nobody else. Still untold, it is told with the next decision; the next byte waits for one in any case. */
  #say(key: string, sid: SessionId, app: AppId, deadlines: readonly Deadline[], frozenAt: number | undefined): void {
    const { env, lane } = this.#parts;
    const here = lane();
    if (here === undefined) return;
    const said = this.#told.get(key);
    const tell = (): Promise<unknown> => sessionOf(env, sid).watch({ ...here, app, deadlines, frozenAt });
    const again = async (): Promise<unknown> => {
      await new Promise((wake) => setTimeout(wake, PUSH_RETRY_MS));
      // Unless something newer was said meanwhile.
      return this.#told.get(key) === said && tell();
    };
    this.#later(tell().catch(again).catch(() => this.#told.delete(key)));
  }

  /** All that stays under a newer policy, once its receipt is answered. */
  noteAll(): void {
    this.#later(new Promise<void>((wake) => setTimeout(wake, 0)).then(() => {
      for (const stream of this.#streams.where(() => true)) this.note(stream);
    }));
  }

  /** What was told may have come to pass: the session dropped it. */
  forget(sid: SessionId): void {
    for (const key of this.#told.keys()) if (key.startsWith(`${sid}\n`)) this.#told.delete(key);
  }
}
