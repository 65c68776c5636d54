/** A system under measurement: where the load goes, and which processes it is made of. */
import type { Place, Target } from "../load/requests.ts";

/** A process of a system by what it is for: `edge`, `connector`, a peer's own parts. */
export interface Part {
  readonly name: string;
  readonly pid: number;
}

export interface System {
  /** Small requests, downloads and uploads. */
  readonly http?: Target;
  /** Where a WebSocket upgrade goes; absent: it carries none. */
  readonly websocket?: Target;
  /** The way to the origin's TCP service, made when first asked for. */
  readonly tcp?: () => Promise<Entry>;
  /** Its processes; asked before each sample, for some start more as they go. The origin is never among them. */
  readonly parts: () => readonly Part[];
  /** Records of decisions that it has stored; only the product has any. */
  readonly records?: () => Promise<number>;
  readonly stop: () => Promise<void>;
}

/** A port of this machine whose other end is the origin's, and what it takes to get there. */
export interface Entry extends Place {
  readonly parts: () => readonly Part[];
}

/** The origin's ports. */
export interface Origin {
  readonly http: number;
  readonly websocket: number;
  readonly tcp: number;
}

export interface Ground {
  readonly origin: Origin;
  /** A private folder of this run. */
  readonly folder: string;
  /** How many sessions a system that knows any is asked as, in turn. */
  readonly sessions: number;
  readonly say: (line: string) => void;
}

/** A peer that is not on this machine. */
export class AbsentError extends Error {}
