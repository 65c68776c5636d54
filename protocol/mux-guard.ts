/**
 * What a mux puts up with: frames for streams that are gone, frames that say nothing, resets and
 * pings, each up to a rate (class K). Below it they are ignored and counted; above it the socket
 * is closed. Knows nothing of live streams.
 */
import { CLOSE_CODES } from "./close-codes.ts";
import { Flag, FrameType } from "./frames.ts";
import type { FrameHeader } from "./frames.ts";
import { LateFrames } from "./late-frames.ts";
import * as limits from "./limits.ts";
import type { MuxCounters } from "./mux-events.ts";
import { TokenBucket } from "./token-bucket.ts";

/** Close the socket with this code. The reason is public and short. */
export interface Fatal {
  readonly code: number;
  readonly reason: string;
}

export const flood = (reason: string): Fatal => ({ code: CLOSE_CODES.flood.code, reason });
export const violation = (reason: string): Fatal => ({ code: CLOSE_CODES.protocol_error.code, reason });
export const tooLarge = (): Fatal => ({ code: CLOSE_CODES.too_large.code, reason: CLOSE_CODES.too_large.meaning });

export class MuxGuard {
  readonly #counters: MuxCounters;
  readonly #late = new LateFrames();
  readonly #resets = new TokenBucket(limits.MAX_RESETS_BURST_COUNT, limits.MAX_RESETS_PER_SECOND_COUNT);
  readonly #ignored = new TokenBucket(limits.MAX_IGNORED_BURST_COUNT, limits.MAX_IGNORED_PER_SECOND_COUNT);
  readonly #pings = new TokenBucket(limits.MAX_PINGS_BURST_COUNT, limits.MAX_PINGS_PER_SECOND_COUNT);

  constructor(counters: MuxCounters) {
    this.#counters = counters;
  }

  /** A stream has gone; the peer may still send `data` bytes on it and return `credit` bytes. */
  gone(id: number, data: number, credit: number): void {
    this.#late.expect(id, data, credit);
  }

  /** A frame that says nothing. */
  ignore(now: number): Fatal | undefined {
    this.#counters.ignored += 1;
    return this.#ignored.take(now) ? undefined : flood("frames without a stream");
  }

  /** A reset by the peer, or one that it provoked. */
  reset(now: number): Fatal | undefined {
    return this.#resets.take(now) ? undefined : flood("resets");
  }

  /** A ping that wants an answer. */
  ping(now: number): Fatal | undefined {
    this.#counters.pings += 1;
    return this.#pings.take(now) ? undefined : flood("pings");
  }

  /** A frame for a stream that is not there: due, because it has just gone, or garbage. */
  strayFrame({ type, flags, streamId: id, length }: FrameHeader, now: number): Fatal | undefined {
    let due = false;
    if ((flags & Flag.rst) !== 0) due = this.#late.takeReset(id);
    else if (length > 0) due = type === FrameType.data ? this.#late.takeData(id, length) : this.#late.takeCredit(id, length);
    else if ((flags & Flag.fin) !== 0) due = this.#late.takeEnd(id);
    if (!due) return this.ignore(now);
    this.#counters.late += 1;
    return undefined;
  }
}
