/**
 * One connection of a drill as its client sees it: the canary's lines, what came after the receipt
 * was read, and the end. Clocks of two machines are never compared as they stand: a line counts as
 * written after the receipt if, by its stamp and the fastest way that any line took from that canary
 * to here, it cannot have been here before the receipt was read. What was written after it always
 * counts so; what was written before it, by less than that way, may.
 */
import { readCanaryMark } from "../../protocol/canary.ts";
import { StampedLines } from "../../protocol/stamped-lines.ts";

export const DRILL_PROTOCOLS = ["http", "sse", "websocket", "tcp"] as const;
export type DrillProtocol = (typeof DRILL_PROTOCOLS)[number];

/** Lines that have come before a connection counts as live. */
const LIVE_LINES_COUNT = 3;

/** The fastest way of a line from each canary to here, as the difference of the two clocks: what their offset adds is the same for all. */
export class Transits {
  readonly #fastest = new Map<string, number>();

  note(canary: string, took: number): void {
    this.#fastest.set(canary, Math.min(took, this.fastest(canary)));
  }

  fastest(canary: string): number {
    return this.#fastest.get(canary) ?? Number.POSITIVE_INFINITY;
  }
}

export class LiveStream {
  readonly protocol: DrillProtocol;
  /** RUN.CONNECTION, as the canary knows it. */
  readonly name: string;
  /** Resolves once bytes flow on it, both ways where there are two; rejects when it ends before that. */
  readonly live: Promise<void>;
  canary: string | undefined;
  endedAt: number | undefined;
  /** How, in the transport's own words: "broken", a WebSocket's close code, an agent's code; "whole" is a short success. */
  end: string | undefined;
  afterBytes = 0;
  inFlightBytes = 0;
  readonly #transits: Transits;
  readonly #clock: () => number;
  readonly #lines = new StampedLines(({ at, mark, bytes }) => this.#note(at, mark, bytes));
  readonly #alive = Promise.withResolvers<void>();
  #count = 0;
  #receiptAt: number | undefined;

  constructor(protocol: DrillProtocol, name: string, transits: Transits, clock: () => number) {
    this.protocol = protocol;
    this.name = name;
    this.#transits = transits;
    this.#clock = clock;
    this.live = this.#alive.promise;
    this.live.catch(() => undefined);
  }

  hear(text: string): void {
    this.#lines.feed(text);
  }

  /** The receipt is in our hands: what comes from now on is late. */
  receiptRead(at: number): void {
    this.#receiptAt = at;
  }

  /** `how` empty: told later, by another call. */
  over(how: string, why?: unknown): void {
    if (this.endedAt === undefined) {
      this.endedAt = this.#clock();
      this.#lines.over();
    }
    if (how !== "") this.end ??= how;
    this.#alive.reject(why ?? new Error(`${this.name} ended at once`));
  }

  #note(at: number, mark: string, bytes: number): void {
    const now = this.#clock();
    const { canary, hears } = readCanaryMark(mark);
    // One connection, one canary: half a mark of its last line is no other one.
    this.canary ??= canary;
    this.#transits.note(this.canary, now - at);
    this.#count++;
    if (this.#receiptAt !== undefined) {
      if (at + this.#transits.fastest(this.canary) > this.#receiptAt) this.afterBytes += bytes;
      else this.inFlightBytes += bytes;
    }
    const hasWayBack = this.protocol === "websocket" || this.protocol === "tcp";
    if (this.#count >= LIVE_LINES_COUNT && (hears || !hasWayBack)) this.#alive.resolve();
  }
}
