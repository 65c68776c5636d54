/** Many connections as one end sees them: when each ended, and what came after a moment. Either end uses it. */
import { monotonicMs, within } from "./clock.ts";
import { Heard } from "./stamps.ts";

export class Side {
  readonly name: string;
  readonly heard = new Heard();
  endedAt: number | undefined;
  /** How, in the transport's own words. */
  end = "";

  constructor(name: string) {
    this.name = name;
  }

  /** `how` empty: told later. */
  ended(how: string): void {
    if (this.end === "") this.end = how;
    if (this.endedAt !== undefined) return;
    this.endedAt = monotonicMs();
    this.heard.over();
  }
}

export interface Outcome {
  readonly count: number;
  /** Names of those that go on, the first few. */
  readonly open: readonly string[];
  readonly openCount: number;
  /** The last end; 0 when there was none. */
  readonly lastEndAt: number;
  /** The last chunk that came on any of them; 0 when none did. */
  readonly lastChunkAt: number;
  readonly afterBytes: number;
  readonly inFlightBytes: number;
  /** How often each way of ending came. */
  readonly ends: Readonly<Record<string, number>>;
}

const SHOWN_COUNT = 5;

export function outcomeOf(sides: readonly Side[], moment: number): Outcome {
  const ends: Record<string, number> = {};
  let [afterBytes, inFlightBytes, lastEndAt, lastChunkAt] = [0, 0, 0, 0];
  const open: string[] = [];
  for (const side of sides) {
    const late = side.heard.since(moment);
    lastChunkAt = Math.max(lastChunkAt, side.heard.lastAt);
    if (side.endedAt === undefined) open.push(side.name);
    else lastEndAt = Math.max(lastEndAt, side.endedAt);
    afterBytes += late.afterBytes;
    inFlightBytes += late.inFlightBytes;
    if (side.endedAt !== undefined) ends[side.end] = (ends[side.end] ?? 0) + 1;
  }
  return { count: sides.length, open: open.slice(0, SHOWN_COUNT), openCount: open.length, lastEndAt, lastChunkAt, afterBytes, inFlightBytes, ends };
}

/** Waits until all have ended; false when some go on after `timeoutMs`. */
export const allEnded = (sides: readonly Side[], timeoutMs: number): Promise<boolean> => within(timeoutMs, () => sides.every((side) => side.endedAt !== undefined));
