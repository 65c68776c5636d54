/** A load under which the edge is restarted: it goes on until it is told to stop, and says what it did and what went wrong. */
import type { SoakSite } from "./site.ts";

export interface LoadReport {
  /** What was done: requests, echoes, bytes … */
  readonly figures: Readonly<Record<string, number>>;
  readonly failures: readonly string[];
}

export interface Load {
  /** Whether the load has done all that it had to do. */
  readonly finished: () => boolean;
  readonly stop: () => Promise<LoadReport>;
}

export interface LoadGround {
  readonly site: SoakSite;
  readonly folder: string;
  /** The size of it, 1 for the whole. */
  readonly scale: number;
  readonly minutes: number;
  readonly random: () => number;
  readonly say: (line: string) => void;
}

export type StartLoad = (ground: LoadGround) => Promise<Load>;
