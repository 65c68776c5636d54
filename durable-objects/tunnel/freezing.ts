/**
 * Streams that a step-up would let go on: nothing passes, nothing ends, and what came waits within
 * its credit. Frozen is what the last decision said (M3). A lane that slept does not remember it: a
 * byte has it decide anew and freeze again; the session, which knows since when, hands that back
 * with whatever it tells (quiet-watch.ts).
 */
import type { AppId, RequestId } from "../../core/ids.ts";
import { MINUTE_MS } from "../../core/time.ts";
import type { FrozenSince } from "../session/rpc.ts";
import { within } from "../within.ts";
import type { LiveStream, Wanted } from "./live-stream.ts";

/** How long somebody has for the step-up; then the stream ends. Bounds what is kept for who does not come back. */
export const MAX_FROZEN_MS = 10 * MINUTE_MS;
/** So often the session is asked whether there was a step-up of which this lane was not told. */
const ASK_AGAIN_MS = 20_000;

export class Freezing {
  readonly #waiting = new Map<RequestId, () => void>();

  mayStay({ frozenAt }: LiveStream, now: number): boolean {
    return frozenAt === undefined || now < frozenAt + MAX_FROZEN_MS;
  }

  /** What an instance before this one froze; what this one did it knows better. The caller decides on each at once. */
  recall(streams: readonly LiveStream[], since: FrozenSince): readonly LiveStream[] {
    const known = new Set<AppId>(streams.filter(({ frozenAt }) => frozenAt !== undefined).map(({ ask }) => ask.app));
    for (const stream of streams) {
      const frozenAt = since[stream.ask.app];
      if (frozenAt !== undefined && stream.openedAt <= frozenAt && !known.has(stream.ask.app)) stream.frozenAt = frozenAt;
    }
    return streams;
  }

  freeze(stream: LiveStream, wanted: () => Wanted, now: number): void {
    if (stream.frozenAt !== undefined) return;
    stream.frozenAt = now;
    stream.tell?.(wanted());
  }

  thaw(stream: LiveStream): void {
    if (stream.frozenAt === undefined) return;
    stream.frozenAt = undefined;
    stream.tell?.(undefined);
    this.wake(stream.id);
  }

  /** Until there is something new to decide on, or it is time to ask. One wait at a time per stream. */
  async wait({ id }: LiveStream): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<undefined>();
    this.#waiting.set(id, () => resolve(undefined));
    await within(ASK_AGAIN_MS, promise);
    this.#waiting.delete(id);
  }

  /** The stream is over, or may go on. */
  wake(id: RequestId): void {
    this.#waiting.get(id)?.();
  }
}
