/**
 * What a connector's canary and whoever drills with it agree on (docs/freshness.md, "Trying it on a
 * deployment"). Nothing of the tunnel's wire: to the edge a canary is an app as any other.
 */

/** One port, every protocol: all of these write stamped lines until somebody ends them. */
export const CANARY_PATHS = {
  /** A response of an announced length that is never reached: its end is an error, never a short success. */
  response: "/response",
  /** An event stream. */
  events: "/events",
  /** A WebSocket. */
  socket: "/socket",
  /** An HTTP upgrade to lines both ways, for what comes as plain TCP. */
  lines: "/lines",
  /** What this canary has heard on connections whose name begins with `?run=`. */
  heard: "/heard",
} as const;

/** `Upgrade:` of CANARY_PATHS.lines. */
export const LINES_UPGRADE = "stamped-lines";

/** RUN.CONNECTION: `?name=` of everything that is opened. */
export const CANARY_NAME = /^[a-z0-9]{1,32}\.[a-z0-9-]{1,32}$/;

/** Beside each line's time: which canary wrote it, by a name that is made anew at each start, and whether it has heard its client on this connection. */
export const canaryMark = (canary: string, hears: boolean): string => `${canary}-${hears ? "both" : "down"}`;

export function readCanaryMark(mark: string): { readonly canary: string; readonly hears: boolean } {
  const [canary = "", ways] = mark.split("-");
  return { canary, hears: ways === "both" };
}

/** One connection as the canary saw it. */
export interface CanaryHeard {
  readonly name: string;
  readonly open: boolean;
  /** The time of the newest line that came from the client, by the client's own clock; null: none came. */
  readonly heard_at: number | null;
}

/** The answer of CANARY_PATHS.heard. */
export interface CanaryAnswer {
  readonly canary: string;
  readonly connections: readonly CanaryHeard[];
}
